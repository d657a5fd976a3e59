"""Who hears of a path, and who is refused for it, at moments that are too short for a whole story."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import SERVICES, AIMService
from aim_operator.controllers.kserve_version import KServeVersion
from aim_operator.controllers.route_owners import RouteOwners
from aim_operator.controllers.services import Services
from aim_operator.core import labels
from aim_operator.core.service.route import GatewayKey, ListenerPath
from tests.support.filled_stores import FilledStores

GATEWAY = GatewayKey(("gateways", "public"), "", 0)
MODEL = {"model": "llama"}
SHARED = (ListenerPath(GATEWAY, "/chat"),)
ELDER = {"creationTimestamp": "2026-01-31T10:00:00Z"}
YOUNGER = {"creationTimestamp": "2026-01-31T11:00:00Z"}
ROUTE = {
    "parentRefs": [{"namespace": "gateways", "name": "public"}],
    "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/chat"}}]}],
}


class Paths(FilledStores):
    """An older and a younger service; `woken` are those that were, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.woken: list[str] = []
        self.owners = RouteOwners(
            self.watched, clock=self.clock, wake=lambda ref: self.woken.append(ref.name), apart=lambda: False
        )
        self.elder: AIMService = self.new("services", "team/elder", metadata=ELDER, spec=MODEL)
        self.younger: AIMService = self.new("services", "team/younger", metadata=YOUNGER, spec=MODEL)

    def refused(self) -> bool:
        """Whether somebody older has the path that the younger one wants."""
        return self.owners.standing(self.younger).rival is not None


def ref(service: AIMService) -> ObjectRef:
    return SERVICES.ref(service)


def test_a_path_is_free_once_who_was_granted_it_goes_before_it_had_a_route() -> None:
    """No HTTPRoute is deleted then, whose end would wake anybody."""
    paths = Paths()
    paths.owners.set_paths(paths.elder, SHARED)
    paths.owners.set_paths(paths.younger, SHARED)
    assert paths.refused()
    paths.woken.clear()
    paths.owners.forget(ref(paths.elder))
    assert paths.woken == ["younger"]
    assert not paths.refused()


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        pytest.param({}, True, id="is there"),
        pytest.param({"deletionTimestamp": "2026-01-31T12:00:00Z"}, False, id="is going"),
        pytest.param({"annotations": {labels.PAUSED: "true"}}, False, id="is paused"),
    ],
)
def test_at_the_start_a_path_is_wanted_by_who_may_have_it(more: dict[str, Any], *, refused: bool) -> None:
    """A finalizer keeps the older one: if the younger is looked at first, it must not be refused for it."""
    paths = Paths()
    paths.new("images", "team/llama", spec={"image": "x/llama:1", "defaultServiceTemplate": "fast"})
    paths.new("templates", "team/fast", spec={"aimImageName": "llama"}, status={"status": "Available"})
    gateway = {"name": "public", "namespace": "gateways"}
    routed = {**MODEL, "routing": {"enabled": True, "gatewayRef": gateway, "routeTemplate": "/chat"}}
    services = Services(
        watched=paths.watched,
        catalog=paths.catalog,
        route_owners=paths.owners,
        kserve=KServeVersion(paths.client, clock=paths.clock, on_change=lambda: None),
    )
    for name, metadata in (("elder", {**ELDER, **more}), ("younger", YOUNGER)):
        services.want_path(paths.new("services", f"team/{name}", metadata=metadata, spec=routed))
    assert paths.refused() is refused


def test_a_service_that_is_going_refuses_nobody_but_its_route_is_waited_for() -> None:
    paths = Paths()
    owner = {"ownerReferences": ["of AIMService elder"]}
    going = {**ELDER, "uid": "uid of AIMService elder", "deletionTimestamp": "2026-01-31T12:00:00Z"}
    paths.elder = paths.new("services", "team/elder", metadata=going, spec=MODEL)
    paths.new("http_routes", "team/elder", metadata=owner, spec=ROUTE)
    paths.owners.set_paths(paths.younger, SHARED)
    standing = paths.owners.standing(paths.younger)
    assert standing.rival is None
    assert standing.held_by is not None


def test_the_route_that_is_waited_for_is_named_as_it_is_called() -> None:
    """Beside KServe's it has another name than its service: that named one was KServe's, or none."""
    paths = Paths()
    owner = {"ownerReferences": ["of AIMService elder"]}
    going = {**ELDER, "uid": "uid of AIMService elder", "deletionTimestamp": "2026-01-31T12:00:00Z"}
    paths.elder = paths.new("services", "team/elder", metadata=going, spec=MODEL)
    paths.new("http_routes", "team/elder.aim", metadata=owner, spec=ROUTE)
    paths.owners.set_paths(paths.younger, SHARED)
    held_by = paths.owners.standing(paths.younger).held_by
    assert held_by is not None
    assert held_by.owner[1:] == ("team", "elder.aim")
