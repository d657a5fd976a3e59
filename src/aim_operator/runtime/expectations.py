"""What each key has written and the caches have not shown yet.

So that no reconcile acts on a cache older than its own last write. Waits for how far a watch has come, not
for an object: one that was deleted or relabelled never arrives. Fed by runtime.apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.runtime.clock import Clock, Timer
from aim_operator.runtime.informer import Informer

log = structlog.get_logger("aim_operator.expectations")

STEP_SECONDS = 3.0
"""Patience is counted in steps of this length. One that took twice as long does not count: then it was this
process that stood still, and what the watch brought meanwhile is still to be read."""
DOUBT_STEPS = 5
"""After as many, and as many again, the watch is doubted, and everything listed again."""
GIVE_UP_STEPS = 40
"""After as many the key is reconciled with the cache as it is: the server can't be listed either."""

Kind = tuple[str, str]
"""(group, plural)."""


def kind_of(resource: Resource[Any]) -> Kind:
    return resource.group, resource.plural


class Expectations:
    """Per key, what is awaited. Kinds without an informer are never awaited."""

    def __init__(self, informers: Mapping[Kind, Informer[Any]], clock: Clock) -> None:
        self._informers = informers
        self._clock = clock
        self._versions: dict[ObjectRef, dict[tuple[Kind, str], str]] = {}
        """The last resourceVersion written, by kind and namespace."""
        self._going: dict[ObjectRef, dict[str, tuple[Kind, str, str]]] = {}
        """Deleted objects by uid: kind, namespace, name."""
        self._waiting: dict[ObjectRef, list[Callable[[], None]]] = {}
        self._timers: dict[ObjectRef, Timer] = {}
        self._keys_of_uid: dict[str, set[ObjectRef]] = {}
        for informer in informers.values():
            informer.add_handler(self._changed)

    def written(self, key: ObjectRef, resource: Resource[Any], obj: KubeObject) -> None:
        """`key` wrote `obj`: wait until the cache has come as far as its resourceVersion."""
        kind, namespace = kind_of(resource), obj.metadata.namespace
        version = obj.metadata.resource_version
        informer = self._informers.get(kind)
        if informer is None or informer.has_seen(namespace, version):
            return
        versions = self._versions.setdefault(key, {})
        versions[kind, namespace] = _later(versions.get((kind, namespace)), version)

    def deleted(self, key: ObjectRef, resource: Resource[Any], obj: KubeObject) -> None:
        """`key` deleted `obj`: wait until the cache shows it gone or going."""
        kind, metadata = kind_of(resource), obj.metadata
        if kind in self._informers and not self._is_going(
            kind, metadata.namespace, metadata.name, metadata.uid
        ):
            self._going.setdefault(key, {})[metadata.uid] = (kind, metadata.namespace, metadata.name)
            self._keys_of_uid.setdefault(metadata.uid, set()).add(key)

    def met(self, key: ObjectRef) -> bool:
        """Whether nothing is awaited for `key` any more."""
        versions = self._versions.get(key)
        if versions is not None:
            for (kind, namespace), version in list(versions.items()):
                if self._informers[kind].has_seen(namespace, version):
                    del versions[kind, namespace]
            if not versions:
                del self._versions[key]
        going = self._going.get(key)
        if going is not None:
            for uid, where in list(going.items()):
                if self._is_going(*where, uid):
                    self._drop_going(key, uid)
        return key not in self._versions and key not in self._going

    def on_met(self, key: ObjectRef, callback: Callable[[], None]) -> None:
        """Call back once met(key): at once, when the caches have come so far, or after GIVE_UP_STEPS."""
        if self.met(key):
            callback()
            return
        waiting = self._waiting.setdefault(key, [])
        waiting.append(callback)
        if len(waiting) > 1:
            return
        self._start_step(key, 0)
        for (kind, namespace), version in list(self._versions.get(key, {}).items()):
            self._informers[kind].when_seen(namespace, version, partial(self._check, key))

    def _check(self, key: ObjectRef) -> None:
        if key in self._waiting and self.met(key):
            self._release(key)

    def _release(self, key: ObjectRef) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        for callback in self._waiting.pop(key, ()):
            callback()

    def _start_step(self, key: ObjectRef, steps: int) -> None:
        ended = partial(self._step_ended, key, steps, self._clock.monotonic())
        self._timers[key] = self._clock.call_later(STEP_SECONDS, ended)

    def _step_ended(self, key: ObjectRef, steps: int, began: float) -> None:
        if self.met(key):
            self._release(key)
            return
        if self._clock.monotonic() - began < 2 * STEP_SECONDS:
            steps += 1
            if steps == GIVE_UP_STEPS:
                self._give_up(key)
                return
            if steps % DOUBT_STEPS == 0:
                self._doubt(key, again=steps > DOUBT_STEPS)
        self._start_step(key, steps)

    def _doubt(self, key: ObjectRef, *, again: bool) -> None:
        going = ((kind, namespace) for kind, namespace, _ in self._going.get(key, {}).values())
        # Sorted: in which order streams are given up decides what runs next, and simulations repeat.
        awaited = sorted({*self._versions.get(key, {}), *going})
        informers = [self._informers[kind] for kind, _ in awaited]
        (log.debug if again else log.warning)(
            "a write did not come back by its watch, listing again",
            key=str(key),
            kinds=" ".join(sorted({plural for (_, plural), _ in awaited})),
            silent_seconds=round(max(informer.age_seconds for informer in informers), 1),
            errors=[str(informer.last_error) for informer in informers if informer.last_error is not None],
        )
        for informer, (_, namespace) in zip(informers, awaited, strict=True):
            informer.relist(namespace)

    def _give_up(self, key: ObjectRef) -> None:
        log.error("a write never came back, continuing with an old cache", key=str(key))
        self._versions.pop(key, None)
        for uid in list(self._going.get(key, {})):
            self._drop_going(key, uid)
        self._release(key)

    def _changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        if old is None or old.metadata.uid not in self._keys_of_uid:
            return
        if new is None or new.metadata.deletion_timestamp is not None:
            for key in list(self._keys_of_uid.get(old.metadata.uid, ())):
                self._drop_going(key, old.metadata.uid)
                self._check(key)

    def _drop_going(self, key: ObjectRef, uid: str) -> None:
        going = self._going.get(key, {})
        going.pop(uid, None)
        if not going:
            self._going.pop(key, None)
        keys = self._keys_of_uid.get(uid)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._keys_of_uid[uid]

    def _is_going(self, kind: Kind, namespace: str, name: str, uid: str) -> bool:
        """Whether the cache shows that object gone, replaced or being deleted."""
        obj = self._informers[kind].store.get(namespace, name)
        return obj is None or obj.metadata.uid != uid or obj.metadata.deletion_timestamp is not None


def _later(one: str | None, other: str) -> str:
    if one is None or not (one.isdecimal() and other.isdecimal()):
        return other
    return max(one, other, key=int)
