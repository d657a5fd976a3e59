"""What holds at every moment of a story, whatever is edited: looked at with each write to the API server."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, JOBS, NODES, PERSISTENT_VOLUME_CLAIMS
from aim_operator.core import labels
from aim_operator.sandbox.jobs import finished
from aim_operator.sandbox.kinds import NAMESPACE as NAMESPACE_KIND
from aim_operator.sandbox.storage import Change, Key, Stored
from tests.simulation.explore.blocked import untrue
from tests.simulation.explore.steps import named
from tests.simulation.world import World, decoded
from tests.support.status import assert_status_well_formed

SLOTS = 2
"""How few discoveries may run at once in a story: so that templates wait for each other."""

_OURS = {resource.kind for resource in aim.ALL_KINDS}
_DISCOVERY = "discovery-job"


class Checks:
    """Broken rules in order of their occurrence, each a sentence. `by_user` is True while a step is taken."""

    def __init__(self, world: World) -> None:
        self.broken: list[str] = []
        self.by_user = False
        self._world = world
        self._storage = world.sandbox.server.storage
        self._of_users: set[str] = set()
        """UIDs of what users created."""
        self._storage.listen(self._changed)

    def statuses(self) -> None:
        """Look at every status there is."""
        for resource in aim.ALL_KINDS:
            for obj in self._world.all(resource):
                status = getattr(decoded(obj, resource.type), "status", None)
                # A paused one says so of its present generation, and the rest of one before.
                going, paused = "deletionTimestamp" in obj["metadata"], labels.PAUSED in _annotations(obj)
                if status is None or going or paused:
                    continue
                try:
                    assert_status_well_formed(status)
                except AssertionError as error:
                    self.broken.append(f"{named(obj)} has a status that is not well-formed: {error}")

    def at_rest(self) -> None:
        """Look at what may overlap for a moment, while one takes the place of the other."""
        owners = Counter(_owner(job) for job in self._jobs() if self._is_at_work(job))
        several = [owner for owner, number in owners.items() if number > 1]
        if several:
            self.broken.append(f"a template has several discoveries at once: {several}")
        self.statuses()
        self._blocked_by()

    def _blocked_by(self) -> None:
        """Look at what every status says of what it waits for."""
        for resource in aim.ALL_KINDS:
            for obj in self._world.all(resource):
                blocked = getattr(getattr(decoded(obj, resource.type), "status", None), "blocked_by", None)
                paused = labels.PAUSED in _annotations(obj)
                if blocked is None or paused or "deletionTimestamp" in obj["metadata"]:
                    continue
                namespace = obj["metadata"].get("namespace", "")
                if wrong := untrue(blocked, namespace, self._find):
                    self.broken.append(f"{named(obj)} is not blocked by what it says: {wrong}")

    def _find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        at = (each for each in self._storage.everything() if each.key[1:] == (namespace, name))
        return next((each.obj for each in at if each.key.id.kind == kind), None)

    def _changed(self, change: Change) -> None:
        kind = change.new.key.id.kind
        if kind in _OURS or kind == NODES.kind:
            self._foreign(change)
        if kind == JOBS.kind and change.old is None:
            self._discovery(change.new)
        if kind == HTTP_ROUTES.kind:
            self._paths()
        if _begins_to_go(change):
            self._in_use(change)

    def _foreign(self, change: Change) -> None:
        new, old = change.new, change.old
        if old is None:
            if self.by_user:
                self._of_users.add(new.uid)
            return
        if self.by_user or new.uid not in self._of_users or self._is_leaving(new):
            return
        if change.type == "DELETED":
            if "deletionTimestamp" not in old.obj["metadata"]:
                self.broken.append(f"{named(new.obj)}, which a user made, was deleted")
        elif _own_words(old.obj) != _own_words(new.obj):
            self.broken.append(f"{named(new.obj)}, which a user made, was changed")

    def _discovery(self, job: Stored) -> None:
        if job.obj["metadata"].get("labels", {}).get(labels.COMPONENT) != _DISCOVERY:
            return
        running = [each for each in self._jobs() if self._is_at_work(each)]
        owners = {_owner(each) for each in running}
        if len(owners) > SLOTS:
            self.broken.append(f"{len(owners)} discoveries run at once, of {SLOTS} slots")

    def _jobs(self) -> list[Stored]:
        return [
            stored
            for stored in self._storage.everything()
            if stored.key.id.kind == JOBS.kind
            and stored.obj["metadata"].get("labels", {}).get(labels.COMPONENT) == _DISCOVERY
        ]

    def _is_at_work(self, job: Stored) -> bool:
        owner = self._storage.by_uid(_owner(job))
        return owner is not None and "deletionTimestamp" not in job.obj["metadata"] and not finished(job)

    def _paths(self) -> None:
        routes = [
            (route["metadata"]["namespace"], route["metadata"]["name"], match["path"]["value"])
            for route in self._world.all(HTTP_ROUTES)
            for rule in route["spec"]["rules"]
            for match in rule["matches"]
        ]
        for place, (namespace, name, path) in enumerate(routes):
            for other_namespace, other_name, other in routes[place + 1 :]:
                overlap = namespace != other_namespace and (
                    f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")
                )
                if path == other or overlap:
                    self.broken.append(
                        f"HTTPRoutes {namespace}/{name} and {other_namespace}/{other_name} are both on {path}"
                    )

    def _in_use(self, change: Change) -> None:
        gone = change.new
        if self.by_user or self._is_leaving(gone):
            return
        kind = gone.key.id.kind
        if kind in (INFERENCE_SERVICES.kind, PERSISTENT_VOLUME_CLAIMS.kind):
            owner = self._storage.by_uid(_owner(gone))
            if owner is not None and "deletionTimestamp" not in owner.obj["metadata"]:
                self.broken.append(f"{named(gone.obj)} was deleted, whose {owner.key.id.kind} is there")
        if kind == aim.MODEL_CACHES.kind:
            self.broken.append(f"{named(gone.obj)} was deleted, which only users may do")
        if kind == aim.TEMPLATES.kind:
            for service in self._world.all(INFERENCE_SERVICES, gone.key.namespace):
                model = service["spec"]["predictor"].get("model", {})
                if model.get("runtime") == gone.key.name and self._is_served(service):
                    self.broken.append(f"{named(gone.obj)} was deleted under {named(service)}")

    def _is_served(self, live: dict[str, Any]) -> bool:
        metadata = live["metadata"]
        owner = self._world.find(aim.SERVICES, metadata["name"], metadata["namespace"])
        return "deletionTimestamp" not in metadata and owner is not None

    def _is_leaving(self, stored: Stored) -> bool:
        """Whether its namespace or its kind is going, which takes everything along."""
        if all(kind.id != stored.key.id for kind in self._world.sandbox.server.kinds):
            return True
        namespace = self._storage.get(Key(NAMESPACE_KIND, "", stored.key.namespace))
        return bool(stored.key.namespace) and (
            namespace is None or "deletionTimestamp" in namespace.obj["metadata"]
        )


def _annotations(obj: dict[str, Any]) -> dict[str, str]:
    annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
    return annotations


def _begins_to_go(change: Change) -> bool:
    """Whether this is the moment of its deletion, which finalizers may draw out."""
    gone = change.type == "DELETED" or "deletionTimestamp" in change.new.obj["metadata"]
    return gone and change.old is not None and "deletionTimestamp" not in change.old.obj["metadata"]


def _own_words(obj: dict[str, Any]) -> Any:
    metadata = obj["metadata"]
    return obj.get("spec"), metadata.get("labels"), metadata.get("annotations"), metadata.get("finalizers")


def _owner(stored: Stored) -> str:
    owners = stored.obj["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")
