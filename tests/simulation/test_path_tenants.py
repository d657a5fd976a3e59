"""Whoever is in another namespace gets no request that is not theirs: not below, above, or beside a path."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES
from aim_operator.api.meta import KubeObject
from aim_operator.api.resource import Resource
from aim_operator.core import labels
from aim_operator.core.service.path_claims import Claim, Contender, conflict
from aim_operator.core.service.route import GatewayKey, ListenerPath
from aim_operator.sandbox.network import Rates
from aim_operator.sandbox.storage import Change
from tests.simulation.catalog import API, config, image, routed, service, template
from tests.simulation.test_paths import annotated, message, state
from tests.simulation.world import GATEWAY, World

NAMESPACES = ("victim", "attacker", "third")
CATALOG = [
    made
    for namespace in NAMESPACES
    for made in (
        image(namespace=namespace, defaultServiceTemplate="fast"),
        template(namespace=namespace),
        config(namespace=namespace),
    )
]
TWO_LISTENERS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: inference-gateway, namespace: gateways}
spec:
  gatewayClassName: sandbox
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: https, port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {from: All}}}
"""
RUNNING, CONFLICT = ("Running", "RouteReady"), ("Degraded", "RouteConflict")
NOT_ALLOWED = ("Degraded", "PathNotAllowed")


def at(path: str, **gateway: Any) -> dict[str, Any]:
    """`spec.routing` with that path, on one listener or port of the gateway where it says so."""
    found = routed(path)
    return {**found, "gatewayRef": {**found["gatewayRef"], **gateway}}


def live_claims(world: World) -> Iterator[Claim]:
    """Read what all HTTPRoutes take, as a gateway would; all of one age."""
    for route in world.all(HTTP_ROUTES):
        who = Contender("", route["metadata"]["namespace"], route["metadata"]["name"])
        (rule,) = route["spec"]["rules"]
        path, hosts = rule["matches"][0]["path"]["value"], tuple(sorted(route["spec"].get("hostnames", ())))
        for parent in route["spec"]["parentRefs"]:
            key = GatewayKey(
                (parent["namespace"], parent["name"]), parent.get("sectionName", ""), parent.get("port", 0)
            )
            yield Claim(who, ListenerPath(key, path, hosts))


class Overlaps:
    """Every HTTPRoute there is, looked at after each change: two that conflict are written down."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.seen: list[tuple[Claim, Claim]] = []
        world.sandbox.server.storage.listen(self._changed)

    def _changed(self, change: Change) -> None:
        if change.new.key.id.kind == HTTP_ROUTES.kind:
            claims = list(live_claims(self._world))
            self.seen += [pair for pair in combinations(claims, 2) if conflict(*pair)]


def paths(world: World) -> dict[str, str]:
    """Return the path of each live route by its namespace and name."""
    return {f"{c.owner.namespace}/{c.owner.name}": c.at.path for c in live_claims(world)}


TRICKS = [
    pytest.param("/victim/chat", {}, id="the same path"),
    pytest.param("/victim/chat/v1/chat/completions", {}, id="what its clients ask for"),
    pytest.param("/victim", {}, id="a path above it"),
    pytest.param("/VICTIM//Chat/", {}, id="the same path written differently"),
    pytest.param("/%76ictim/ch%61t/v1", {}, id="a path below it as triplets"),
    pytest.param("/victim/chat", {"sectionName": "http"}, id="the same path on one listener"),
    pytest.param("/victim/chat/v1", {"sectionName": "https"}, id="a path below it on one listener"),
    pytest.param("/victim/chat", {"port": 80}, id="the same path on one port"),
    pytest.param("/victim/chat/v1", {"port": 80, "sectionName": "http"}, id="a path below it on both"),
    pytest.param("/victim/chat", {"kind": "Gateway", "group": "gateway.networking.k8s.io"}, id="in full"),
]


@pytest.mark.parametrize(("path", "gateway"), TRICKS)
async def test_a_younger_service_of_another_namespace_gets_no_request(
    path: str, gateway: dict[str, Any]
) -> None:
    async with World() as world:
        overlaps = Overlaps(world)
        world.apply([*CATALOG, service(namespace="victim", routing=routed("/victim/chat"))])
        world.apply(TWO_LISTENERS)
        operator = world.start()
        await world.until(lambda: state(world, "chat", "victim") == RUNNING)
        await world.pass_seconds(1)
        world.apply([service("thief", namespace="attacker", routing=at(path, **gateway))])
        await world.until(lambda: state(world, "thief", "attacker") == CONFLICT)
        told = message(world, "thief", "attacker")
        assert "belongs to the older service victim/chat" in told
        assert "/victim/chat" in told
        assert "routeTemplate" in told
        await world.stop(operator)
        world.start()
        await world.pass_seconds(600)
        assert paths(world) == {"victim/chat": "/victim/chat"}
        assert state(world, "thief", "attacker") == CONFLICT
        # Not for ever: what is free goes to who is left, at once.
        world.delete(aim.SERVICES, "chat", "victim")
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING, limit_seconds=30)
        assert overlaps.seen == []


@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize("path", ["/victim/chat/v1", "/victim"], ids=["below", "above"])
async def test_an_older_service_that_comes_to_want_a_path_gets_it_when_the_younger_one_has_left(
    path: str,
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    """Age decides, as for equal paths and as Gateway API has it; who can't accept that sets a pathPrefix."""
    async with World() as world:
        overlaps = Overlaps(world)
        world.apply([*CATALOG, service("older", namespace="third")])
        operator = world.start()
        await world.pass_seconds(1)
        world.apply([service("younger", namespace="victim", routing=routed("/victim/chat"))])
        await world.until(lambda: state(world, "younger", "victim") == RUNNING)
        if restarted:
            await world.stop(operator)
        world.apply([service("older", namespace="third", routing=routed(path))])
        if restarted:
            world.start()
        await world.until(lambda: state(world, "older", "third") == RUNNING, limit_seconds=30)
        await world.until(lambda: state(world, "younger", "victim") == CONFLICT, limit_seconds=30)
        assert f"overlaps {path}, which belongs to the older service third/older" in message(
            world, "younger", "victim"
        )
        world.apply([service("older", namespace="third", routing=routed("/elsewhere"))])
        await world.until(lambda: state(world, "younger", "victim") == RUNNING, limit_seconds=30)
        assert overlaps.seen == []


async def test_who_is_refused_refuses_nobody() -> None:
    """Else a service that wants `/victim`, and can't have it, would keep everybody below it from routing."""
    async with World() as world:
        overlaps = Overlaps(world)
        world.apply([*CATALOG, service("one", namespace="victim", routing=routed("/victim/one"))])
        world.start()
        await world.pass_seconds(1)
        world.apply([service("greedy", namespace="attacker", routing=routed("/victim"))])
        await world.pass_seconds(1)
        world.apply([service("two", namespace="victim", routing=routed("/victim/two"))])
        await world.until(lambda: state(world, "two", "victim") == RUNNING, limit_seconds=30)
        assert state(world, "greedy", "attacker") == CONFLICT
        world.delete(aim.SERVICES, "one", "victim")
        # Of those two the greedy one is older.
        await world.until(lambda: state(world, "two", "victim") == CONFLICT, limit_seconds=30)
        await world.until(lambda: state(world, "greedy", "attacker") == RUNNING, limit_seconds=30)
        assert overlaps.seen == []


async def test_inside_a_namespace_a_path_may_lie_below_another() -> None:
    async with World() as world:
        world.apply([*CATALOG, service("all", namespace="victim", routing=routed("/victim"))])
        world.start()
        await world.pass_seconds(1)
        world.apply([service("part", namespace="victim", routing=routed("/victim/part"))])
        world.apply([service("same", namespace="victim", routing=routed("/victim/part"))])
        await world.until(lambda: state(world, "part", "victim") == RUNNING)
        await world.until(lambda: state(world, "same", "victim") == CONFLICT)
        assert paths(world) == {"victim/all": "/victim", "victim/part": "/victim/part"}


async def test_two_listeners_are_two_worlds() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(TWO_LISTENERS)
        world.start()
        for namespace, listener in (("victim", {"sectionName": "http"}), ("third", {"sectionName": "https"})):
            world.apply([service(namespace=namespace, routing=at("/chat", **listener))])
        await world.until(lambda: state(world, "chat", "victim") == state(world, "chat", "third") == RUNNING)
        await world.pass_seconds(1)
        world.apply([service(namespace="attacker", routing=at("/chat/v1", port=443))])
        await world.until(lambda: state(world, "chat", "attacker") == CONFLICT)


def limit(prefix: str | None, name: str = "default") -> dict[str, Any]:
    routing = {"enabled": False, **({} if prefix is None else {"pathPrefix": prefix})}
    metadata = {"name": name}
    return {
        "apiVersion": API,
        "kind": "AIMClusterRuntimeConfig",
        "metadata": metadata,
        "spec": {"routing": routing},
    }


def by_itself(world: World) -> dict[str, Any]:
    del world
    return {}


def by_another_cluster_configuration(world: World) -> dict[str, Any]:
    world.apply([limit(None, "free")])
    return {"runtimeConfigName": "free"}


def by_a_configuration_of_its_namespace(world: World) -> dict[str, Any]:
    world.apply([config("own", namespace="attacker", routing={"routeTemplate": "/victim/chat"})])
    return {"runtimeConfigName": "own"}


def by_no_configuration(world: World) -> dict[str, Any]:
    world.delete(aim.RUNTIME_CONFIGS, "default", "attacker")
    return {}


def with_a_prefix_of_its_own(world: World) -> dict[str, Any]:
    """The API server refuses the field in an apply, and drops it elsewhere."""
    spec = {"spec": {"routing": {"pathPrefix": "/victim/", "routeTemplate": "/victim/chat"}}}
    world.patch(aim.RUNTIME_CONFIGS, "default", "attacker", spec)
    return {}


@pytest.mark.parametrize(
    "escape",
    [
        by_itself,
        by_another_cluster_configuration,
        by_a_configuration_of_its_namespace,
        by_no_configuration,
        with_a_prefix_of_its_own,
    ],
    ids=lambda each: each.__name__,
)
async def test_no_service_escapes_the_clusters_prefix(escape: Callable[[World], dict[str, Any]]) -> None:
    async with World() as world:
        world.apply([*CATALOG, limit("/{.metadata.namespace}/")])
        named = escape(world)
        world.apply([service("thief", namespace="attacker", routing=routed("/victim/chat"), **named)])
        world.start()
        await world.until(lambda: state(world, "thief", "attacker") == NOT_ALLOWED)
        told = message(world, "thief", "attacker")
        assert '"/victim/chat" is not below "/attacker"' in told
        assert "routing.pathPrefix" in told
        assert told.endswith("begin the template with /{.metadata.namespace}/")
        assert world.reason(aim.SERVICES, "thief", "attacker", "RuntimeReady") == "True/RuntimeReady"
        await world.pass_seconds(600)
        assert paths(world) == {}
        # The victim's own path is free, though the other one asked first.
        world.apply([service(namespace="victim", routing=routed("/victim/chat"))])
        await world.until(lambda: state(world, "chat", "victim") == RUNNING)
        world.apply([service("thief", namespace="attacker", routing=routed("/attacker/chat"), **named)])
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING)


def healthy(world: World) -> None:
    del world


def with_a_typo(world: World) -> None:
    world.apply([service("thief", namespace="attacker", routing=routed("/{.metadata.labels['x']}"))])


def with_a_missing_configuration(world: World) -> None:
    world.apply(
        [service("thief", namespace="attacker", routing=routed("/victim/chat"), runtimeConfigName="gone")]
    )


def without_its_image(world: World) -> None:
    world.delete(aim.IMAGES, "model", "attacker")


def with_a_path_that_is_taken(world: World) -> None:
    world.apply([service("other", namespace="attacker", routing=routed("/attacker/taken"))])
    world.apply([service("thief", namespace="attacker", routing=routed("/attacker/taken"))])


@pytest.mark.parametrize(
    "spoil",
    [healthy, with_a_typo, with_a_missing_configuration, without_its_image, with_a_path_that_is_taken],
    ids=lambda each: each.__name__,
)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
async def test_a_route_from_before_the_prefix_ends_with_it(
    spoil: Callable[[World], None],
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    """Whatever is wrong with the service by then: else a mistake made on purpose would keep the path."""
    async with World() as world:
        world.apply([*CATALOG, service("thief", namespace="attacker", routing=routed("/victim/chat"))])
        operator = world.start()
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING)
        await world.pass_seconds(1)
        world.apply([service(namespace="victim", routing=routed("/victim/chat"))])
        await world.until(lambda: state(world, "chat", "victim") == CONFLICT)
        spoil(world)
        await world.pass_seconds(5)
        if restarted:
            await world.stop(operator)
        world.apply([limit("/{.metadata.namespace}/")])
        if restarted:
            world.start()
        await world.until(lambda: state(world, "chat", "victim") == RUNNING, limit_seconds=30)
        assert paths(world).get("attacker/thief") != "/victim/chat"
        await world.pass_seconds(60)
        if spoil is healthy:
            assert state(world, "thief", "attacker") == NOT_ALLOWED
            assert "path" not in world.status(aim.SERVICES, "thief", "attacker").get("routing", {})
            # Lifted, the older one has it again: nothing of it was lost.
            world.apply([limit(None)])
            await world.until(lambda: state(world, "thief", "attacker") == RUNNING, limit_seconds=30)


async def test_a_path_that_is_allowed_stays_while_another_one_is_refused() -> None:
    async with World() as world:
        world.apply([*CATALOG, limit("/{.metadata.namespace}/")])
        world.apply([service(namespace="victim", routing=routed("/victim/chat"))])
        world.start()
        await world.until(lambda: state(world, "chat", "victim") == RUNNING)
        world.apply([service(namespace="victim", routing=routed("/elsewhere"))])
        await world.until(lambda: state(world, "chat", "victim") == NOT_ALLOWED)
        await world.pass_seconds(60)
        assert paths(world) == {"victim/chat": "/victim/chat"}
        assert world.status(aim.SERVICES, "chat", "victim")["routing"] == {"path": "/victim/chat"}


async def test_a_service_without_a_template_is_routed_below_the_prefix() -> None:
    async with World() as world:
        world.apply([*CATALOG, limit("/models/{.metadata.namespace}/")])
        routing = {name: value for name, value in routed("").items() if name != "routeTemplate"}
        world.apply([service(namespace="victim", routing=routing)])
        world.start()
        await world.until(lambda: state(world, "chat", "victim") == RUNNING)
        uid = (world.find(aim.SERVICES, "chat", "victim") or {})["metadata"]["uid"]
        assert paths(world) == {"victim/chat": f"/models/victim/{uid}"}


async def test_a_paused_service_keeps_its_route_and_is_named_to_who_waits() -> None:
    """Pausing is a promise to touch nothing. Whoever may set a prefix may delete the service or the route."""
    async with World() as world:
        thief = service("thief", namespace="attacker", routing=routed("/victim/chat"))
        world.apply([*CATALOG, thief])
        world.start()
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING)
        world.apply([annotated(thief, {labels.PAUSED: "true"})])
        await world.until(lambda: bool(world.reason(aim.SERVICES, "thief", "attacker", "Paused")))
        world.apply([limit("/{.metadata.namespace}/")])
        world.apply([service(namespace="victim", routing=routed("/victim/chat"))])
        await world.until(lambda: state(world, "chat", "victim") == CONFLICT)
        await world.pass_seconds(600)
        assert "attacker/thief" in message(world, "chat", "victim")
        world.delete(HTTP_ROUTES, "thief", "attacker")
        await world.until(lambda: state(world, "chat", "victim") == RUNNING, limit_seconds=30)


def by_hand(path: dict[str, Any] | str, *, namespace: str = "victim", **spec: Any) -> dict[str, Any]:
    """An HTTPRoute that the operator did not make."""
    gateway = {"name": "inference-gateway", "namespace": "gateways"}
    match = {"path": {"type": "PathPrefix", "value": path} if isinstance(path, str) else path}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "site", "namespace": namespace},
        "spec": {"parentRefs": [gateway], "rules": [{"matches": [match]}], **spec},
    }


@pytest.mark.parametrize("hosts", [{}, {"hostnames": ["shop.example.com"]}], ids=["any host", "one host"])
@pytest.mark.parametrize("path", ["/site", "/site/login"])
@pytest.mark.parametrize("older", [True, False], ids=["an older service", "a younger service"])
async def test_no_service_takes_requests_of_a_route_that_somebody_made_by_hand(
    path: str,
    hosts: dict[str, Any],
    older: bool,  # noqa: FBT001 - a table
) -> None:
    """Whoever may write AIMServices need not be somebody who may write HTTPRoutes."""
    async with World() as world:
        world.apply([*CATALOG, service("thief", namespace="attacker")])
        operator = world.start()
        await world.pass_seconds(1)
        world.apply([by_hand("/site", **hosts)])
        await world.pass_seconds(1)
        if not older:
            world.delete(aim.SERVICES, "thief", "attacker")
        world.apply([service("thief", namespace="attacker", routing=routed(path))])
        await world.until(lambda: state(world, "thief", "attacker") == CONFLICT)
        assert "belongs to the HTTPRoute victim/site" in message(world, "thief", "attacker")
        await world.stop(operator)
        world.start()
        await world.pass_seconds(60)
        assert world.find(HTTP_ROUTES, "thief", "attacker") is None
        world.delete(HTTP_ROUTES, "site", "victim")
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING, limit_seconds=30)


@pytest.mark.parametrize(
    "route",
    [
        pytest.param(by_hand("/"), id="of everything that is left"),
        pytest.param(by_hand("/", hostnames=["shop.example.com"]), id="of what is left of one host"),
        pytest.param(by_hand("/site/chat/part"), id="below: a longer prefix, which overrides"),
        pytest.param(by_hand({"type": "Exact", "value": "/site/chat"}), id="of one exact path"),
        pytest.param(by_hand({"type": "RegularExpression", "value": "^/.*$"}), id="of a regular expression"),
        pytest.param(by_hand("/site", namespace="attacker"), id="in the namespace itself"),
        pytest.param(
            by_hand("/site", parentRefs=[{"name": "another", "namespace": "gateways"}]),
            id="on another Gateway",
        ),
        pytest.param(
            by_hand("/site", parentRefs=[{"name": "db", "kind": "Service", "group": ""}]), id="in a mesh"
        ),
    ],
)
async def test_a_route_made_by_hand_leaves_a_service_alone_if_it_loses_nothing(route: dict[str, Any]) -> None:
    async with World() as world:
        world.apply([*CATALOG, route, service(namespace="attacker", routing=routed("/site/chat"))])
        world.start()
        await world.until(lambda: state(world, "chat", "attacker") == RUNNING)


async def test_a_service_that_is_routed_keeps_its_path_when_somebody_routes_there_by_hand() -> None:
    async with World() as world:
        world.apply([*CATALOG, service(namespace="victim", routing=routed("/site/chat"))])
        operator = world.start()
        await world.until(lambda: state(world, "chat", "victim") == RUNNING)
        await world.pass_seconds(1)
        world.apply([by_hand("/site", namespace="attacker")])
        await world.pass_seconds(60)
        await world.stop(operator)
        world.start()
        await world.pass_seconds(60)
        assert state(world, "chat", "victim") == RUNNING
        assert world.find(HTTP_ROUTES, "chat", "victim") is not None


GATEWAYS = Resource(
    group="gateway.networking.k8s.io",
    version="v1",
    plural="gateways",
    kind="Gateway",
    namespaced=True,
    type=KubeObject,
)
SHOP, MODELS = "shop.example.com", "models.example.com"


@pytest.mark.parametrize(
    ("route", "hosts", "refused"),
    [
        pytest.param(by_hand("/", hostnames=[SHOP]), [SHOP], True, id="at home on that host"),
        pytest.param(by_hand("/", hostnames=["*.example.com"]), [SHOP], True, id="at home on all such hosts"),
        pytest.param(by_hand("/", hostnames=[SHOP]), [MODELS], False, id="at home on another host"),
        pytest.param(by_hand("/site", hostnames=[SHOP]), [MODELS], False, id="above it on another host"),
        pytest.param(
            by_hand("/site", hostnames=[SHOP]), ["*.example.com"], True, id="above it on a host of many"
        ),
        pytest.param(
            by_hand("/site/chat/part"), [SHOP], True, id="below it on any host, which is the weaker"
        ),
        pytest.param(by_hand("/site/chat/part", hostnames=[SHOP]), [SHOP], False, id="below it on that host"),
    ],
)
async def test_a_service_that_names_hosts_takes_no_requests_of_a_route_made_by_hand(
    route: dict[str, Any],
    hosts: list[str],
    refused: bool,  # noqa: FBT001 - a table
) -> None:
    async with World() as world:
        routing = routed("/site/chat") | {"hostnames": hosts}
        world.apply([*CATALOG, route, service(namespace="attacker", routing=routing)])
        world.start()
        await world.until(lambda: state(world, "chat", "attacker") == (CONFLICT if refused else RUNNING))
        assert (world.find(HTTP_ROUTES, "chat", "attacker") is None) is refused


async def test_two_tenants_have_one_path_on_hosts_of_their_own_until_one_asks_for_the_others() -> None:
    async with World() as world:
        mine, yours = (routed("/chat") | {"hostnames": [host]} for host in (MODELS, SHOP))
        world.apply([*CATALOG, service(namespace="victim", routing=mine)])
        world.start()
        await world.until(lambda: state(world, "chat", "victim") == RUNNING)
        await world.pass_seconds(1)
        world.apply([service(namespace="attacker", routing=yours)])
        await world.until(lambda: state(world, "chat", "attacker") == RUNNING)
        world.apply([service(namespace="attacker", routing=yours | {"hostnames": ["*.example.com"]})])
        await world.until(lambda: state(world, "chat", "attacker") == CONFLICT)
        assert 'for "*.example.com" belongs to the older service victim/chat' in message(
            world, "chat", "attacker"
        )
        assert state(world, "chat", "victim") == RUNNING
        world.apply([service(namespace="attacker", routing=yours)])
        await world.until(lambda: state(world, "chat", "attacker") == RUNNING)


async def test_a_service_on_several_gateways_has_its_path_on_all_of_them_or_on_none() -> None:
    second = {"name": "second", "namespace": "gateways"}
    async with World() as world:
        world.apply(GATEWAY.replace("inference-gateway", "second"))
        held = {**routed("/chat"), "gatewayRef": second}
        world.apply([*CATALOG, service("holder", namespace="victim", routing=held)])
        world.start()
        await world.until(lambda: state(world, "holder", "victim") == RUNNING)
        await world.pass_seconds(1)
        both = routed("/chat") | {"gatewayRefs": [second]}
        world.apply([service(namespace="attacker", routing=both)])
        await world.until(lambda: state(world, "chat", "attacker") == CONFLICT)
        assert "on gateway gateways/second" in message(world, "chat", "attacker")
        assert world.find(HTTP_ROUTES, "chat", "attacker") is None
        world.delete(aim.SERVICES, "holder", "victim")
        await world.until(lambda: state(world, "chat", "attacker") == RUNNING, limit_seconds=60)
        assert len(list(live_claims(world))) == 2
        world.delete(GATEWAYS, "second", "gateways")
        await world.until(lambda: state(world, "chat", "attacker")[1] == "RouteFailed", limit_seconds=60)
        assert "Gateway gateways/second" in message(world, "chat", "attacker")


PATHS = ["/a", "/a/b", "/a/b/c", "/a/c", "/ab", "/b/a", "/b"]
HOSTS: list[dict[str, Any]] = [
    {},
    {},
    {"hostnames": ["a.example.com"]},
    {"hostnames": ["a.example.com", "b.example.com"]},
    {"hostnames": ["*.example.com"]},
]
LISTENERS: list[dict[str, Any]] = [{}, {}, {"sectionName": "http"}, {"sectionName": "https"}, {"port": 80}]


def wanted(world: World, namespace: str, name: str) -> Claim | None:
    found = world.find(aim.SERVICES, name, namespace)
    if found is None:
        return None
    reference = found["spec"]["routing"]["gatewayRef"]
    key = GatewayKey(
        (reference["namespace"], reference["name"]),
        reference.get("sectionName", ""),
        reference.get("port", 0),
    )
    who = Contender(found["metadata"]["creationTimestamp"], namespace, name)
    hosts = tuple(sorted(found["spec"]["routing"].get("hostnames", ())))
    return Claim(who, ListenerPath(key, found["spec"]["routing"]["routeTemplate"], hosts))


def served(claims: list[Claim]) -> set[Claim]:
    """Serve the oldest, then each that conflicts with none that is served: what is promised, in one line."""
    result: set[Claim] = set()
    for each in sorted(claims):
        if not any(conflict(each, other) for other in result):
            result.add(each)
    return result


@pytest.mark.parametrize("seed", range(16))
async def test_no_two_tenants_ever_share_a_path_and_the_oldest_is_served(seed: int) -> None:
    """Whatever happens in whatever order, with restarts; what is served in the end follows from age alone."""
    chance = random.Random(seed)
    async with World(seed=seed) as world:
        overlaps = Overlaps(world)
        world.apply(CATALOG)
        world.apply(TWO_LISTENERS)
        names = [(namespace, f"s{number}") for number in range(3) for namespace in NAMESPACES]
        rates = Rates(fail_after=0.05, fail_before=0.05, drop_stream=0.02, delivery_seconds=1.0)
        operator = world.start(rates=rates, seed=seed)
        for step in range(40):
            namespace, name = chance.choice(names)
            act = chance.random()
            if act < 0.1 and world.find(aim.SERVICES, name, namespace) is not None:
                world.delete(aim.SERVICES, name, namespace)
            elif act < 0.15 and world.find(HTTP_ROUTES, name, namespace) is not None:
                world.delete(HTTP_ROUTES, name, namespace)
            elif act < 0.25:
                await world.stop(operator)
                operator = world.start(rates=rates, seed=seed + step)
            else:
                routing = at(chance.choice(PATHS), **chance.choice(LISTENERS)) | chance.choice(HOSTS)
                world.apply([service(name, namespace=namespace, routing=routing)])
            await world.pass_seconds(chance.choice([0.1, 1, 5, 30]))
        await world.pass_seconds(1200)
        assert overlaps.seen == []
        claims = [claim for namespace, name in names if (claim := wanted(world, namespace, name)) is not None]
        want = served(claims)
        assert {Claim(Contender("", *c.owner[1:]), c.at) for c in want} == set(live_claims(world))
        for claim in claims:
            reached = state(world, claim.owner.name, claim.owner.namespace)
            assert reached == (RUNNING if claim in want else CONFLICT), claim


async def test_a_namespace_takes_no_host_from_everybody_else_where_the_cluster_says_whose_it_is() -> None:
    """On gateways built on Envoy, one route that names a host ends all that name none on it."""
    hosts = ["*.{.metadata.namespace}.example.com"]
    allowed = limit(None)
    async with World() as world:
        world.apply([*CATALOG, allowed])
        shared = routed("/x") | {"hostnames": ["models.example.com"]}
        world.apply([service("thief", namespace="attacker", routing=shared)])
        world.start()
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING)
        assert world.find(HTTP_ROUTES, "thief", "attacker") is not None
        allowed["spec"]["routing"]["allowedHostnames"] = hosts
        world.apply([allowed])
        await world.until(lambda: state(world, "thief", "attacker") == ("Degraded", "HostnameNotAllowed"))
        await world.pass_seconds(3600)
        assert world.find(HTTP_ROUTES, "thief", "attacker") is None
        assert "*.attacker.example.com" in message(world, "thief", "attacker")
        own = routed("/x") | {"hostnames": ["chat.attacker.example.com"]}
        world.apply([service("thief", namespace="attacker", routing=own)])
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING)
