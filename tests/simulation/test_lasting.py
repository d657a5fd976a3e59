"""Failures that do not go away: what a user reads meanwhile, what it costs, and that others notice nothing.

Each kind of child, with each way in which writing it fails, for as long as the test lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
)
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.errors import ApiError, Forbidden, Invalid, Unavailable
from aim_operator.sandbox.network import Fault
from aim_operator.sandbox.storage import Change
from tests.simulation.catalog import NAMESPACE, config, image, routed, service, template
from tests.simulation.world import World

OTHER = "other"
FOREVER_SECONDS = 600
WORDS = "webhook inferenceservice.kserve-webhook-server denied it"


class Place(NamedTuple):
    """A child, and the object whose status says that it can't be written."""

    child: Resource[Any]
    owner: Resource[Any]
    owner_name: str
    cached: bool = False


PLACES = [
    pytest.param(Place(JOBS, aim.TEMPLATES, "fast"), id="discovery Job"),
    pytest.param(Place(SERVING_RUNTIMES, aim.TEMPLATES, "fast"), id="ServingRuntime"),
    pytest.param(Place(INFERENCE_SERVICES, aim.SERVICES, "chat"), id="InferenceService"),
    pytest.param(Place(HTTP_ROUTES, aim.SERVICES, "chat"), id="HTTPRoute"),
    pytest.param(Place(aim.TEMPLATE_CACHES, aim.SERVICES, "chat", cached=True), id="AIMTemplateCache"),
    pytest.param(Place(aim.MODEL_CACHES, aim.TEMPLATE_CACHES, "fast", cached=True), id="AIMModelCache"),
    pytest.param(
        Place(PERSISTENT_VOLUME_CLAIMS, aim.MODEL_CACHES, "", cached=True), id="PersistentVolumeClaim"
    ),
]


REFUSED: list[ApiError] = [
    Invalid(WORDS, code=422, reason="Invalid"),
    Forbidden(WORDS, code=403, reason="Forbidden"),
    Unavailable(WORDS, code=500, reason="InternalError"),
]


class Webhook:
    """Admits nothing of one kind into one namespace, while it has an `error`."""

    def __init__(self, world: World, resource: Resource[Any], error: ApiError) -> None:
        self.error: ApiError | None = error
        self.attempts = 0
        world.sandbox.server.validating[world.sandbox.server.kinds.served(resource).id] = self._admit

    def _admit(self, obj: Manifest) -> None:
        if obj["metadata"].get("namespace") == NAMESPACE and self.error is not None:
            self.attempts += 1
            raise self.error


def in_both_namespaces(*objects: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**o, "metadata": {**o["metadata"], "namespace": namespace}}
        for namespace in (NAMESPACE, OTHER)
        for o in objects
    ]


def catalog(place: Place) -> list[dict[str, Any]]:
    return [
        *in_both_namespaces(image(defaultServiceTemplate="fast"), template(), config()),
        service(cacheModel=place.cached, routing=routed("/one")),
    ]


def owner_status(world: World, place: Place) -> dict[str, Any]:
    if place.owner_name:
        return world.status(place.owner, place.owner_name, NAMESPACE)
    found = world.all(place.owner, NAMESPACE)
    status: dict[str, Any] = found[0].get("status", {}) if found else {}
    return status


def running(world: World) -> Callable[[], bool]:
    return lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running"


def messages(status: dict[str, Any]) -> list[str]:
    return [condition["message"] for condition in status.get("conditions", ())]


@pytest.mark.parametrize("error", REFUSED, ids=["refused", "forbidden", "failing"])
@pytest.mark.parametrize("place", PLACES)
async def test_a_child_that_can_t_be_written_is_reported_for_as_long_as_it_lasts(
    place: Place, error: ApiError
) -> None:
    async with World() as world:
        webhook = Webhook(world, place.child, error)
        world.start()
        world.apply(catalog(place))
        await world.until(lambda: any(WORDS in m for m in messages(owner_status(world, place))))
        await world.pass_seconds(10)
        early, tried = owner_status(world, place), webhook.attempts
        world.apply([service(namespace=OTHER)])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", OTHER) == "Running", limit_seconds=30)
        await world.pass_seconds(FOREVER_SECONDS)
        late = owner_status(world, place)
        assert late == early, "what is said stays while the cause does"
        assert late["status"] in ("Degraded", "Failed")
        assert {c["status"] for c in late["conditions"] if c["type"] == "Ready"} == {"False"}
        assert webhook.attempts - tried <= 30, "no busy loop: the backoff doubles up to minutes"
        webhook.error = None
        await world.until(
            lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running", limit_seconds=900
        )
        assert not any(WORDS in m for m in messages(owner_status(world, place)))


@pytest.mark.parametrize("child", [INFERENCE_SERVICES, HTTP_ROUTES], ids=lambda child: child.kind)
async def test_a_write_that_hangs_is_reported_and_holds_up_nobody_else(child: Resource[Any]) -> None:
    async with World() as world:
        world.start()
        hanging = Fault(
            error=Unavailable("no answer in time"),
            verb="apply",
            resource=child.plural,
            name="chat",
            times=10**6,
            seconds=30,
        )
        world.network.fail(hanging)
        world.apply(catalog(Place(child, aim.SERVICES, "chat")))
        await world.pass_seconds(60)
        status = world.status(aim.SERVICES, "chat", NAMESPACE)
        assert any("no answer in time" in message for message in messages(status))
        assert status["status"] == "Degraded"
        world.apply([service("mine", namespace=OTHER)])
        await world.until(lambda: world.state_of(aim.SERVICES, "mine", OTHER) == "Running", limit_seconds=30)
        await world.pass_seconds(FOREVER_SECONDS)
        assert world.status(aim.SERVICES, "chat", NAMESPACE) == status, "what is said stays"
        hanging.times = 0
        await world.until(running(world), limit_seconds=900)


@pytest.mark.parametrize("place", PLACES)
async def test_a_child_that_vanishes_at_once_is_made_again_with_growing_pauses(place: Place) -> None:
    async with World() as world:
        seen: list[str] = []

        def delete_at_once(change: Change) -> None:
            key = change.new.key
            if (key.id.kind, key.namespace) == (place.child.kind, NAMESPACE) and change.old is None:
                seen.append(key.name)
                kind = world.sandbox.server.kinds.served(place.child)
                world.sandbox.agenda.put(
                    ("vandal", key.name, len(seen)),
                    lambda: world.sandbox.server.delete(kind, key.name, namespace=key.namespace),
                )

        world.sandbox.server.storage.listen(delete_at_once)
        world.start()
        world.apply(catalog(place))
        await world.pass_seconds(60)
        early = len(seen)
        await world.pass_seconds(FOREVER_SECONDS)
        assert early > 1
        assert len(seen) - early <= 20, "no busy loop"
        assert owner_status(world, place).get("conditions"), "it says something"
