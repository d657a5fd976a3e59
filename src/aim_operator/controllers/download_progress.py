"""Follows the logs of running downloads: the one thing about them that no watch tells.

One stream per download, for as long as it runs; nothing polls. What is heard is a hint that a restart may
lose: the next line tells it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from aim_operator.api.external import Pod
from aim_operator.api.meta import ObjectRef
from aim_operator.backoff import exponential
from aim_operator.core.model_cache.report import Progress, parse_progress
from aim_operator.errors import ApiError, NotFound
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock

log = structlog.get_logger("aim_operator.downloads")

TELL_SECONDS = 5.0
"""Between two status writes about one download."""
FOLLOW_SECONDS = 3600.0
"""After which a stream is opened anew: connections are not for ever."""
LONGEST_LINE = 4096
LONGEST_PAUSE_SECONDS = 60.0
CONTAINER = "download"


class _Following:
    def __init__(self, pod_uid: str, task: asyncio.Task[None]) -> None:
        self.pod_uid = pod_uid
        self.task = task
        self.progress: Progress | None = None


class DownloadProgress:
    """What each cache's running download last said. Single-threaded, like the event loop."""

    def __init__(self, client: KubeClient, *, clock: Clock, wake: Callable[[ObjectRef], None]) -> None:
        self._client = client
        self._clock = clock
        self._wake = wake
        self._following: dict[ObjectRef, _Following] = {}

    def follow(self, ref: ObjectRef, pod: Pod) -> Progress | None:
        """Listen to this Pod, if not yet done; return what was heard of it so far. `ref` is woken by news."""
        known = self._following.get(ref)
        if known is None or known.pod_uid != pod.metadata.uid:
            self.drop(ref)
            task = asyncio.create_task(self._run(ref, pod), name=f"follow {pod.metadata.name}")
            known = self._following[ref] = _Following(pod.metadata.uid, task)
        return known.progress

    def drop(self, ref: ObjectRef) -> None:
        """Stop listening: nothing runs for this cache (any more)."""
        known = self._following.pop(ref, None)
        if known is not None:
            known.task.cancel()

    async def close(self) -> None:
        """Stop listening to all."""
        tasks = [known.task for known in self._following.values()]
        for ref in list(self._following):
            self.drop(ref)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, ref: ObjectRef, pod: Pod) -> None:
        failures = 0
        while True:
            try:
                await self._listen(ref, pod)
                failures = 0
            except NotFound:
                return
            except ApiError as error:
                failures += 1
                log.debug("the log of a download can't be followed", pod=pod.metadata.name, error=str(error))
            # The end of the log is the end of the Pod, which a watch tells; if not, listen again.
            await self._clock.sleep(exponential(1.0, LONGEST_PAUSE_SECONDS, failures))

    async def _listen(self, ref: ObjectRef, pod: Pod) -> None:
        told_at = float("-inf")
        rest = b""
        stream = self._client.logs(
            pod.metadata.namespace,
            pod.metadata.name,
            container=CONTAINER,
            limit_seconds=FOLLOW_SECONDS,
            follow=True,
            tail_lines=20,
        )
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-LONGEST_LINE:]
            heard = [p for p in (parse_progress(line.decode(errors="replace")) for line in lines) if p]
            known = self._following.get(ref)
            if not heard or known is None:
                continue
            known.progress = heard[-1]
            if self._clock.monotonic() - told_at >= TELL_SECONDS:
                told_at = self._clock.monotonic()
                self._wake(ref)
