"""The conditions that do not depend on how a discovery goes: hardware and caches."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import conditions, hardware
from aim_operator.core.catalog import MissingRuntimeConfig, Template
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.template.status import Step, build_status, with_result
from tests.support.cache_builders import make_template_cache
from tests.support.status import assert_status_well_formed
from tests.support.template_builders import (
    NOW,
    make_cluster_template,
    make_discovered_status,
    make_result,
    make_template,
    make_template_observed,
    with_status,
)

PENDING = Step(state="Pending", reason="JobPending", message="waiting")
MI300X = {"gpuSelector": {"model": "MI300X"}}


def nodes(*models: str) -> frozenset[hardware.NodeGpus]:
    products = ({"amd.com/gpu.product-name": f"AMD_Instinct_{model}"} for model in models)
    return frozenset(map(hardware.node_gpus, products))


def find(status: AIMServiceTemplateStatus, type_: str) -> Condition | None:
    assert_status_well_formed(status)
    return conditions.find(status.conditions or (), type_)


@pytest.mark.parametrize(
    ("spec", "gpu", "fields", "want"),
    [
        pytest.param(
            MI300X,
            None,
            {"gpu_models": nodes("MI300X")},
            "True/HardwareFound: nodes with GPU model MI300X exist",
            id="a node has the model that the template asks for",
        ),
        pytest.param(
            MI300X,
            None,
            {"gpu_models": nodes("MI210")},
            "False/HardwareNotFound: no node is labelled with GPU model MI300X",
            id="no node has it",
        ),
        pytest.param(
            MI300X,
            None,
            {"gpu_models": nodes("MI210", "MI999")},
            "Unknown/HardwareUnknown: "
            "no node is known to have GPU model MI300X; the labels of some do not tell",
            id="a node that nobody knows may have it",
        ),
        pytest.param(
            {},
            "NONE",
            {"gpu_models": nodes("MI210")},
            "True/HardwareFound: the profile needs no GPU",
            id="the CPU is everywhere",
        ),
        pytest.param(
            MI300X,
            None,
            {},
            "Unknown/HardwareUnknown: no node has GPU labels",
            id="no node tells its GPUs",
        ),
        pytest.param(
            MI300X,
            None,
            {"nodes_known": False, "gpu_models": nodes("MI300X")},
            "Unknown/HardwareUnknown: the operator can't read nodes",
            id="the operator can't see nodes",
        ),
        pytest.param(
            {},
            None,
            {"gpu_models": nodes("MI300X")},
            "Unknown/HardwareUnknown: the template names no GPU model",
            id="no model is asked for",
        ),
        pytest.param(
            {},
            "MI300X",
            {"gpu_models": nodes("MI300X")},
            "True/HardwareFound: nodes with GPU model MI300X exist",
            id="the discovered model counts where none is asked for",
        ),
        pytest.param(
            {"gpuSelector": {"model": "MI210"}},
            "MI300X",
            {"gpu_models": nodes("MI300X")},
            "False/HardwareNotFound: no node is labelled with GPU model MI210",
            id="the one that is asked for counts first",
        ),
    ],
)
def test_hardware_available(spec: dict[str, Any], gpu: str | None, fields: dict[str, Any], want: str) -> None:
    observed = make_template_observed(make_template(**spec), **fields)
    old = make_discovered_status("x", make_result(gpu=gpu))
    got = find(build_status(observed, old, PENDING, NOW), c.HARDWARE_AVAILABLE)
    assert got is not None
    assert f"{got.status}/{got.reason}: {got.message}" == want


@pytest.mark.parametrize(
    ("template", "want"),
    [
        pytest.param(make_template(caching={"enabled": True}), True, id="one that caches"),
        pytest.param(make_template(caching={"enabled": False}), False, id="one that says it does not"),
        pytest.param(make_template(caching={}), False, id="one that does not say"),
        pytest.param(make_template(), False, id="one without a word on caching"),
        pytest.param(make_cluster_template(), False, id="a cluster template, which can't"),
    ],
)
def test_cache_warm_is_there_for(template: Template, want: bool) -> None:  # noqa: FBT001
    status = build_status(make_template_observed(template), AIMServiceTemplateStatus(), PENDING, NOW)
    assert (find(status, c.CACHE_WARM) is not None) is want


SOURCES = make_discovered_status("x", make_result())


@pytest.mark.parametrize(
    ("old", "seen", "want"),
    [
        pytest.param(
            AIMServiceTemplateStatus(),
            {},
            "False/WaitingForCache: the model sources are not known yet",
            id="while discovery runs",
        ),
        pytest.param(
            SOURCES,
            {},
            "False/WaitingForCache: the AIMTemplateCache is being created",
            id="before there is a cache",
        ),
        pytest.param(
            SOURCES,
            {"template_cache": make_template_cache(ready="False/Downloading: 40 % downloaded")},
            "False/Downloading: 40 % downloaded",
            id="while the cache fills, in its own words",
        ),
        pytest.param(
            SOURCES,
            {"template_cache": make_template_cache(ready="True/CacheWarm: all there")},
            "True/CacheWarm: all there",
            id="once the cache is warm",
        ),
        pytest.param(
            SOURCES,
            {"template_cache_taken": True},
            "False/NameConflict: AIMTemplateCache 'fast' is not about this template, or not shared; "
            "rename or share it",
            id="where another template's cache has the name",
        ),
    ],
)
def test_cache_warm_follows_the_template_cache(
    old: AIMServiceTemplateStatus, seen: dict[str, Any], want: str
) -> None:
    observed = make_template_observed(make_template(caching={"enabled": True}), **seen)
    got = find(build_status(observed, old, PENDING, NOW), c.CACHE_WARM)
    assert got is not None
    assert f"{got.status}/{got.reason}: {got.message}" == want


def test_cache_warm_goes_when_caching_is_turned_off() -> None:
    caching = make_template_observed(make_template(caching={"enabled": True}))
    old = build_status(caching, AIMServiceTemplateStatus(), PENDING, NOW)
    assert (
        find(build_status(with_status(make_template_observed(), old), old, PENDING, NOW), c.CACHE_WARM)
        is None
    )


def test_the_generation_is_that_of_the_template() -> None:
    observed = make_template_observed(make_template(metadata={"generation": 7}))
    status = build_status(observed, AIMServiceTemplateStatus(), PENDING, NOW)
    assert_status_well_formed(status)
    assert status.observed_generation == 7


def test_no_reference_is_kept_to_what_is_gone() -> None:
    there = make_template_observed()
    old = build_status(there, AIMServiceTemplateStatus(), PENDING, NOW)
    gone = make_template_observed(image_missing=True, runtime_config=MissingRuntimeConfig("gone"))
    status = build_status(gone, old, PENDING, NOW)
    want = AIMServiceTemplateStatus()
    assert (status.resolved_image, status.resolved_runtime_config) == (
        want.resolved_image,
        want.resolved_runtime_config,
    )


def test_a_result_replaces_the_last_one_whole() -> None:
    old, new = make_discovered_status("x", make_result("a/old")), make_result("b/new", gpu_count=8)
    got = with_result(make_template(), old, new)
    want = structs.replace(
        old, model_sources=new.model_sources, profile=new.profile, profile_id="vllm-a-profile"
    )
    assert got == want
    assert with_result(make_template(), old, None) == old
    nothing = with_result(make_template(), got, DiscoveryResult(model_sources=(), profile={}))
    assert (nothing.profile, nothing.profile_id) == (None, None)
