"""What a status says that its object waits for: which object, why, and since when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import pytest
import yaml
from msgspec import convert, to_builtins

from aim_operator.api.external import HorizontalPodAutoscaler
from aim_operator.api.meta import Condition, ObjectRef
from aim_operator.api.plan import OutcomeType, Plan
from aim_operator.api.v1alpha1 import AIMServiceStatus, BlockedBy
from aim_operator.core.blocking import blocked_by
from aim_operator.core.images import decide as decide_image
from aim_operator.core.service.path_claims import Claim, Contender
from aim_operator.core.service.plan import decide
from aim_operator.core.service.route import GatewayKey, ListenerPath
from aim_operator.core.template.plan import DiscoveryOptions
from aim_operator.core.template.plan import decide as decide_template
from tests.docs.blocks import shown
from tests.support import template_builders
from tests.support.cache_builders import make_template_cache
from tests.support.outcomes import problem
from tests.support.service_builders import (
    NAMESPACE,
    NOW,
    ROUTED,
    FakeCatalog,
    make_cluster_image,
    make_cluster_template,
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
    make_workload,
    revision_of_service,
    with_status,
)
from tests.support.template_builders import make_job, make_template_observed

JOB = ObjectRef("Job", "kaiwo-system", "discover")
THEN, LATER = "2026-01-31T12:00:00Z", "2026-01-31T12:05:00Z"


def told(status: str = "False", since: str = THEN, reason: str = "Waits") -> list[Condition]:
    return [
        Condition(type="Ready", status=status, reason=reason, message="words", last_transition_time=since)
    ]


def test_an_object_is_waited_for_since_it_is_named_however_long_nothing_was_ready() -> None:
    """The Job of a third attempt is minutes old, where the first one failed yesterday."""
    got = blocked_by(None, JOB, told(since=THEN), namespace="team", now=LATER)
    assert got == BlockedBy(
        kind="Job", name="discover", namespace="kaiwo-system", reason="Waits", since=LATER
    )


def test_another_object_is_waited_for_since_it_is_named() -> None:
    before = blocked_by(None, ObjectRef("AIMImage", "team", "llama"), told(), namespace="team", now=THEN)
    got = blocked_by(before, JOB, told(), namespace="team", now=LATER)
    assert got is not None
    assert got.since == LATER


def test_the_same_object_is_waited_for_since_then_whatever_the_reason_becomes() -> None:
    before = blocked_by(None, JOB, told(), namespace="team", now=THEN)
    got = blocked_by(before, JOB, told(reason="StillWaits"), namespace="team", now=LATER)
    assert got is not None
    assert (got.since, got.reason) == (THEN, "StillWaits")


def test_an_object_of_the_own_namespace_needs_none_named() -> None:
    got = blocked_by(None, ObjectRef("Job", "team", "x"), told(), namespace="team", now=LATER)
    assert got is not None
    assert got.namespace is None


@pytest.mark.parametrize(
    ("ref", "conditions_"),
    [
        pytest.param(None, told(), id="what is in the way is no object"),
        pytest.param(JOB, told("True"), id="it is ready"),
        pytest.param(JOB, [], id="nothing is told"),
    ],
)
def test_nothing_is_named(ref: ObjectRef | None, conditions_: list[Condition]) -> None:
    before = blocked_by(None, JOB, told(), namespace="team", now=THEN)
    assert blocked_by(before, ref, conditions_, namespace="team", now=LATER) is None


class Waits(NamedTuple):
    kind: str
    name: str
    reason: str
    namespace: str | None = None


def of(status: AIMServiceStatus | None) -> Waits | None:
    assert status is not None
    got = status.blocked_by
    return Waits(got.kind, got.name, got.reason, got.namespace) if got is not None else None


def waiting(*templates: Any, service: Any = None) -> Plan[AIMServiceStatus]:
    catalog = FakeCatalog(make_image(), make_runtime_config(), *templates)
    return decide(make_service_observed(service, catalog), now=NOW)


def served(**more: Any) -> Plan[AIMServiceStatus]:
    """Return the plan of a service whose InferenceService is there."""
    first = AIMServiceStatus(active=make_workload())
    seen = make_service_observed(more.pop("service", None), **more)
    return decide(with_status(seen, first), now=NOW)


def rival(kind: str = "AIMService") -> Claim:
    at = ListenerPath(GatewayKey(("gateways", "inference-gateway"), "", 0), "/models/chat")
    return Claim(Contender("2025", "other", "theirs"), at, kind)


PENDING = make_template_status("Progressing", sources=())
CACHED = make_service(cacheModel=True)
ROUTED_SERVICE = make_service(routing=ROUTED)
SERVICES = [
    pytest.param(
        decide(make_service_observed(None, FakeCatalog()), now=NOW),
        Waits("AIMImage", "model", "ImageNotFound"),
        id="an image that is missing",
    ),
    pytest.param(
        waiting(service=make_service(templateRef="slow")),
        Waits("AIMServiceTemplate", "slow", "TemplateNotFound"),
        id="a template that is missing",
    ),
    pytest.param(waiting(), None, id="any template: none is named"),
    pytest.param(
        waiting(make_template(status=PENDING), service=make_service(templateRef="fast")),
        Waits("AIMServiceTemplate", "fast", "TemplateNotAvailable"),
        id="its template",
    ),
    pytest.param(
        waiting(make_cluster_template(status=PENDING)),
        Waits("AIMClusterServiceTemplate", "fast", "TemplateNotAvailable"),
        id="the first of those that may be chosen",
    ),
    pytest.param(
        waiting(
            make_cluster_template(status=PENDING),
            make_template(status=make_template_status("Failed", reason="JobFailed", sources=())),
        ),
        Waits("AIMClusterServiceTemplate", "fast", "TemplateNotAvailable"),
        id="the one that may be chosen, and not one of its name that failed",
    ),
    pytest.param(
        waiting(
            make_template(status=make_template_status("Degraded", reason="ImagePullAuthFailed", sources=())),
            service=make_service(templateRef="fast"),
        ),
        Waits("AIMServiceTemplate", "fast", "ImagePullAuthFailed"),
        id="a template that failed, with its reason",
    ),
    pytest.param(
        waiting(make_template(runtimeConfigName="fancy"), service=make_service(templateRef="fast")),
        Waits("AIMRuntimeConfig", "fancy", "RuntimeConfigMissing"),
        id="a configuration that is missing",
    ),
    pytest.param(
        waiting(make_template(aimImageName="other"), service=make_service(templateRef="fast")),
        Waits("AIMServiceTemplate", "fast", "TemplateImageMismatch"),
        id="a template of another image",
    ),
    pytest.param(
        decide(make_service_observed(CACHED, template_cache=make_template_cache("fast")), now=NOW),
        Waits("AIMTemplateCache", "fast", "WaitingForCache"),
        id="its cache",
    ),
    pytest.param(
        decide(make_service_observed(CACHED, template_cache_taken=True), now=NOW),
        Waits("AIMTemplateCache", "fast", "NameConflict"),
        id="a cache of that name which is about another template",
    ),
    pytest.param(
        decide(make_service_observed(kserve_installed=False), now=NOW),
        Waits("CustomResourceDefinition", "inferenceservices.serving.kserve.io", "KServeNotInstalled"),
        id="KServe",
    ),
    pytest.param(
        decide(make_service_observed(runtime_shadowed=True), now=NOW),
        Waits("ServingRuntime", "fast", "NameConflict"),
        id="a runtime that would take the place of the cluster's",
    ),
    pytest.param(
        served(inference_service=make_inference_service(ready=False)),
        Waits("InferenceService", "chat", "CreatingRuntime"),
        id="its model server",
    ),
    pytest.param(
        served(
            inference_service=make_inference_service(ready=True),
            pods=(
                make_pod(ready=True, revision="before", name="chat-old"),
                make_pod(
                    waiting={"reason": "ErrImagePull", "message": "manifest unknown"},
                    revision=revision_of_service(),
                    name="chat-new",
                ),
            ),
        ),
        Waits("Pod", "chat-new", "RolloutFailed"),
        id="the Pod of a roll-out, while the old one serves",
    ),
    pytest.param(served(inference_service=make_inference_service(ready=True)), None, id="nothing: it runs"),
    pytest.param(
        served(service=make_service(replicas=0), inference_service=make_inference_service(ready=True)),
        None,
        id="nothing: it is stopped",
    ),
    pytest.param(
        served(
            service=ROUTED_SERVICE,
            inference_service=make_inference_service(ready=True),
            gateway_api_installed=False,
        ),
        Waits("CustomResourceDefinition", "httproutes.gateway.networking.k8s.io", "GatewayAPINotInstalled"),
        id="the Gateway API",
    ),
    pytest.param(
        served(service=ROUTED_SERVICE, inference_service=make_inference_service(ready=True), rival=rival()),
        Waits("AIMService", "theirs", "RouteConflict", "other"),
        id="the service that has its path",
    ),
    pytest.param(
        served(
            service=ROUTED_SERVICE,
            inference_service=make_inference_service(ready=True),
            path_held_by=rival("HTTPRoute"),
        ),
        Waits("HTTPRoute", "theirs", "ConfiguringRoute", "other"),
        id="the route that still has its path",
    ),
    pytest.param(
        served(
            service=ROUTED_SERVICE,
            inference_service=make_inference_service(ready=True),
            http_route=make_http_route(),
        ),
        Waits("HTTPRoute", "chat", "ConfiguringRoute"),
        id="its route",
    ),
    pytest.param(
        served(
            service=ROUTED_SERVICE,
            inference_service=make_inference_service(ready=True),
            http_route=make_http_route(conditions=make_route_conditions(accepted="False")),
        ),
        Waits("HTTPRoute", "chat", "RouteFailed"),
        id="its route that the gateway refused",
    ),
]


@pytest.mark.parametrize(("plan", "want"), SERVICES)
def test_a_service_names_what_it_waits_for(plan: Plan[AIMServiceStatus], want: Waits | None) -> None:
    assert of(plan.status) == want


def test_a_service_names_the_autoscaler_that_can_not_scale() -> None:
    hpa = convert(
        {
            "metadata": {"name": "chat-predictor", "namespace": NAMESPACE},
            "status": {
                "conditions": [
                    {
                        "type": "ScalingActive",
                        "status": "False",
                        "reason": "FailedGetResourceMetric",
                        "message": "no metrics",
                        "lastTransitionTime": "2026-01-31T11:00:00Z",
                    }
                ]
            },
        },
        HorizontalPodAutoscaler,
    )
    service = make_service(autoscaling={"maxReplicas": 2, "metrics": [{"type": "CPU", "target": 80}]})
    ready = make_inference_service(ready=True)
    since = NOW - timedelta(hours=1)
    first = decide(
        with_status(
            make_service_observed(service, inference_service=ready), AIMServiceStatus(active=make_workload())
        ),
        now=since,
    ).status
    seen = with_status(make_service_observed(service, inference_service=ready, autoscaler=hpa), first)
    assert of(decide(seen, now=NOW).status) == Waits(
        "HorizontalPodAutoscaler", "chat-predictor", "AutoscalingFailed"
    )


@pytest.mark.parametrize(
    ("type_", "want"),
    [
        (OutcomeType.FOREIGN, Waits("InferenceService", "chat", "NameConflict")),
        (OutcomeType.GOING_AWAY, Waits("InferenceService", "chat", "WaitingForDeletion")),
        (OutcomeType.REFUSED, None),
        (OutcomeType.FAILED, None),
    ],
)
def test_an_object_in_the_way_of_a_child_is_named_and_none_that_was_refused(
    type_: OutcomeType, want: Waits | None
) -> None:
    plan = decide(with_status(make_service_observed(), AIMServiceStatus(active=make_workload())), now=NOW)
    assert plan.report is not None
    assert of(plan.report(problem(plan, "InferenceService", type_, "no")).status) == want


def test_what_is_waited_for_stays_as_it_was_written() -> None:
    catalog = FakeCatalog(make_image(), make_runtime_config(), make_cluster_template(status=PENDING))
    seen = make_service_observed(None, catalog)
    first = decide(seen, now=NOW).status
    assert first is not None
    again = decide(with_status(seen, first), now=NOW + timedelta(hours=1)).status
    assert again == first


@pytest.mark.parametrize(
    ("image", "want"),
    [
        pytest.param(make_image(), None, id="it names nothing"),
        pytest.param(
            make_image(defaultServiceTemplate="fast"),
            ("AIMServiceTemplate", "fast", "TemplateNotFound"),
            id="a template that is missing",
        ),
        pytest.param(
            make_image(runtimeConfigName="fancy"),
            ("AIMRuntimeConfig", "fancy", "RuntimeConfigMissing"),
            id="a configuration that is missing",
        ),
    ],
)
def test_an_image_names_what_it_lacks(image: Any, want: tuple[str, str, str] | None) -> None:
    status = decide_image(image, FakeCatalog(), now=NOW).status
    assert status is not None
    got = status.blocked_by
    assert (None if got is None else (got.kind, got.name, got.reason)) == want


def test_what_the_page_shows_is_what_a_status_has() -> None:
    failed = make_template_status("Degraded", reason="ImagePullAuthFailed", sources=())
    catalog = FakeCatalog(make_cluster_image(), make_cluster_template(status=failed))
    status = decide(make_service_observed(make_service(templateRef="fast"), catalog), now=NOW).status
    assert status is not None
    printed = yaml.safe_dump({"blockedBy": to_builtins(status.blocked_by)})
    assert printed == shown("docs/concepts/status.md", "blockedBy:")


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(namespace="kaiwo-system"), "Job", id="it runs"),
        pytest.param(
            make_job(failed="2026-01-31T11:59:00Z"), None, id="it failed, and the next is due later"
        ),
        pytest.param(None, None, id="there is none yet"),
    ],
)
def test_a_template_waits_for_its_job_while_that_is_at_work(job: Any, want: str | None) -> None:
    observed = make_template_observed(template_builders.make_cluster_template(), job=job)
    options = DiscoveryOptions(requests={"cpu": "100m"})
    status = decide_template(observed, now=NOW, options=options).status
    assert status is not None
    got = status.blocked_by
    assert (None if got is None else got.kind) == want
    assert got is None or got.namespace == "kaiwo-system"
