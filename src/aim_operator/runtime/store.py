"""What the operator knows of one kind: objects by name, and by declared indexes.

One writer (its informer), many readers. Readers get the stored objects themselves; they are frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, NamedTuple

import msgspec

from aim_operator.api.meta import ObjectMeta
from aim_operator.api.resource import K

Index = Callable[[K], Iterable[Hashable]]
"""The keys under which an object is found; none leaves it out."""
Change = tuple[K | None, K | None]
"""(old, new): (None, x) appeared, (x, y) changed, (x, None) went."""

_Name = tuple[str, str]


class Usage(NamedTuple):
    """What the objects of one namespace take."""

    objects: int
    bytes: int
    """As JSON of what is kept. Python takes two to four times that, less what objects share."""


_NONE = Usage(0, 0)


class Store(Generic[K]):
    """Looking up by name or index costs what is found, never a scan."""

    def __init__(self, indexes: Mapping[str, Index[K]] | None = None) -> None:
        self._objects: dict[_Name, K] = {}
        self._indexes = dict(indexes or {})
        # Dicts for their order: what a lookup returns does not depend on hash seeds.
        self._buckets: dict[str, dict[Hashable, dict[_Name, K]]] = {name: {} for name in self._indexes}
        self._keys: dict[_Name, dict[str, tuple[Hashable, ...]]] = {}
        self._undecodable: set[_Name] = set()
        self._sizes: dict[_Name, int] = {}
        self._usage: dict[str, Usage] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, namespace: str, name: str) -> K | None:
        return self._objects.get((namespace, name))

    def is_undecodable(self, namespace: str, name: str) -> bool:
        """Whether the object of that name is there and its present state does not fit its type.

        `get` returns an older state of it, or None. Callers must not take that None for a deletion.
        """
        return (namespace, name) in self._undecodable

    def has_undecodable(self, namespace: str) -> bool:
        """Whether a namespace holds an object that does not fit its type, and so may be in no index."""
        return any(of == namespace for of, _ in self._undecodable)

    @property
    def undecodable(self) -> int:
        """How many objects are there whose present state does not fit their type."""
        return len(self._undecodable)

    def all(self) -> list[K]:
        return list(self._objects.values())

    def by_index(self, index: str, key: Hashable) -> list[K]:
        """Return the objects that index `index` (it must be declared) files under `key`."""
        return list(self._buckets[index].get(key, {}).values())

    def usage(self) -> Mapping[str, Usage]:
        """Return what is kept, by namespace; "" has the objects without one. Counted as they come."""
        return self._usage

    # For the informer only.

    def upsert(self, obj: K) -> K | None:
        """Put `obj` in, under its indexes. Returns what it replaces."""
        name = (obj.metadata.namespace, obj.metadata.name)
        # Computed first: an index function that raises must leave the store as it was.
        keys = {index: tuple(dict.fromkeys(file(obj))) for index, file in self._indexes.items()}
        old = self._objects.get(name)
        if old is not None:
            self._unfile(name)
        self._objects[name] = obj
        self._count(name, len(msgspec.json.encode(obj)))
        self._undecodable.discard(name)
        self._file(name, obj, keys)
        return old

    def keep(self, metadata: ObjectMeta) -> K | None:
        """Note that an object is there that does not fit its type: its last known state is kept.

        Returns what is known under its name and is another object, which therefore is gone.
        """
        name = (metadata.namespace, metadata.name)
        old = self._objects.get(name)
        gone = self.remove(*name) if old is not None and old.metadata.uid != metadata.uid else None
        self._undecodable.add(name)
        return gone

    def remove(self, namespace: str, name: str) -> K | None:
        """Take an object out. Returns it, None if it was not there."""
        key = (namespace, name)
        self._undecodable.discard(key)
        if key not in self._objects:
            return None
        self._unfile(key)
        self._count(key, None)
        return self._objects.pop(key)

    def replace_all(
        self, objects: Iterable[K], *, namespace: str = "", undecodable: Iterable[ObjectMeta] = ()
    ) -> list[Change[K]]:
        """Make `objects` the whole content (of `namespace`, if given). Returns every difference.

        Readers see the old content or the new one, nothing between. Objects whose resourceVersion is
        the same are no difference, and those that are `undecodable` stay as they were known.
        """
        new = {(obj.metadata.namespace, obj.metadata.name): obj for obj in objects}
        kept = {(metadata.namespace, metadata.name): metadata.uid for metadata in undecodable}
        undecodable_before = {name for name in self._undecodable if not namespace or name[0] == namespace}
        self._undecodable = self._undecodable - undecodable_before | kept.keys()
        gone = [
            name
            for name, obj in self._objects.items()
            if name not in new
            and (not namespace or name[0] == namespace)
            and kept.get(name) != obj.metadata.uid
        ]
        changes: list[Change[K]] = [(self._objects[name], None) for name in gone]
        for name in gone:
            self._unfile(name)
            self._count(name, None)
            del self._objects[name]
        for name, obj in new.items():
            old = self._objects.get(name)
            if old is not None and _same(old, obj):
                continue
            if old is not None and old.metadata.uid != obj.metadata.uid:
                # Deleted and made again while nobody looked: two changes, as the watch would have reported.
                changes.append((self.remove(*name), None))
                old = None
            self.upsert(obj)
            changes.append((old, obj))
        return changes

    def _file(self, name: _Name, obj: K, keys: dict[str, tuple[Hashable, ...]]) -> None:
        for index, filed in keys.items():
            buckets = self._buckets[index]
            for key in filed:
                buckets.setdefault(key, {})[name] = obj
        if keys:
            self._keys[name] = keys

    def _count(self, name: _Name, size: int | None) -> None:
        """Count an object with its size now; None where it is gone."""
        namespace = name[0]
        objects, taken = self._usage.get(namespace, _NONE)
        before = self._sizes.pop(name, None)
        if before is not None:
            objects, taken = objects - 1, taken - before
        if size is not None:
            self._sizes[name] = size
            objects, taken = objects + 1, taken + size
        if objects:
            self._usage[namespace] = Usage(objects, taken)
        else:
            self._usage.pop(namespace, None)

    def _unfile(self, name: _Name) -> None:
        for index, filed in self._keys.pop(name, {}).items():
            buckets = self._buckets[index]
            for key in filed:
                bucket = buckets[key]
                del bucket[name]
                if not bucket:
                    del buckets[key]


def _same(old: K, new: K) -> bool:
    one, other = old.metadata, new.metadata
    return one.uid == other.uid and one.resource_version == other.resource_version
