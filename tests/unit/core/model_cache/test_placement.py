"""Where a download runs whose volume belongs to a node, and what may not move it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import Jobs, Scheduling, Storage
from aim_operator.core import hardware, labels
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.model_cache import desired, digests
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.placement import Place, many_nodes, place
from tests.support.cache_builders import make_claim, make_model_cache, make_storage_class
from tests.support.node_affinity import admits

OPTIONS = DownloadOptions(image="ghcr.io/example/fetch:1", requests={"cpu": "100m"})
GPU = {"amd.com/gpu.device-id": "74a1"}
OTHER_GPU = {"amd.com/gpu.device-id": "74a5"}
TAINT = {"key": "amd.com/gpu", "operator": "Exists"}
CACHE = make_model_cache(placement={"gpuModel": "MI300X"})
CONFIG = RuntimeConfig()
WAITS = make_storage_class(wait=True)


def claim(*modes: str, **annotations: str) -> PersistentVolumeClaim:
    made = make_claim()
    return structs.replace(
        made,
        spec=structs.replace(made.spec, access_modes=modes or None),
        metadata=structs.replace(made.metadata, annotations=annotations or None),
    )


def known(model: str) -> dict[str, str]:
    return {labels.KNOWN_GPU: model}


def pod(
    cache: Any = CACHE,
    config: RuntimeConfig = CONFIG,
    on: PersistentVolumeClaim | None = None,
    storage: Any = WAITS,
) -> Manifest:
    volume = on or claim("ReadWriteOnce")
    where = place(cache, config, volume, storage)
    job = desired.job(cache, config, volume, OPTIONS, digest="abcdef12", place=where)
    spec: Manifest = job.manifest["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("on", "storage", "want"),
    [
        pytest.param(claim("ReadWriteOnce"), make_storage_class(), True, id="one node mounts it"),
        pytest.param(claim("ReadWriteOncePod"), make_storage_class(), True, id="one Pod mounts it"),
        pytest.param(claim("ReadWriteMany"), WAITS, True, id="bound where its first Pod is"),
        pytest.param(claim("ReadWriteMany"), make_storage_class(), False, id="every node mounts it"),
        pytest.param(claim("ReadWriteOnce", "ReadWriteMany"), None, False, id="many nodes mount it"),
        pytest.param(claim("ReadOnlyMany"), make_storage_class(), False, id="many nodes read it"),
        pytest.param(claim(), make_storage_class(), False, id="nobody says who mounts it"),
        pytest.param(
            claim("ReadWriteMany", **{"volume.kubernetes.io/selected-node": "node1"}),
            None,
            True,
            id="bound to a node by a class that is gone",
        ),
    ],
)
def test_which_downloads_run_where_the_model_is_served(
    on: PersistentVolumeClaim,
    storage: Any,
    want: bool,  # noqa: FBT001
) -> None:
    assert ("affinity" in pod(on=on, storage=storage)) is want


def test_a_node_without_labels_may_have_no_gpu_so_one_that_has_them_is_required_where_there_was_one() -> None:
    new = desired.claim(CACHE, CONFIG, nodes=[hardware.node_gpus(GPU)]).manifest["metadata"]
    assert new["annotations"] == {**known("MI300X"), labels.SIZE: "10Gi"}
    affinity = pod(on=claim("ReadWriteOnce", **known("MI300X")))["affinity"]
    assert admits(affinity, GPU)
    assert not admits(affinity, {})


def test_labels_of_nodes_with_another_gpu_say_nothing_of_this_one() -> None:
    """A claim that was made when the cache was about another GPU."""
    where = place(CACHE, CONFIG, claim("ReadWriteOnce", **known("MI355X")), WAITS)
    assert where == Place(gpu_model="MI300X", known=False)


@pytest.mark.parametrize(
    ("modes", "want"),
    [(None, True), (("ReadWriteOnce",), False), (("ReadWriteOnce", "ReadWriteMany"), True)],
)
def test_whether_a_configuration_asks_for_volumes_of_many_nodes(
    modes: tuple[str, ...] | None,
    *,
    want: bool,
) -> None:
    assert many_nodes(RuntimeConfig(storage=Storage(access_modes=modes))) is want


def test_another_place_is_another_download_and_the_same_written_otherwise_is_not() -> None:
    def digest(where: Place | None) -> str:
        return digests.download(CACHE, CONFIG, make_claim(), OPTIONS, where)

    def tolerating(*keys: str) -> Place:
        tolerations = [{"key": key, "operator": "Exists"} for key in keys]
        return Place(served=msgspec.convert({"tolerations": tolerations}, Scheduling))

    of_gpu, of_another = Place(gpu_model="MI300X"), Place(gpu_model="MI355X")
    places = (None, of_gpu, of_another, structs.replace(of_gpu, known=True), tolerating("a", "b"))
    assert len({digest(each) for each in places}) == len(places)
    assert digest(tolerating("b", "a")) == digest(tolerating("a", "b"))


def test_where_the_cache_itself_is_served_goes_before_what_the_configuration_says() -> None:
    cache = make_model_cache(placement={"scheduling": {"nodeSelector": {"pool": "gpu"}}})
    config = RuntimeConfig(scheduling=msgspec.convert({"nodeSelector": {"pool": "any"}}, Scheduling))
    assert pod(cache, config)["nodeSelector"] == {"pool": "gpu"}


def test_a_cluster_without_labels_keeps_only_known_others_out() -> None:
    assert desired.claim(CACHE, CONFIG).manifest["metadata"]["annotations"] == {labels.SIZE: "10Gi"}
    affinity = pod()["affinity"]
    assert admits(affinity, {})
    assert not admits(affinity, OTHER_GPU)


def test_nodes_that_come_and_go_move_no_download() -> None:
    on = claim("ReadWriteOnce", **known("MI300X"))
    where = place(CACHE, CONFIG, on, WAITS)
    assert where is not None
    assert digests.download(CACHE, CONFIG, on, OPTIONS, where) == digests.download(
        CACHE, CONFIG, on, OPTIONS, place(CACHE, CONFIG, on, None)
    ), "also where its class is deleted"


def test_model_servers_settings_reach_the_download_over_those_of_jobs() -> None:
    zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [zone]}}
    cache = make_model_cache(
        placement={
            "gpuModel": "MI300X",
            "scheduling": {
                "nodeSelector": {"pool": "gpu"},
                "affinity": {"nodeAffinity": required, "podAntiAffinity": {}},
                "priorityClassName": "serving",
                "runtimeClassName": "kata",
            },
        }
    )
    jobs = {"scheduling": {"nodeSelector": {"pool": "batch", "arch": "amd64"}, "priorityClassName": "low"}}
    config = RuntimeConfig(
        scheduling=msgspec.convert({"tolerations": [TAINT]}, Scheduling),
        jobs=msgspec.convert(jobs, Jobs),
    )
    got = pod(cache, config, claim("ReadWriteOnce", **known("MI300X")))
    assert got["nodeSelector"] == {"pool": "gpu"}, "other Jobs' nodes may have no GPU"
    assert got["tolerations"] == [TAINT]
    assert got["priorityClassName"] == "low", "who waits for whom is the Jobs' own"
    assert "runtimeClassName" not in got
    assert set(got["affinity"]) == {"nodeAffinity"}
    assert admits(got["affinity"], {**GPU, "zone": "a"})
    assert not admits(got["affinity"], {"zone": "a"})
    assert not admits(got["affinity"], GPU)


def test_nothing_said_is_no_place() -> None:
    assert place(make_model_cache(), CONFIG, claim("ReadWriteOnce"), WAITS) is None
    before = digests.download(CACHE, CONFIG, claim("ReadWriteMany"), OPTIONS)
    nowhere = place(CACHE, CONFIG, claim("ReadWriteMany"), None)
    assert digests.download(CACHE, CONFIG, claim("ReadWriteMany"), OPTIONS, nowhere) == before
