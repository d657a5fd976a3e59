"""Tells people what happened to an object: events.k8s.io/v1, aggregated, never in anybody's way.

`record` only appends to a bounded queue; one background task writes, slowly while objects wait for workers.
What is too much is dropped and counted: events inform, nothing depends on them. Namespaces take turns, and
none may fill the queue, or hold up the others by events that can't be written.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import structlog
from msgspec import Struct

from aim_operator.api.meta import KubeObject, Manifest, ObjectMeta
from aim_operator.api.resource import Resource
from aim_operator.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock, micro_time, within
from aim_operator.runtime.fair import FairQueue, may_have_more
from aim_operator.runtime.metrics import MetricSink

K = TypeVar("K")
V = TypeVar("V")

log = structlog.get_logger("aim_operator.events")

EVENTS = Resource(
    group="events.k8s.io", version="v1", plural="events", kind="Event", namespaced=True, type=KubeObject
)
CLUSTER_NAMESPACE = "default"
"""Where events about cluster objects live: kubectl looks for them there."""

QUEUE_LIMIT = 1000
"""Of all namespaces; one may have as many waiting as are left for others: half, if it is alone."""
SERIES_SECONDS = 360.0
"""How long an event is remembered after it was last seen; repetitions until then count up its series."""
SERIES_INTERVAL_SECONDS = 30.0
"""How often a series is written at most."""
REMEMBERED = 4096
REMEMBERED_OF_NAMESPACE = 1024
"""Series, and objects whose rate is watched: who has more of them forgets its own."""
BURST = 25
REFILL_SECONDS = 30.0
"""Events of one object: so many at once, then one in so many seconds."""
YIELD_SECONDS = 0.2
"""Between two writes while all workers are at work: an Event costs the server as much as what it tells of."""
PAUSE_SECONDS = 5.0
"""After a failed write: whatever overloads the server, it is not events that must get through."""
ASIDE_SECONDS = 60.0
"""How long a namespace is passed over after that, if others have events to write."""
NOTE_BYTES = 1024
NAME_LENGTH = 200


class Note(Struct, frozen=True):
    """What happened. Equal notes make a series."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str
    action: str


class _Series(Struct):
    """A note that was seen: the Event written for it ("" before it was) and how often it came.

    Remembered by the note's hash, since thousands are; `note` itself is there while it waits to be written.
    """

    note: Note | None
    first_at: datetime
    seen_at: float
    written_at: float
    count: int = 1
    event_name: str = ""


class _Bucket(Struct):
    tokens: float
    since: float


class EventRecorder:
    """`component` is the reporting controller, `instance` its process (a Pod's name).

    `busy` tells whether all workers are at work.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        clock: Clock,
        component: str,
        instance: str,
        metrics: MetricSink | None = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._clock = clock
        self._component = component
        self._instance = instance
        self._metrics = metrics or MetricSink()
        self._busy = busy
        self._series: _Memory[int, _Series] = _Memory()
        self._buckets: _Memory[str, _Bucket] = _Memory()
        self._queue: FairQueue[_Series] = FairQueue()
        self._queued = asyncio.Event()
        self._aside: dict[str, float] = {}
        """Until when a namespace is passed over whose event could not be written."""

    def record(  # noqa: PLR0917 - the parts of an Event, in its order
        self,
        resource: Resource[Any],
        regarding: ObjectMeta,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the field's name
        reason: str,
        message: str,
        action: str,
    ) -> None:
        """Have an event written about an object. Never waits, never raises."""
        note = Note(
            api_version=resource.api_version,
            kind=resource.kind,
            namespace=regarding.namespace,
            name=regarding.name,
            uid=regarding.uid,
            type=type,
            reason=reason,
            message=_cut(message),
            action=action,
        )
        now = self._clock.monotonic()
        key = hash(note)
        series = self._series.pop(note.namespace, key)
        if series is not None and now - series.seen_at < SERIES_SECONDS:
            series.count += 1
            series.seen_at = now
            self._series.put(note.namespace, key, series)
            self._queue_repetition(note, series)
            return
        if not self._allowed(note, now):
            self._metrics.event_dropped("rate")
            return
        series = _Series(note, self._clock.now(), now, now)
        if self._enqueue(note.namespace, series):
            self._series.put(note.namespace, key, series)

    async def run(self) -> None:
        """Write what is recorded, until cancelled."""
        while True:
            series = self._queue.pop(self._not_aside) or self._queue.pop()
            if series is None:
                self._queued.clear()
                await self._queued.wait()
            elif not await self._write(series):
                await self._clock.sleep(PAUSE_SECONDS)
            elif self._busy():
                await self._clock.sleep(YIELD_SECONDS)

    async def close(self, *, seconds: float = 2.0) -> None:
        """Write what is still waiting, for `seconds` at most. `run` must have ended, or take part."""
        with contextlib.suppress(TimeoutError):
            await within(self._clock, seconds, self._flush())
        for _ in range(len(self._queue)):
            self._metrics.event_dropped("stop")

    async def _flush(self) -> None:
        while (series := self._queue.pop(self._not_aside) or self._queue.pop()) is not None:
            if not await self._write(series):
                return

    def _not_aside(self, namespace: str) -> bool:
        until = self._aside.get(namespace)
        if until is None:
            return True
        if self._clock.monotonic() < until:
            return False
        del self._aside[namespace]
        return True

    def _queue_repetition(self, note: Note, series: _Series) -> None:
        """Write a series when it comes again and the last write is a while ago; never for its own sake."""
        waits = series.note is not None
        if waits or self._clock.monotonic() - series.written_at < SERIES_INTERVAL_SECONDS:
            return
        series.note = note
        if not self._enqueue(note.namespace, series):
            series.note = None

    def _enqueue(self, namespace: str, series: _Series) -> bool:
        if not may_have_more(self._queue.length_of(namespace), QUEUE_LIMIT - len(self._queue)):
            self._metrics.event_dropped("queue")
            return False
        self._queue.push(namespace, series)
        self._queued.set()
        return True

    def _allowed(self, note: Note, now: float) -> bool:
        bucket = self._buckets.pop(note.namespace, note.uid) or _Bucket(BURST, now)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.since) / REFILL_SECONDS)
        bucket.since = now
        self._buckets.put(note.namespace, note.uid, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    async def _write(self, series: _Series) -> bool:
        """Write a note, as a new Event or as the next count of its series. Returns whether it worked."""
        note, series.note = series.note, None
        if note is None:
            return True
        series.written_at = self._clock.monotonic()
        namespace = note.namespace or CLUSTER_NAMESPACE
        try:
            if series.event_name:
                again = {"series": self._state(series)}
                await self._client.patch(EVENTS, series.event_name, again, namespace=namespace)
            else:
                manifest = self._manifest(note, series, namespace)
                await self._client.create(EVENTS, manifest, namespace=namespace)
                series.event_name = manifest["metadata"]["name"]
        except NotFound:
            # The namespace goes, or the Event expired (an hour, by default): the next one starts anew.
            self._series.pop(note.namespace, hash(note))
            self._metrics.event_dropped("gone")
            return True
        except (Forbidden, Invalid, Conflict) as error:
            # Refused for what it is, mostly because its namespace is going: others need not wait for that.
            self._metrics.event_dropped("refused")
            log.debug("event refused", error=str(error), reason=note.reason)
        except ApiError as error:
            self._aside[note.namespace] = self._clock.monotonic() + ASIDE_SECONDS
            self._metrics.event_dropped("error")
            log.debug("event not written", error=str(error), reason=note.reason)
            return False
        return True

    def _state(self, series: _Series) -> Manifest:
        return {"count": series.count, "lastObservedTime": micro_time(self._clock.now())}

    def _manifest(self, note: Note, series: _Series, namespace: str) -> Manifest:
        name = f"{note.name[:NAME_LENGTH].rstrip('-.')}.{secrets.token_hex(8)}"
        regarding = {
            "apiVersion": note.api_version,
            "kind": note.kind,
            "name": note.name,
            "uid": note.uid,
        }
        if note.namespace:
            regarding["namespace"] = note.namespace
        manifest: Manifest = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": micro_time(series.first_at),
            "reportingController": self._component,
            "reportingInstance": self._instance[:128],
            "action": note.action,
            "reason": note.reason,
            "regarding": regarding,
            "note": note.message,
            "type": note.type,
        }
        if series.count > 1:
            manifest["series"] = self._state(series)
        return manifest


class _Memory(Generic[K, V]):
    """The last of each namespace and of all, by the order in which they were put."""

    def __init__(self) -> None:
        self._all: OrderedDict[tuple[str, K], V] = OrderedDict()
        self._of: dict[str, OrderedDict[K, None]] = {}

    def pop(self, namespace: str, key: K) -> V | None:
        value = self._all.pop((namespace, key), None)
        if value is not None:
            of = self._of[namespace]
            del of[key]
            if not of:
                del self._of[namespace]
        return value

    def put(self, namespace: str, key: K, value: V) -> None:
        self.pop(namespace, key)
        of = self._of.setdefault(namespace, OrderedDict())
        if len(of) >= REMEMBERED_OF_NAMESPACE:
            self.pop(namespace, next(iter(of)))
            of = self._of.setdefault(namespace, of)
        if len(self._all) >= REMEMBERED:
            self.pop(*next(iter(self._all)))
        self._of.setdefault(namespace, of)[key] = None
        self._all[namespace, key] = value


def _cut(message: str) -> str:
    """Return at most 1024 bytes, which is what an Event's note may have, cut between characters."""
    encoded = message.encode()
    if len(encoded) <= NOTE_BYTES:
        return message
    return encoded[: NOTE_BYTES - 3].decode(errors="ignore") + "…"
