"""`aimctl plan` and `fit` beside objects of others that lack what most have: a spec, a predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aim_operator.api.meta import Manifest
from aim_operator.cli.fit import gather
from aim_operator.cli.fit.command import judged
from aim_operator.cli.fit.judge import Verdict
from aim_operator.cli.plan import documents, snapshot, view
from aim_operator.cli.plan.planning import planned
from aim_operator.cli.plan.snapshot import Snapshot
from aim_operator.sandbox.nodes import gpu_node
from aim_operator.sandbox.storage import Key
from tests.simulation.test_fit import CATALOG, SERVICE
from tests.simulation.world import World

OTHER = {"namespace": "team", "uid": "00000000-0000-4000-8000-00000000000f"}
SERVED: tuple[dict[str, Any] | None, ...] = (
    None,
    {},
    {"predictor": None},
    {"predictor": {}},
    {"predictor": {"model": None}},
    {"predictor": {"model": {"resources": None}}},
    {"predictor": {"model": {"resources": {"limits": None, "requests": None}}}},
    {"predictor": {"minReplicas": None, "maxReplicas": None, "volumes": None, "model": {}}},
)
SPARSE: tuple[tuple[str, str, Any], ...] = (
    # KServe's minimal CRDs, and Gateways of older ones, take what has no spec at all.
    *(("serving.kserve.io/v1beta1 InferenceService", "chat", spec) for spec in SERVED),
    ("serving.kserve.io/v1alpha1 ServingRuntime", "other", None),
    ("serving.kserve.io/v1alpha1 ClusterServingRuntime", "other", None),
    ("gateway.networking.k8s.io/v1 HTTPRoute", "other", None),
    ("gateway.networking.k8s.io/v1 HTTPRoute", "other", {}),
    ("gateway.networking.k8s.io/v1 HTTPRoute", "other", {"parentRefs": None, "rules": None}),
    ("gateway.networking.k8s.io/v1 HTTPRoute", "other", {"rules": [{}, {"matches": [{}]}]}),
    ("gateway.networking.k8s.io/v1 Gateway", "other", None),
    ("gateway.networking.k8s.io/v1 Gateway", "other", {"listeners": [{}]}),
    ("v1 PersistentVolumeClaim", "other", None),
    ("keda.sh/v1alpha1 ScaledObject", "other", None),
    ("v1 Pod", "other", None),
    # No API server lacks these; somebody who shortens a snapshot by hand does.
    ("v1 Pod", "other", {"nodeName": "node-1", "containers": None}),
    ("v1 Pod", "other", {"nodeName": "gone", "containers": [{"resources": None}]}),
    ("v1 Node", "other", None),
    ("v1 Node", "other", {"taints": [{}]}),
    ("v1 Node", "other", {"taints": [{"key": "a"}]}),
    ("storage.k8s.io/v1 StorageClass", "other", None),
)


def manifest(what: str, name: str, spec: Any) -> Manifest:
    api_version, kind = what.split()
    obj: Manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **OTHER}}
    if kind in ("ClusterServingRuntime", "Node", "StorageClass"):
        del obj["metadata"]["namespace"]
    return obj if spec is None else obj | {"spec": spec}


async def snapshot_with(*objects: Manifest) -> Snapshot:
    """That of a cluster with the model and a node, and these objects beside."""
    async with World() as world:
        world.apply(CATALOG)
        world.apply([gpu_node("node-1")])
        seen = await world.clock.run(snapshot.take(world.admin, "sandbox", world.clock.now()))
    return msgspec.structs.replace(seen, objects=(*seen.objects, *objects))


@pytest.mark.parametrize(("what", "name", "spec"), SPARSE, ids=[f"{w.split()[1]} {s}" for w, _, s in SPARSE])
async def test_a_plan_beside_what_no_server_of_ours_would_have_stored(
    what: str, name: str, spec: Any, tmp_path: Path
) -> None:
    path = tmp_path / "snapshot.json"
    seen = await snapshot_with(manifest(what, name, spec))
    path.write_text(snapshot.written(seen))
    (tmp_path / "chat.yaml").write_text(SERVICE)
    found = documents.read([str(tmp_path / "chat.yaml")])
    plan, wrong = await planned(found, {}, "team", snapshot.read(path))
    assert not wrong
    assert "AIMService team/chat" in view.markdown(plan)


LIVE = [(what, name, spec) for what, name, spec in SPARSE if what.endswith("InferenceService")]


@pytest.mark.parametrize(("what", "name", "spec"), LIVE, ids=[str(spec) for _, _, spec in LIVE])
async def test_whether_a_service_fits_whose_inference_service_has_next_to_nothing(
    what: str, name: str, spec: Any
) -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(SERVICE)
        world.apply([gpu_node("node-1")])
        server = world.sandbox.server
        kind = server.kinds.named(*what.split())
        assert kind is not None
        server.storage.put(Key(kind.id, "team", name), kind.to_stored(manifest(what, name, spec)), {})
        client = world.sandbox.client("somebody")
        asked = gather.of_service(client, "team", "chat", "sandbox", world.clock.now())
        (found,) = await judged(client, asked)
    assert found.verdict is Verdict.FITS
    assert found.needs == ""
