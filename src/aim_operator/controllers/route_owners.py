"""Looks up the candidates for a path: services that want it, and live HTTPRoutes on it.

The path that a service wants follows from several objects, so it is kept here: computed before the first
reconcile, and by each. The store says which routes there are. core/service/route_owner.py decides who owns
the path.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from aim_operator.api.external import HTTPRoute
from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.v1alpha1 import SERVICES, AIMService
from aim_operator.controllers.watched import BY_PATH, Watched
from aim_operator.core import labels
from aim_operator.core.manifests import controlled_by
from aim_operator.core.service.route import ListenerPath
from aim_operator.core.service.route_owner import (
    Contender,
    PathUse,
    Standing,
    contender,
    owner,
    routed_paths,
    standing,
)
from aim_operator.runtime.clock import Clock, Timer

_Name = tuple[str, str]
"""Namespace and name of a service, and of its HTTPRoute."""
LOST_WRITE_SECONDS = 30.0
"""How long a write whose answer was lost may still show up in the cache."""


class _PathServices(Struct):
    """The services that want one path, the oldest first, and those of them that may be writing a route."""

    contenders: list[Contender]
    writers: tuple[_Name, ...] = ()


_NOBODY = _PathServices([])


class RouteOwners:
    """Desired paths by service, and services by path. Single-threaded, like the event loop.

    Two services must not create a route on one path at the same moment, before the cache shows either. So
    whoever may write one is remembered until its next reconcile, which begins once the cache shows its write.
    """

    def __init__(self, watched: Watched, *, clock: Clock, wake: Callable[[ObjectRef], None]) -> None:
        """`wake` enqueues a service."""
        self._services, self._routes = watched.services.store, watched.http_routes.store
        self._clock, self._wake = clock, wake
        self._desired_paths: dict[_Name, tuple[ListenerPath, Contender]] = {}
        self._services_by_path: dict[ListenerPath, _PathServices] = {}
        self._lost: dict[_Name, tuple[ListenerPath, Timer]] = {}

    def set_path(self, service: AIMService, path: ListenerPath | None) -> None:
        """Record the path that a service wants now. All others are woken where its owner changes."""
        own = contender(service)
        name = (own.namespace, own.name)
        before = self._desired_paths.get(name)
        # One that was deleted and made again is younger than it was.
        if before == (None if path is None else (path, own)):
            return
        self._release(name)
        if path is not None:
            first = self._owner(path)
            self._desired_paths[name] = (path, own)
            insort(self._services_by_path.setdefault(path, _PathServices([])).contenders, own)
            self._wake_if_other(path, first, name)

    def standing(self, service: AIMService, path: ListenerPath | None) -> Standing:
        """Return how a service stands on the path it wants; where it has it, its route may be written now."""
        own = contender(service)
        name = (own.namespace, own.name)
        live = self._routes.get(*name)
        routed = routed_paths(live) if live is not None and _is_of(live, service) else ()
        desired = self._use(path) if path is not None else None
        result = standing(own, desired, [self._use(each) for each in routed if each != path])
        if path is not None:
            self._let_write(name, path, may=result.rival is None and result.held_by is None)
        return result

    def lost_write(self, ref: ObjectRef) -> None:
        """Count a route as there whose write failed: the API server may have done it all the same."""
        name = (ref.namespace, ref.name)
        path, _ = self._desired_paths.get(name, (None, None))
        if path is None or name not in self._services_by_path[path].writers:
            return
        if (earlier := self._lost.pop(name, None)) is not None:
            earlier[1].cancel()
        self._lost[name] = (path, self._clock.call_later(LOST_WRITE_SECONDS, partial(self._expire, name)))

    def forget(self, ref: ObjectRef) -> None:
        """Forget what a service wants, which is gone, going or paused. Its live route still counts."""
        self._release((ref.namespace, ref.name))

    def services_at(self, route: HTTPRoute) -> Iterator[ObjectRef]:
        """Return the services that a route on its paths concerns: those that want one, or have one there."""
        for path in routed_paths(route):
            for name in self._concerned(path):
                yield ObjectRef(SERVICES.kind, *name)

    # Who is concerned

    def _use(self, path: ListenerPath) -> PathUse:
        services = self._services_by_path.get(path, _NOBODY)
        contenders = services.contenders[:1]
        routed = {*services.writers, *(name for name, (lost, _) in self._lost.items() if lost == path)}
        for route in self._routes.by_index(BY_PATH, path):
            name = (route.metadata.namespace, route.metadata.name)
            service = self._services.get(*name)
            if service is not None and _is_of(route, service):
                routed.add(name)
                if service.metadata.deletion_timestamp is None:
                    contenders.append(contender(service))
            elif _is_of_former(route):
                routed.add(name)
        return PathUse(contenders=contenders, routed=tuple(routed))

    def _owner(self, path: ListenerPath) -> Contender | None:
        return owner(self._use(path))

    def _concerned(self, path: ListenerPath) -> set[_Name]:
        routes = self._routes.by_index(BY_PATH, path)
        routed = {(route.metadata.namespace, route.metadata.name) for route in routes}
        return routed | {(c.namespace, c.name) for c in self._services_by_path.get(path, _NOBODY).contenders}

    # Changes

    def _release(self, name: _Name) -> None:
        path, own = self._desired_paths.get(name, (None, None))
        if path is None or own is None:
            return
        first, services = self._owner(path), self._services_by_path[path]
        self._let_write(name, path, may=False)
        del self._desired_paths[name], services.contenders[bisect_left(services.contenders, own)]
        if not services.contenders:
            del self._services_by_path[path]
        self._wake_if_other(path, first, name)

    def _let_write(self, name: _Name, path: ListenerPath, *, may: bool) -> None:
        services = self._services_by_path[path]
        if may and name not in services.writers:
            services.writers = (*services.writers, name)
        elif not may and name in services.writers:
            services.writers = tuple(other for other in services.writers if other != name)
            self._wake_others(path, name)

    def _expire(self, name: _Name) -> None:
        path, _ = self._lost.pop(name)
        self._wake_others(path, name)

    def _wake_if_other(self, path: ListenerPath, first: Contender | None, name: _Name) -> None:
        """Wake the others if the path was `first`'s until now, and is not any more."""
        if self._owner(path) != first:
            self._wake_others(path, name)

    def _wake_others(self, path: ListenerPath, name: _Name) -> None:
        for other in self._concerned(path):
            if other != name:
                self._wake(ObjectRef(SERVICES.kind, *other))


def paths_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Whether an HTTPRoute came, went, or leads elsewhere; gateways write its status often."""
    if not isinstance(old, HTTPRoute) or not isinstance(new, HTTPRoute):
        return True
    return bytes(old.spec) != bytes(new.spec) or old.metadata.controller() != new.metadata.controller()


def _is_of(route: HTTPRoute, service: AIMService) -> bool:
    """Whether a route of a service's name is the service's, or was before its owner reference was dropped."""
    if route.metadata.controller() is None:
        return route.metadata.annotation(labels.APPLIED) is not None
    return controlled_by(route, service.metadata)


def _is_of_former(route: HTTPRoute) -> bool:
    """Whether a route belongs to a service that is gone, and waits to be garbage-collected."""
    controller = route.metadata.controller()
    return (
        controller is not None
        and (controller.kind, controller.name) == (SERVICES.kind, route.metadata.name)
        and controller.api_version.partition("/")[0] == SERVICES.group
    )
