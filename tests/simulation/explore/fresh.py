"""What an operator that sees only the final inputs makes of them: no history may leave anything worse.

The inputs of a story's end (what users made, in the order in which it came to be; kinds and nodes) are given
to a new cluster at once. Whatever is in order there must be in order at the story's end, too, and the same.
The other way round it need not be: what runs is kept, and results outlive what they came from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, NODES
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import labels
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.storage import Stored
from tests.simulation.explore.checks import SLOTS
from tests.simulation.explore.steps import named
from tests.simulation.world import World

Object = dict[str, Any]
Statuses = dict[str, Object]
"""By kind and name."""

SECONDS = 300.0
"""In which all that is given at once comes to rest."""
_BY_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences")
_PEOPLE = ("kubectl", "kubectl-patch")
_GOOD = {
    **dict.fromkeys(("Ready", "Resolved", "Discovered", "CacheWarm", "CacheReady", "StorageReady"), "True"),
    **dict.fromkeys(("RuntimeReady", "RoutingReady", "HardwareAvailable"), "True"),
    "Failure": "False",
}
"""Which conditions say that something is in order, and how."""
_WIDTH = 140
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


class Inputs(Struct, frozen=True):
    """All that the end of a story follows from, but for what is kept on purpose. Oldest objects first."""

    objects: tuple[Object, ...]
    kserve: bool
    gateway: bool


def inputs(world: World) -> Inputs | None:
    """Return the inputs as they are now; None where history counts on purpose.

    Something is paused, or kept by a finalizer such as that of a claim in use, or a user has edited what the
    operator made.
    """
    there = world.sandbox.server.storage.everything()
    if any("deletionTimestamp" in stored.obj["metadata"] for stored in there):
        return None
    everything = [stored for stored in there if stored.key.id.group == aim.GROUP]
    for stored in everything:
        paused = labels.PAUSED in (stored.obj["metadata"].get("annotations") or {})
        if paused or (_is_applied(stored.obj) and _is_edited(stored)):
            return None
    made = [stored.obj for stored in everything if not _is_applied(stored.obj)]
    kinds = {kind.kind for kind in world.sandbox.server.kinds}
    return Inputs(
        objects=tuple(sorted([*made, *world.all(NODES)], key=_age)),
        kserve=INFERENCE_SERVICES.kind in kinds,
        gateway=HTTP_ROUTES.kind in kinds,
    )


def _is_applied(obj: Object) -> bool:
    return labels.APPLIED in (obj["metadata"].get("annotations") or {})


def _is_edited(stored: Stored) -> bool:
    return any(manager.name in _PEOPLE for manager in stored.managers)


def _age(obj: Object) -> str:
    return str(obj["metadata"]["creationTimestamp"])


async def end_of(given: Inputs) -> Statuses:
    """Return how a new cluster ends that is given all at once."""
    async with World(kserve=given.kserve, gateway=given.gateway) as world:
        world.apply([storage_class("quick", default=False)])
        world.sandbox.server.bookmark_seconds = 900.0
        for node in world.all(NODES):
            world.delete(NODES, node["metadata"]["name"])
        for _, together in groupby(given.objects, _age):
            world.apply([_as_applied(obj) for obj in together])
            await world.pass_seconds(1)
        world.start(max_discovery_jobs=SLOTS)
        await world.pass_seconds(SECONDS)
        return statuses(world, given)


def _as_applied(obj: Object) -> Object:
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _BY_SERVER}
    return {name: obj[name] for name in ("apiVersion", "kind", "spec") if name in obj} | {
        "metadata": metadata
    }


def statuses(world: World, given: Inputs) -> Statuses:
    """Return the status of each object that users made."""
    made = {named(obj) for obj in given.objects}
    found = (obj for resource in aim.ALL_KINDS for obj in world.all(resource))
    return {named(obj): obj.get("status", {}) for obj in found if named(obj) in made}


def worse(fresh: Statuses, ended: Statuses) -> Iterator[str]:
    """Yield what is in order in a fresh run, and is not so, or something else, at the end of the story."""
    # Who runs on what is gone by now keeps its path, too.
    excused = (
        Reason.ROUTE_CONFLICT if any(_runs(ended[name]) and not _runs(fresh[name]) for name in fresh) else ""
    )
    for name, status in fresh.items():
        now, end = _conditions(ended[name]), ended[name]
        for type_, condition in _conditions(status).items():
            if condition["status"] != _GOOD.get(type_) or now.get(type_, {}).get("reason") == excused:
                continue
            if type_ not in now or now[type_]["status"] != condition["status"]:
                yield _differs(name, type_, _told(condition), _told(now.get(type_)))
            elif type_ == "Ready":
                for field in ("modelSources", "profile"):
                    if status.get(field) != end.get(field):
                        yield _differs(name, field, shown(status.get(field)), shown(end.get(field)))
            elif type_ == "RoutingReady" and (paths := _paths(status)) != _paths(end):
                yield _differs(name, "routing.path", shown(paths), shown(_paths(end)))


def _runs(status: Object) -> bool:
    return _conditions(status).get("RuntimeReady", {}).get("status") == "True"


def _conditions(status: Object) -> dict[str, Object]:
    return {condition["type"]: condition for condition in status.get("conditions", ())}


def _paths(status: Object) -> str:
    """Return the path; what follows from uids is another in each cluster."""
    path: str = status.get("routing", {}).get("path", "")
    return "" if _UID.search(path) else path


def _told(condition: Object | None) -> str:
    if condition is None:
        return "missing"
    return f"{condition['status']}/{condition['reason']} ({clipped(condition['message'], _WIDTH)})"


def _differs(name: str, field: str, in_fresh_run: str, here: str) -> str:
    return f"{name}: {field}: fresh {in_fresh_run}, here {here}"


def shown(value: Any) -> str:
    """Return a value as JSON, for a line."""
    return "missing" if value is None else clipped(json.dumps(value), _WIDTH)


def clipped(text: str, width: int) -> str:
    """Return a text on one line, of so many characters at most."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
