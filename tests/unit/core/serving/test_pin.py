"""What a service runs on is recorded whole, and goes on being rendered while newer inputs are not there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.plan import OutcomeType, Plan
from aim_operator.api.v1alpha1 import ActiveMount, ActiveWorkload, AIMServiceStatus, Serving
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core.manifests import plain
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.plan import decide
from aim_operator.core.service.route import Route, wanted_route
from aim_operator.core.serving.pin import pinned_config
from tests.support.outcomes import Trouble, report_of
from tests.support.service_builders import (
    GATEWAY,
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
from tests.support.service_status import assert_service_status_well_formed, condition_of, told

LIVE = make_inference_service(ready=True)
TOKEN = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}


def recorded(
    *,
    image: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    discovered: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    mounts: tuple[ActiveMount, ...] = (),
) -> ActiveWorkload:
    status = make_template_status(**(discovered or {}))
    catalog = FakeCatalog(
        make_image(**(image or {})),
        make_template(status=status, **(template or {})),
        make_runtime_config(**(config or {})),
    )
    return make_workload(make_service_observed(catalog=catalog), *mounts)


EVERYTHING: dict[str, Any] = {
    "image": {"resources": {"limits": {"cpu": 4, "memory": "64Gi"}}},
    "template": {
        "env": [TOKEN, {"name": "AIM_METRIC", "value": "throughput"}],
        "gpuSelector": {"model": "MI300X", "count": 2},
        "resources": {"requests": {"amd.com/gpu": 2}},
        "imagePullSecrets": [{"name": "b"}],
    },
    "discovered": {"gpu_count": 2},
    "config": {
        "serviceAccountName": "server",
        "imagePullSecrets": [{"name": "a"}],
        "securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
        "routing": {"enabled": True, "gatewayRef": GATEWAY, "routeTemplate": "/{.metadata.name}"},
    },
    "mounts": (ActiveMount(model="example/model", claim="claim-1"),),
}


@pytest.mark.parametrize(
    ("wanted", "field", "want"),
    [
        pytest.param({}, "image", "ghcr.io/example/model:v1", id="the image of the catalog"),
        pytest.param(
            {"discovered": {"discovered_image": "old:v1"}},
            "image",
            "old:v1",
            id="the image that was discovered, until the newer one has been",
        ),
        pytest.param({}, "metric", "latency", id="the metric that was discovered"),
        pytest.param(
            {"template": {"metric": "throughput"}, "discovered": {"metric": None}},
            "metric",
            "throughput",
            id="the metric that was asked for, where none was discovered",
        ),
        pytest.param({"discovered": {"precision": None}}, "precision", None, id="no precision at all"),
        pytest.param({}, "gpu_model", "MI300X", id="the profile's GPU model where nobody asks for one"),
        pytest.param({"discovered": {"gpu": None}}, "gpu_model", None, id="no GPU model at all"),
        pytest.param({}, "gpu_resource", "amd.com/gpu", id="the resource of the model's vendor"),
        pytest.param(
            {"template": {"gpuSelector": {"resourceName": "amd.com/cpx_nps4"}}},
            "gpu_resource",
            "amd.com/cpx_nps4",
            id="the resource that the template names",
        ),
        pytest.param({}, "serving", None, id="no settings of serving"),
        pytest.param(
            {
                "template": {"serving": {"sharedMemorySize": "16Gi"}},
                "config": {"serving": {"sharedMemorySize": "8Gi", "startupTimeoutSeconds": 60}},
            },
            "serving",
            Serving(shared_memory_size="16Gi", startup_timeout_seconds=60),
            id="the template's settings over the configuration's",
        ),
        pytest.param(EVERYTHING, "gpu_model", "MI300X", id="the GPU model that was asked for"),
        pytest.param(EVERYTHING, "gpu_count", 2, id="the number of GPUs that was discovered"),
        pytest.param({"discovered": {"gpu_count": "many"}}, "gpu_count", 0, id="no number of GPUs"),
        pytest.param(EVERYTHING, "image_pull_secrets", ("a", "b"), id="the configuration's secrets first"),
        pytest.param({}, "image_pull_secrets", None, id="no secrets"),
        pytest.param(EVERYTHING, "service_account_name", "server", id="the service account"),
        pytest.param(
            EVERYTHING,
            "security_context",
            {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
            id="the security context",
        ),
        pytest.param({}, "mounts", None, id="no mounts"),
        pytest.param(EVERYTHING, "mounts", EVERYTHING["mounts"], id="mounts"),
    ],
)
def test_it_records(wanted: dict[str, Any], field: str, want: object) -> None:
    assert getattr(recorded(**wanted), field) == want


def test_the_templates_env_overrides_what_was_discovered() -> None:
    env = {variable["name"]: variable for variable in plain(recorded(**EVERYTHING).env)}
    assert env["AIM_METRIC"]["value"] == "throughput"
    assert env["AIM_PROFILE_ID"]["value"] == "vllm-a-profile"
    assert env["TOKEN"] == TOKEN


def test_it_records_where_all_of_it_came_from() -> None:
    active = recorded()
    assert (active.resolved_image.kind, active.resolved_image.name) == ("AIMImage", "model")
    assert (active.resolved_template.kind, active.resolved_template.name) == ("AIMServiceTemplate", "fast")
    assert active.resolved_runtime_config is not None
    assert active.resolved_runtime_config.name == "default"
    bare = make_workload(make_service_observed(catalog=FakeCatalog(make_image(), make_template())))
    assert bare.resolved_runtime_config is None


@pytest.mark.parametrize("wanted", [{}, EVERYTHING], ids=["the least", "the most"])
def test_a_record_is_the_same_when_it_is_read_back(wanted: dict[str, Any]) -> None:
    """Else each reconcile would take it for a move."""
    active = recorded(**wanted)
    assert msgspec.json.decode(msgspec.json.encode(active), type=ActiveWorkload) == active


def test_routes_are_made_of_the_recorded_configuration_as_of_the_real_one() -> None:
    config = pinned_config(recorded(**EVERYTHING))
    route = wanted_route(make_service(), config)
    assert isinstance(route, Route)
    assert route.path == "/chat"
    assert config.reference is not None
    assert config.reference.name == "default"


# What is rendered while something is missing


def catalog_with(state: str, **fields: Any) -> FakeCatalog:
    status = make_template_status(state, image="", **fields)
    return FakeCatalog(
        make_image("model", image="ghcr.io/example/model:v2", defaultServiceTemplate="fast"),
        make_template(status=status),
        make_runtime_config(),
    )


NO_CONFIG = FakeCatalog(
    make_image(image="ghcr.io/example/model:v2", defaultServiceTemplate="fast"),
    make_template(runtimeConfigName="gone"),
)
CACHING = make_service(cacheModel=True, replicas=3, routing=ROUTED)
BLOCKERS: list[Any] = [
    # the catalog, the service, what Resolved or CacheReady say
    pytest.param(catalog_with("Pending"), None, "TemplateNotAvailable", id="the template is pending"),
    pytest.param(catalog_with("Progressing"), None, "TemplateNotAvailable", id="it is being discovered"),
    pytest.param(
        catalog_with("Failed", reason="DiscoveryFailed"), None, "DiscoveryFailed", id="its discovery failed"
    ),
    pytest.param(
        catalog_with("Degraded", reason="ImagePullFailed"), None, "ImagePullFailed", id="it is degraded"
    ),
    pytest.param(catalog_with("Available", sources=()), None, "NoModelSources", id="it has no sources"),
    pytest.param(FakeCatalog(make_template()), None, "ImageNotFound", id="the image is missing"),
    pytest.param(FakeCatalog(make_image()), None, "TemplateNotFound", id="the template is missing"),
    pytest.param(NO_CONFIG, None, "RuntimeConfigMissing", id="the configuration is missing"),
    pytest.param(None, CACHING, "WaitingForCache", id="the cache is cold"),
]


def snapshot(
    catalog: FakeCatalog | None, service: Any = None, *, active: ActiveWorkload | None = None, **seen: Any
) -> ServiceObserved:
    """Return a service that wants 3 replicas and a route, and that ran on `active` if any."""
    seen = {"inference_service": LIVE, "runtimes": frozenset({"fast"})} | seen
    observed = make_service_observed(service or make_service(replicas=3, routing=ROUTED), catalog, **seen)
    return with_status(observed, AIMServiceStatus(active=active) if active is not None else None)


def status_of(plan: Plan[AIMServiceStatus]) -> AIMServiceStatus:
    assert plan.status is not None
    assert_service_status_well_formed(plan.status)
    return plan.status


def predictor(plan: Plan[AIMServiceStatus]) -> dict[str, Any]:
    (child,) = [child for child in plan.children if child.kind == "InferenceService"]
    got: dict[str, Any] = child.manifest["spec"]["predictor"]
    return got


def kinds(plan: Plan[AIMServiceStatus]) -> list[str]:
    return [child.kind for child in plan.children]


def reason_of(status: AIMServiceStatus, reason: str) -> tuple[str, str]:
    return told(status, c.CACHE_READY if reason == "WaitingForCache" else c.RESOLVED)


@pytest.mark.parametrize(("catalog", "service", "reason"), BLOCKERS)
def test_a_service_is_rendered_from_what_it_runs_on_while(
    catalog: FakeCatalog | None, service: Any, reason: str
) -> None:
    active = recorded()
    plan = decide(snapshot(catalog, service, active=active), now=NOW)
    got = predictor(plan)
    assert got["model"]["image"] == "ghcr.io/example/model:v1"
    assert got["model"]["runtime"] == "fast"
    assert got["minReplicas"] == 3
    assert [kind for kind in kinds(plan) if kind != "AIMTemplateCache"] == [
        "InferenceService",
        "PodDisruptionBudget",
        "HTTPRoute",
    ]
    status = status_of(plan)
    assert status.active == active
    assert status.resolved_template == active.resolved_template
    assert told(status, c.RUNTIME_READY) == ("True", "RuntimeReady")
    assert reason_of(status, reason) == ("False", reason)


@pytest.mark.parametrize(("catalog", "service", "reason"), BLOCKERS)
def test_a_deleted_inference_service_is_made_again_while(
    catalog: FakeCatalog | None, service: Any, reason: str
) -> None:
    active = recorded()
    plan = decide(snapshot(catalog, service, active=active, inference_service=None), now=NOW)
    assert predictor(plan)["model"]["image"] == "ghcr.io/example/model:v1"
    assert plan.status is not None
    assert plan.status.active == active
    assert reason_of(plan.status, reason) == ("False", reason)


@pytest.mark.parametrize(("catalog", "service", "reason"), BLOCKERS)
def test_the_service_of_an_older_operator_is_followed_and_not_rendered_while(
    catalog: FakeCatalog | None, service: Any, reason: str
) -> None:
    """Its status has no `active`: what its InferenceService was made of is not known."""
    plan = decide(snapshot(catalog, service), now=NOW)
    assert [kind for kind in kinds(plan) if kind not in ("AIMTemplateCache", "HTTPRoute")] == []
    assert plan.removals == ()
    status = status_of(plan)
    assert status.active is None
    assert told(status, c.RUNTIME_READY) == ("True", "RuntimeReady")
    assert reason_of(status, reason) == ("False", reason)


@pytest.mark.parametrize(("catalog", "service", "reason"), BLOCKERS)
def test_nothing_is_started_while(catalog: FakeCatalog | None, service: Any, reason: str) -> None:
    plan = decide(snapshot(catalog, service, inference_service=None), now=NOW)
    assert [kind for kind in kinds(plan) if kind != "AIMTemplateCache"] == []
    status = status_of(plan)
    assert status.active is None
    assert reason_of(status, reason) == ("False", reason)


def test_the_crash_of_an_older_operators_service_is_seen_while_it_is_followed() -> None:
    """Pods of before have no revision; neither has their InferenceService."""
    crashed = make_pod(
        waiting={"reason": "CrashLoopBackOff"}, ended={"exitCode": 3, "message": "no GPU"}, revision=""
    )
    live = make_inference_service(ready=False)
    observed = snapshot(catalog_with("Progressing"), inference_service=live, pods=(crashed,))
    status = status_of(decide(observed, now=NOW))
    assert told(status, c.RUNTIME_READY) == ("False", "RuntimeFailed")


# Starts and moves


def test_a_first_start_is_rendered_and_recorded_at_once() -> None:
    plan = decide(snapshot(None, inference_service=None), now=NOW)
    assert predictor(plan)["model"]["image"] == "ghcr.io/example/model:v1"
    assert plan.status is not None
    assert plan.status.active == recorded()


def test_the_service_of_an_older_operator_is_rendered_and_recorded_at_once_when_all_is_there() -> None:
    plan = decide(snapshot(None), now=NOW)
    assert kinds(plan) == [
        "InferenceService",
        "PodDisruptionBudget",
        "HTTPRoute",
    ]
    assert plan.status is not None
    assert plan.status.active == recorded()


NEWER = FakeCatalog(
    make_image(image="ghcr.io/example/model:v2", defaultServiceTemplate="fast"),
    make_template(),
    make_runtime_config(),
)


def test_a_move_is_recorded_before_it_is_made() -> None:
    route = make_http_route(conditions=make_route_conditions())
    observed = snapshot(NEWER, active=recorded(), http_route=route)
    first = decide(observed, now=NOW)
    assert predictor(first)["model"]["image"] == "ghcr.io/example/model:v1"
    status = status_of(first)
    assert status.active is not None
    assert status.active.image == "ghcr.io/example/model:v2"
    assert (status.status, told(status, c.READY)) == ("Running", ("True", "RollingOut"))
    assert told(status, c.PROGRESSING) == ("True", "RollingOut")
    assert told(status, c.RUNTIME_READY) == ("True", "RollingOut")

    second = decide(with_status(observed, status), now=NOW)
    assert predictor(second)["model"]["image"] == "ghcr.io/example/model:v2"
    assert status_of(second).active == status.active


@pytest.mark.parametrize(
    "catalog",
    [
        pytest.param(
            FakeCatalog(
                make_image(defaultServiceTemplate="fast"),
                make_template(
                    env=[TOKEN],
                    metadata={"generation": 2},
                    status=structs.replace(make_template_status(), observed_generation=1),
                ),
                make_runtime_config(),
            ),
            id="the template's status is about its spec of before",
        ),
        pytest.param(
            FakeCatalog(
                make_image(
                    image="ghcr.io/example/model:v2",
                    resources={"limits": {"memory": "64Gi"}},
                    defaultServiceTemplate="fast",
                ),
                make_template(status=make_template_status(discovered_image="ghcr.io/example/model:v1")),
                make_runtime_config(),
            ),
            id="the template has yet to discover the newer image",
        ),
    ],
)
def test_no_move_is_begun_before_the_template_speaks_of_what_is_there_now(catalog: FakeCatalog) -> None:
    """Else Pods would be restarted twice, first for a mixture of the old and the new."""
    active = recorded()
    plan = decide(snapshot(catalog, active=active), now=NOW)
    status = status_of(plan)
    assert status.active == active
    assert predictor(plan) == predictor(decide(snapshot(None, active=active), now=NOW))
    assert told(status, c.RESOLVED) == ("False", "TemplateNotAvailable")
    assert told(status, c.RUNTIME_READY) == ("True", "RuntimeReady")


def test_a_recorded_move_is_made_whatever_is_lost_afterwards() -> None:
    active = make_workload(make_service_observed(catalog=NEWER))
    plan = decide(snapshot(catalog_with("Failed", reason="DiscoveryFailed"), active=active), now=NOW)
    assert predictor(plan)["model"]["image"] == "ghcr.io/example/model:v2"


def rolling(*pods: Any) -> AIMServiceStatus:
    """Return the status of a service with an InferenceService that serves, and these Pods."""
    service = make_service()
    return status_of(decide(snapshot(None, service, active=recorded(), pods=pods), now=NOW))


OLD = make_pod(ready=True, revision="0ld", name="chat-old")


def test_a_rollout_is_running_and_progressing_until_the_new_pods_serve() -> None:
    status = rolling(OLD)
    assert (status.status, told(status, c.READY)) == ("Running", ("True", "RollingOut"))
    assert told(status, c.PROGRESSING) == ("True", "RollingOut")
    status = rolling(OLD, make_pod(ready=True, revision=revision_of_service(), name="chat-new"))
    assert (status.status, told(status, c.READY)) == ("Running", ("True", "RuntimeReady"))
    assert told(status, c.PROGRESSING)[0] == "False"


def test_a_rollout_that_fails_degrades_a_service_that_goes_on_serving() -> None:
    crashing = make_pod(
        waiting={"reason": "CrashLoopBackOff"},
        ended={"exitCode": 1, "message": "unknown flag"},
        revision=revision_of_service(),
        name="chat-new",
    )
    status = rolling(OLD, crashing)
    assert (status.status, told(status, c.READY)) == ("Degraded", ("False", "RolloutFailed"))
    assert told(status, c.FAILURE) == ("True", "RolloutFailed")
    assert told(status, c.PROGRESSING) == ("True", "RolloutFailed")
    assert told(status, c.RUNTIME_READY) == ("True", "RollingOut")
    assert condition_of(status, c.FAILURE).message == (
        "the new revision does not come up, the previous one serves: "
        "container kserve-container exited with code 1: unknown flag"
    )


# Runtimes


@pytest.mark.parametrize(
    "catalog",
    [
        pytest.param(FakeCatalog(make_image()), id="its template is gone"),
        pytest.param(
            FakeCatalog(make_image(), make_template("other", status=make_template_status("Progressing"))),
            id="another template is there, and not available",
        ),
        pytest.param(FakeCatalog(), id="all is gone"),
    ],
)
def test_a_service_whose_templates_runtime_is_gone_makes_its_own(catalog: FakeCatalog) -> None:
    plan = decide(snapshot(catalog, active=recorded(), runtimes=frozenset()), now=NOW)
    assert kinds(plan) == [
        "ServingRuntime",
        "InferenceService",
        "PodDisruptionBudget",
        "HTTPRoute",
    ]
    assert predictor(plan)["model"]["runtime"] == plan.children[0].name == "chat-active"
    assert plan.children[1].after == "ServingRuntime"
    assert plan.children[0].manifest["spec"]["containers"][0]["image"] == "ghcr.io/example/model:v1"


def test_a_service_returns_to_its_templates_runtime() -> None:
    plan = decide(snapshot(None, active=recorded(), runtimes=frozenset()), now=NOW)
    assert predictor(plan)["model"]["runtime"] == "fast"


@pytest.mark.parametrize(
    ("trouble", "reason", "words"),
    [
        pytest.param(
            Trouble("ServingRuntime", OutcomeType.FOREIGN),
            "NameConflict",
            "ServingRuntime 'chat-active' exists and is not managed by the operator",
            id="belongs to somebody else",
        ),
        pytest.param(
            Trouble("ServingRuntime", OutcomeType.REFUSED, "no"),
            "RuntimeFailed",
            "the ServingRuntime was refused: no",
            id="is refused",
        ),
    ],
)
def test_a_running_service_says_that_its_own_runtime(trouble: Trouble, reason: str, words: str) -> None:
    active = recorded()
    other = make_template("other", status=make_template_status("Progressing"))
    observed = snapshot(
        FakeCatalog(make_image(), other),
        make_service(templateRef="other"),
        active=active,
        runtimes=frozenset(),
    )
    status = report_of(decide(observed, now=NOW), trouble).status
    assert isinstance(status, AIMServiceStatus)
    assert (status.status, status.active) == ("Degraded", active)
    assert told(status, c.RUNTIME_READY) == ("True", "RuntimeReady")
    assert told(status, c.FAILURE) == ("True", reason)
    assert words in condition_of(status, c.FAILURE).message


def test_resources_that_do_not_fit_the_record_render_nothing_and_change_no_record() -> None:
    too_much = make_service(resources={"requests": {"cpu": "8"}, "limits": {"cpu": "4"}})
    plan = decide(snapshot(None, too_much, active=recorded()), now=NOW)
    assert kinds(plan) == []
    status = status_of(plan)
    assert (status.status, status.active) == ("Degraded", recorded())
    assert told(status, c.FAILURE) == ("True", "ResourcesInvalid")
    assert told(status, c.RUNTIME_READY) == ("True", "RuntimeReady")


@pytest.mark.parametrize("pinned", [False, True], ids=["at its first start", "once its model server is gone"])
def test_a_shadowed_runtime_renders_nothing(pinned: bool) -> None:  # noqa: FBT001 - a table
    """KServe would take the stranger's runtime in place of the cluster template's."""
    catalog = FakeCatalog(make_cluster_image(), make_cluster_template())
    active = make_workload(make_service_observed(catalog=catalog))
    observed = snapshot(
        catalog,
        active=active if pinned else None,
        inference_service=None,
        runtime_shadowed=True,
    )
    plan = decide(observed, now=NOW)
    assert kinds(plan) == []
    status = status_of(plan)
    assert told(status, c.RUNTIME_READY) == ("False", "NameConflict")
    assert status.active == (active if pinned else None)


def test_without_kserve_nothing_is_rendered_and_the_record_stays() -> None:
    observed = structs.replace(
        snapshot(None, active=recorded(), inference_service=None), kserve_installed=False
    )
    plan = decide(observed, now=NOW)
    assert kinds(plan) == []
    assert plan.status is not None
    assert plan.status.active == recorded()
    assert told(plan.status, c.RUNTIME_READY) == ("False", "KServeNotInstalled")
