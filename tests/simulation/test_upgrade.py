"""An upgrade of the operator alone: what an earlier version made goes on as it is, until it is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, SERVING_RUNTIMES
from aim_operator.core import labels
from tests.simulation.catalog import NAMESPACE
from tests.simulation.world import World

LEFT = Path(__file__).parent / "upgrade" / "before_placement.yaml"
NAMES = ("plain", "chosen", "derived")


def left_by_the_version_before(world: World) -> list[dict[str, Any]]:
    """Make its objects, each with the field manager that it had; those of an owner come after that."""
    world.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
    server, uids, made = world.sandbox.server, dict[str, str](), []
    for saved in yaml.safe_load_all(LEFT.read_text()):
        text = json.dumps(saved)
        for before, now in uids.items():
            text = text.replace(before, now)
        obj = json.loads(text)
        before, status = obj["metadata"].pop("uid"), obj.pop("status", None)
        manager = "aim-operator" if labels.APPLIED in obj["metadata"].get("annotations", {}) else "kubectl"
        kind = server.kinds.named(obj["apiVersion"], obj["kind"])
        assert kind is not None
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        stored = server.apply(kind, obj, manager=manager, force=True)
        uids[before] = stored.uid
        if status is not None:
            sub = {"namespace": namespace, "subresource": "status", "manager": "aim-operator"}
            server.patch(kind, name, {"status": status}, **sub)
        made.append(obj)
    return made


def forms(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """What Pods are made of, by name."""
    return {
        obj["metadata"]["name"]: (obj["metadata"]["labels"], obj["spec"])
        for obj in objects
        if obj["kind"] == "InferenceService"
    }


async def test_a_new_version_of_the_operator_alone_restarts_no_model_server() -> None:
    async with World(seed=7) as world:  # other uids than those of before
        made = left_by_the_version_before(world)
        world.start()
        await world.pass_seconds(1200)
        assert [world.state_of(aim.SERVICES, name, NAMESPACE) for name in NAMES] == ["Running"] * 3
        assert forms(world.all(INFERENCE_SERVICES)) == forms(made)
        names = {obj["metadata"]["name"] for obj in made if obj["kind"] == "AIMServiceTemplate"}
        assert {obj["metadata"]["name"] for obj in world.all(aim.TEMPLATES)} == names
        assert {obj["metadata"]["name"] for obj in world.all(SERVING_RUNTIMES)} == names
        assert {obj["metadata"]["name"] for obj in world.all(HTTP_ROUTES)} == set(NAMES)
        quiet = world.writes()
        await world.pass_seconds(1200)
        assert world.writes() == quiet


async def test_the_next_change_of_a_service_brings_what_is_new_to_it_and_to_no_other() -> None:
    async with World(seed=7) as world:  # other uids than those of before
        made = left_by_the_version_before(world)
        world.start()
        await world.pass_seconds(60)
        world.patch(aim.SERVICES, "chosen", NAMESPACE, {"spec": {"engineArgs": {"max-model-len": 2048}}})
        await world.pass_seconds(600)
        before, now = forms(made), forms(world.all(INFERENCE_SERVICES))
        assert [name for name in NAMES if now[name] != before[name]] == ["chosen"]
        own_labels, spec = now["chosen"]
        assert labels.PLACEMENT in own_labels
        assert spec["predictor"]["terminationGracePeriodSeconds"] == 40
        assert [world.state_of(aim.SERVICES, name, NAMESPACE) for name in NAMES] == ["Running"] * 3
