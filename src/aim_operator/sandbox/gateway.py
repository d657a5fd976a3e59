"""Stand-in for a Gateway API controller: accepts Gateways, and judges HTTPRoutes parent by parent.

A route is accepted by a Gateway that exists and has a listener for it; its backends must exist.
Built by sandbox.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.agenda import Agenda
from aim_operator.sandbox.kinds import KindId
from aim_operator.sandbox.kserve import SERVICE
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.stand_in import StandIn
from aim_operator.sandbox.storage import Change, Key, Stored

GROUP = "gateway.networking.k8s.io"
ROUTE = KindId(GROUP, "HTTPRoute")
GATEWAY = KindId(GROUP, "Gateway")
GATEWAY_CLASS = KindId(GROUP, "GatewayClass")
CONTROLLER = "sandbox.aim.silogen.ai/gateway-controller"


class GatewayController(StandIn):
    manager = "gateway-controller"

    def __init__(self, server: SandboxServer, agenda: Agenda, *, accept_seconds: float = 0.0) -> None:
        super().__init__(server, agenda)
        self.accept_seconds = accept_seconds
        self._routes_of: dict[Key, dict[Key, None]] = {}
        """Routes by the Services that they lead to: thousands of both would take the square of that."""
        server.storage.listen(self._changed)

    def _changed(self, change: Change) -> None:
        stored = change.new
        if stored.key.id == GATEWAY:
            for route in self.all(ROUTE):
                self._later(route, self._judge)
        elif stored.key.id == SERVICE:
            for key in tuple(self._routes_of.get(stored.key, ())):
                leading = self.server.storage.get(key)
                if leading is not None:
                    self._later(leading, self._judge)
        elif stored.key.id == ROUTE:
            self._index(change)
        if change.type == "DELETED":
            return
        if stored.key.id == ROUTE:
            self._later(stored, self._judge)
        elif stored.key.id == GATEWAY:
            self._later(stored, self._program)
        elif stored.key.id == GATEWAY_CLASS:
            self._later(stored, self._accept_class)

    def _index(self, change: Change) -> None:
        for backend in _backends(change.old) if change.old is not None else ():
            self._routes_of.get(backend, {}).pop(change.new.key, None)
        for backend in _backends(change.new) if change.type != "DELETED" else ():
            self._routes_of.setdefault(backend, {})[change.new.key] = None

    def _later(self, stored: Stored, work: Callable[[Key, str], None]) -> None:
        todo = partial(work, stored.key, stored.uid)
        self.agenda.put(("gateway", stored.uid), todo, after_seconds=self.accept_seconds)

    def _accept_class(self, key: Key, uid: str) -> None:
        stored = self.live(key, uid)
        if stored is not None:
            self.set_status(stored, {"conditions": [self._condition(stored, "Accepted", "True", "Accepted")]})

    def _program(self, key: Key, uid: str) -> None:
        stored = self.live(key, uid)
        if stored is not None:
            conditions = [self._condition(stored, name, "True", name) for name in ("Accepted", "Programmed")]
            self.set_status(stored, {"conditions": conditions})

    def _judge(self, key: Key, uid: str) -> None:
        route = self.live(key, uid)
        if route is None:
            return
        before = route.obj.get("status", {}).get("parents", [])
        parents = []
        for reference in filter(_is_gateway, route.obj["spec"].get("parentRefs", ())):
            conditions: list[Manifest] = next(
                (each["conditions"] for each in before if each["parentRef"] == reference), []
            )
            accepted = self._accepted(route, reference)
            missing = self._missing_backend(route)
            parents.append(
                {
                    "parentRef": reference,
                    "controllerName": CONTROLLER,
                    "conditions": [
                        self._condition(route, "Accepted", *accepted, among=conditions),
                        self._condition(
                            route,
                            "ResolvedRefs",
                            *(("False", "BackendNotFound", missing) if missing else ("True", "ResolvedRefs")),
                            among=conditions,
                        ),
                    ],
                }
            )
        self.set_status(route, {"parents": parents})

    def _accepted(self, route: Stored, reference: Manifest) -> tuple[str, str, str]:
        namespace = reference.get("namespace", route.key.namespace)
        gateway = self.server.storage.get(Key(GATEWAY, namespace, reference["name"]))
        if gateway is None:
            return "False", "NoMatchingParent", f"Gateway {namespace}/{reference['name']} does not exist"
        listeners = gateway.obj["spec"].get("listeners", ())
        section, port = reference.get("sectionName"), reference.get("port")
        fits = [
            each
            for each in listeners
            if section in (None, each.get("name")) and port in (None, each.get("port"))
        ]
        if not fits and (section is not None or port is not None):
            return (
                "False",
                "NoMatchingParent",
                f"Gateway {namespace}/{reference['name']} has no such listener",
            )
        if fits and not any(_allows(listener, namespace, route.key.namespace) for listener in fits):
            message = f"no listener of Gateway {namespace}/{reference['name']} takes routes from here"
            return "False", "NotAllowedByListeners", message
        return "True", "Accepted", ""

    def _missing_backend(self, route: Stored) -> str:
        for backend in _backends(route):
            if self.server.storage.get(backend) is None:
                return f"Service {backend.namespace}/{backend.name} not found"
        return ""

    def _condition(
        self,
        stored: Stored,
        type_: str,
        status: str,
        reason: str,
        message: str = "",
        *,
        among: list[Manifest] | None = None,
    ) -> Manifest:
        condition = self.condition(stored, type_, status, reason, message, among=among)
        return condition | {"observedGeneration": stored.obj["metadata"]["generation"]}


def _backends(route: Stored) -> list[Key]:
    """The Services that a route leads to."""
    return [
        Key(SERVICE, backend.get("namespace", route.key.namespace), backend["name"])
        for rule in route.obj["spec"].get("rules", ())
        for backend in rule.get("backendRefs", ())
    ]


def _is_gateway(reference: Manifest) -> bool:
    """Whether a parent is a Gateway; about others, such as a mesh's Services, gateways say nothing."""
    return (reference.get("group", GROUP), reference.get("kind", GATEWAY.kind)) == (GROUP, GATEWAY.kind)


def _allows(listener: Manifest, namespace: str, route_namespace: str) -> bool:
    """Whether a listener takes routes of that namespace; selectors are not evaluated, and taken to fit."""
    whose = listener.get("allowedRoutes", {}).get("namespaces", {}).get("from", "Same")
    return whose in ("All", "Selector") or namespace == route_namespace
