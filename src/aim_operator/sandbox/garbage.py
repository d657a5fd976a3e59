"""Stand-in for the garbage collector and the namespace controller.

Deletes dependents whose owners are gone, finishes foreground and orphaning deletions, empties terminating
namespaces. Works on uids and owner references alone. Built by sandbox.py.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from aim_operator.api.meta import Manifest
from aim_operator.errors import Conflict, NotFound
from aim_operator.sandbox.agenda import Agenda, Work
from aim_operator.sandbox.kinds import NAMESPACE
from aim_operator.sandbox.server import FOREGROUND, ORPHAN, SandboxServer
from aim_operator.sandbox.storage import Change, Key, Stored


class GarbageCollector:
    def __init__(self, server: SandboxServer, agenda: Agenda, *, delay_seconds: float = 0.0) -> None:
        self._server, self._agenda, self.delay_seconds = server, agenda, delay_seconds
        server.storage.listen(self._changed)

    def _changed(self, change: Change) -> None:
        stored = change.new
        if change.type == "DELETED":
            self._later(("dependents", stored.uid), partial(self._owner_gone, stored.uid))
            for owner in stored.obj["metadata"].get("ownerReferences") or ():
                self._later(("owner", owner["uid"]), partial(self._finish, owner["uid"]))
            self._later(("namespace", stored.key.namespace), partial(self._empty, stored.key.namespace))
            return
        metadata = stored.obj["metadata"]
        if change.type == "ADDED" and metadata.get("ownerReferences"):
            self._later(("orphan", stored.uid), partial(self._collect, stored.key, stored.uid))
        if metadata.get("deletionTimestamp"):
            self._later(("owner", stored.uid), partial(self._finish, stored.uid))
            if stored.key.id == NAMESPACE:
                self._later(("namespace", stored.key.name), partial(self._empty, stored.key.name))

    def _later(self, key: tuple[str, str], work: Work) -> None:
        self._agenda.put(("garbage", *key), work, after_seconds=self.delay_seconds)

    def _owner_gone(self, uid: str) -> None:
        for dependent in self._server.storage.dependents(uid):
            self._collect(dependent.key, dependent.uid)

    def _collect(self, key: Key, uid: str) -> None:
        """Deletes an object none of whose owners lives; forgets single owners that are gone."""
        stored = self._server.storage.get(key)
        if stored is None or stored.uid != uid:
            return
        owners = stored.obj["metadata"].get("ownerReferences") or []
        alive = [owner for owner in owners if self._lives(stored, owner)]
        if not owners or len(alive) == len(owners):
            return
        if alive:
            self._patch(stored, {"metadata": {"ownerReferences": alive}})
        else:
            self._delete(stored)

    def _lives(self, dependent: Stored, owner: Manifest) -> bool:
        live = self._server.storage.by_uid(owner["uid"])
        # An owner in another namespace counts as absent, as does one of another kind or name.
        return (
            live is not None
            and live.key.namespace in ("", dependent.key.namespace)
            and live.key.name == owner["name"]
            and live.obj["kind"] == owner["kind"]
        )

    def _finish(self, uid: str) -> None:
        """Takes the garbage collector's finalizers off an owner whose dependents are dealt with."""
        owner = self._server.storage.by_uid(uid)
        if owner is None or not owner.obj["metadata"].get("deletionTimestamp"):
            return
        finalizers = owner.obj["metadata"].get("finalizers") or []
        dependents = self._server.storage.dependents(uid)
        if FOREGROUND in finalizers:
            blocking = [each for each in dependents if _blocks(each, uid)]
            for each in dependents:
                if not each.obj["metadata"].get("deletionTimestamp"):
                    self._delete(each)
            if not blocking:
                self._release(owner, FOREGROUND)
        elif ORPHAN in finalizers:
            for each in dependents:
                kept = [ref for ref in each.obj["metadata"]["ownerReferences"] if ref["uid"] != uid]
                self._patch(each, {"metadata": {"ownerReferences": kept or None}})
            self._release(owner, ORPHAN)

    def _release(self, owner: Stored, finalizer: str) -> None:
        kept = [name for name in owner.obj["metadata"]["finalizers"] if name != finalizer]
        self._patch(owner, {"metadata": {"finalizers": kept or None}})

    def _empty(self, name: str) -> None:
        """Deletes what is in a terminating namespace, and then the namespace."""
        storage = self._server.storage
        namespace = storage.get(Key(NAMESPACE, "", name)) if name else None
        if namespace is None or not namespace.obj["metadata"].get("deletionTimestamp"):
            return
        content = [stored for stored in storage.everything() if stored.key.namespace == name]
        for stored in content:
            self._delete(stored)
        if not any(stored.key.namespace == name for stored in storage.everything()):
            self._patch(namespace, {"spec": {"finalizers": None}})

    def _delete(self, stored: Stored) -> None:
        kind = self._server.kinds.of(stored.key.id)
        # Others may have been quicker; the change that they made brings us back.
        with suppress(NotFound, Conflict):
            self._server.delete(kind, stored.key.name, namespace=stored.key.namespace, uid=stored.uid)

    def _patch(self, stored: Stored, patch: Manifest) -> None:
        kind = self._server.kinds.of(stored.key.id)
        self._server.patch(
            kind, stored.key.name, patch, namespace=stored.key.namespace, manager="garbage-collector"
        )


def _blocks(dependent: Stored, uid: str) -> bool:
    owners = dependent.obj["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners)
