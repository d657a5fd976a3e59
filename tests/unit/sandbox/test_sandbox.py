"""The facade: loading, installing, profiles, and that a seed decides everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from aim_operator.api import external
from aim_operator.api.v1alpha1 import CLUSTER_IMAGES, IMAGES, SERVICES
from aim_operator.errors import Invalid, NotInstalled, UserError
from aim_operator.sandbox.profiles import read_profiles
from tests.unit.sandbox.cluster import make_service, running

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"


async def test_loading_makes_the_namespaces_that_objects_need() -> None:
    async with running() as cluster:
        manifest = make_service() | {"metadata": {"name": "a", "namespace": "team"}}
        [stored] = cluster.sandbox.load([manifest])
        assert stored.key.namespace == "team"
        assert cluster.sandbox.load([manifest]) == [stored]


async def test_loading_refuses_what_no_server_knows() -> None:
    async with running(kserve=False) as cluster:
        runtime = {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ServingRuntime",
            "metadata": {"name": "a"},
        }
        with pytest.raises(UserError, match="no kind 'ServingRuntime'"):
            cluster.sandbox.load([runtime])
        with pytest.raises(Invalid, match=r"spec\.replicas"):
            cluster.sandbox.load([make_service(replicas=-1)])
        cluster.sandbox.install_kserve()
        cluster.sandbox.load([runtime])
        cluster.sandbox.uninstall_kserve()
        with pytest.raises(NotInstalled):
            await cluster.client.list(external.SERVING_RUNTIMES)


async def test_a_seed_decides_every_uid() -> None:
    async def uid(seed: int) -> str:
        async with running(seed=seed) as cluster:
            return (await cluster.client.apply(SERVICES, make_service())).metadata.uid

    assert await uid(1) == await uid(1)
    assert await uid(1) != await uid(2)


async def test_a_webhook_can_rewrite_what_is_written() -> None:
    async with running() as cluster:
        kind = cluster.server.kinds.served(SERVICES)
        cluster.server.mutating[kind.id] = lambda obj: obj | {"spec": obj["spec"] | {"replicas": 5}}
        made = await cluster.client.apply(SERVICES, make_service(replicas=2))
        assert made.spec.replicas == 5
        again = await cluster.client.apply(SERVICES, make_service(replicas=2))
        assert again.metadata.resource_version == made.metadata.resource_version


def test_every_image_of_the_quickstart_has_a_profile() -> None:
    profiles = read_profiles(QUICKSTART / "profiles")
    manifests = [
        each for path in sorted(QUICKSTART.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())
    ]
    kinds = {IMAGES.kind, CLUSTER_IMAGES.kind}
    images = {each["spec"]["image"] for each in manifests if each and each["kind"] in kinds}
    assert images
    assert images <= profiles.keys()


def test_a_bad_profile_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"images": ["a"], "output": []}')
    (tmp_path / "two.json").write_text('{"images": ["a"], "output": []}')
    with pytest.raises(UserError, match=r"two\.json: a is in another file already"):
        read_profiles(tmp_path)
    (tmp_path / "two.json").write_text('{"image": "a"}')
    with pytest.raises(UserError, match=r"profile .*two\.json"):
        read_profiles(tmp_path)


RECORDED = [
    pytest.param({"aim_id": "org/m", "model_id": "org/m-FP8"}, {"AIM_ID": "org/m"}, id="a model image"),
    pytest.param({"model": "org/m", "quantized_model": ""}, {"AIM_STAND_IN": "old"}, id="before 0.8"),
    pytest.param({}, {}, id="a base image"),
]


@pytest.mark.parametrize(("ids", "want"), RECORDED)
def test_what_an_image_was_seen_to_print_can_be_its_profile(
    ids: dict[str, str], want: dict[str, str], tmp_path: Path
) -> None:
    metadata = {"engine": "vllm", "gpu": "MI300X", "gpu_count": 1, "metric": "latency", "precision": "fp8"}
    entry = {"filename": "a.yaml", "profile": {**ids, "metadata": metadata}, "models": []}
    (tmp_path / "m.json").write_text(json.dumps({"images": ["m:1"], "output": [entry]}))
    image = read_profiles(tmp_path)["m:1"]
    asked = {"AIM_GPU_MODEL": "MI300X"} | ({} if ids else {"AIM_MODEL_ID": "org/mine"})
    assert image.env == want
    assert json.loads(image.dry_run(asked).stdout) == [entry]
    assert image.problem(asked) == ""
    assert json.loads(image.dry_run(asked | {"AIM_METRIC": "throughput"}).stdout) == []
