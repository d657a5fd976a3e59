"""Follows the logs of running downloads: the one thing about them that no watch tells.

One stream per download, for as long as it runs; nothing polls. Of more downloads than STREAMS each is heard
for a while, namespaces in turn. What a log says is a hint that a restart may lose: the next line tells it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import LogSource
from aim_operator.backoff import exponential
from aim_operator.core.model_cache.report import Progress, parse_progress
from aim_operator.errors import ApiError, NotFound
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock, Timer
from aim_operator.runtime.fair import FairLimit

log = structlog.get_logger("aim_operator.downloads")

REPORT_SECONDS = 5.0
"""Between two status writes about one download: what its log says meanwhile waits."""
FOLLOW_SECONDS = 3600.0
"""After which a stream is opened anew: connections are not for ever."""
STREAMS = 64
"""Open at once. Each is a connection to the API server, and one from there to a kubelet."""
TURN_SECONDS = 20.0
"""How long a log is listened to while others wait for it."""
BYTES_PER_SECOND = 16 * 1024
"""What is read of one log at most: a container that writes more fills its node's buffers, not our time."""
LONGEST_LINE = 4096
LAST_LINES = 50
"""Of what comes at once only so many lines are looked at, the last ones."""
LONGEST_PAUSE_SECONDS = 60.0


class _Following:
    def __init__(self, log_source: LogSource, task: asyncio.Task[None]) -> None:
        self.log_source = log_source
        self.task = task
        self.latest: Progress | None = None
        """The last line of progress in the log."""
        self.reported: Progress | None = None
        """What the last reconcile was enqueued for."""
        self.reported_at = float("-inf")
        self.timer: Timer | None = None
        """Until the next report."""

    def close(self) -> None:
        self.task.cancel()
        if self.timer is not None:
            self.timer.cancel()


class DownloadProgress:
    """What the running download of each cache last reported. Single-threaded, like the event loop."""

    def __init__(self, client: KubeClient, *, clock: Clock, wake: Callable[[ObjectRef], None]) -> None:
        self._client = client
        self._clock = clock
        self._wake = wake
        self._following: dict[ObjectRef, _Following] = {}
        self._streams = FairLimit(STREAMS)

    def follow(self, ref: ObjectRef, log_source: LogSource | None) -> None:
        """Follow this log from now on and no other; None follows none. `ref` is woken by news."""
        following = self._following.get(ref)
        if following is not None and following.log_source != log_source:
            del self._following[ref]
            following.close()
            following = None
        if log_source is not None and following is None:
            task = asyncio.create_task(self._run(ref, log_source), name=f"follow {log_source.pod}")
            self._following[ref] = _Following(log_source, task)

    def last_reported(self, ref: ObjectRef) -> Progress | None:
        """Return the last progress that was handed on; it changes when `ref` is woken, and only then."""
        following = self._following.get(ref)
        return following.reported if following is not None else None

    async def close(self) -> None:
        """Stop listening to all."""
        tasks = [following.task for following in self._following.values()]
        for ref in list(self._following):
            self.follow(ref, None)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, ref: ObjectRef, log_source: LogSource) -> None:
        failures = 0
        while True:
            try:
                async with self._streams.turn(ref.namespace):
                    news = await self._listen_in_turn(ref, log_source)
                if news is None:
                    # It was others' turn: as soon as possible again.
                    continue
                failures = 0 if news else failures + 1
            except NotFound:
                return
            except ApiError as error:
                failures += 1
                log.debug("the log of a download can't be followed", pod=log_source.pod, error=str(error))
            # The end of the log is the end of the Pod, which a watch tells; if not, listen again.
            await self._clock.sleep(exponential(1.0, LONGEST_PAUSE_SECONDS, failures))

    async def _listen_in_turn(self, ref: ObjectRef, log_source: LogSource) -> bool | None:
        """Follow the log, to its end or until others have waited long enough: then return None."""
        listening = asyncio.ensure_future(self._listen(ref, log_source))
        turn = asyncio.ensure_future(self._turn_is_over())
        try:
            await asyncio.wait((listening, turn), return_when=asyncio.FIRST_COMPLETED)
            return listening.result() if listening.done() else None
        finally:
            for task in (listening, turn):
                task.cancel()
            await asyncio.gather(listening, turn, return_exceptions=True)

    async def _turn_is_over(self) -> None:
        await self._clock.sleep(TURN_SECONDS)
        while not self._streams.contended:
            await self._clock.sleep(TURN_SECONDS)

    async def _listen(self, ref: ObjectRef, log_source: LogSource) -> bool:
        """Follow the log to its end. Returns whether it had any news: a log can be read again and again."""
        news = False
        rest = b""
        stream = self._client.logs(
            log_source.namespace,
            log_source.pod,
            container=log_source.container,
            limit_seconds=FOLLOW_SECONDS,
            follow=True,
            tail_lines=20,
        )
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-LONGEST_LINE:]
            news = self._hear(ref, lines[-LAST_LINES:]) or news
            # What comes faster stays in the connection, and then on its node.
            await self._clock.sleep(len(chunk) / BYTES_PER_SECOND)
        return news

    def _hear(self, ref: ObjectRef, lines: list[bytes]) -> bool:
        """Take the last progress that lines tell of, and report it in time. Returns whether it is news."""
        decoded = (line[:LONGEST_LINE].decode(errors="replace") for line in reversed(lines))
        latest = next((progress for progress in map(parse_progress, decoded) if progress), None)
        following = self._following.get(ref)
        if latest is None or following is None or latest == following.latest:
            return False
        following.latest = latest
        left = following.reported_at + REPORT_SECONDS - self._clock.monotonic()
        if left <= 0:
            self._report(ref, following)
        elif following.timer is None:
            following.timer = self._clock.call_later(left, partial(self._report, ref, following))
        return True

    def _report(self, ref: ObjectRef, following: _Following) -> None:
        """Enqueue the cache for the latest progress."""
        following.reported, following.reported_at = following.latest, self._clock.monotonic()
        if following.timer is not None:
            following.timer.cancel()
            following.timer = None
        self._wake(ref)
