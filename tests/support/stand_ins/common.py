"""What the stand-ins share: caches of the kinds they look at, and one queue of objects to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.resource import Resource
from aim_operator.errors import ApiError, NotFound
from aim_operator.kube.client import Client
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.informer import Informer

PREFIX = "stand-in.test/"
HOLD = "hold"
RETRY_SECONDS = 0.1


class Plain(KubeObject):
    """Any object, with spec and status as they are."""

    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: dict[str, Any] = msgspec.field(default_factory=dict)


def resource(api_version: str, kind: str, plural: str, *, namespaced: bool = True) -> Resource[Plain]:
    group, _, version = api_version.rpartition("/")
    return Resource(group=group, version=version, plural=plural, kind=kind, namespaced=namespaced, type=Plain)


NAMESPACES = resource("v1", "Namespace", "namespaces", namespaced=False)
SERVICES = resource("v1", "Service", "services")


class Key(NamedTuple):
    namespace: str
    name: str


class Queue:
    """Objects to look at again, each once at a time; a look that a conflict spoilt is repeated."""

    def __init__(self, look: Callable[[Key], Awaitable[None]]) -> None:
        self._look = look
        self._waiting: dict[Key, None] = {}
        self._filled = asyncio.Event()

    def put(self, key: Key) -> None:
        self._waiting[key] = None
        self._filled.set()

    def watch(self, informer: Informer[Plain]) -> None:
        """Look at every object of this cache that changes."""
        informer.add_handler(lambda old, new: self.put(_key(new or old)))

    async def run(self) -> None:
        while True:
            await self._filled.wait()
            key = next(iter(self._waiting))
            del self._waiting[key]
            if not self._waiting:
                self._filled.clear()
            try:
                await self._look(key)
            except NotFound:
                continue  # it is gone, or its namespace is
            except ApiError:
                await asyncio.sleep(RETRY_SECONDS)
                self.put(key)


class Surroundings:
    """The client, and which namespaces hold whom back."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.clock = SystemClock()
        self.informers: list[Informer[Plain]] = []
        self.namespaces = self.informer(NAMESPACES)
        self.services = self.informer(SERVICES)

    def informer(self, kind: Resource[Plain], *, field_selector: str = "") -> Informer[Plain]:
        informer = Informer(self.client, kind, clock=self.clock, field_selector=field_selector)
        self.informers.append(informer)
        return informer

    def held(self, namespace: str, who: str) -> bool:
        found = self.namespaces.store.get("", namespace)
        return found is not None and found.metadata.annotation(PREFIX + who) == HOLD

    def when_released(self, queue: Queue, among: Informer[Plain]) -> None:
        """Look at everything in a namespace again when its annotations change."""

        def changed(old: Plain | None, new: Plain | None) -> None:
            if old is None or new is None or old.metadata.annotations == new.metadata.annotations:
                return
            for obj in among.store.all():
                if obj.metadata.namespace == new.metadata.name:
                    queue.put(_key(obj))

        self.namespaces.add_handler(changed)


def condition(type_: str, status: str, reason: str, message: str, now: str) -> Manifest:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    }


def _key(obj: Plain | None) -> Key:
    assert obj is not None
    return Key(obj.metadata.namespace, obj.metadata.name)
