"""Plans of services: every reason, what is rendered, what is left alone, and rest at their own result."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, Pod, ScaledObject
from aim_operator.api.plan import Outcomes, OutcomeType, Plan, Undeleted
from aim_operator.api.v1alpha1 import AIMService, AIMServiceStatus, AIMServiceTemplate, RolloutStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import labels
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.path_claims import Claim, Contender
from aim_operator.core.service.plan import decide
from aim_operator.core.service.route import GatewayKey, ListenerPath
from aim_operator.errors import Forbidden
from tests.support.cache_builders import make_model_cache, make_template_cache
from tests.support.outcomes import Trouble, report_of
from tests.support.service_builders import (
    GATEWAY,
    NOW,
    ROUTED,
    FakeCatalog,
    make_cluster_image,
    make_cluster_template,
    make_disruption_budget,
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
from tests.support.service_status import assert_service_status_well_formed, condition_of, told
from tests.unit.core.serving.test_scale import make_deployment

RIVAL = Claim(
    Contender("2026-01-01T00:00:00Z", "other", "elder"),
    ListenerPath(GatewayKey(("gateways", "inference-gateway"), "", 0), "/models/chat"),
)
READY_RUNTIME = make_inference_service(ready=True)
READY_ROUTE = make_http_route(conditions=make_route_conditions())
NO_IMAGE = FakeCatalog(make_template(), make_runtime_config())
NO_CONFIG = FakeCatalog(make_image(), make_template(runtimeConfigName="gone"))
TOO_MUCH = {"requests": {"cpu": "8"}, "limits": {"cpu": "4"}}


def with_template(state: str, reason: str = "", message: str = "", **fields: Any) -> FakeCatalog:
    status = make_template_status(state, reason=reason, message=message, **fields)
    return FakeCatalog(
        make_image(defaultServiceTemplate="fast"), make_template(status=status), make_runtime_config()
    )


def status_of(observed: ServiceObserved, trouble: Trouble | None = None) -> AIMServiceStatus:
    status = report_of(decide(observed, now=NOW), trouble).status
    assert isinstance(status, AIMServiceStatus)
    return status


def kinds(plan: Plan[AIMServiceStatus]) -> list[str]:
    return [child.resource.kind for child in plan.children]


def running(observed: ServiceObserved) -> ServiceObserved:
    """Return a snapshot of the same service where it ran on template `fast`, with everything in order."""
    plain = make_service()
    spec = structs.replace(plain.spec, routing=observed.service.spec.routing)
    before = make_service_observed(
        structs.replace(plain, spec=spec), inference_service=READY_RUNTIME, http_route=observed.http_route
    )
    return structs.replace(with_status(observed, status_of(before)), runtimes=frozenset({"fast"}))


def running_status(observed: ServiceObserved) -> AIMServiceStatus:
    assert isinstance(observed.service.status, AIMServiceStatus)
    return observed.service.status


def moving_to(template: AIMServiceTemplate, **spec: Any) -> ServiceObserved:
    """Return a snapshot of a service that runs on template `fast` and names another one now."""
    catalog = FakeCatalog(make_image(), make_template(), template, make_runtime_config())
    service = make_service(templateRef=template.metadata.name, **spec)
    return running(make_service_observed(service, catalog, inference_service=READY_RUNTIME))


def runtime_of(plan: Plan[AIMServiceStatus]) -> str:
    """Return the name of the runtime that the plan's InferenceService runs on."""
    (child,) = [child for child in plan.children if child.kind == "InferenceService"]
    name: str = child.manifest["spec"]["predictor"]["model"]["runtime"]
    return name


DERIVING = make_service(overrides={"metric": "throughput"})
REFUSED, FOREIGN = OutcomeType.REFUSED, OutcomeType.FOREIGN
FAILED, GOING_AWAY = OutcomeType.FAILED, OutcomeType.GOING_AWAY
TROUBLE: dict[str, Trouble] = {
    # name of the snapshot: what goes wrong when its plan is carried out
    "an InferenceService of somebody else": Trouble("InferenceService", FOREIGN),
    "an InferenceService that the API server refuses": Trouble(
        "InferenceService", REFUSED, "denied by\npolicy"
    ),
    "an InferenceService that the API server does not answer about": Trouble(
        "InferenceService", FAILED, "no answer"
    ),
    "the InferenceService of a former service of its name": Trouble("InferenceService", GOING_AWAY),
    "an HTTPRoute of somebody else": Trouble("HTTPRoute", FOREIGN),
    "an HTTPRoute that the API server refuses": Trouble("HTTPRoute", REFUSED, "no\nway"),
    "an HTTPRoute that the API server does not answer about": Trouble("HTTPRoute", FAILED, "no answer"),
    "the HTTPRoute of a former service of its name": Trouble("HTTPRoute", GOING_AWAY),
    "a derived template that the API server refuses": Trouble(
        "AIMServiceTemplate", REFUSED, "exceeded\nquota"
    ),
    "a derived template whose name is taken": Trouble("AIMServiceTemplate", FOREIGN),
    "a derived template that the API server does not answer about": Trouble(
        "AIMServiceTemplate", FAILED, "no answer"
    ),
    "a derived template of that name that goes away": Trouble("AIMServiceTemplate", GOING_AWAY),
    "a template cache that the API server refuses": Trouble("AIMTemplateCache", REFUSED, "exceeded\nquota"),
    "a template cache whose name is taken": Trouble("AIMTemplateCache", FOREIGN),
    "a template cache that the API server does not answer about": Trouble(
        "AIMTemplateCache", FAILED, "no answer"
    ),
    "a template cache of that name that goes away": Trouble("AIMTemplateCache", GOING_AWAY),
}
SNAPSHOTS: dict[str, tuple[ServiceObserved, str, str, str, str]] = {
    # name: snapshot, status, reason of the summary, condition that tells it, a word of the message
    "an image that is nowhere": (
        make_service_observed(catalog=NO_IMAGE),
        "Degraded",
        "ImageNotFound",
        c.RESOLVED,
        "AIMClusterImage 'model'",
    ),
    "a template that is nowhere": (
        make_service_observed(make_service(templateRef="gone")),
        "Degraded",
        "TemplateNotFound",
        c.RESOLVED,
        "'gone'",
    ),
    "an image without templates": (
        make_service_observed(catalog=FakeCatalog(make_image())),
        "Degraded",
        "TemplateNotFound",
        c.RESOLVED,
        "no available template",
    ),
    "two templates that fit equally well": (
        make_service_observed(catalog=FakeCatalog(make_image(), make_template("a"), make_template("b"))),
        "Degraded",
        "TemplateSelectionAmbiguous",
        c.RESOLVED,
        "a, b",
    ),
    "a template of another image": (
        make_service_observed(
            make_service(templateRef="fast"),
            FakeCatalog(make_image(), make_template(aimImageName="other")),
        ),
        "Degraded",
        "TemplateImageMismatch",
        c.RESOLVED,
        "'other'",
    ),
    "a named configuration that is nowhere": (
        make_service_observed(catalog=NO_CONFIG),
        "Degraded",
        "RuntimeConfigMissing",
        c.RESOLVED,
        "'gone'",
    ),
    "a template that was not looked at yet": (
        make_service_observed(catalog=with_template("Pending", message="queued")),
        "Pending",
        "TemplateNotAvailable",
        c.RESOLVED,
        "is Pending: queued",
    ),
    "a template that is being discovered": (
        make_service_observed(catalog=with_template("Progressing")),
        "Pending",
        "TemplateNotAvailable",
        c.RESOLVED,
        "is Progressing",
    ),
    "no choice yet, because all templates are being discovered": (
        make_service_observed(
            catalog=FakeCatalog(make_image(), make_template(status=make_template_status("Progressing")))
        ),
        "Pending",
        "TemplateNotAvailable",
        c.RESOLVED,
        "fast",
    ),
    "a template that failed tells its own reason": (
        make_service_observed(catalog=with_template("Failed", "DiscoveryFailed", "exit code 3")),
        "Degraded",
        "DiscoveryFailed",
        c.RESOLVED,
        "exit code 3",
    ),
    "a template that is degraded tells its own reason": (
        make_service_observed(catalog=with_template("Degraded", "ImagePullAuthFailed", "401")),
        "Degraded",
        "ImagePullAuthFailed",
        c.RESOLVED,
        "401",
    ),
    "a template without model sources": (
        make_service_observed(catalog=with_template("Available", sources=())),
        "Degraded",
        "NoModelSources",
        c.RESOLVED,
        "rediscover",
    ),
    "a derived template that is about to be made": (
        make_service_observed(make_service(overrides={"metric": "throughput"})),
        "Pending",
        "TemplateNotAvailable",
        c.RESOLVED,
        "fast-ovr-",
    ),
    "a derived template that the API server refuses": (
        make_service_observed(DERIVING),
        "Degraded",
        "TemplateNotAvailable",
        c.RESOLVED,
        "the AIMServiceTemplate was refused: exceeded quota",
    ),
    "a derived template whose name is taken": (
        make_service_observed(DERIVING),
        "Degraded",
        "NameConflict",
        c.RESOLVED,
        "exists and is not managed by the operator; rename or delete it",
    ),
    "a derived template that the API server does not answer about": (
        make_service_observed(DERIVING),
        "Degraded",
        "WriteFailed",
        c.RESOLVED,
        "the AIMServiceTemplate can't be written, the operator tries again: no answer",
    ),
    "a derived template of that name that goes away": (
        make_service_observed(DERIVING),
        "Pending",
        "WaitingForDeletion",
        c.RESOLVED,
        "waiting for the previous AIMServiceTemplate 'fast-ovr-",
    ),
    "a request above its limit": (
        make_service_observed(make_service(resources=TOO_MUCH)),
        "Degraded",
        "ResourcesInvalid",
        c.RUNTIME_READY,
        "cpu",
    ),
    "no KServe": (
        make_service_observed(kserve_installed=False),
        "Degraded",
        "KServeNotInstalled",
        c.RUNTIME_READY,
        "install KServe",
    ),
    "an InferenceService of somebody else": (
        make_service_observed(),
        "Degraded",
        "NameConflict",
        c.RUNTIME_READY,
        "InferenceService 'chat' exists and is not managed by the operator; rename this service or delete",
    ),
    "an InferenceService that the API server does not answer about": (
        make_service_observed(),
        "Degraded",
        "WriteFailed",
        c.RUNTIME_READY,
        "the InferenceService can't be written, the operator tries again: no answer",
    ),
    "the InferenceService of a former service of its name": (
        make_service_observed(),
        "Pending",
        "WaitingForDeletion",
        c.RUNTIME_READY,
        "waiting for the previous InferenceService 'chat' to be deleted",
    ),
    "a ServingRuntime that shadows the cluster template's": (
        make_service_observed(
            catalog=FakeCatalog(make_cluster_image(), make_cluster_template()), runtime_shadowed=True
        ),
        "Degraded",
        "NameConflict",
        c.RUNTIME_READY,
        "ServingRuntime 'fast'",
    ),
    "an InferenceService that the API server refuses": (
        make_service_observed(),
        "Failed",
        "RuntimeFailed",
        c.RUNTIME_READY,
        "denied by policy",
    ),
    "an InferenceService that is about to be made": (
        make_service_observed(),
        "Starting",
        "CreatingRuntime",
        c.RUNTIME_READY,
        "KServe",
    ),
    "a model server that crashes": (
        make_service_observed(
            inference_service=make_inference_service(ready=False),
            pods=(
                make_pod(
                    waiting={"reason": "CrashLoopBackOff"},
                    ended={"exitCode": 1, "message": "OOM"},
                    revision=revision_of_service(),
                ),
            ),
        ),
        "Failed",
        "RuntimeFailed",
        c.RUNTIME_READY,
        "exited with code 1: OOM",
    ),
    "a model server that is ready": (
        make_service_observed(inference_service=READY_RUNTIME),
        "Running",
        "RuntimeReady",
        c.RUNTIME_READY,
        "ready",
    ),
    "a cache that is asked for": (
        make_service_observed(make_service(cacheModel=True)),
        "Pending",
        "WaitingForCache",
        c.CACHE_READY,
        "AIMTemplateCache 'fast' is being created",
    ),
    "a template cache that the API server refuses": (
        make_service_observed(make_service(cacheModel=True)),
        "Degraded",
        "DownloadFailed",
        c.CACHE_READY,
        "the AIMTemplateCache was refused: exceeded quota",
    ),
    "a template cache whose name is taken": (
        make_service_observed(make_service(cacheModel=True)),
        "Degraded",
        "NameConflict",
        c.CACHE_READY,
        "AIMTemplateCache 'fast' exists and is not managed by the operator; create an AIMTemplateCache for",
    ),
    "a template cache that the API server does not answer about": (
        make_service_observed(make_service(cacheModel=True)),
        "Degraded",
        "WriteFailed",
        c.CACHE_READY,
        "the AIMTemplateCache can't be written, the operator tries again: no answer",
    ),
    "a template cache of that name that goes away": (
        make_service_observed(make_service(cacheModel=True)),
        "Pending",
        "WaitingForDeletion",
        c.CACHE_READY,
        "waiting for the previous AIMTemplateCache 'fast' to be deleted",
    ),
    "a route that is about to be made": (
        make_service_observed(make_service(routing=ROUTED), inference_service=READY_RUNTIME),
        "Starting",
        "ConfiguringRoute",
        c.ROUTING_READY,
        "gateways/inference-gateway",
    ),
    "a route that nobody can hold": (
        make_service_observed(make_service(routing={"enabled": True}), inference_service=READY_RUNTIME),
        "Degraded",
        "RouteFailed",
        c.ROUTING_READY,
        "gatewayRef",
    ),
    "a route template that selects nothing": (
        make_service_observed(
            make_service(routing={**ROUTED, "routeTemplate": "/{.metadata.labels.team}"}),
            inference_service=READY_RUNTIME,
        ),
        "Degraded",
        "RouteTemplateInvalid",
        c.ROUTING_READY,
        "team",
    ),
    "no Gateway API": (
        make_service_observed(
            make_service(routing=ROUTED), inference_service=READY_RUNTIME, gateway_api_installed=False
        ),
        "Degraded",
        "GatewayAPINotInstalled",
        c.ROUTING_READY,
        "install them",
    ),
    "an HTTPRoute of somebody else": (
        make_service_observed(make_service(routing=ROUTED), inference_service=READY_RUNTIME),
        "Degraded",
        "NameConflict",
        c.ROUTING_READY,
        "HTTPRoute 'chat' exists and is not managed by the operator; rename this service or delete",
    ),
    "an HTTPRoute that the API server does not answer about": (
        make_service_observed(make_service(routing=ROUTED), inference_service=READY_RUNTIME),
        "Degraded",
        "WriteFailed",
        c.ROUTING_READY,
        "the HTTPRoute can't be written, the operator tries again: no answer",
    ),
    "the HTTPRoute of a former service of its name": (
        make_service_observed(make_service(routing=ROUTED), inference_service=READY_RUNTIME),
        "Pending",
        "WaitingForDeletion",
        c.ROUTING_READY,
        "waiting for the previous HTTPRoute 'chat' to be deleted",
    ),
    "a path that an older service has": (
        make_service_observed(make_service(routing=ROUTED), inference_service=READY_RUNTIME, rival=RIVAL),
        "Degraded",
        "RouteConflict",
        c.ROUTING_READY,
        "other/elder",
    ),
    "an HTTPRoute that the API server refuses": (
        make_service_observed(make_service(routing=ROUTED), inference_service=READY_RUNTIME),
        "Degraded",
        "RouteFailed",
        c.ROUTING_READY,
        "no way",
    ),
    "a route that the gateway refuses": (
        make_service_observed(
            make_service(routing=ROUTED),
            inference_service=READY_RUNTIME,
            http_route=make_http_route(
                conditions=make_route_conditions(accepted="False", message="no listener allows it")
            ),
        ),
        "Degraded",
        "RouteFailed",
        c.ROUTING_READY,
        "no listener allows it",
    ),
    "a route that works": (
        make_service_observed(
            make_service(routing=ROUTED), inference_service=READY_RUNTIME, http_route=READY_ROUTE
        ),
        "Running",
        "RuntimeReady",
        c.RUNTIME_READY,
        "ready",
    ),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_the_summary_tells_why(name: str) -> None:
    observed, want_state, want_reason, where, words = SNAPSHOTS[name]
    got = status_of(observed, TROUBLE.get(name))
    assert_service_status_well_formed(got)
    assert (got.status, condition_of(got, c.READY).reason) == (want_state, want_reason)
    assert condition_of(got, where).reason == want_reason
    assert words in condition_of(got, where).message


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_plan_is_at_rest_at_its_own_result(name: str) -> None:
    observed = SNAPSHOTS[name][0]
    first, trouble = decide(observed, now=NOW), TROUBLE.get(name)
    said = report_of(first, trouble)
    again = decide(with_status(observed, said.status), now=NOW + timedelta(hours=1))
    assert report_of(again, trouble).status == said.status
    assert report_of(again, trouble).events == ()
    assert again.children == first.children
    assert again.removals == first.removals


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_running_service_keeps_its_children_whatever_happens(name: str) -> None:
    """Only a path that belongs to somebody else takes a route away."""
    observed = running(
        structs.replace(SNAPSHOTS[name][0], inference_service=READY_RUNTIME, http_route=READY_ROUTE)
    )
    got = decide(observed, now=NOW)
    unrouted = observed.route is None and observed.config is not None
    gone = [removal.resource.kind for removal in got.removals]
    assert gone == (["HTTPRoute"] if unrouted or observed.rival is not None else [])


def test_what_is_found_stays_told_as_missing_until_the_runtime_is_there() -> None:
    got = status_of(make_service_observed(catalog=NO_IMAGE))
    assert told(got, c.RUNTIME_READY) == ("False", "ImageNotFound")
    got = status_of(make_service_observed(catalog=NO_CONFIG))
    assert told(got, c.RUNTIME_READY) == ("False", "RuntimeConfigMissing")


@pytest.mark.parametrize(
    ("observed", "reason", "rendered"),
    [
        pytest.param(
            make_service_observed(catalog=NO_IMAGE), "ImageNotFound", True, id="its image is deleted"
        ),
        pytest.param(
            make_service_observed(catalog=FakeCatalog(make_image())),
            "TemplateNotFound",
            True,
            id="its template is deleted",
        ),
        pytest.param(
            make_service_observed(catalog=NO_CONFIG),
            "RuntimeConfigMissing",
            True,
            id="its configuration is deleted",
        ),
        pytest.param(
            make_service_observed(catalog=with_template("Failed", "DiscoveryFailed", "exit code 3")),
            "DiscoveryFailed",
            True,
            id="its template fails to be discovered again",
        ),
        pytest.param(
            make_service_observed(make_service(resources=TOO_MUCH)),
            "ResourcesInvalid",
            False,
            id="it asks for more than its limit",
        ),
        pytest.param(
            make_service_observed(
                catalog=FakeCatalog(make_cluster_image(), make_cluster_template()), runtime_shadowed=True
            ),
            "NameConflict",
            False,
            id="its cluster template's runtime is shadowed",
        ),
    ],
)
def test_a_running_service_is_degraded_and_goes_on_when(
    observed: ServiceObserved,
    reason: str,
    rendered: bool,  # noqa: FBT001 - a table
) -> None:
    """It is rendered from what it runs on, unless that itself does not fit the service's spec any more."""
    observed = running(structs.replace(observed, inference_service=READY_RUNTIME))
    plan = decide(observed, now=NOW)
    assert plan.status is not None
    assert_service_status_well_formed(plan.status)
    assert plan.status.status == "Degraded"
    assert told(plan.status, c.FAILURE) == ("True", reason)
    assert told(plan.status, c.RUNTIME_READY) == ("True", "RuntimeReady")
    assert kinds(plan) == (["InferenceService"] if rendered else [])
    assert plan.status.active == running_status(observed).active
    assert plan.removals == ()
    again = decide(with_status(observed, plan.status), now=NOW)
    assert (again.status, again.events) == (plan.status, ())


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        pytest.param(Trouble("InferenceService", REFUSED, "quota exceeded"), "RuntimeFailed", id="refused"),
        pytest.param(Trouble("InferenceService", FOREIGN), "NameConflict", id="not ours to make any more"),
        pytest.param(Trouble("InferenceService", FAILED, "no answer"), "WriteFailed", id="not answered"),
        pytest.param(
            Trouble("InferenceService", OutcomeType.HELD, "manager 'other' owns spec"),
            "ChangedByOthers",
            id="undone each time",
        ),
    ],
)
def test_a_running_service_is_degraded_and_goes_on_when_a_change_of_it_is(
    trouble: Trouble, reason: str
) -> None:
    observed = running(make_service_observed(inference_service=READY_RUNTIME))
    plan = decide(observed, now=NOW)
    status = status_of(observed, trouble)
    assert_service_status_well_formed(status)
    assert status.status == "Degraded"
    assert told(status, c.FAILURE) == ("True", reason)
    assert told(status, c.RUNTIME_READY) == ("True", "RuntimeReady")
    assert (kinds(plan), plan.removals) == (["InferenceService"], ())
    again = report_of(decide(with_status(observed, status), now=NOW), trouble)
    assert (again.status, again.events) == (status, ())


def test_a_service_moves_only_when_the_new_template_is_available() -> None:
    service = make_service(templateRef="new")
    before = running(make_service_observed(inference_service=READY_RUNTIME))
    old = running_status(before)

    def moving(state: str, status: AIMServiceStatus = old) -> Plan[AIMServiceStatus]:
        new = make_template("new", status=make_template_status(state))
        catalog = FakeCatalog(make_image(), make_template(), new, make_runtime_config())
        seen = make_service_observed(
            service, catalog, inference_service=READY_RUNTIME, runtimes=frozenset({"fast", "new"})
        )
        return decide(with_status(seen, status), now=NOW)

    plan = moving("Progressing")
    assert plan.status is not None
    assert (plan.status.status, runtime_of(plan)) == ("Running", "fast")
    assert plan.status.resolved_template == old.resolved_template
    assert plan.status.active == old.active
    assert told(plan.status, c.RESOLVED) == ("False", "TemplateNotAvailable")

    # The move is recorded before it is made.
    plan = moving("Available")
    assert plan.status is not None
    assert runtime_of(plan) == "fast"
    assert told(plan.status, c.RUNTIME_READY) == ("True", "RollingOut")
    assert told(plan.status, c.PROGRESSING)[0] == "True"
    assert plan.status.active is not None
    assert plan.status.active.resolved_template.name == "new"
    assert plan.status.resolved_template == plan.status.active.resolved_template

    made = moving("Available", plan.status)
    assert made.status is not None
    assert runtime_of(made) == "new"
    assert made.status.active == plan.status.active


@pytest.mark.parametrize(
    ("spec", "tried"),
    [
        pytest.param({"resources": TOO_MUCH}, False, id="its resources are invalid"),
        pytest.param({"cacheModel": True}, True, id="it waits for a cache"),
    ],
)
def test_a_service_that_can_not_move_still_uses_its_old_template_when(
    spec: dict[str, Any],
    tried: bool,  # noqa: FBT001 - a table
) -> None:
    """A derived template goes with the last service that uses it, and its runtime with it."""
    observed = moving_to(make_template("new"), **spec)
    plan, old = decide(observed, now=NOW), running_status(observed)
    assert ("InferenceService" in kinds(plan)) is tried
    got = status_of(observed)
    assert (got.resolved_template, got.active) == (old.resolved_template, old.active)


def test_a_service_whose_new_template_asks_for_too_much_is_still_scaled_on_its_old_one() -> None:
    observed = moving_to(make_template("new", resources=TOO_MUCH), replicas=3)
    plan, old = decide(observed, now=NOW), running_status(observed)
    assert plan.children[0].manifest["spec"]["predictor"]["minReplicas"] == 3
    assert runtime_of(plan) == "fast"
    assert plan.status is not None
    assert (plan.status.status, plan.status.active) == ("Degraded", old.active)
    assert told(plan.status, c.FAILURE) == ("True", "ResourcesInvalid")
    assert told(plan.status, c.RUNTIME_READY) == ("True", "RuntimeReady")


@pytest.mark.parametrize("name", ["fast", "new"])
def test_a_service_whose_template_has_bad_engine_arguments_is_still_scaled_on_what_it_has(name: str) -> None:
    """The template's own status does not say so yet."""
    observed = moving_to(make_template(name, engineArgs={"a": "{{"}), replicas=3)
    plan, old = decide(observed, now=NOW), running_status(observed)
    assert plan.children[0].manifest["spec"]["predictor"]["minReplicas"] == 3
    assert plan.status is not None
    assert (plan.status.status, plan.status.active) == ("Degraded", old.active)
    assert told(plan.status, c.FAILURE) == ("True", "EngineArgsInvalid")


def test_a_service_does_not_start_on_bad_engine_arguments_of_its_template() -> None:
    catalog = FakeCatalog(make_image(), make_template(engineArgs={"a": "{{"}))
    plan = decide(make_service_observed(catalog=catalog), now=NOW)
    assert kinds(plan) == []
    assert plan.status is not None
    assert told(plan.status, c.FAILURE) == ("True", "EngineArgsInvalid")


@pytest.mark.parametrize("type_", [REFUSED, FAILED, FOREIGN])
def test_a_move_away_from_what_is_refused_is_made(type_: OutcomeType) -> None:
    """A policy may forbid what runs. Waiting until that can be written again would wait for ever."""
    observed = moving_to(make_template("new"))
    status = status_of(observed, Trouble("InferenceService", type_, "denied"))
    assert status.active is not None
    assert status.active.resolved_template.name == "new"
    assert status.status == "Degraded"
    assert runtime_of(decide(with_status(observed, status), now=NOW)) == "new"


@pytest.mark.parametrize("trouble", [name for name in TROUBLE if "InferenceService" in name])
def test_what_never_ran_is_no_record_of_what_runs(trouble: str) -> None:
    assert status_of(make_service_observed(), TROUBLE[trouble]).active is None
    assert status_of(make_service_observed(make_service(resources=TOO_MUCH))).active is None


def test_a_cache_that_is_asked_for_later_leaves_a_service_running() -> None:
    got = status_of(make_service_observed(make_service(cacheModel=True), inference_service=READY_RUNTIME))
    assert got.status == "Running"
    assert told(got, c.CACHE_READY) == ("False", "WaitingForCache")


def test_nothing_starts_on_what_was_discovered_for_an_earlier_spec() -> None:
    status = structs.replace(make_template_status(), observed_generation=1)
    template = make_template(status=status, metadata={"generation": 2})
    catalog = FakeCatalog(
        make_image(defaultServiceTemplate="fast"), make_template(status=status), make_runtime_config()
    )
    changed = FakeCatalog(make_image(defaultServiceTemplate="fast"), template, make_runtime_config())
    assert kinds(decide(make_service_observed(catalog=catalog), now=NOW)) == ["InferenceService"]
    plan = decide(make_service_observed(catalog=changed), now=NOW)
    assert plan.status is not None
    assert (plan.status.status, kinds(plan)) == ("Pending", [])
    running_on = decide(make_service_observed(catalog=changed, inference_service=READY_RUNTIME), now=NOW)
    assert running_on.status is not None
    assert running_on.status.status == "Running"


def test_a_missing_image_comes_first_even_where_kserve_is_not_installed() -> None:
    got = status_of(make_service_observed(catalog=NO_IMAGE, kserve_installed=False))
    assert told(got, c.RUNTIME_READY) == told(got, c.RESOLVED) == ("False", "ImageNotFound")


def test_what_comes_by_itself_comes_after_kserve() -> None:
    """Else the missing KServe would be told only after a discovery, which may take long."""
    pending = with_template("Progressing")
    got = status_of(make_service_observed(catalog=pending, kserve_installed=False))
    assert told(got, c.RUNTIME_READY) == told(got, c.READY) == ("False", "KServeNotInstalled")
    assert (got.status, told(got, c.RESOLVED)) == ("Degraded", ("False", "TemplateNotAvailable"))


def test_a_service_that_asks_for_a_route_is_told_what_that_waits_for() -> None:
    got = status_of(make_service_observed(make_service(routing=ROUTED), NO_IMAGE))
    assert told(got, c.ROUTING_READY) == ("False", "ConfiguringRoute")
    assert told(got, c.FAILURE) == ("True", "ImageNotFound")


def test_rediscovery_leaves_a_service_running() -> None:
    observed = running(
        make_service_observed(catalog=with_template("Progressing"), inference_service=READY_RUNTIME)
    )
    got = status_of(observed)
    assert got.status == "Running"
    assert told(got, c.READY) == ("True", "RuntimeReady")


@pytest.mark.parametrize(
    ("observed", "want"),
    [
        pytest.param(make_service_observed(), ["InferenceService"], id="without routing"),
        pytest.param(
            make_service_observed(make_service(routing=ROUTED)),
            ["InferenceService", "HTTPRoute"],
            id="with routing",
        ),
        pytest.param(
            make_service_observed(make_service(overrides={"precision": "fp8"}, routing=ROUTED)),
            ["AIMServiceTemplate"],
            id="only the derived template, before it is available",
        ),
        pytest.param(
            make_service_observed(make_service(routing={"enabled": True})),
            ["InferenceService"],
            id="the InferenceService, where the route is impossible",
        ),
        pytest.param(
            make_service_observed(make_service(routing=ROUTED), kserve_installed=False),
            [],
            id="no route to nothing",
        ),
    ],
)
def test_children(observed: ServiceObserved, want: list[str]) -> None:
    assert kinds(decide(observed, now=NOW)) == want


def test_a_route_waits_for_its_backend_to_be_there() -> None:
    """Where the InferenceService can't be created, there is no route to nothing."""
    plan = decide(make_service_observed(make_service(routing=ROUTED)), now=NOW)
    assert [(child.kind, child.after) for child in plan.children] == [
        ("InferenceService", ""),
        ("HTTPRoute", "InferenceService"),
    ]


@pytest.mark.parametrize(
    ("service", "catalog"),
    [
        pytest.param(make_service(), None, id="nobody turns it on"),
        pytest.param(
            make_service(routing={"enabled": False}),
            FakeCatalog(
                make_image(),
                make_template(),
                make_runtime_config(routing={"enabled": True, "gatewayRef": GATEWAY}),
            ),
            id="the service turns off what its configuration turns on",
        ),
        pytest.param(
            make_service(routing={"enabled": False}),
            NO_IMAGE,
            id="the service does, while its image is missing",
        ),
        pytest.param(
            make_service(routing={"enabled": False}, overrides={"metric": "throughput"}),
            None,
            id="the service does, while its derived template is pending",
        ),
    ],
)
def test_a_route_is_removed_when(service: AIMService, catalog: FakeCatalog | None) -> None:
    observed = make_service_observed(
        service,
        catalog,
        inference_service=READY_RUNTIME,
        http_route=READY_ROUTE,
    )
    plan = decide(observed, now=NOW)
    assert [(removal.resource, removal.live) for removal in plan.removals] == [(HTTP_ROUTES, READY_ROUTE)]
    assert plan.status is not None
    assert not plan.status.routing
    assert c.ROUTING_READY not in {condition.type for condition in plan.status.conditions or ()}


@pytest.mark.parametrize(
    ("rival", "words"),
    [
        pytest.param(
            RIVAL,
            "path /models/chat on gateway gateways/inference-gateway belongs to the older service "
            "other/elder; choose another routeTemplate",
            id="its own",
        ),
        pytest.param(
            RIVAL._replace(at=RIVAL.at._replace(path="/models")),
            "path /models/chat on gateway gateways/inference-gateway overlaps /models, which belongs to the "
            "older service other/elder; between namespaces no path may lie below another one, so choose "
            "another routeTemplate",
            id="one above it",
        ),
        pytest.param(
            RIVAL._replace(kind="HTTPRoute"),
            "path /models/chat on gateway gateways/inference-gateway belongs to the HTTPRoute other/elder; "
            "choose another routeTemplate",
            id="that of a route which the operator did not make: it may be the younger one",
        ),
    ],
)
def test_a_service_is_told_who_has_its_path_and_where(rival: Claim, words: str) -> None:
    service = make_service(routing=ROUTED)
    got = status_of(make_service_observed(service, inference_service=READY_RUNTIME, rival=rival))
    assert condition_of(got, c.ROUTING_READY).message == words


def test_a_path_that_is_lost_is_given_up_though_no_other_can_be_rendered() -> None:
    broken = make_service(routing={**ROUTED, "routeTemplate": "/{.spec.nothing}"})
    observed = make_service_observed(
        broken, inference_service=READY_RUNTIME, http_route=READY_ROUTE, path_lost=True
    )
    assert [removal.resource for removal in decide(observed, now=NOW).removals] == [HTTP_ROUTES]


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param({"routing": {**ROUTED, "routeTemplate": "/{.spec.nothing}"}}, id="no valid path"),
        pytest.param({"routing": {"enabled": True}}, id="no gateway"),
    ],
)
def test_a_route_stays_as_it_was_where_the_new_one_has(problem: dict[str, Any]) -> None:
    observed = make_service_observed(
        make_service(routing=ROUTED), inference_service=READY_RUNTIME, http_route=READY_ROUTE
    )
    old = status_of(observed)
    changed = make_service_observed(
        make_service(**problem), inference_service=READY_RUNTIME, http_route=READY_ROUTE
    )
    plan = decide(with_status(changed, old), now=NOW)
    assert plan.status is not None
    assert kinds(plan) == [INFERENCE_SERVICES.kind]
    assert plan.removals == ()
    assert plan.status.routing == old.routing
    assert plan.status.status == "Degraded"


def test_a_route_that_may_not_change_keeps_its_path() -> None:
    seen: dict[str, Any] = {"inference_service": READY_RUNTIME, "http_route": READY_ROUTE}
    old = status_of(make_service_observed(make_service(routing=ROUTED), **seen))
    moved = make_service(routing={**ROUTED, "routeTemplate": "/elsewhere"})
    observed = with_status(make_service_observed(moved, **seen), old)
    got = status_of(observed, Trouble("HTTPRoute", REFUSED, "denied"))
    assert got.routing == old.routing


def test_a_route_outlives_missing_inputs() -> None:
    seen: dict[str, Any] = {"inference_service": READY_RUNTIME, "http_route": READY_ROUTE}
    observed = running(make_service_observed(make_service(routing=ROUTED), NO_IMAGE, **seen))
    plan, old = decide(observed, now=NOW), running_status(observed)
    assert plan.status is not None
    assert kinds(plan) == ["InferenceService", "HTTPRoute"]
    assert (plan.removals, plan.status.routing) == ((), old.routing)
    assert told(plan.status, c.ROUTING_READY) == told(old, c.ROUTING_READY) == ("True", "RouteReady")


@pytest.mark.parametrize(
    ("live", "want"),
    [
        pytest.param(None, ("False", "RouteTemplateInvalid"), id="the InferenceService is not there"),
        pytest.param(
            make_inference_service(ready=False), ("False", "RouteTemplateInvalid"), id="it is not ready"
        ),
        pytest.param(READY_RUNTIME, ("True", "RuntimeReady"), id="it is ready"),
    ],
)
def test_an_invalid_route_template_shows_on_runtime_ready_while(live: object, want: tuple[str, str]) -> None:
    service = make_service(routing={**ROUTED, "routeTemplate": "/{.spec.nothing}"})
    plan = decide(make_service_observed(service, inference_service=live), now=NOW)
    assert plan.status is not None
    assert told(plan.status, c.RUNTIME_READY) == want
    assert told(plan.status, c.ROUTING_READY) == ("False", "RouteTemplateInvalid")
    assert told(plan.status, c.FAILURE) == ("True", "RouteTemplateInvalid")
    assert plan.status.status == "Degraded"
    assert kinds(plan) == [INFERENCE_SERVICES.kind]


def test_a_backend_that_is_still_starting_is_no_failure() -> None:
    missing = make_http_route(conditions=make_route_conditions(resolved="False", reason="BackendNotFound"))
    service = make_service(routing=ROUTED)
    starting = make_service_observed(service, inference_service=make_inference_service(), http_route=missing)
    assert status_of(starting).status == "Starting"
    ready = make_service_observed(service, inference_service=READY_RUNTIME, http_route=missing)
    assert (status_of(ready).status, told(status_of(ready), c.ROUTING_READY)) == (
        "Degraded",
        ("False", "RouteFailed"),
    )


WEBHOOK = 'admission webhook "pods.example.com" denied the request: no owner label'
QUOTA = 'pods "chat-x" is forbidden: exceeded quota: gpus, requested: requests.amd.com/gpu=1, used: ...=1'


def after_the_old_pod_went_first(*pods: Pod, refused: str) -> AIMServiceStatus:
    """Return the status in a roll-out of which the old Pod made room, and a Pod is refused."""
    observed = running(make_service_observed(inference_service=make_inference_service(ready=False)))
    decided = RolloutStatus(revision=revision_of_service(), strategy="OldFirst")
    service = observed.service
    assert service.status is not None
    service = structs.replace(service, status=structs.replace(service.status, rollout=decided))
    return status_of(structs.replace(observed, service=service, pods=pods, pods_refused=refused))


def test_a_pod_that_is_refused_after_the_old_one_went_is_a_failure_and_not_a_roll_out_for_ever() -> None:
    status = after_the_old_pod_went_first(refused=WEBHOOK)
    assert (status.status, status.rollout is not None) == ("Failed", True)
    assert told(status, c.RUNTIME_READY) == ("False", "RuntimeFailed")
    assert WEBHOOK in condition_of(status, c.READY).message


def test_a_quota_that_somebody_else_has_used_since_the_old_pod_went_is_told() -> None:
    status = after_the_old_pod_went_first(refused=QUOTA)
    assert (status.status, *told(status, c.RUNTIME_READY)) == ("Starting", "False", "RollingOut")
    assert condition_of(status, c.READY).message.count(QUOTA) == 1


@pytest.mark.parametrize(
    ("seconds", "progress_deadline", "want"),
    [
        pytest.param(599, None, "Starting", id="not yet"),
        pytest.param(600, None, "Failed", id="by default"),
        pytest.param(600, 3600, "Starting", id="later, where the service says so"),
        pytest.param(60, 60, "Failed", id="sooner, where it says so"),
    ],
)
@pytest.mark.parametrize("pod", ["refused by a quota", "without a node"])
def test_room_that_somebody_else_took_for_good_is_a_failure(
    seconds: int, progress_deadline: int | None, want: str, pod: str
) -> None:
    no_gpu = "0/1 nodes are available: 1 Insufficient amd.com/gpu."
    unplaced = make_pod(unschedulable=no_gpu, revision=revision_of_service())
    (placed,) = unplaced.status.conditions or ()
    told_at = structs.replace(placed, last_transition_time=NOW.isoformat())
    unplaced = structs.replace(unplaced, status=structs.replace(unplaced.status, conditions=(told_at,)))
    pods, refused = ((), QUOTA) if pod == "refused by a quota" else ((unplaced,), "")
    service = make_service(
        rollout=None if progress_deadline is None else {"progressDeadlineSeconds": progress_deadline}
    )
    observed = running(make_service_observed(service, inference_service=make_inference_service(ready=False)))
    decided = RolloutStatus(revision=revision_of_service(), strategy="OldFirst")
    assert observed.service.status is not None
    known = structs.replace(
        observed.service, status=structs.replace(observed.service.status, rollout=decided)
    )
    observed = structs.replace(observed, service=known, pods=pods, pods_refused=refused)
    away = decide(observed, now=NOW)
    later = with_status(observed, away.status)
    plan = decide(later, now=NOW + timedelta(seconds=seconds))
    assert plan.status is not None
    assert (away.status is not None and away.status.status, plan.status.status) == ("Starting", want)
    assert ("which others may have taken" in condition_of(plan.status, c.READY).message) == (want == "Failed")
    due = progress_deadline or 600
    assert (plan.requeue_after_seconds or 0) <= max(due - seconds, 0)
    assert (plan.requeue_after_seconds is not None) == (want == "Starting")


def test_a_server_that_loads_where_the_old_one_was_may_take_as_long_as_it_takes() -> None:
    decided = RolloutStatus(revision=revision_of_service(), strategy="OldFirst")
    observed = running(make_service_observed(inference_service=make_inference_service(ready=False)))
    assert observed.service.status is not None
    known = structs.replace(
        observed.service, status=structs.replace(observed.service.status, rollout=decided)
    )
    plan = decide(
        structs.replace(observed, service=known, pods=(make_pod(revision=revision_of_service()),)),
        now=NOW + timedelta(hours=1),
    )
    assert (plan.status is not None and plan.status.status) == "Starting"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="while it is rendered"),
        pytest.param({"resources": TOO_MUCH}, id="while it can't be rendered"),
    ],
)
def test_a_roll_out_keeps_what_was_decided_for_it_and_its_count(spec: dict[str, Any]) -> None:
    """Else a mistake in the spec, and its correction, would have it decided anew with old Pods half gone."""
    revision = revision_of_service()
    decided = RolloutStatus(revision=revision, strategy="OldFirst")
    live = structs.replace(READY_RUNTIME.metadata, labels={labels.REVISION: revision})
    deployment = make_deployment(
        {"replicas": 2, "updatedReplicas": 1, "observedGeneration": 3}, revision=revision
    )
    observed = running(
        make_service_observed(
            make_service(replicas=2, **spec), inference_service=structs.replace(READY_RUNTIME, metadata=live)
        )
    )
    status = structs.replace(running_status(observed), rollout=decided)
    observed = structs.replace(with_status(observed, status), deployment=deployment)
    got = status_of(observed)
    assert (got.rollout, got.updated_replicas) == (decided, 1)


def test_a_pod_that_is_refused_while_the_old_one_is_going_is_being_seen_to() -> None:
    status = after_the_old_pod_went_first(make_pod(revision="0ld", name="chat-old"), refused=QUOTA)
    assert (status.status, *told(status, c.RUNTIME_READY)) == ("Starting", "False", "RollingOut")


def test_a_kserve_that_is_too_old_is_given_no_service() -> None:
    """It would refuse the InferenceService, or each change of it."""
    observed = make_service_observed(kserve_too_old=True)
    assert condition_of(status_of(observed), c.RUNTIME_READY).reason == "KServeTooOld"
    assert INFERENCE_SERVICES.kind not in {child.kind for child in decide(observed, now=NOW).children}


@pytest.mark.parametrize("lost", [True, False], ids=["gone: it waits", "there: it starts"])
def test_a_model_server_does_not_start_on_files_that_are_gone(*, lost: bool) -> None:
    """It would crash, and hold up the download to the claim."""
    first = make_service_observed(make_service(cacheModel=True))
    observed = with_status(first, AIMServiceStatus(active=make_workload(first)))
    observed = structs.replace(observed, lost_claims=frozenset({"files"} if lost else ()))
    kinds = {child.kind for child in decide(observed, now=NOW).children}
    assert (INFERENCE_SERVICES.kind in kinds) is not lost


def test_a_cache_that_is_filled_stays_so_whatever_becomes_of_a_write_of_it() -> None:
    """Only what the operator adds to it can't be written: the files are there."""
    observed = make_service_observed(
        make_service(cacheModel=True),
        template_cache=make_template_cache(
            ready="True/CacheWarm: all there", models={"hf://example/model": "files"}, ours=True
        ),
        model_caches=(
            make_model_cache("files", status={"status": "Available", "persistentVolumeClaim": "disk"}),
        ),
        live_claims=frozenset({"disk"}),
        inference_service=READY_RUNTIME,
    )
    got = status_of(observed, Trouble("AIMTemplateCache", REFUSED, "denied"))
    assert (got.status, told(got, c.CACHE_READY)) == ("Running", ("True", "CacheWarm"))


@pytest.mark.parametrize(
    ("live", "want"),
    [
        pytest.param(None, "Resolved", id="starts on what was discovered: its template may be paused"),
        pytest.param(READY_RUNTIME, "TemplateNotAvailable", id="waits, if it runs, to move once"),
    ],
)
def test_while_a_template_has_yet_to_take_the_catalogs_image_a_service(live: object, want: str) -> None:
    catalog = with_template("Available", discovered_image="ghcr.io/example/model:v0")
    got = status_of(make_service_observed(catalog=catalog, inference_service=live))
    assert told(got, c.RESOLVED)[1] == want


@pytest.mark.parametrize(
    ("spec", "noted"), [({}, True), ({"templateRef": "fast"}, False)], ids=["chosen", "named by the user"]
)
def test_a_template_that_is_not_optimized_is_noted_where_it_was(spec: dict[str, Any], *, noted: bool) -> None:
    template = make_template(status=make_template_status(type="preview"))
    service = make_service(**spec, allowUnoptimized=True)
    got = status_of(make_service_observed(service, FakeCatalog(make_image(), template)))
    assert ("its profile is preview, not optimized" in condition_of(got, c.RESOLVED).message) is noted


KEDA_SCALES: dict[str, Any] = {
    "autoscaling": {"minReplicas": 2, "maxReplicas": 4, "metrics": [{"type": "QueueLength", "target": 5}]}
}


def test_what_the_user_can_mend_is_told_before_a_budget_that_was_refused() -> None:
    observed = running(make_service_observed(make_service(**KEDA_SCALES), inference_service=READY_RUNTIME))
    refused = Trouble("PodDisruptionBudget", REFUSED, "denied")
    assert told(status_of(observed, refused), c.FAILURE) == ("True", "KedaNotInstalled")


def test_what_the_user_can_mend_is_told_before_a_budget_that_can_not_be_deleted() -> None:
    one: dict[str, Any] = {"autoscaling": {**KEDA_SCALES["autoscaling"], "minReplicas": 1, "maxReplicas": 1}}
    observed = running(make_service_observed(make_service(**one), inference_service=READY_RUNTIME))
    plan = decide(structs.replace(observed, disruption_budget=make_disruption_budget()), now=NOW)
    (removal,) = plan.removals
    assert plan.report is not None
    status = plan.report(Outcomes(undeleted=(Undeleted(removal=removal, error=Forbidden("denied")),))).status
    assert told(status, c.FAILURE) == ("True", "KedaNotInstalled")


def test_an_autoscaler_that_can_not_be_deleted_is_told() -> None:
    """It goes on changing the number of copies."""
    live = msgspec.convert({"metadata": {"name": "chat", "namespace": "team"}}, ScaledObject)
    observed = running(make_service_observed(inference_service=READY_RUNTIME, scaled_object=live))
    plan = decide(observed, now=NOW)
    (removal,) = plan.removals
    assert plan.report is not None
    status = plan.report(Outcomes(undeleted=(Undeleted(removal=removal, error=Forbidden("denied")),))).status
    assert told(status, c.FAILURE) == ("True", "WriteFailed")
    assert "ScaledObject 'chat' can't be deleted" in condition_of(status, c.FAILURE).message
