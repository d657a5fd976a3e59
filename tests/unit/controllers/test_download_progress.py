"""Progress is heard from the log of the running Pod, one stream per download, and told not too often."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import LogSource
from aim_operator.controllers.download_progress import (
    BYTES_PER_SECOND,
    REPORT_SECONDS,
    STREAMS,
    TURN_SECONDS,
    DownloadProgress,
)
from aim_operator.core.model_cache.report import Progress
from aim_operator.errors import NotFound, Unavailable
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock

REF = ObjectRef("AIMModelCache", "team", "model")
Said = bytes | float | Exception


class Logs(FakeClient):
    """Each stream says one script: bytes, pauses in seconds, an error; the last script again and again."""

    def __init__(self, clock: VirtualClock, *scripts: list[Said]) -> None:
        super().__init__()
        self._clock, self._scripts = clock, list(scripts)
        self.streams = 0

    async def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str,
        limit_seconds: float = 30.0,
        follow: bool = False,
        tail_lines: int | None = None,
    ) -> AsyncIterator[bytes]:
        script = self._scripts[min(self.streams, len(self._scripts) - 1)]
        self.streams += 1
        for said in script:
            if isinstance(said, bytes):
                yield said
            elif isinstance(said, Exception):
                raise said
            else:
                await self._clock.sleep(said)


class Scene:
    def __init__(self, *scripts: list[Said]) -> None:
        self.clock = VirtualClock()
        self.client = Logs(self.clock, *scripts)
        self.woken = 0
        self.downloads = DownloadProgress(self.client, clock=self.clock, wake=self._wake)

    def _wake(self, ref: ObjectRef) -> None:
        assert ref == REF
        self.woken += 1

    def follow(self, uid: str = "pod-1") -> None:
        self.downloads.follow(REF, LogSource("team", "p", uid, "download"))

    @property
    def reported(self) -> Progress | None:
        return self.downloads.last_reported(REF)


def line(downloaded: int) -> bytes:
    return f"progress downloadedBytes={downloaded} totalBytes=100 percentage={downloaded}\n".encode()


async def test_what_is_heard_wakes_the_cache_but_not_for_every_line() -> None:
    scene = Scene([line(1), line(2), REPORT_SECONDS + 1, line(3), 3600.0])
    scene.follow()
    assert scene.reported is None
    await scene.clock.settle()
    assert scene.woken == 1
    scene.follow()
    assert scene.reported == Progress(downloaded_bytes=1, total_bytes=100)
    await scene.clock.advance(REPORT_SECONDS + 1)
    assert scene.woken == 2
    assert scene.reported == Progress(downloaded_bytes=2, total_bytes=100)
    await scene.clock.advance(REPORT_SECONDS)
    assert (scene.woken, scene.client.streams) == (3, 1)
    assert scene.reported == Progress(downloaded_bytes=3, total_bytes=100)
    await scene.downloads.close()


async def test_what_is_heard_too_soon_is_reported_when_its_time_has_come_and_not_before() -> None:
    scene = Scene([line(1), 0.1, line(2), 0.1, line(3), 3600.0])
    scene.follow()
    await scene.clock.settle()
    await scene.clock.advance(REPORT_SECONDS - 0.5)
    assert (scene.woken, scene.reported) == (1, Progress(downloaded_bytes=1, total_bytes=100))
    await scene.clock.advance(1)
    assert (scene.woken, scene.reported) == (2, Progress(downloaded_bytes=3, total_bytes=100))
    await scene.clock.advance(600)
    assert scene.woken == 2
    await scene.downloads.close()


async def test_a_log_that_only_repeats_itself_is_asked_for_ever_less_often() -> None:
    scene = Scene([line(1)])
    scene.follow()
    await scene.clock.advance(3600)
    assert scene.woken == 1
    assert scene.client.streams < 70, "once a minute in the end, not once a second"
    await scene.downloads.close()


async def test_a_line_may_come_in_pieces_and_other_lines_say_nothing() -> None:
    whole = line(7)
    scene = Scene([b"resumed: 3 files\n" + whole[:20], whole[20:], b"x" * 100_000, 3600.0])
    scene.follow()
    await scene.clock.advance(1)
    assert scene.reported == Progress(downloaded_bytes=7, total_bytes=100)
    await scene.downloads.close()


async def test_a_broken_stream_is_opened_again_with_growing_pauses() -> None:
    scene = Scene([line(1), Unavailable("cut")], [line(2), 3600.0])
    scene.follow()
    await scene.clock.settle()
    await scene.clock.advance(REPORT_SECONDS)
    assert scene.client.streams == 2
    assert scene.reported == Progress(downloaded_bytes=2, total_bytes=100)
    await scene.downloads.close()


class Endless(FakeClient):
    """Logs that never end, of which one line comes at once; counts who is listened to."""

    def __init__(self, clock: VirtualClock, content: bytes = b"", every_seconds: float = 3600.0) -> None:
        super().__init__()
        self._clock, self._content, self._every_seconds = clock, content, every_seconds
        self.open: Counter[str] = Counter()
        self.most = 0
        self.read = 0

    async def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str,
        limit_seconds: float = 30.0,
        follow: bool = False,
        tail_lines: int | None = None,
    ) -> AsyncIterator[bytes]:
        self.open[namespace] += 1
        self.most = max(self.most, self.open.total())
        try:
            yield line(5)
            while True:
                await self._clock.sleep(self._every_seconds)
                self.read += len(self._content)
                yield self._content
        finally:
            self.open[namespace] -= 1


async def test_a_namespace_of_500_downloads_does_not_keep_another_from_being_heard() -> None:
    """Each of them has its turn as well; and there are never more than so many connections."""
    clock = VirtualClock()
    client = Endless(clock)
    downloads = DownloadProgress(client, clock=clock, wake=lambda _: None)
    refs = [ObjectRef("AIMModelCache", "attacker", f"a{number}") for number in range(500)]
    for ref in refs:
        downloads.follow(ref, LogSource("attacker", ref.name, ref.name, "download"))
    await clock.advance(600)
    assert client.most == STREAMS
    victim = ObjectRef("AIMModelCache", "victim", "b")
    for number in range(3):
        downloads.follow(victim, LogSource("victim", "p", f"uid-{number}", "download"))
        await clock.advance(TURN_SECONDS + 1)
        assert downloads.last_reported(victim) is not None
    assert all(downloads.last_reported(ref) is not None for ref in refs)
    assert client.most == STREAMS
    for ref in refs:
        downloads.follow(ref, None)
    await clock.advance(1)
    assert client.open.total() == 1
    await downloads.close()
    assert client.open.total() == 0


async def test_a_container_that_prints_without_end_is_read_slowly() -> None:
    clock = VirtualClock()
    client = Endless(clock, b"\n" * 65536, every_seconds=0.0)
    downloads = DownloadProgress(client, clock=clock, wake=lambda _: None)
    downloads.follow(REF, LogSource("team", "p", "uid", "download"))
    await clock.advance(600)
    assert client.read <= 601 * BYTES_PER_SECOND + 65536
    assert downloads.last_reported(REF) == Progress(downloaded_bytes=5, total_bytes=100)
    await downloads.close()


async def test_a_pod_that_is_gone_is_not_asked_again() -> None:
    scene = Scene([NotFound("gone")])
    scene.follow()
    await scene.clock.advance(600)
    assert scene.client.streams == 1
    await scene.downloads.close()


async def test_another_pod_is_another_stream_and_dropping_stops() -> None:
    scene = Scene([line(9), 3600.0])
    scene.follow()
    await scene.clock.settle()
    scene.follow("pod-2")
    assert scene.reported is None, "what another Pod said is not carried over"
    await scene.clock.settle()
    assert scene.client.streams == 2
    scene.downloads.follow(REF, None)
    assert scene.reported is None
    woken = scene.woken
    await scene.clock.advance(7200)
    assert (scene.client.streams, scene.woken) == (2, woken)
