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

from aim_operator.api.meta import ObjectMeta
from aim_operator.api.resource import K, Page, Resource, WatchEvent
from aim_operator.backoff import Backoff, jittered, spread
from aim_operator.errors import (
    ApiError,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from aim_operator.kube.protocol import KubeClient
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
HEALTHY_SECONDS = 10.0
"""A watch that worked for as long starts the backoff anew. A list that was answered does not: a server may
answer each, and call it too old the moment it is watched from."""


class Sink(Protocol[K]):
    """Receives what the watcher reads, in the order of the stream."""

    def slimmed(self, obj: K) -> K:
        """Return what to keep of an object. Called for each of a list as it arrives: none is kept whole."""
        ...

    def replaced(self, objects: list[K], undecodable: list[ObjectMeta]) -> None:
        """Take this, slimmed already, as everything there is; of what is undecodable, what is known stays."""
        ...

    def changed(self, obj: K) -> None: ...

    def deleted(self, metadata: ObjectMeta) -> None: ...

    def undecodable(self, metadata: ObjectMeta) -> None:
        """Something changed and does not fit its type any more: what is known of it stays."""
        ...

    def progressed(self, resource_version: str) -> None:
        """Every change up to `resource_version` has been delivered."""
        ...

    def missing(self) -> None:
        """The kind is not installed (any more): nothing is there."""
        ...


class Selection(Struct, frozen=True, kw_only=True):
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""


class _Listed(Generic[K]):
    """What a streamed list has brought so far."""

    def __init__(self) -> None:
        self.objects: list[K] = []
        self.undecodable: list[ObjectMeta] = []


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
        self._page_size = PAGE_SIZE
        self._backoff = Backoff(0.5, 30.0)
        self._recheck = asyncio.Event()
        self._eager_until = float("-inf")
        self._stream: asyncio.Task[None] | None = None
        self._relist_wanted = False
        self._watching_since: float | None = None
        """Since when the current stream watches; None while it lists."""
        self.last_contact: float | None = None
        """When the server was last heard of, by the clock's monotonic time."""
        self.last_error: ApiError | None = None
        """Why there is no contact now; None while there is."""
        self.is_missing = False
        self.last_sign: float | None = None
        """When it last did something, whether that succeeded or not; while it pauses, when that ends."""

    def recheck(self) -> None:
        """Look now whether a missing kind is installed; nothing is done for one that is there."""
        self._eager_until = self._clock.monotonic() + EAGER_SECONDS
        if self.is_missing:
            self._backoff.reset()
            self._recheck.set()

    def relist(self) -> None:
        """Give up the stream and list again: somebody has reason to doubt it.

        A list that is due or under way is left alone: what it brings settles the doubt, or the doubt is
        raised again. Else each of many that wait for it would begin it anew, and it would never end.
        """
        if self._relist_wanted or not self._resource_version:
            return
        self._resource_version = ""
        if self._stream is not None:
            self._relist_wanted = True
            self._stream.cancel()

    @property
    def _log(self) -> Any:
        # Bound when something is to be said: binding is half of what thirty watchers cost to make.
        return log.bind(resource=self._resource.qualified, namespace=self._selection.namespace)

    async def run(self) -> None:
        while True:
            pause = await self._step()
            if pause > 0:
                await self._pause(pause)

    async def _step(self) -> float:
        """List or watch once. Returns how long to wait before the next step."""
        self.last_sign = self._clock.monotonic()
        try:
            doubted = await self._interruptible()
        except NotFound as error:
            # Of a collection: the kind is not installed, or its namespace is not there.
            return self._gone_missing(error)
        except Expired:
            self._log.debug("resourceVersion expired, listing again")
            self._resource_version = ""
            return self._next_pause(since_heard=False, at_once=True)
        except TooManyRequests as error:
            self.last_error = error
            return max(jittered(2 * error.retry_after_seconds), error.retry_after_seconds)
        except ApiError as error:
            self._note(error)
            return self._next_pause(since_heard=True, at_once=False)
        except Exception:  # noqa: BLE001 - a broken slim or index function must not end the watch
            self._log.exception("the cache failed, listing again")
            self._resource_version = ""
            return self._backoff.next()
        return self._next_pause(since_heard=doubted, at_once=True)

    def _next_pause(self, *, since_heard: bool, at_once: bool) -> float:
        """Return the pause after a stream. `since_heard` counts what it lasted until its last word only.

        `at_once` is for one that ended as streams do: after a healthy one there is no pause.
        """
        if self._watching_since is not None:
            until = self.last_contact if since_heard else self._clock.monotonic()
            if until is not None and until - self._watching_since >= HEALTHY_SECONDS:
                self._backoff.reset()
                if at_once:
                    return 0.0
        return self._backoff.next()

    async def _interruptible(self) -> bool:
        """List or watch; return whether `relist` ended it."""
        self._watching_since = None
        self._stream = asyncio.ensure_future(self._list_or_watch())
        try:
            await self._stream
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not self._relist_wanted or (current is not None and current.cancelling()):
                raise
        finally:
            self._stream = None
        doubted, self._relist_wanted = self._relist_wanted, False
        if doubted:
            self._resource_version = ""
        return doubted

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
        undecodable: list[ObjectMeta] = []
        token = ""
        while True:
            page = await self._page(token)
            self._heard()
            objects.extend(map(self._sink.slimmed, page.items))
            undecodable.extend(page.undecodable)
            token = page.continue_token
            if not token:
                break
        self._replace(objects, undecodable, page.resource_version)
        await self._consume(initial=False)

    async def _page(self, token: str) -> Page[K]:
        """Return a page of as many objects as fit into an answer; how many that are is remembered."""
        while True:
            try:
                return await self._client.list(
                    self._resource,
                    namespace=self._selection.namespace,
                    label_selector=self._selection.label_selector,
                    field_selector=self._selection.field_selector,
                    limit=self._page_size,
                    continue_token=token,
                )
            except TooLarge:
                if self._page_size == 1:
                    raise
                self._page_size = max(1, self._page_size // 4)

    async def _consume(self, *, initial: bool) -> None:
        """Watch until the server ends the stream. `initial`: it starts with all objects there are."""
        seconds = int(spread(*WATCH_SECONDS))
        listed: _Listed[K] | None = _Listed() if initial else None
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
        if not initial:
            self._watching_since = self._clock.monotonic()
        try:
            # The protocol promises an iterator; every client's is a generator, to be closed at once.
            async with aclosing(cast("Any", stream)) as events:
                async for event in events:
                    silence.heard()
                    self._heard()
                    if listed is None:
                        self._tell(event)
                    elif self._collect(event, listed):
                        self._replace(listed.objects, listed.undecodable, event.resource_version)
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

    def _collect(self, event: WatchEvent[K], listed: _Listed[K]) -> bool:
        """Take an event of the streamed list. Returns whether it was the last."""
        if event.type == "BOOKMARK":
            return event.initial_events_end
        if event.object is not None:
            listed.objects.append(self._sink.slimmed(event.object))
        elif event.undecodable is not None:
            listed.undecodable.append(event.undecodable)
        return False

    def _replace(self, objects: list[K], undecodable: list[ObjectMeta], resource_version: str) -> None:
        self.is_missing = False
        self._sink.replaced(objects, undecodable)
        self._resource_version = resource_version
        self._watching_since = self._clock.monotonic()
        self._sink.progressed(resource_version)

    def _tell(self, event: WatchEvent[K]) -> None:
        if event.object is not None:
            if event.type == "DELETED":
                self._sink.deleted(event.object.metadata)
            else:
                self._sink.changed(event.object)
        elif event.undecodable is not None:
            if event.type == "DELETED":
                self._sink.deleted(event.undecodable)
            else:
                self._sink.undecodable(event.undecodable)
        if event.resource_version:
            self._resource_version = event.resource_version
            self._sink.progressed(event.resource_version)

    def _heard(self) -> None:
        self.last_contact = self.last_sign = self._clock.monotonic()
        if self.last_error is not None:
            self._log.info("watch is back")
            self.last_error = None

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
        self.last_sign = self._clock.monotonic() + seconds
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
