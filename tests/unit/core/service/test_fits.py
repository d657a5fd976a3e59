"""The condition Fits: said while nothing serves and something speaks against it, and then no more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import convert, structs

from aim_operator.api.external import Pod
from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1 import AIMServiceStatus, AIMServiceTemplate, ModelSource
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import conditions
from aim_operator.core.service.fits import size_bytes
from aim_operator.core.service.plan import decide
from tests.support.service_builders import (
    NOW,
    FakeCatalog,
    make_image,
    make_inference_service,
    make_pod,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_template_status,
    make_workload,
    with_status,
)

STARTING = make_inference_service(ready=False)
NO_ROOM = "0/2 nodes are available: 2 Insufficient amd.com/gpu."
QUOTA = 'pods "chat-0" is forbidden: exceeded quota: gpus, requested: requests.amd.com/gpu=8'
PLACED = make_pod(conditions=[{"type": "PodScheduled", "status": "True"}])
BEFORE = AIMServiceStatus(
    active=make_workload(),
    conditions=(Condition(type="Fits", status="False", reason="Unschedulable", message=NO_ROOM),),
)


def fits(status: AIMServiceStatus | None) -> tuple[str, str, str] | None:
    assert status is not None
    found = conditions.find(status.conditions or (), c.FITS)
    return None if found is None else (found.status, found.reason, found.message)


def decided(before: AIMServiceStatus | None = None, **seen: Any) -> AIMServiceStatus | None:
    service = seen.pop("service", make_service())
    catalog = seen.pop("catalog", None)
    first = AIMServiceStatus(active=make_workload()) if before is None else before
    return decide(with_status(make_service_observed(service, catalog, **seen), first), now=NOW).status


def template_of(size: str, hardware: str = "HardwareFound") -> AIMServiceTemplate:
    status = make_template_status(gpu="MI300X", gpu_count=1)
    source = ModelSource(name="m", source_uri="hf://example/model", size=size)
    told = Condition(type="HardwareAvailable", status="False", reason=hardware, message="no such node")
    status = structs.replace(status, model_sources=(source,), conditions=(*(status.conditions or ()), told))
    return make_template(status=status)


def without_server(template: AIMServiceTemplate, **service: Any) -> AIMServiceStatus | None:
    catalog = FakeCatalog(make_image(), make_runtime_config(), template)
    seen = make_service_observed(make_service(templateRef="fast", **service), catalog)
    return decide(seen, now=NOW).status


def test_the_scheduler_finds_no_node() -> None:
    got = fits(decided(inference_service=STARTING, pods=(make_pod(unschedulable=NO_ROOM),)))
    assert got is not None
    assert got[:2] == ("False", "Unschedulable")
    assert "Insufficient amd.com/gpu" in got[2]


def test_a_quota_takes_no_pod() -> None:
    got = fits(decided(inference_service=STARTING, pods_refused=QUOTA))
    assert got == ("False", "QuotaExceeded", QUOTA)


def test_what_refuses_a_pod_and_is_no_quota_is_no_matter_of_room() -> None:
    assert fits(decided(inference_service=STARTING, pods_refused="violates PodSecurity")) is None


def test_room_that_was_found_is_told_to_whoever_read_that_there_was_none() -> None:
    got = fits(decided(BEFORE, inference_service=STARTING, pods=(PLACED,)))
    assert got == ("True", "Placed", "a node has room for its Pod")


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(make_pod(), id="the scheduler has not looked at it"),
        pytest.param(
            make_pod(
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
            ),
            id="a queue holds it",
        ),
    ],
)
def test_room_is_found_once_a_node_has_the_pod_and_not_when_there_is_one(pod: Pod) -> None:
    """It was: that there is room was written for each new Pod, and a moment later that there is none."""
    got = fits(decided(BEFORE, inference_service=STARTING, pods=(pod,)))
    assert got == ("False", "Unschedulable", NO_ROOM)


def test_a_service_that_starts_as_it_should_says_nothing_about_room() -> None:
    assert fits(decided(inference_service=STARTING, pods=(PLACED,))) is None


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(
            {"inference_service": make_inference_service(ready=True), "pods": (make_pod(ready=True),)},
            id="it runs",
        ),
        pytest.param(
            {"inference_service": STARTING, "service": make_service(replicas=0)}, id="it is stopped"
        ),
    ],
)
def test_who_needs_no_room_says_nothing_about_it(seen: dict[str, Any]) -> None:
    assert fits(decided(BEFORE, **seen)) is None


def test_files_that_no_such_gpu_can_hold_are_told_before_they_are_downloaded() -> None:
    got = fits(without_server(template_of(str(800 * 1024**3)), cacheModel=True))
    assert got is not None
    assert got[:2] == ("False", "GpuMemoryTooSmall")


def test_a_gpu_that_no_node_has_is_told_before_there_is_a_pod() -> None:
    got = fits(without_server(template_of("100", "HardwareNotFound"), cacheModel=True))
    assert got == ("False", "HardwareNotFound", "no such node")


@pytest.mark.parametrize("size", ["9e9999", "-5Gi"])
def test_a_size_that_no_files_have_is_none_that_is_known(size: str) -> None:
    """Of a status that somebody wrote by hand. Python refuses to print so many digits: nothing was told."""
    assert fits(without_server(template_of(size), cacheModel=True)) is None


def test_files_that_fit_and_sizes_that_nobody_knows_are_no_matter() -> None:
    assert fits(without_server(template_of("100"), cacheModel=True)) is None
    unknown = convert({"name": "m", "sourceUri": "hf://a/b"}, ModelSource)
    template = template_of("1")
    assert template.status is not None
    known = template.status.model_sources or ()
    template = structs.replace(
        template, status=structs.replace(template.status, model_sources=(*known, unknown))
    )
    assert fits(without_server(template, cacheModel=True)) is None


def test_the_size_of_a_part_of_the_files_is_not_told_as_that_of_the_model() -> None:
    unknown = convert({"name": "n", "sourceUri": "hf://a/b"}, ModelSource)
    known = template_of("100")
    assert known.status is not None
    sources = (*(known.status.model_sources or ()), unknown)
    partly = structs.replace(known, status=structs.replace(known.status, model_sources=sources))
    assert (size_bytes(known), size_bytes(partly)) == (100, None)


@pytest.mark.parametrize(
    ("before", "pod", "want"),
    [
        pytest.param(None, make_pod(unschedulable=NO_ROOM), None, id="no room for it"),
        pytest.param(BEFORE, PLACED, None, id="that had room"),
    ],
)
def test_a_pod_that_is_going_says_nothing_about_room(
    before: AIMServiceStatus | None, pod: Pod, want: tuple[str, str, str] | None
) -> None:
    going = structs.replace(
        pod, metadata=structs.replace(pod.metadata, deletion_timestamp="2026-01-31T12:00:00Z")
    )
    assert fits(decided(before, inference_service=STARTING, pods=(going,))) == want


def test_the_same_words_are_written_once() -> None:
    seen = make_service_observed(inference_service=STARTING, pods=(make_pod(unschedulable=NO_ROOM),))
    first = decide(with_status(seen, AIMServiceStatus(active=make_workload())), now=NOW).status
    assert decide(with_status(seen, first), now=NOW + timedelta(hours=1)).status == first
