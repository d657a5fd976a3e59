"""What may be missing or wrong: the status says so, and heals by itself once the cause is removed.

Each case is measured from the watch event that matters to the healed status; the table is printed at the
end of the run, and is not asserted: two seconds is what we want, a busy machine is what we may have.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from hack.cluster.api import Manifest
from tests.support.operator_process import eventually
from tests.support.plugin import Measure
from tests.support.spec_cluster import GATEWAY_NAMESPACE
from tests.support.spec_world import World, message, routed, told

TITLE = "Negative paths on a real API server: seconds from the event that matters to the healed status"


class Case(NamedTuple):
    """`broken` makes the state, `told` holds for the service's status then, `cure` removes the cause.

    `matters` returns at the event after which nothing but the operator is waited for.
    """

    broken: Callable[[World], None]
    state: str
    condition: str
    want: str
    says: str
    cure: Callable[[World], None]
    event: str
    matters: Callable[[World], object]


def nothing_more(_: World) -> None:
    """Return at once: the cure itself is the event."""


def available(world: World) -> None:
    world.until_template("Available")


def with_catalog(*more: Callable[[World], Manifest]) -> Callable[[World], None]:
    """Apply an available catalog, then what `more` returns."""

    def broken(world: World) -> None:
        world.apply(*world.catalog())
        world.until_template("Available")
        world.apply(*(make(world) for make in more))

    return broken


def without_image(world: World) -> None:
    with_catalog()(world)
    world.delete(world.image())
    world.until_template("Degraded", "ImageNotFound")
    world.apply(world.service())


def gateway_there(world: World) -> None:
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": world.shared("late"), "namespace": GATEWAY_NAMESPACE},
        "spec": {
            "gatewayClassName": "stand-in",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    }
    world.apply(gateway)


def accepted(world: World) -> None:
    world.until("HTTPRoute", "chat", lambda r: bool(r.get("status", {}).get("parents")))


def failing(world: World, **template: Any) -> None:
    world.apply(*world.catalog(**template), world.service())


def no_sources(world: World) -> None:
    failing(world, env=[{"name": "AIM_TEST_MODELS", "value": "none"}])


LABEL = "/{.metadata.namespace}/{.metadata.labels['team']}"
CASES = {
    "image missing": Case(
        without_image,
        "Degraded",
        "Failure",
        "True/ImageNotFound",
        "no AIMImage",
        lambda w: w.apply(w.image(defaultServiceTemplate="fast")),
        "the image is there",
        nothing_more,
    ),
    "template missing": Case(
        lambda w: w.apply(w.image(), w.config(), w.service(templateRef="fast")),
        "Degraded",
        "Failure",
        "True/TemplateNotFound",
        "no AIMServiceTemplate 'fast'",
        lambda w: w.apply(w.template()),
        "the template is Available",
        available,
    ),
    "config missing": Case(
        with_catalog(lambda w: w.service(runtimeConfigName="ours")),
        "Degraded",
        "Failure",
        "True/RuntimeConfigMissing",
        "no AIMRuntimeConfig 'ours'",
        lambda w: w.apply(w.config("ours")),
        "the configuration is there",
        nothing_more,
    ),
    "no gatewayRef": Case(
        with_catalog(lambda w: w.service(routing={"enabled": True})),
        "Degraded",
        "RoutingReady",
        "False/RouteFailed",
        "no gateway is named",
        lambda w: w.apply(w.config(routing=routed())),
        "the configuration names one",
        nothing_more,
    ),
    "gateway not existing": Case(
        with_catalog(lambda w: w.service(routing=routed(w.path(), gateway=w.shared("late")))),
        "Starting",
        "RoutingReady",
        "False/ConfiguringRoute",
        "check that it exists",
        gateway_there,
        "the gateway accepts the route",
        accepted,
    ),
    "label missing": Case(
        with_catalog(lambda w: w.service(routing=routed(LABEL))),
        "Degraded",
        "RoutingReady",
        "False/RouteTemplateInvalid",
        "selects nothing",
        lambda w: w.apply(w.service(routing=routed(LABEL), labels={"team": "blue"})),
        "the label is there",
        nothing_more,
    ),
    "path too long": Case(
        with_catalog(lambda w: w.service(routing=routed("/" + "a" * 201))),
        "Degraded",
        "Failure",
        "True/RouteTemplateInvalid",
        "has 202 characters",
        lambda w: w.apply(w.service(routing=routed(w.path()))),
        "the template is shorter",
        nothing_more,
    ),
    "template Failed": Case(
        lambda w: w.apply(
            w.image(ref="ghcr.io/example/broken:v1", defaultServiceTemplate="fast"),
            w.template(),
            w.config(),
            w.service(),
        ),
        "Degraded",
        "Failure",
        "True/DiscoveryFailed",
        "exited with code 3",
        lambda w: w.apply(w.image(defaultServiceTemplate="fast")),
        "the template is Available",
        available,
    ),
    "no model sources": Case(
        no_sources,
        "Degraded",
        "Failure",
        "True/NoModelSources",
        "found no model sources",
        lambda w: w.apply(w.template()),
        "the template is Available",
        lambda w: w.until("AIMServiceTemplate", "fast", lambda t: bool(t["status"]["modelSources"])),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_told_and_heals_once_the_cause_is_gone(world: World, measure: Measure, name: str) -> None:
    case = CASES[name]
    case.broken(world)
    shown = world.until_service(case.state)
    assert told(shown, case.condition) == case.want
    assert case.says in message(shown, case.condition)
    routes = world.get("HTTPRoute", "chat")
    assert (routes is not None) == (name == "gateway not existing"), "only a missing gateway leaves a route"
    case.cure(world)
    case.matters(world)
    since = time.monotonic()
    world.until_service("Running")
    measure(TITLE, name, case.want.partition("/")[2], case.event, f"{time.monotonic() - since:.2f} s")


def test_a_missing_default_configuration_is_told_by_an_event_and_used_once_it_is_there(
    world: World, measure: Measure
) -> None:
    image, template, default = world.catalog()
    status = world.run(image, template, world.service())
    assert told(status, "Failure") == "False/RuntimeReady"
    warning = ("Warning", "DefaultRuntimeConfigNotFound")
    eventually(lambda: warning in world.events("chat"), "the warning is there")
    world.apply(default)
    since = time.monotonic()
    world.until(
        "AIMService",
        "chat",
        lambda s: s["status"].get("resolvedRuntimeConfig", {}).get("namespace") == world.namespace,
        "uses it",
    )
    took = f"{time.monotonic() - since:.2f} s"
    measure(TITLE, "default config missing", warning[1], "the configuration is there", took)
