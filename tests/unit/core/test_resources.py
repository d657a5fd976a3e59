"""Resources: merged quantity by quantity, GPUs from discovery, nothing that no Pod could be made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.v1alpha1 import Quantity, ResourceRequirements, ResourcesPerGpu
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.quantity import compare
from aim_operator.core.resources import MergedResources, merge
from aim_operator.errors import SpecError

GPU = "amd.com/gpu"
Quantities = dict[str, Quantity]


def make_resources(
    requests: Quantities | None = None, limits: Quantities | None = None
) -> ResourceRequirements:
    return ResourceRequirements(
        requests=None if requests is None else requests, limits=None if limits is None else limits
    )


def merged(
    service: ResourceRequirements | None = None,
    template: ResourceRequirements | None = None,
    image: ResourceRequirements | None = None,
    gpu_count: int | None = None,
) -> MergedResources:
    return merge(service, template, image, gpu_count=gpu_count)


def refusal(
    service: ResourceRequirements | None,
    template: ResourceRequirements | None = None,
    image: ResourceRequirements | None = None,
) -> str:
    with pytest.raises(SpecError) as caught:
        merged(service, template, image)
    assert caught.value.reason == Reason.RESOURCES_INVALID
    assert "\n" not in caught.value.message
    return caught.value.message


def test_nothing_set_gives_nothing() -> None:
    assert merged() == MergedResources(requests={}, limits={})
    assert merged(ResourceRequirements(requests=None, limits=None)) == MergedResources(requests={}, limits={})


def test_each_quantity_is_taken_from_the_first_tier_that_sets_it() -> None:
    got = merged(
        make_resources(requests={"cpu": "2"}),
        make_resources(requests={"cpu": "3", "memory": "16Gi"}, limits={"cpu": 6}),
        make_resources(requests={"cpu": "4", "memory": "32Gi"}, limits={"cpu": "8", "memory": "64Gi"}),
    )
    assert got.requests == {"cpu": "2", "memory": "16Gi"}
    assert got.limits == {"cpu": "6", "memory": "64Gi"}


def test_an_explicit_zero_overrides() -> None:
    got = merged(make_resources(requests={"cpu": 0}), make_resources(requests={"cpu": "3"}))
    assert got.requests == {"cpu": "0"}


def test_results_are_canonical_and_sorted() -> None:
    got = merged(
        make_resources(requests={"memory": "1024Mi", "cpu": 0.5}, limits={"memory": "1.5Gi", "cpu": "1000m"})
    )
    assert list(got.requests.items()) == [("cpu", "500m"), ("memory", "1Gi")]
    assert list(got.limits.items()) == [("cpu", "1"), ("memory", "1536Mi")]


@pytest.mark.parametrize(
    ("service", "template", "gpu_count", "want"),
    [
        pytest.param(None, None, 2, {GPU: "2"}, id="unset everywhere, they come from discovery"),
        pytest.param(None, None, None, {}, id="without a discovered count there are none"),
        pytest.param(None, None, 0, {GPU: "0"}, id="a discovered zero is a count"),
        pytest.param(make_resources({GPU: 4}), None, 2, {GPU: "4"}, id="a request alone is mirrored"),
        pytest.param(make_resources(None, {GPU: 4}), None, 2, {GPU: "4"}, id="a limit alone is mirrored"),
        pytest.param(
            None, make_resources(None, {GPU: "1"}), 2, {GPU: "1"}, id="a lower tier's limit beats discovery"
        ),
        pytest.param(
            make_resources({GPU: 4}, {GPU: "4"}),
            make_resources({GPU: 1}, {GPU: 1}),
            2,
            {GPU: "4"},
            id="the service wins on both sides",
        ),
        pytest.param(
            make_resources({GPU: 0}),
            None,
            2,
            {GPU: "0"},
            id="an explicit zero is set, so discovery is not asked",
        ),
    ],
)
def test_gpus(
    service: ResourceRequirements | None,
    template: ResourceRequirements | None,
    gpu_count: int | None,
    want: dict[str, str],
) -> None:
    got = merged(service, template, gpu_count=gpu_count)
    assert got == MergedResources(requests=want, limits=want)


def test_another_gpu_resource_can_be_named() -> None:
    got = merge(None, None, None, gpu_count=1, gpu_resource="nvidia.com/gpu")
    assert got.limits == {"nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("name", "want"),
    [
        pytest.param("nvidia.com/gpu", {"nvidia.com/gpu": "3"}, id="another vendor's"),
        pytest.param("nvidia.com/mig-1g.10gb", {"nvidia.com/mig-1g.10gb": "3"}, id="a slice"),
        pytest.param("nvidia.com/gpu.shared", {"nvidia.com/gpu.shared": "3"}, id="a share"),
        pytest.param("amd.com/cpx_nps4", {"amd.com/cpx_nps4": "3"}, id="a partition"),
        pytest.param("gpu.intel.com/xe", {"gpu.intel.com/xe": "3"}, id="Intel's"),
        pytest.param("habana.ai/gaudi", {"habana.ai/gaudi": "3"}, id="Gaudi's"),
        pytest.param("example.com/gpu-pool", {"example.com/gpu-pool": "3"}, id="the one that was named"),
        pytest.param("amd.com/nic", {"amd.com/nic": "3", "example.com/gpu-pool": "2"}, id="but not a NIC"),
        pytest.param("rdma/hca", {"rdma/hca": "3", "example.com/gpu-pool": "2"}, id="nor any other device"),
    ],
)
@pytest.mark.parametrize("tier", [0, 1, 2])
def test_a_gpu_of_any_kind_in_any_tier_means_that_none_is_added(
    name: str, want: dict[str, str], tier: int
) -> None:
    tiers: list[ResourceRequirements | None] = [None, None, None]
    tiers[tier] = make_resources(None, {name: 3})
    got = merge(*tiers, gpu_count=2, gpu_resource="example.com/gpu-pool")
    assert got == MergedResources(requests=want, limits=want)


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "rdma/hca", "hugepages-2Mi"])
def test_what_cannot_be_overcommitted_is_mirrored(name: str) -> None:
    want = {name: "2"}
    assert merged(make_resources({name: 2})) == MergedResources(requests=want, limits=want)
    assert merged(make_resources(None, {name: 2})) == MergedResources(requests=want, limits=want)


@pytest.mark.parametrize("name", ["cpu", "memory", "ephemeral-storage"])
def test_what_can_be_overcommitted_is_not(name: str) -> None:
    assert merged(make_resources({name: 2})) == MergedResources(requests={name: "2"}, limits={})
    assert merged(make_resources(None, {name: 2})) == MergedResources(requests={}, limits={name: "2"})


def test_a_request_over_its_limit_names_quantity_values_tiers_and_remedy() -> None:
    got = refusal(
        make_resources({"memory": "64Gi"}), None, make_resources({"memory": "8Gi"}, {"memory": "32Gi"})
    )
    assert got == (
        "resources.requests[memory] is 64Gi (from the service), which is more than its limit:"
        " resources.limits[memory] is 32Gi (from the image);"
        " lower the request or raise the limit in the service"
    )


def test_a_device_with_two_values_is_refused() -> None:
    got = refusal(make_resources(None, {GPU: 2}), make_resources({GPU: 1}, {GPU: 1}))
    assert got == (
        "resources.requests[amd.com/gpu] is 1 (from the template) but resources.limits[amd.com/gpu] is 2"
        " (from the service); amd.com/gpu cannot be overcommitted: set both to the same value in the service"
    )


@pytest.mark.parametrize(
    ("requests", "want"),
    [
        pytest.param(
            {"cpu": "four"}, "resources.requests[cpu] of the template: 'four' is not a quantity", id="text"
        ),
        pytest.param(
            {"cpu": -1}, "resources.requests[cpu] of the template is -1; write 0 or more", id="negative"
        ),
        pytest.param({GPU: "500m"}, "is 500m; write a whole number of devices", id="half a GPU"),
        pytest.param(
            {"gpu": 1}, "no container can ask for 'gpu'; write cpu, memory", id="a device without domain"
        ),
        pytest.param({"memory": "9Ei"}, "'9Ei' is more than Kubernetes can count", id="too much"),
    ],
)
def test_a_bad_quantity_names_its_field(requests: Quantities, want: str) -> None:
    assert want in refusal(None, make_resources(requests))


def test_equal_values_in_different_spelling_are_equal() -> None:
    got = merged(make_resources({GPU: "1", "memory": "1Gi"}, {GPU: 1.0, "memory": "1024Mi"}))
    assert got.requests == got.limits == {GPU: "1", "memory": "1Gi"}


PER_GPU = ResourcesPerGpu(cpu="4", memory="32Gi", memory_limit="48Gi")


@pytest.mark.parametrize(
    ("service", "per_gpu", "requests", "limits"),
    [
        pytest.param(
            None,
            PER_GPU,
            {"cpu": "8", "memory": "64Gi"},
            {"memory": "96Gi"},
            id="for each GPU, of both sides",
        ),
        pytest.param(
            make_resources(None, {"memory": "40Gi"}),
            PER_GPU,
            {"cpu": "8"},
            {"memory": "40Gi"},
            id="none beside a limit that somebody chose, which it might exceed",
        ),
        pytest.param(
            None,
            ResourcesPerGpu(memory="32Gi", memory_limit="16Gi"),
            {"memory": "64Gi"},
            {"memory": "64Gi"},
            id="a limit never below the request: they may come from two places",
        ),
        pytest.param(None, ResourcesPerGpu(cpu=0, memory="0"), {}, {}, id="none for a zero"),
    ],
)
def test_defaults_for_each_gpu(
    service: ResourceRequirements | None,
    per_gpu: ResourcesPerGpu,
    requests: dict[str, str],
    limits: dict[str, str],
) -> None:
    got = merge(service, None, None, gpu_count=2, per_gpu=per_gpu)
    assert got == MergedResources(requests={GPU: "2", **requests}, limits={GPU: "2", **limits})


names = st.sampled_from(["cpu", "memory", GPU, "nvidia.com/gpu", "hugepages-1Gi", "odd"])
values = st.integers(-1, 5) | st.sampled_from(["1", "2Gi", "1500m", "x", 1.5])
sides = st.none() | st.dictionaries(names, values, max_size=4)
requirements = st.just(None) | st.builds(make_resources, sides, sides)


@given(requirements, requirements, requirements, st.none() | st.integers(0, 8))
def test_every_merge_is_schedulable_or_refused(
    service: ResourceRequirements | None,
    template: ResourceRequirements | None,
    image: ResourceRequirements | None,
    gpu_count: int | None,
) -> None:
    try:
        got = merged(service, template, image, gpu_count)
    except SpecError:
        return
    for name, request in got.requests.items():
        if name in got.limits:
            assert compare(request, got.limits[name]) <= 0
    for name in got.requests.keys() | got.limits.keys():
        if "/" in name or name.startswith("hugepages-"):
            assert got.requests[name] == got.limits[name]
    again = merged(ResourceRequirements(requests=dict(got.requests), limits=dict(got.limits)))
    assert again == got
