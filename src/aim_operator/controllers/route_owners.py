"""Looks up who is concerned with a path: services that want it, and live HTTPRoutes on it.

What a service wants follows from several objects, so it is kept here by path: computed before the first
reconcile, and by each. Which routes there are, the store says. core/service/route_owner.py decides whose
the path is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

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

LOST_WRITE_SECONDS = 30.0
"""How long a write whose answer was lost may still show up in the cache."""


class RouteOwners:
    """Wants by path and by service. Single-threaded, like the event loop.

    Two services must not create a route on one path at the same moment, before the cache shows either. So
    whoever may write one is remembered until its next reconcile, which begins once the cache shows its write.
    """

    def __init__(self, watched: Watched, *, clock: Clock, wake: Callable[[ObjectRef], None]) -> None:
        """`wake` enqueues a service."""
        self._services, self._routes = watched.services.store, watched.http_routes.store
        self._clock, self._wake = clock, wake
        self._wanted: dict[ObjectRef, ListenerPath] = {}
        self._wanting: dict[ListenerPath, dict[ObjectRef, Contender]] = {}
        self._writers: set[ObjectRef] = set()
        """Who may be writing a route on the path it wants."""
        self._lost: dict[ObjectRef, tuple[ListenerPath, Timer]] = {}

    def want(self, service: AIMService, path: ListenerPath | None) -> None:
        """Record the path that a service wants now. Where that changes whose it is, all others are woken."""
        ref, own = SERVICES.ref(service), contender(service)
        before = self._wanted.get(ref)
        # One that was deleted and made again is younger than it was.
        if before == path and (path is None or self._wanting[path][ref] == own):
            return
        if before is not None:
            self._unwant(ref, before)
        if path is not None:
            first = self._owner(path)
            self._wanted[ref] = path
            self._wanting.setdefault(path, {})[ref] = own
            self._wake_if_other(path, first, ref)

    def standing(self, service: AIMService, path: ListenerPath | None) -> Standing:
        """Return how a service stands on the path it wants; where it has it, its route may be written now."""
        ref = SERVICES.ref(service)
        live = self._routes.get(ref.namespace, ref.name)
        routed = routed_paths(live) if live is not None and _is_of(live, service) else ()
        found = standing(
            contender(service),
            self._use(path) if path is not None else None,
            [self._use(each) for each in routed if each != path],
        )
        if path is not None and found.rival is None and found.held_by is None:
            self._writers.add(ref)
        elif path is not None and ref in self._writers:
            self._writers.discard(ref)
            self._wake_all(path, ref)
        return found

    def lost_write(self, ref: ObjectRef) -> None:
        """Count a route as there whose write failed: the API server may have done it all the same."""
        if ref not in self._writers:
            return
        path = self._wanted[ref]
        if (earlier := self._lost.pop(ref, None)) is not None:
            earlier[1].cancel()
        self._lost[ref] = (path, self._clock.call_later(LOST_WRITE_SECONDS, partial(self._expire, ref)))

    def forget(self, ref: ObjectRef) -> None:
        """Forget what a service wants, which is gone, going or paused. Its live route still counts."""
        path = self._wanted.get(ref)
        if path is not None:
            self._unwant(ref, path)

    def services_at(self, route: HTTPRoute) -> Iterator[ObjectRef]:
        """Return the services that a route on its paths concerns: those that want one, or have one there."""
        for path in routed_paths(route):
            yield from self._concerned(path)

    # Who is concerned

    def _use(self, path: ListenerPath) -> PathUse:
        wanting = self._wanting.get(path, {})
        contenders = set(wanting.values())
        routed = {(ref.namespace, ref.name) for ref in wanting if ref in self._writers}
        routed |= {(ref.namespace, ref.name) for ref, (lost, _) in self._lost.items() if lost == path}
        for route in self._routes.by_index(BY_PATH, path):
            name = (route.metadata.namespace, route.metadata.name)
            service = self._services.get(*name)
            if service is not None and _is_of(route, service):
                routed.add(name)
                if service.metadata.deletion_timestamp is None:
                    contenders.add(contender(service))
            elif _is_of_former(route):
                routed.add(name)
        return PathUse(contenders=tuple(contenders), routed=tuple(routed))

    def _owner(self, path: ListenerPath) -> Contender | None:
        return owner(self._use(path))

    def _concerned(self, path: ListenerPath) -> set[ObjectRef]:
        routes = self._routes.by_index(BY_PATH, path)
        routed = {ObjectRef(SERVICES.kind, r.metadata.namespace, r.metadata.name) for r in routes}
        return {*self._wanting.get(path, {}), *routed}

    # Changes

    def _unwant(self, ref: ObjectRef, path: ListenerPath) -> None:
        first = self._owner(path)
        del self._wanted[ref], self._wanting[path][ref]
        if not self._wanting[path]:
            del self._wanting[path]
        if ref in self._writers:
            self._writers.discard(ref)
            self._wake_all(path, ref)
        else:
            self._wake_if_other(path, first, ref)

    def _expire(self, ref: ObjectRef) -> None:
        path, _ = self._lost.pop(ref)
        self._wake_all(path, ref)

    def _wake_if_other(self, path: ListenerPath, first: Contender | None, ref: ObjectRef) -> None:
        """Wake the others if the path was `first`'s until now, and is not any more."""
        if self._owner(path) != first:
            self._wake_all(path, ref)

    def _wake_all(self, path: ListenerPath, ref: ObjectRef) -> None:
        for other in self._concerned(path):
            if other != ref:
                self._wake(other)


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
