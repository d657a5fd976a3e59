"""Behaviour "Routing": the switch, the path, what is refused, who gets a path, and what gateways say."""

from __future__ import annotations

from typing import Any

import pytest

from hack.cluster.api import Manifest
from tests.support.spec_cluster import GATEWAY, GATEWAY_NAMESPACE
from tests.support.spec_world import World, message, routed, told

REFERENCE = {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}


def running(world: World, *, labels: dict[str, str] | None = None, config: Any = None, **spec: Any) -> Any:
    """Start a service on an available template; `config` is the routing of its configuration."""
    image, template, _ = world.catalog()
    settings = world.config(**({"routing": config} if config is not None else {}))
    return world.run(image, template, settings, world.service(labels=labels, **spec))


def path_of(route: Manifest) -> str:
    path: str = route["spec"]["rules"][0]["matches"][0]["path"]["value"]
    return path


SWITCH: list[Any] = [
    pytest.param({"enabled": True, "gatewayRef": REFERENCE}, None, True, id="on in the service"),
    pytest.param(
        None, {"enabled": True, "gatewayRef": REFERENCE}, True, id="unset there and on in the config"
    ),
    pytest.param(
        {"gatewayRef": REFERENCE},
        {"enabled": True},
        True,
        id="on in the config, through the service's gateway",
    ),
    pytest.param({"enabled": True}, {"gatewayRef": REFERENCE}, True, id="on, through the config's gateway"),
    pytest.param(
        {"enabled": False}, {"enabled": True, "gatewayRef": REFERENCE}, False, id="off in the service"
    ),
    pytest.param({"gatewayRef": REFERENCE}, None, False, id="unset in both"),
    pytest.param(None, None, False, id="nothing said at all"),
]


def test_routing_is_on_where_service_or_config_say_so_and_off_elsewhere(world: World) -> None:
    image, template, _ = world.catalog()
    world.apply(image, template)
    for number, case in enumerate(SWITCH):
        service, config, _ = case.values
        world.apply(
            world.config(f"c{number}", **({"routing": config} if config else {})),
            world.service(
                f"s{number}", runtimeConfigName=f"c{number}", **({"routing": service} if service else {})
            ),
        )
    for number, case in enumerate(SWITCH):
        want = case.values[2]
        status = world.until_service("Running", name=f"s{number}")
        assert (told(status, "RoutingReady") == "True/RouteReady") is want, case.id
        assert (world.get("HTTPRoute", f"s{number}") is not None) is want, case.id
        assert ("routing" in status) is want, case.id


def test_the_route_is_the_services_own_and_cuts_the_prefix_off(world: World) -> None:
    status = running(world, routing=routed(world.path("v1/chat")))
    route = world.need("HTTPRoute", "chat")
    assert route["spec"]["parentRefs"][0].items() >= REFERENCE.items()
    (rule,) = route["spec"]["rules"]
    assert rule["matches"][0]["path"] == {"type": "PathPrefix", "value": world.path("v1/chat")}
    assert rule["filters"] == [
        {
            "type": "URLRewrite",
            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
        }
    ]
    (backend,) = rule["backendRefs"]
    assert (backend["name"], backend["port"]) == ("chat-predictor", 80)
    assert rule["timeouts"] == {"request": "0s"}, "an answer takes as long as it takes"
    (owner,) = route["metadata"]["ownerReferences"]
    assert owner["uid"] == world.need("AIMService", "chat")["metadata"]["uid"]
    assert status["routing"] == {"path": world.path("v1/chat")}


SOURCES: list[Any] = [
    pytest.param(
        "/{.metadata.namespace}/of-service",
        "/{.metadata.namespace}/of-config",
        "/{.metadata.namespace}/of-service",
        id="the service's template",
    ),
    pytest.param(
        None,
        "/{.metadata.namespace}/of-config",
        "/{.metadata.namespace}/of-config",
        id="else that of the configuration",
    ),
    pytest.param(None, None, None, id="else namespace and uid"),
]


def test_the_path_comes_from_the_service_then_the_config_then_namespace_and_uid(world: World) -> None:
    image, template, _ = world.catalog()
    world.apply(image, template)
    for number, case in enumerate(SOURCES):
        service, config, _ = case.values
        world.apply(
            world.config(f"c{number}", routing=routed(config)),
            world.service(f"s{number}", runtimeConfigName=f"c{number}", routing=routed(service)),
        )
    for number, case in enumerate(SOURCES):
        status = world.until_service("Running", name=f"s{number}")
        uid = world.need("AIMService", f"s{number}")["metadata"]["uid"]
        want = case.values[2] or f"/{{.metadata.namespace}}/{uid}"
        assert status["routing"]["path"] == want.replace("{.metadata.namespace}", world.namespace), case.id
        assert path_of(world.need("HTTPRoute", f"s{number}")) == status["routing"]["path"], case.id


PATHS: list[Any] = [
    pytest.param(
        "/{.metadata.labels['team']}/x/", "/blue_team/x", id="a quoted key, lower case, no slash at the end"
    ),
    pytest.param(r"/{.metadata.labels.app\.kubernetes\.io/name}", "/chat", id="escaped dots"),
    pytest.param("/{.spec.env[1].value}", "/a%20b%25%3F", id="an index, and a value encoded as data"),
    pytest.param("/{.spec.env[?(@.name=='SPLIT')].value}", "/one/two", id="a slash in a value separates"),
    pytest.param("//a///{.metadata.name}//", "/a/chat", id="empty segments are dropped"),
    pytest.param("/a%c3%a4/Größe", "/a%C3%A4/gr%C3%B6%C3%9Fe", id="triplets in the template's text are kept"),
    pytest.param(
        "/{.spec.aimImageName}-{.spec.replicas}", "/{model}-1", id="the alias of the model, and a number"
    ),
    pytest.param("/" + "a" * 198, "/" + "a" * 198, id="199 characters"),
]
ENV = [{"name": "A", "value": "a"}, {"name": "B", "value": "a b%?"}, {"name": "SPLIT", "value": "one//Two"}]
LABELS = {"team": "Blue_Team", "app.kubernetes.io/name": "chat"}


def test_a_template_gives_the_path_that_the_gateway_gets(world: World) -> None:
    """One service whose template changes: the route follows, in place."""
    running(world, labels=LABELS, env=ENV, routing=routed("/first"))
    uid = world.need("HTTPRoute", "chat")["metadata"]["uid"]
    for case in PATHS:
        template, want = case.values[0], case.values[1].replace("{model}", world.model)
        world.apply(world.service(labels=LABELS, env=ENV, routing=routed(template)))
        world.until("HTTPRoute", "chat", lambda r, want=want: path_of(r) == want, f"has {want}: {case.id}")  # type: ignore[misc]
        status = world.until_service("Running")
        assert status["routing"]["path"] == want, case.id
    assert world.need("HTTPRoute", "chat")["metadata"]["uid"] == uid


INVALID: list[Any] = [
    pytest.param("/{.metadata.labels['crew']}", "selects nothing", id="missing data"),
    pytest.param("/{.spec.routing}", "selects a map", id="a map"),
    pytest.param("/{.spec.env}", "selects a list", id="a list"),
    pytest.param("/{.spec.env[*].name}", "selects several values", id="several values"),
    pytest.param("/{.status.status}", "selects nothing", id="the status, which is not there"),
    pytest.param("/{.metadata.generation}", "selects nothing", id="the generation, which is not there"),
    pytest.param("/{.spec.model", "is not closed", id="an unclosed brace"),
    pytest.param("/{spec.model}", "does not start with '.'", id="bad syntax"),
    pytest.param("/", "would take the whole Gateway", id="the whole path"),
    pytest.param("/a/../b", "stands for another directory", id="two dots"),
    pytest.param("/%2e%2E/b", "stands for another directory", id="two dots as triplets"),
    pytest.param("/a%2fb", "has an encoded slash", id="an encoded slash"),
    pytest.param("/a%0ab", "has a control character", id="a control character"),
    pytest.param("/" + "ä" * 100, "characters once encoded", id="a path over two hundred characters"),
]


def test_an_invalid_template_degrades_the_service_and_everything_else_stays(world: World) -> None:
    """One service whose template changes; its route stays as it was until the template is mended."""
    running(world, env=ENV, routing=routed(world.path("first")))
    route, inference = world.need("HTTPRoute", "chat"), world.need("InferenceService", "chat")
    for case in INVALID:
        template, want = case.values
        world.apply(world.service(env=ENV, routing=routed(template)))
        status = world.until_service("Degraded", "RouteTemplateInvalid")
        assert want in message(status, "RoutingReady"), case.id
        assert told(status, "Failure") == "True/RouteTemplateInvalid"
        assert told(status, "RuntimeReady") == "True/RuntimeReady"
        assert status["routing"]["path"] == world.path("first")
        assert world.need("HTTPRoute", "chat") == route
        assert world.need("InferenceService", "chat") == inference
    world.apply(world.service(env=ENV, routing=routed(world.path("second"))))
    world.until_service("Running")


def test_an_invalid_template_creates_no_route_but_the_runtime(world: World) -> None:
    world.hold("kserve")
    world.apply(*world.catalog(), world.service(routing=routed("/{.metadata.labels['crew']}")))
    status = world.until_service("Degraded", "RouteTemplateInvalid")
    assert world.get("HTTPRoute", "chat") is None
    world.until("InferenceService", "chat", lambda _: True)
    assert world.get("ServingRuntime", "fast") is not None
    assert told(world.status(), "RuntimeReady") == "False/RouteTemplateInvalid", "while it is not ready"
    assert "routing" not in status
    world.hold("kserve", on=False)
    world.until(
        "AIMService", "chat", lambda s: told(s["status"], "RuntimeReady") == "True/RuntimeReady", "follows it"
    )


def test_annotations_and_timeout_reach_the_route_and_leave_it_again(world: World) -> None:
    annotations = {"example.com/team": "blue", "example.com/cost": "low"}
    running(world, routing=routed(world.path(), annotations=annotations, requestTimeout="1m30s"))
    route = world.need("HTTPRoute", "chat")
    assert route["metadata"]["annotations"].items() >= annotations.items()
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "1m30s"}
    world.apply(world.service(routing=routed(world.path(), annotations={"example.com/team": "red"})))
    none = {"request": "0s"}
    route = world.until("HTTPRoute", "chat", lambda r: r["spec"]["rules"][0]["timeouts"] == none, "has none")
    assert route["metadata"]["annotations"]["example.com/team"] == "red"
    assert "example.com/cost" not in route["metadata"]["annotations"]


def test_switched_off_the_route_goes_and_the_service_stays(world: World) -> None:
    running(world, routing=routed(world.path()))
    before = world.need("InferenceService", "chat")
    world.apply(world.service(routing={"enabled": False}))
    world.until_gone("HTTPRoute", "chat")
    status = world.until_service("Running")
    assert told(status, "RoutingReady") == ""
    assert "routing" not in status
    assert world.need("InferenceService", "chat") == before


def test_the_older_service_keeps_a_path_across_namespaces_and_the_younger_takes_it_over(world: World) -> None:
    path = f"/{world.namespace}/same"
    with world.cluster.namespace("spec") as namespace:
        other = World(world.cluster, namespace)
        world.apply(*world.catalog())
        other.apply(*other.catalog())
        older = world.service(routing=routed(path))
        world.run(older)
        # A creationTimestamp counts whole seconds; names decide within one.
        born = world.need("AIMService", "chat")["metadata"]["creationTimestamp"]
        younger = other.service("younger", routing=routed(path))
        while True:
            other.apply(younger)
            if other.need("AIMService", "younger")["metadata"]["creationTimestamp"] > born:
                break
            other.delete(younger)
        status = other.until_service("Degraded", "RouteConflict", name="younger")
        assert f"{world.namespace}/chat" in message(status, "RoutingReady")
        other.until("InferenceService", "younger", lambda _: True, "runs all the same")
        assert "routing" not in status
        assert other.get("HTTPRoute", "younger") is None
        assert world.status()["status"] == "Running"
        world.delete(older)
        status = other.until_service("Running", name="younger")
        assert status["routing"]["path"] == path


def test_equal_paths_on_different_gateways_or_listeners_are_no_conflict(world: World) -> None:
    path = f"/{world.namespace}"
    world.apply(*world.catalog())
    elsewhere = routed(path, gateway="elsewhere")
    listener = routed(path)
    listener["gatewayRef"] = {**REFERENCE, "sectionName": "http"}
    world.run(world.service("one", routing=routed(path)), name="one")
    world.run(world.service("two", routing=listener), name="two")
    world.apply(world.service("three", routing=elsewhere))
    world.until("HTTPRoute", "three", lambda r: path_of(r) == path)


def test_routing_is_ready_when_every_condition_of_the_parent_says_so(world: World) -> None:
    world.hold("gateway")
    world.apply(*world.catalog(), world.service(routing=routed(world.path())))
    status = world.until_service("Starting", "ConfiguringRoute")
    assert status["routing"]["path"] == world.path()
    refusal = {"reason": "NotAllowedByListeners", "message": "no listener takes routes from here"}
    _say(world, accepted="False", **refusal)
    status = world.until_service("Degraded", "RouteFailed")
    assert refusal["message"] in message(status, "RoutingReady"), "the gateway's own words"
    assert told(status, "RuntimeReady") == "True/RuntimeReady"
    _say(world, accepted="True", resolved="False", reason="BackendNotFound", message="no such Service")
    world.until(
        "AIMService",
        "chat",
        lambda s: "ResolvedRefs=False: no such Service" in message(s["status"], "RoutingReady"),
        "tells of the other condition",
    )
    assert told(world.status(), "RoutingReady") == "False/RouteFailed"
    _say(world, accepted="True")
    world.until_service("Running")


def test_a_listener_that_the_gateway_has_not_is_told_in_the_gateways_words(world: World) -> None:
    routing = routed(world.path())
    routing["gatewayRef"] = {**REFERENCE, "sectionName": "https"}
    world.apply(*world.catalog(), world.service(routing=routing))
    status = world.until_service("Degraded", "RouteFailed")
    assert "no listener is named https" in message(status, "RoutingReady")
    world.apply(world.service(routing=routed(world.path())))
    world.until_service("Running")


def _say(
    world: World, *, accepted: str, resolved: str = "True", reason: str = "Accepted", message: str = ""
) -> None:
    """Write the route's status as its gateway would."""
    route = world.need("HTTPRoute", "chat")
    common = {
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": route["metadata"]["generation"],
    }
    conditions = [
        {"type": "Accepted", "status": accepted, "reason": reason, "message": message, **common},
        {"type": "ResolvedRefs", "status": resolved, "reason": reason, "message": message, **common},
    ]
    parent = {
        "parentRef": route["spec"]["parentRefs"][0],
        "controllerName": "test.example.com/gateway",
        "conditions": conditions,
    }
    world.patch("HTTPRoute", "chat", {"status": {"parents": [parent]}}, status=True)


def test_all_that_a_service_says_about_its_server_is_taken_by_the_api_server(world: World) -> None:
    """The schemas of KServe and Gateway API, and the API server's own of budgets, decide."""
    volume = {"name": "ca", "mountPath": "/etc/ssl/company", "configMap": {"name": "ca", "optional": True}}
    running(
        world,
        replicas=2,
        securityContext={"readOnlyRootFilesystem": True},
        serving={"drainSeconds": 30, "volumes": [volume]},
        routing=routed(world.path(), hostnames=["*.models.example.com"]),
    )
    predictor = world.need("InferenceService", "chat")["spec"]["predictor"]
    assert predictor["model"]["lifecycle"] == {"preStop": {"sleep": {"seconds": 30}}}
    assert predictor["terminationGracePeriodSeconds"] == 60
    assert predictor["volumes"][-1] == {"name": "of-ca", "configMap": {"name": "ca", "optional": True}}
    assert world.need("PodDisruptionBudget", "chat")["spec"]["maxUnavailable"] == 1
    assert world.need("HTTPRoute", "chat")["spec"]["hostnames"] == ["*.models.example.com"]
