"""The sum of the parts: the worst one speaks, and what was used before is not forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aim_operator.api.v1alpha1 import AIMServiceStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core.service.plan import decide
from aim_operator.core.service.status import ConditionSummary, build_status
from tests.support.service_builders import (
    NOW,
    FakeCatalog,
    make_image,
    make_inference_service,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    with_status,
)
from tests.support.service_status import assert_service_status_well_formed, condition_of, told

READY = make_inference_service(ready=True)
NOBODY = AIMServiceStatus()


def part(state: str, reason: str = "") -> ConditionSummary:
    return ConditionSummary(
        ok=state == "Running", reason=reason or f"{state}Part", message=f"it is {state}", state=state
    )


def summed(serving: bool = False, **parts: Any) -> AIMServiceStatus:  # noqa: FBT001, FBT002 - a switch of the table
    observed = make_service_observed(inference_service=READY if serving else None)
    fine = {name: part("Running", name) for name in ("resolved", "cache", "runtime", "route")}
    return build_status(observed, NOBODY, path=None, now=NOW, **{**fine, **parts})


@pytest.mark.parametrize(
    ("parts", "state", "reason"),
    [
        pytest.param({}, "Running", "runtime", id="all in order: the runtime speaks"),
        pytest.param({"runtime": part("Starting")}, "Starting", "StartingPart", id="starting"),
        pytest.param(
            {"runtime": part("Stopped"), "route": part("Starting")},
            "Stopped",
            "StoppedPart",
            id="stopped, whatever the gateway says of a Service that is gone",
        ),
        pytest.param(
            {"runtime": part("Stopped"), "route": part("Degraded")},
            "Degraded",
            "DegradedPart",
            id="what would stop it from serving is told before it is started",
        ),
        pytest.param(
            {"resolved": part("Pending"), "runtime": part("Starting")},
            "Pending",
            "PendingPart",
            id="pending before starting",
        ),
        pytest.param(
            {"resolved": part("Pending"), "route": part("Degraded")},
            "Degraded",
            "DegradedPart",
            id="degraded before pending",
        ),
        pytest.param(
            {"runtime": part("Failed"), "route": part("Degraded")},
            "Failed",
            "FailedPart",
            id="failed before degraded",
        ),
        pytest.param(
            {"resolved": part("Degraded", "First"), "runtime": part("Degraded", "Second")},
            "Degraded",
            "First",
            id="the first of equals",
        ),
        pytest.param(
            {"serving": True, "resolved": part("Pending")},
            "Running",
            "runtime",
            id="what serves is not pending",
        ),
        pytest.param(
            {"serving": True, "resolved": part("Pending", "Moving"), "runtime": part("Starting")},
            "Starting",
            "Moving",
            id="what it waits for is told while it starts",
        ),
        pytest.param(
            {"serving": True, "resolved": part("Pending", "Moving"), "runtime": part("Failed")},
            "Failed",
            "FailedPart",
            id="what it waits for is not why it failed",
        ),
        pytest.param(
            {"serving": True, "cache": part("Pending")},
            "Running",
            "runtime",
            id="what serves is not pending for its cache either",
        ),
        pytest.param(
            {"serving": True, "problem": part("Degraded", "Hindered")},
            "Degraded",
            "Hindered",
            id="a problem beside a runtime that goes on",
        ),
        pytest.param({"route": None}, "Running", "runtime", id="without routing"),
    ],
)
def test_the_sum_is(parts: dict[str, Any], state: str, reason: str) -> None:
    got = summed(**parts)
    assert_service_status_well_formed(got)
    assert (got.status, condition_of(got, c.READY).reason) == (state, reason)
    assert ("RoutingReady" in {x.type for x in got.conditions or ()}) == (
        "route" not in parts or parts["route"] is not None
    )


def test_a_problem_of_the_wish_is_not_one_of_the_runtime() -> None:
    got = summed(serving=True, problem=part("Degraded"))
    assert told(got, c.RUNTIME_READY) == ("True", "runtime")


def test_references_say_what_was_used() -> None:
    status = decide(make_service_observed(), now=NOW).status
    assert status is not None
    got = {
        name: (reference.kind, reference.namespace, reference.name, reference.scope, reference.uid)
        for name in ("resolved_image", "resolved_template", "resolved_runtime_config")
        if (reference := getattr(status, name)) is not None
    }
    assert got == {
        "resolved_image": ("AIMImage", "team", "model", "Namespace", "uid-aimimage-team-model"),
        "resolved_template": (
            "AIMServiceTemplate",
            "team",
            "fast",
            "Namespace",
            "uid-aimservicetemplate-team-fast",
        ),
        "resolved_runtime_config": (
            "AIMRuntimeConfig",
            "team",
            "default",
            "Namespace",
            "uid-aimruntimeconfig-team-default",
        ),
    }
    assert status.resolved_runtime_config is not None
    assert status.resolved_runtime_config.hash


def test_a_choice_outlives_its_image() -> None:
    """An image that is deleted and comes back must not move its services to another template."""
    better = make_template("better", gpuSelector={"model": "MI355X"})
    chosen = make_service_observed(inference_service=READY)
    first = decide(chosen, now=NOW).status
    gone = make_service_observed(catalog=FakeCatalog(make_runtime_config()), inference_service=READY)
    second = decide(with_status(gone, first), now=NOW).status
    assert first is not None
    assert second is not None
    assert second.template_matching == first.template_matching
    assert second.resolved_template == first.resolved_template
    assert second.resolved_runtime_config == first.resolved_runtime_config
    assert second.resolved_image == first.resolved_image
    back = make_service_observed(
        make_service(status=second), FakeCatalog(make_image(), make_template(), better, make_runtime_config())
    )
    assert back.resolution.template_name == "fast"


def test_without_a_runtime_only_what_is_found_is_told() -> None:
    """A service that runs on nothing uses nothing."""
    first = decide(make_service_observed(), now=NOW).status
    gone = make_service_observed(catalog=FakeCatalog(make_runtime_config()))
    second = decide(with_status(gone, first), now=NOW).status
    assert second is not None
    found = (second.resolved_image, second.resolved_template, second.resolved_runtime_config)
    assert found == (None, None, None)


def test_times_move_with_the_status_of_a_condition_only() -> None:
    first = decide(make_service_observed(), now=NOW).status
    later = NOW + timedelta(minutes=5)
    second = decide(with_status(make_service_observed(inference_service=READY), first), now=later).status
    assert second is not None
    moved = {x.type for x in second.conditions or () if x.last_transition_time == "2026-01-31T12:05:00Z"}
    assert moved == {c.RUNTIME_READY, c.READY, c.PROGRESSING}


def test_the_generation_is_that_of_the_spec() -> None:
    newer = make_service(metadata={"generation": 7})
    status = decide(make_service_observed(newer), now=NOW).status
    assert_service_status_well_formed(status, generation=7)
