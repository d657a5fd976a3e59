"""Whose a path is: of the services that want it or a part of it, the oldest one's.

The path that a service wants follows from several objects, so it is kept here: computed before the first
reconcile, and by each. The store says which routes there are. core/service/path_claims.py says which paths
conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from aim_operator.api.external import HTTPRoute, OtherHTTPRoute
from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.v1alpha1 import SERVICES, AIMService
from aim_operator.controllers.watched import Watched
from aim_operator.core.manifests import controlled_by, is_applied
from aim_operator.core.routing import covers
from aim_operator.core.service.path_claims import Claim, Contender, PathClaims
from aim_operator.core.service.route import ListenerPath
from aim_operator.core.service.route_name import beside, service_of
from aim_operator.core.service.route_owner import (
    Standing,
    contender,
    is_strange,
    other_claims,
    routed_paths,
)
from aim_operator.runtime.clock import Clock, Timer

_Name = tuple[str, str]
"""Namespace and name of a service."""
_Claims = tuple[Claim, ...]
LOST_WRITE_SECONDS = 30.0
"""How long a write whose answer was lost may still show up in the cache."""


class RouteOwners:
    """Wanted and routed paths of all services. Single-threaded, like the event loop.

    A path is granted to who wants it unless it conflicts with one that is granted to, or routed by, an older
    service. So it follows from age alone who gets what, whatever the order of events; and who is refused
    refuses nobody. A change of a grant wakes those younger ones whose paths conflict, and so on. HTTPRoutes
    that the operator did not make can't be told to go: a path that takes from one is not granted, unless the
    service is older and has its own route there already.

    What is granted may still be routed by a younger one: then that has to go first. And two services must not
    create conflicting routes at the same moment, before the cache shows either. So whoever may write one is
    remembered until its next reconcile, which begins once the cache shows its write.

    Where namespaces are `apart`, by a pathPrefix that names them, no service can want what is another
    namespace's, and an HTTPRoute that takes it all the same, made or edited by hand, is a stray: it ends no
    route that is there, and keeps nobody from a path below it.
    """

    def __init__(
        self,
        watched: Watched,
        *,
        clock: Clock,
        wake: Callable[[ObjectRef], None],
        apart: Callable[[], bool],
    ) -> None:
        """`wake` enqueues a service."""
        self._apart = apart
        self._services, self._routes = watched.services.store, watched.http_routes.store
        self._clock, self._wake = clock, wake
        self._wanted: dict[_Name, _Claims] = {}
        """By service, its path on each of its gateways."""
        self._granted: set[_Name] = set()
        self._lost: dict[_Name, tuple[_Claims, Timer]] = {}
        self._wants, self._writes, self._lost_writes = PathClaims(), PathClaims(), PathClaims()
        self._routed = PathClaims()
        """Those of live HTTPRoutes; their contender says whose they are, not since when."""
        self._others = PathClaims()
        """Those of HTTPRoutes that the operator did not make."""
        self._labelled = PathClaims()
        """Those of such that carry its label. Apart: one that gets it may leave the other watch later."""
        watched.http_routes.add_handler(self._route_changed)
        watched.other_routes.add_handler(self._other_changed)

    def set_paths(self, service: AIMService, paths: tuple[ListenerPath, ...]) -> None:
        """Record the path that a service wants now, on each of its gateways: it gets all of them or none.

        Those whom that takes or gives a path are woken.
        """
        claims = tuple(Claim(contender(service), path) for path in paths)
        name = (service.metadata.namespace, service.metadata.name)
        # One that was deleted and made again is younger than it was.
        if self._wanted.get(name, ()) == claims:
            return
        self._release(name)
        if claims:
            self._wanted[name] = claims
            for claim in claims:
                self._wants.add(claim)
            self._grant(claims)

    def standing(self, service: AIMService) -> Standing:
        """Return how a service stands on the path it wants; where it has it, its route may be written now."""
        own = contender(service)
        claims = self._wanted.get(own[1:], ())
        wanted = {claim.at for claim in claims}
        live = self._route_of(own[1:])
        routed = routed_paths(live) if live is not None and _is_of(live, service) else ()
        yields = any(self._older(Claim(own, each)) is not None for each in routed if each not in wanted)
        if not claims:
            return Standing(yields=yields)
        rival = self._grant(claims)
        held_by = None
        if rival is None:
            # Where both have a route, which nothing here brings about, the younger one goes.
            missing = (claim for claim in claims if not self._is_there(claim))
            held_by = min((holder for claim in missing for holder in self._holders(claim)), default=None)
        self._let_write(claims, may=rival is None and held_by is None)
        named = held_by if held_by is None else self._named_as_route(held_by)
        return Standing(rival=rival, held_by=named, yields=yields)

    def lost_write(self, ref: ObjectRef) -> None:
        """Count a route as there whose write failed: the API server may have done it all the same."""
        name = (ref.namespace, ref.name)
        claims = tuple(claim for claim in self._wanted.get(name, ()) if claim in self._writes)
        if not claims:
            return
        self._forget_lost(name)
        timer = self._clock.call_later(LOST_WRITE_SECONDS, partial(self._expire, name))
        self._lost[name] = (claims, timer)
        for claim in claims:
            self._lost_writes.add(claim)

    def forget(self, ref: ObjectRef) -> None:
        """Forget what a service wants, which is gone, going or paused. Its live route still counts."""
        self._release((ref.namespace, ref.name))

    def services_at(self, route: HTTPRoute) -> Iterator[ObjectRef]:
        """Return whom a route concerns: its own service, those that want its paths or have routes there."""
        if is_strange(route):
            yield from self.services_below(route)
        own = Contender("", route.metadata.namespace, service_of(route))
        names = {own[1:]}
        for path in routed_paths(route):
            names.update(_names(self._wants.conflicting(Claim(own, path))))
            names.update(_names(self._routed.conflicting(Claim(own, path))))
        for name in names:
            yield ObjectRef(SERVICES.kind, *name)

    def services_below(self, route: OtherHTTPRoute | HTTPRoute) -> Iterator[ObjectRef]:
        """Return the services whose paths take requests from a route that the operator did not make."""
        for claim in other_claims(route):
            for name in _names(self._wants.conflicting(claim)) | _names(self._routed.conflicting(claim)):
                yield ObjectRef(SERVICES.kind, *name)

    # Who is in the way

    def _older(self, claim: Claim) -> Claim | None:
        """Return what refuses a claim: the oldest of the older ones that is granted, else that is routed."""
        granted = self._wants.oldest_before(claim, lambda other: other.owner[1:] in self._granted)
        if granted is not None:
            return granted
        others = () if self._apart() else (self._others, self._labelled)
        taken = (other for each in others for other in each.taken_from(claim))
        if (oldest := min(taken, default=None)) is not None and (
            oldest.owner < claim.owner or not self._is_there(claim)
        ):
            return oldest
        routed = (self._with_age(other) for other in self._in_the_way(claim))
        return min((other for other in routed if other is not None and other < claim), default=None)

    def _with_age(self, routed: Claim) -> Claim | None:
        """Return the claim of a live route as that of its service; None if that is gone or going."""
        name = routed.owner[1:]
        service, route = self._services.get(*name), self._route_of(name)
        if service is None or route is None or not _is_of(route, service):
            return None
        deleted = service.metadata.deletion_timestamp is not None
        return None if deleted else Claim(contender(service), routed.at)

    def _holders(self, claim: Claim) -> Iterator[Claim]:
        """Return the conflicting routes that are there, or may be by now."""
        yield from self._writes.conflicting(claim)
        yield from self._lost_writes.conflicting(claim)
        for routed in self._in_the_way(claim):
            name = routed.owner[1:]
            service, route = self._services.get(*name), self._route_of(name)
            if route is None:
                continue
            if (service is not None and _is_of(route, service)) or _is_of_former(route):
                yield routed

    def _in_the_way(self, claim: Claim) -> Iterator[Claim]:
        """Return the conflicting live routes, without strays that change nothing for who is here."""
        apart = self._apart()
        for routed in self._routed.conflicting(claim):
            stray = apart and routed.owner.namespace != claim.owner.namespace
            above = routed.at.path != claim.at.path and covers(routed.at.path, claim.at.path)
            if not (stray and (above or self._is_there(claim))):
                yield routed

    def _route_of(self, name: _Name) -> HTTPRoute | None:
        """Return the live route of a service; that under its own name may be KServe's."""
        namespace, service = name
        aside = self._routes.get(namespace, beside(service))
        controller = aside.metadata.controller() if aside is not None else None
        if controller is not None and controller.name == service:
            return aside
        return self._routes.get(namespace, service)

    def _named_as_route(self, holder: Claim) -> Claim:
        """Return the claim of a service with the name of its HTTPRoute, as far as that is there."""
        route = self._route_of(holder.owner[1:])
        if route is None:
            return holder
        return holder._replace(owner=holder.owner._replace(name=route.metadata.name))

    def _is_there(self, claim: Claim) -> bool:
        """Whether what is claimed is routed already, or may be by now."""
        routed = Claim(Contender("", *claim.owner[1:]), claim.at)
        return routed in self._routed or claim in self._writes or claim in self._lost_writes

    # Changes

    def _grant(self, claims: _Claims) -> Claim | None:
        """Grant what a service wants, or return what refuses it."""
        name = claims[0].owner[1:]
        refusals = (self._older(claim) for claim in claims)
        rival = min((other for other in refusals if other is not None), default=None)
        if (rival is None) != (name in self._granted):
            if rival is None:
                self._granted.add(name)
            else:
                self._granted.discard(name)
            self._wake_younger(claims)
        return rival

    def _release(self, name: _Name) -> None:
        claims = self._wanted.pop(name, ())
        for claim in claims:
            self._wants.discard(claim)
        self._let_write(claims, may=False)
        if name in self._granted:
            self._granted.discard(name)
            self._wake_younger(claims)

    def _let_write(self, claims: _Claims, *, may: bool) -> None:
        for claim in claims:
            if may:
                self._writes.add(claim)
            elif claim in self._writes:
                self._writes.discard(claim)
                self._wake_all(self._wants.conflicting(claim))

    def _expire(self, name: _Name) -> None:
        for claim in self._forget_lost(name):
            self._wake_all(self._wants.conflicting(claim))

    def _forget_lost(self, name: _Name) -> _Claims:
        claims, timer = self._lost.pop(name, ((), None))
        if timer is not None:
            timer.cancel()
        for claim in claims:
            self._lost_writes.discard(claim)
        return claims

    def _route_changed(self, old: HTTPRoute | None, new: HTTPRoute | None) -> None:
        if not paths_changed(old, new):
            return
        for route, ours, labelled in (
            (old, self._routed.discard, self._labelled.discard),
            (new, self._routed.add, self._labelled.add),
        ):
            if route is None:
                continue
            if is_strange(route):
                for claim in other_claims(route):
                    labelled(claim)
            else:
                whose = Contender("", route.metadata.namespace, service_of(route))
                for path in routed_paths(route):
                    ours(Claim(whose, path))

    def _other_changed(self, old: OtherHTTPRoute | None, new: OtherHTTPRoute | None) -> None:
        for route, change in ((old, self._others.discard), (new, self._others.add)):
            for claim in other_claims(route) if route is not None else ():
                change(claim)

    def _wake_younger(self, claims: _Claims) -> None:
        """Wake those who get, or have to give up, what a change of these claims gives or takes."""
        for claim in claims:
            self._wake_all(other for other in self._wants.conflicting(claim) if other.owner > claim.owner)
            # Also those whose route is elsewhere than where they want it by now.
            self._wake_all(self._routed.conflicting(claim))

    def _wake_all(self, claims: Iterable[Claim]) -> None:
        for name in _names(claims):
            self._wake(ObjectRef(SERVICES.kind, *name))


def paths_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Whether an HTTPRoute came, went, or leads elsewhere; gateways write its status often."""
    if not isinstance(old, HTTPRoute) or not isinstance(new, HTTPRoute):
        return True
    same = old.metadata.controller() == new.metadata.controller() and is_applied(old) == is_applied(new)
    return not same or bytes(old.spec) != bytes(new.spec)


def other_paths_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """The same of one that the operator did not make."""
    if not isinstance(old, OtherHTTPRoute) or not isinstance(new, OtherHTTPRoute):
        return True
    return old.spec != new.spec


def _names(claims: Iterable[Claim]) -> set[_Name]:
    return {(claim.owner.namespace, claim.owner.name) for claim in claims}


def _is_of(route: HTTPRoute, service: AIMService) -> bool:
    """Whether a route of a service's name is the service's, or was before its owner reference was dropped."""
    if route.metadata.controller() is None:
        return is_applied(route)
    return controlled_by(route, service.metadata)


def _is_of_former(route: HTTPRoute) -> bool:
    """Whether a route belongs to a service that is gone, and waits to be garbage-collected."""
    controller = route.metadata.controller()
    return (
        controller is not None
        and controller.kind == SERVICES.kind
        and route.metadata.name in (controller.name, beside(controller.name))
        and controller.api_version.partition("/")[0] == SERVICES.group
    )
