"""Events of services: told at transitions, never twice."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.plan import EventNote
from aim_operator.api.v1alpha1 import AIMServiceStatus
from aim_operator.core.service.events import transitions
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.plan import decide
from aim_operator.core.service.resolution import resolve
from tests.support.service_builders import (
    NOW,
    ROUTED,
    FakeCatalog,
    make_cluster_runtime_config,
    make_http_route,
    make_image,
    make_inference_service,
    make_pod,
    make_route_conditions,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_template_status,
    revision_of_service,
    with_status,
)

READY = make_inference_service(ready=True)
PENDING = make_template(status=make_template_status("Progressing"))
BARE = FakeCatalog(make_image(), make_template())
THROUGHPUT = make_service(overrides={"metric": "throughput"})
WITH_DERIVED = FakeCatalog(
    make_image(),
    make_template(),
    make_template(
        resolve(THROUGHPUT, BARE).template_name,
        metric="throughput",
        metadata={
            "labels": {"app.kubernetes.io/managed-by": "aim", "aim.silogen.ai/derived-template": "true"},
            "annotations": {"aim.silogen.ai/applied": "0123456789abcdef"},
        },
    ),
)
BROKEN_PATH = make_service(routing={**ROUTED, "routeTemplate": "/{.spec.nothing}"})
CRASHED = (make_pod(waiting={"reason": "CrashLoopBackOff"}, revision=revision_of_service()),)


def story(*snapshots: ServiceObserved) -> list[list[str]]:
    """Return the reasons of the events at each snapshot; each status is written before the next."""
    told: list[list[str]] = []
    status: AIMServiceStatus | None = None
    for snapshot in snapshots:
        plan = decide(with_status(snapshot, status), now=NOW)
        status = plan.status
        told.append([event.reason for event in plan.events])
    return told


def seen(catalog: FakeCatalog | None = None, **fields: Any) -> ServiceObserved:
    return make_service_observed(make_service(), catalog, **fields)


@pytest.mark.parametrize(
    ("snapshots", "want"),
    [
        pytest.param(
            [seen(), seen(), seen(inference_service=READY), seen(inference_service=READY)],
            [["RuntimeConfigResolved", "TemplateResolved"], [], ["RuntimeReady"], []],
            id="a start without trouble",
        ),
        pytest.param(
            [
                seen(BARE),
                seen(BARE),
                seen(BARE, inference_service=READY),
                seen(BARE, inference_service=READY),
            ],
            [["DefaultRuntimeConfigNotFound", "TemplateResolved"], [], ["RuntimeReady"], []],
            id="no default configuration: told exactly once",
        ),
        pytest.param(
            [seen(FakeCatalog()), seen(FakeCatalog(make_image())), seen(BARE), seen(BARE)],
            [
                ["ImageNotFound"],
                ["TemplateNotFound"],
                ["DefaultRuntimeConfigNotFound", "TemplateResolved"],
                [],
            ],
            id="nothing is said of the configuration before it is looked for",
        ),
        pytest.param(
            [seen(FakeCatalog(make_image(), PENDING, make_runtime_config())), seen()],
            [[], ["RuntimeConfigResolved", "TemplateResolved"]],
            id="nor while no template can be chosen yet",
        ),
        pytest.param(
            [
                make_service_observed(THROUGHPUT, BARE),
                make_service_observed(THROUGHPUT, WITH_DERIVED),
                make_service_observed(THROUGHPUT, WITH_DERIVED),
            ],
            [[], ["DefaultRuntimeConfigNotFound", "TemplateResolved"], []],
            id="nor before the derived template is seen",
        ),
        pytest.param(
            [
                make_service_observed(BROKEN_PATH, inference_service=READY),
                make_service_observed(
                    make_service(), inference_service=make_inference_service(ready=False), pods=CRASHED
                ),
                make_service_observed(
                    BROKEN_PATH, inference_service=make_inference_service(ready=False), pods=CRASHED
                ),
            ],
            [
                ["RuntimeConfigResolved", "TemplateResolved", "RouteTemplateInvalid"],
                ["RuntimeFailed"],
                ["RouteTemplateInvalid"],
            ],
            id="an invalid route template beside a crash, which is worse",
        ),
        pytest.param(
            [
                seen(inference_service=make_inference_service(ready=False), pods=CRASHED),
                seen(
                    FakeCatalog(make_image(), make_template(runtimeConfigName="gone")),
                    inference_service=make_inference_service(ready=False),
                    pods=CRASHED,
                ),
            ],
            [["RuntimeConfigResolved", "TemplateResolved", "RuntimeFailed"], ["RuntimeConfigMissing"]],
            id="a missing configuration beside a crash",
        ),
        pytest.param(
            [seen(BARE), seen(FakeCatalog(make_image(), make_template(), make_cluster_runtime_config()))],
            [["DefaultRuntimeConfigNotFound", "TemplateResolved"], ["RuntimeConfigResolved"]],
            id="a default configuration that arrives",
        ),
        pytest.param(
            [seen(), seen(BARE), seen(BARE)],
            [["RuntimeConfigResolved", "TemplateResolved"], ["DefaultRuntimeConfigNotFound"], []],
            id="a default configuration that goes",
        ),
        pytest.param(
            [
                seen(),
                seen(FakeCatalog(make_image(), make_template(runtimeConfigName="gone"))),
                seen(FakeCatalog(make_image(), make_template(runtimeConfigName="gone"))),
            ],
            [["RuntimeConfigResolved", "TemplateResolved"], ["RuntimeConfigMissing"], []],
            id="a named configuration that goes",
        ),
        pytest.param(
            [
                seen(inference_service=READY),
                seen(inference_service=make_inference_service(ready=False), pods=CRASHED),
                seen(inference_service=make_inference_service(ready=False), pods=CRASHED),
                seen(inference_service=READY),
            ],
            [
                ["RuntimeConfigResolved", "TemplateResolved", "RuntimeReady"],
                ["RuntimeFailed"],
                [],
                ["RuntimeReady"],
            ],
            id="a crash and its end",
        ),
        pytest.param(
            [
                seen(inference_service=READY),
                seen(FakeCatalog(), inference_service=READY),
                seen(inference_service=READY),
            ],
            [
                ["RuntimeConfigResolved", "TemplateResolved", "RuntimeReady"],
                ["ImageNotFound"],
                ["RuntimeReady"],
            ],
            id="an image that goes and comes back resolves nothing new",
        ),
        pytest.param(
            [
                make_service_observed(
                    make_service(routing={**ROUTED, "routeTemplate": "/{.spec.nothing}"}),
                    inference_service=live,
                )
                for live in (None, None, READY)
            ],
            [["RuntimeConfigResolved", "TemplateResolved", "RouteTemplateInvalid"], [], []],
            id="an invalid route template, once",
        ),
    ],
)
def test_a_story_tells(snapshots: list[ServiceObserved], want: list[list[str]]) -> None:
    assert story(*snapshots) == want


def test_an_event_says_what_is_used_and_where() -> None:
    service = make_service(routing=ROUTED)
    plan = decide(
        make_service_observed(
            service,
            inference_service=READY,
            http_route=make_http_route(conditions=make_route_conditions()),
        ),
        now=NOW,
    )
    assert [(event.type, event.message) for event in plan.events] == [
        ("Normal", "using AIMRuntimeConfig team/default"),
        ("Normal", "using AIMServiceTemplate team/fast"),
        ("Normal", "serving at /models/chat"),
    ]


def test_trouble_is_a_warning_in_the_words_of_its_condition() -> None:
    plan = decide(seen(FakeCatalog()), now=NOW)
    assert plan.status is not None
    message = (plan.status.conditions or ())[-1].message
    assert plan.events == (EventNote(type="Warning", reason="ImageNotFound", message=message),)


def test_equal_statuses_tell_nothing() -> None:
    for snapshot in (seen(), seen(BARE), seen(FakeCatalog())):
        status = decide(snapshot, now=NOW).status
        assert status is not None
        assert transitions(status, structs.replace(status)) == ()
