"""Storage: the objects, one revision for every write as in etcd, and the history that watches start from.

Knows nothing of kinds, schemas or permissions; what it holds is never changed in place. Called by server.py;
listeners are the stand-ins, streams the open watches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, Protocol

import msgspec

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.kinds import KindId
from aim_operator.sandbox.ownership import Managers
from aim_operator.sandbox.refusals import gone
from aim_operator.sandbox.schema import Node

HISTORY_LIMIT = 20_000
_ENCODER = msgspec.json.Encoder()


class Key(NamedTuple):
    """Where an object is stored; sorts as lists do."""

    id: KindId
    namespace: str
    name: str


class Stored:
    """One version of one object. `obj` is shared by all who read it: never change it.

    `schema` is the one that admitted it, if any.
    """

    __slots__ = ("_raw", "key", "managers", "obj", "revision", "schema")

    def __init__(
        self, key: Key, obj: Manifest, managers: Managers, revision: int, schema: Node | None = None
    ) -> None:
        self.key, self.obj, self.managers, self.revision = key, obj, managers, revision
        self.schema = schema
        self._raw: bytes | None = None

    @property
    def uid(self) -> str:
        return str(self.obj["metadata"]["uid"])

    @property
    def raw(self) -> bytes:
        """Its JSON, encoded once for all watchers."""
        if self._raw is None:
            self._raw = _ENCODER.encode(self.obj)
        return self._raw

    def at(self, revision: int) -> Stored:
        """The same object under a later resourceVersion, as watches show what left them."""
        metadata = self.obj["metadata"] | {"resourceVersion": str(revision)}
        return Stored(self.key, self.obj | {"metadata": metadata}, self.managers, revision, self.schema)


class Change(NamedTuple):
    """One write: `new` is what it left (of a deleted object its last state), `old` what was before."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    revision: int
    new: Stored
    old: Stored | None


class Stream(Protocol):
    """An open watch."""

    def push(self, change: Change) -> None: ...

    def end(self) -> None: ...


Listener = Callable[[Change], None]


class Collection:
    """All objects of one kind, and what happened to them."""

    def __init__(self) -> None:
        self.objects: dict[Key, Stored] = {}
        self.history: list[Change] = []
        self.compacted = 0
        self.streams: list[Stream] = []


class Storage:
    """All collections under one revision counter."""

    def __init__(self) -> None:
        self.revision = 0
        self._collections: dict[KindId, Collection] = {}
        self._listeners: list[Listener] = []
        self._by_uid: dict[str, Key] = {}
        # Dicts, not sets: their order does not depend on hashes, so that runs repeat.
        self._dependents: dict[str, dict[Key, None]] = {}

    def get(self, key: Key) -> Stored | None:
        return self.collection(key.id).objects.get(key)

    def by_uid(self, uid: str) -> Stored | None:
        key = self._by_uid.get(uid)
        return self.get(key) if key else None

    def dependents(self, uid: str) -> list[Stored]:
        """The objects with an owner reference to `uid`."""
        candidates = (self.get(key) for key in self._dependents.get(uid, ()))
        return [stored for stored in candidates if stored is not None]

    def collection(self, id_: KindId) -> Collection:
        collection = self._collections.get(id_)
        if collection is None:
            collection = self._collections[id_] = Collection()
        return collection

    def everything(self) -> Iterable[Stored]:
        for collection in list(self._collections.values()):
            yield from list(collection.objects.values())

    def put(self, key: Key, obj: Manifest, managers: Managers, schema: Node | None = None) -> Stored:
        """Writes an object; its resourceVersion is the new revision. `schema` is what admitted it."""
        old = self.get(key)
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        new = Stored(key, obj, managers, self.revision, schema)
        self.collection(key.id).objects[key] = new
        self._index(old, new)
        self._tell(Change("ADDED" if old is None else "MODIFIED", self.revision, new, old))
        return new

    def drop(self, stored: Stored) -> None:
        """Removes an object. Watchers see `stored` as its last state, under the new revision."""
        self.revision += 1
        old = self.collection(stored.key.id).objects.pop(stored.key)
        self._index(old, None)
        self._tell(Change("DELETED", self.revision, stored.at(self.revision), old))

    def listen(self, listener: Listener) -> None:
        """`listener` hears of every change, and must not write before it has returned."""
        self._listeners.append(listener)

    def since(self, id_: KindId, revision: int) -> list[Change]:
        """What happened to a kind after `revision`. Raises Expired where that was compacted."""
        collection = self.collection(id_)
        if revision < collection.compacted:
            raise gone(f"too old resource version: {revision} ({collection.compacted})")
        start = bisect_right(collection.history, revision, key=lambda change: change.revision)
        return collection.history[start:]

    def at(self, id_: KindId, revision: int) -> list[Stored]:
        """All objects of a kind as of `revision`, in order. Raises Expired where that was compacted."""
        objects = dict(self.collection(id_).objects)
        for change in reversed(self.since(id_, revision)):
            if change.old is None:
                objects.pop(change.new.key, None)
            else:
                objects[change.old.key] = change.old
        return [objects[key] for key in sorted(objects)]

    def compact(self, revision: int | None = None) -> None:
        """Forgets the history up to `revision` (now, if None). Open watches go on."""
        upto = self.revision if revision is None else revision
        for collection in self._collections.values():
            _compact(collection, upto)

    def end_streams(self, id_: KindId) -> None:
        for stream in tuple(self.collection(id_).streams):
            stream.end()

    def _index(self, old: Stored | None, new: Stored | None) -> None:
        before, after = _owners(old), _owners(new)
        key = (old or new).key if old or new else None  # type: ignore[union-attr]
        if key is None or (before == after and old is not None and new is not None):
            return
        for uid in before:
            self._dependents[uid].pop(key, None)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for uid in after:
            self._dependents.setdefault(uid, {})[key] = None
        if old is not None:
            self._by_uid.pop(old.uid, None)
        if new is not None:
            self._by_uid[new.uid] = new.key

    def _tell(self, change: Change) -> None:
        collection = self.collection(change.new.key.id)
        collection.history.append(change)
        if len(collection.history) > HISTORY_LIMIT:
            _compact(collection, collection.history[HISTORY_LIMIT // 2].revision)
        for stream in collection.streams:
            stream.push(change)
        for listener in self._listeners:
            listener(change)


def _compact(collection: Collection, upto: int) -> None:
    collection.compacted = max(collection.compacted, upto)
    start = bisect_right(collection.history, upto, key=lambda change: change.revision)
    del collection.history[:start]


def _owners(stored: Stored | None) -> list[str]:
    if stored is None:
        return []
    return [owner["uid"] for owner in stored.obj["metadata"].get("ownerReferences") or ()]
