"""What the stand-ins share: status writes, and conditions as controllers write them."""

from __future__ import annotations

from typing import Any

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.agenda import Agenda
from aim_operator.sandbox.clock import timestamp
from aim_operator.sandbox.kinds import KindId
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.storage import Key, Stored

_MISSING: dict[str, Any] = {}


class StandIn:
    """`manager` is the name that it writes under."""

    manager = "stand-in"

    def __init__(self, server: SandboxServer, agenda: Agenda) -> None:
        self.server, self.agenda = server, agenda

    def now(self) -> str:
        return timestamp(self.server.clock)

    def live(self, key: Key, uid: str) -> Stored | None:
        """The object as it is now, or None if it is gone or replaced by a namesake."""
        stored = self.server.storage.get(key)
        return stored if stored is not None and stored.uid == uid else None

    def all(self, id_: KindId) -> list[Stored]:
        return list(self.server.storage.collection(id_).objects.values())

    def set_status(self, stored: Stored, status: Manifest) -> None:
        """Merges `status` in, as a controller does; nothing is written if nothing changes."""
        self.server.patch(
            self.server.kinds.of(stored.key.id),
            stored.key.name,
            {"status": status},
            namespace=stored.key.namespace,
            subresource="status",
            manager=self.manager,
        )

    def condition(
        self,
        stored: Stored,
        type_: str,
        status: str,
        reason: str = "",
        message: str = "",
        *,
        among: list[Manifest] | None = None,
    ) -> Manifest:
        """A condition; its transition time moves only with its status. `among` are the present ones."""
        present = stored.obj.get("status", _MISSING).get("conditions", ()) if among is None else among
        old = next((each for each in present if each["type"] == type_), _MISSING)
        since = old["lastTransitionTime"] if old.get("status") == status else self.now()
        out = {"type": type_, "status": status, "lastTransitionTime": since}
        return out | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def owner_reference(owner: Stored) -> Manifest:
    """A controller reference to `owner`."""
    return {
        "apiVersion": owner.obj["apiVersion"],
        "kind": owner.obj["kind"],
        "name": owner.key.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
