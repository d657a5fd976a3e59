"""Follows one collection: lists it, watches on from there, lists again when it must. For ever.

    ┌────────► LISTING ──404──► MISSING (until recheck, or a slow retry)
    │            │ ok              │
    │ 410, 404   ▼                 │
    └───────── WATCHING ◄──────────┘ (by way of LISTING)

Owns when to list, reconnect and wait. Keeps no objects: its sink, an informer, does.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Generic, Protocol, cast

import structlog
from msgspec import Struct

from aim_operator.api.resource import K, Resource, WatchEvent
from aim_operator.errors import (
    ApiError,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.backoff import Backoff, jittered, spread
from aim_operator.runtime.clock import Clock

log = structlog.get_logger("aim_operator.watcher")

PAGE_SIZE = 500
WATCH_SECONDS = (180, 300)
"""A watch is renewed after this long. Drawn anew each time, so that they do not all end at once."""
GRACE_SECONDS = 10.0
"""How long after its own end a silent watch is dead. Servers send a bookmark every minute."""
MISSING_RETRY_SECONDS = 600.0
"""The fallback only: `recheck` is called when a CRD appears."""
EAGER_SECONDS = 60.0
"""How long after `recheck` a kind is asked for eagerly: a CRD is served seconds after it is created."""
SHORT_WATCH_SECONDS = 1.0


class Sink(Protocol[K]):
    """Who is told. Calls come in the order of the stream."""

    def replaced(self, objects: list[K], resource_version: str) -> None:
        """Take this as everything there is."""
        ...

    def changed(self, obj: K) -> None: ...

    def deleted(self, obj: K) -> None: ...

    def progressed(self, resource_version: str) -> None:
        """Every change up to `resource_version` has been told."""
        ...

    def missing(self) -> None:
        """The kind is not installed (any more): nothing is there."""
        ...


class Selection(Struct, frozen=True, kw_only=True):
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""


class Watcher(Generic[K]):
    """One namespace (or all) of one resource. `run` ends by cancellation only."""

    def __init__(
        self,
        client: KubeClient,
        resource: Resource[K],
        sink: Sink[K],
        *,
        clock: Clock,
        selection: Selection,
    ) -> None:
        self._client = client
        self._resource = resource
        self._sink = sink
        self._clock = clock
        self._selection = selection
        self._resource_version = ""
        """Where to watch on from; "" means that a list is due."""
        self._streams_lists = True
        self._backoff = Backoff(0.5, 30.0)
        self._recheck = asyncio.Event()
        self._eager_until = float("-inf")
        self._stream: asyncio.Task[None] | None = None
        self._relist_wanted = False
        self._log = log.bind(resource=resource.qualified, namespace=selection.namespace)
        self.last_contact: float | None = None
        """When the server was last heard of, by the clock's monotonic time."""
        self.last_error: ApiError | None = None
        """Why there is no contact now; None while there is."""
        self.is_missing = False

    def recheck(self) -> None:
        """Look now whether a missing kind is installed; nothing is done for one that is there."""
        self._eager_until = self._clock.monotonic() + EAGER_SECONDS
        if self.is_missing:
            self._backoff.reset()
            self._recheck.set()

    def relist(self) -> None:
        """Give up the stream and list again: somebody has reason to doubt it."""
        self._resource_version = ""
        if self._stream is not None:
            self._relist_wanted = True
            self._stream.cancel()

    async def run(self) -> None:
        while True:
            pause = await self._step()
            if pause > 0:
                await self._pause(pause)

    async def _step(self) -> float:
        """List or watch once. Returns how long to wait before the next step."""
        started = self._clock.monotonic()
        try:
            await self._interruptible()
        except NotFound as error:
            # Of a collection: the kind is not installed, or its namespace is not there.
            return self._gone_missing(error)
        except Expired:
            self._log.debug("resourceVersion expired, listing again")
            self._resource_version = ""
            return 0.0 if self._clock.monotonic() - started > SHORT_WATCH_SECONDS else self._backoff.next()
        except TooManyRequests as error:
            self.last_error = error
            return max(jittered(2 * error.retry_after_seconds), error.retry_after_seconds)
        except ApiError as error:
            self._note(error)
            return self._backoff.next()
        except Exception:  # noqa: BLE001 - a broken slim or index function must not end the watch
            self._log.exception("the cache failed, listing again")
            self._resource_version = ""
            return self._backoff.next()
        if self._clock.monotonic() - started < SHORT_WATCH_SECONDS:
            return self._backoff.next()
        return 0.0

    async def _interruptible(self) -> None:
        self._stream = asyncio.ensure_future(self._list_or_watch())
        try:
            await self._stream
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not self._relist_wanted or (current is not None and current.cancelling()):
                raise
        finally:
            self._stream = None
        if self._relist_wanted:
            self._relist_wanted = False
            self._resource_version = ""

    async def _list_or_watch(self) -> None:
        if self._resource_version:
            await self._consume(initial=False)
        elif self._streams_lists:
            try:
                await self._consume(initial=True)
            except Invalid as error:
                self._log.debug("the server does not stream lists, paging", error=str(error))
                self._streams_lists = False
        if not self._resource_version:
            await self._list_pages()

    async def _list_pages(self) -> None:
        objects: list[K] = []
        token = ""
        while True:
            page = await self._client.list(
                self._resource,
                namespace=self._selection.namespace,
                label_selector=self._selection.label_selector,
                field_selector=self._selection.field_selector,
                limit=PAGE_SIZE,
                continue_token=token,
            )
            self._heard()
            objects.extend(page.items)
            token = page.continue_token
            if not token:
                break
        self._replace(objects, page.resource_version)
        await self._consume(initial=False)

    async def _consume(self, *, initial: bool) -> None:
        """Watch until the server ends the stream. `initial`: it starts with all objects there are."""
        seconds = int(spread(*WATCH_SECONDS))
        listed: list[K] | None = [] if initial else None
        stream = self._client.watch(
            self._resource,
            namespace=self._selection.namespace,
            label_selector=self._selection.label_selector,
            field_selector=self._selection.field_selector,
            resource_version=self._resource_version,
            send_initial_events=initial,
            timeout_seconds=seconds,
        )
        silence = _Silence(self._clock, seconds + GRACE_SECONDS)
        try:
            # The protocol promises an iterator; every client's is a generator, to be closed at once.
            async with aclosing(cast("Any", stream)) as events:
                async for event in events:
                    silence.heard()
                    self._heard()
                    if listed is None:
                        self._tell(event)
                    elif self._collect(event, listed):
                        self._replace(listed, event.resource_version)
                        listed = None
        except asyncio.CancelledError:
            if silence.too_long:
                raise Unavailable(
                    f"nothing was heard of {self._resource.qualified} for {seconds} s"
                ) from None
            raise
        finally:
            silence.end()
        if listed is not None:
            raise Unavailable(f"the list of {self._resource.qualified} broke off")

    def _collect(self, event: WatchEvent[K], listed: list[K]) -> bool:
        """Take an event of the streamed list. Returns whether it was the last."""
        if event.type == "BOOKMARK":
            return event.initial_events_end
        if event.object is not None:
            listed.append(event.object)
        return False

    def _replace(self, objects: list[K], resource_version: str) -> None:
        self.is_missing = False
        self._sink.replaced(objects, resource_version)
        self._resource_version = resource_version
        self._sink.progressed(resource_version)

    def _tell(self, event: WatchEvent[K]) -> None:
        if event.object is not None:
            if event.type == "DELETED":
                self._sink.deleted(event.object)
            else:
                self._sink.changed(event.object)
        if event.resource_version:
            self._resource_version = event.resource_version
            self._sink.progressed(event.resource_version)

    def _heard(self) -> None:
        self.last_contact = self._clock.monotonic()
        if self.last_error is not None:
            self._log.info("watch is back")
            self.last_error = None
        self._backoff.reset()

    def _gone_missing(self, error: NotFound) -> float:
        self._resource_version = ""
        self.last_contact = self._clock.monotonic()
        self.last_error = None
        if not self.is_missing:
            self._log.info("not installed, waiting for it", answer=str(error))
            self.is_missing = True
            self._backoff.reset()
        self._sink.missing()
        if self._clock.monotonic() < self._eager_until:
            return min(self._backoff.next(), 5.0)
        return jittered(MISSING_RETRY_SECONDS)

    def _note(self, error: ApiError) -> None:
        if type(error) is not type(self.last_error):
            clear = isinstance(error, (Forbidden, Unauthorized))
            (self._log.warning if clear else self._log.info)("watch failed, trying again", error=str(error))
        self.last_error = error

    async def _pause(self, seconds: float) -> None:
        """Wait, for a missing kind no longer than until `recheck`."""
        self._recheck.clear()
        timer = self._clock.call_later(seconds, self._recheck.set)
        try:
            await self._recheck.wait()
        finally:
            timer.cancel()


class _Silence:
    """Cancels the current task when nothing was heard for `limit` seconds: one timer, not one per event."""

    def __init__(self, clock: Clock, limit_seconds: float) -> None:
        self._clock = clock
        self._limit = limit_seconds
        self._task = asyncio.current_task()
        self._last = clock.monotonic()
        self._timer = clock.call_later(limit_seconds, self._check)
        self.too_long = False

    def heard(self) -> None:
        self._last = self._clock.monotonic()

    def end(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        left = self._last + self._limit - self._clock.monotonic()
        if left > 0:
            self._timer = self._clock.call_later(left, self._check)
            return
        self.too_long = True
        if self._task is not None:
            self._task.cancel()
