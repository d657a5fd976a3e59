"""A run over the files of a listing, where what matters is what the volume does."""

from __future__ import annotations

import contextlib
import errno
import random
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from aim_operator.errors import FetchError
from aim_operator.fetch.answers import RangeIgnored
from aim_operator.fetch.checksums import Digest
from aim_operator.fetch.folders import volume_error
from aim_operator.fetch.http import Body, Client
from aim_operator.fetch.hub import HubSource
from aim_operator.fetch.listing import Checksum, RemoteFile, Request
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.pace import Pace
from aim_operator.fetch.partial import CHUNK_BYTES, LargeFile, Partial
from aim_operator.fetch.progress import Progress
from aim_operator.fetch.retrying import Policy, Transient
from aim_operator.fetch.source_uri import HubUri
from aim_operator.fetch.stall import StallWatch
from aim_operator.fetch.transfer import Transfer
from aim_operator.fetch.volume import Volume, identity
from tests.support.hub_server import Hub

STALL_SECONDS = 120
ONCE = Policy(attempts=1)


class SlowFile(LargeFile):
    """Of which `read` is called before a chunk is read."""

    read: Callable[[], None]

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        self.read()
        super().feed(digest, start, stop)


class SlowVolume(Volume):
    """To read a chunk of it takes more than half of what is a stall, by a clock of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.seconds = 0.0
        self.stall = StallWatch(STALL_SECONDS, clock=lambda: self.seconds)

    def _read(self) -> None:
        self.seconds += STALL_SECONDS * 0.6
        self.stall.check()

    def partial(self, file: RemoteFile, *, verifiable: bool) -> Partial:
        plain = super().partial(file, verifiable=verifiable)
        if not isinstance(plain, LargeFile):
            return plain
        plain.close()
        slow = SlowFile(self._partial, identity(file), file.size, sync_chunks=False)
        slow.read = self._read
        return slow


async def test_hashing_what_an_earlier_run_left_is_no_stall(hub: Hub, tmp_path: Path) -> None:
    """Of a file that is nearly whole it takes minutes, in which the stream that came upon it waits."""
    source = HubSource(
        HubUri("acme/tiny", "main"),
        {"HF_ENDPOINT": hub.url},
        policy=Policy(attempts=1),
        limit_seconds=20,
        retried=print,
    )
    (large,) = [file for file in source.list(None).files if file.size > CHUNK_BYTES]
    content = (tmp_path / "models" / "acme" / "tiny" / large.path).read_bytes()
    volume = SlowVolume(tmp_path / "out")
    earlier = volume.partial(large, verifiable=True)
    earlier.write(content[CHUNK_BYTES:], CHUNK_BYTES)
    earlier.mark(1)
    earlier.mark(2)
    earlier.close()
    transfer = Transfer(
        source=source,
        volume=volume,
        client=Client(connections=1, idle_seconds=20, environment={}),
        progress=Progress(print),
        policy=Policy(attempts=1),
        stall=volume.stall,
        pace=Pace(1),
        discarded=lambda: None,
    )
    await transfer.run([large])
    assert volume.seconds > STALL_SECONDS
    assert (tmp_path / "out" / large.path).read_bytes() == content
    volume.close()


PIECE_BYTES = 256 * 1024
SOON_SECONDS = 0.5


class Pieces(Body):
    """What a server sends, after each piece of which `sent` is called with how many there were."""

    def __init__(self, content: bytes, stop: int, sent: Callable[[int], object]) -> None:
        self.stop = stop
        self.direct = None
        self._content, self._sent = content, sent

    def pieces(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), PIECE_BYTES):
            yield self._content[start : start + PIECE_BYTES]
            self._sent(start // PIECE_BYTES + 1)


class TurningMirror(Client):
    """It sends the first chunk as asked, and while that is under way begins to send whole files only.

    Of the first of these the first chunk is spoilt. In the middle of the range it waits for the whole to
    overtake it.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(connections=2, idle_seconds=20, environment={})
        self._content = content
        self._spoilt = bytes(CHUNK_BYTES) + content[CHUNK_BYTES:]
        self._range_is_under_way, self._whole_overtook = threading.Event(), threading.Event()
        self.wholes = 0

    @contextlib.contextmanager
    def get(
        self, request: Request, start: int, stop: int, size: int, *, passing: bool = False
    ) -> Iterator[Body]:
        if (start, stop) == (0, size):
            self.wholes += 1
            yield Pieces(self._spoilt if self.wholes == 1 else self._content, stop, self._whole_sent)
        elif start == 0:
            yield Pieces(self._content[:stop], stop, self._range_sent)
        else:
            self._range_is_under_way.wait(20)
            raise RangeIgnored

    def _range_sent(self, pieces: int) -> None:
        if pieces == CHUNK_BYTES // PIECE_BYTES // 2:
            self._range_is_under_way.set()
            self._whole_overtook.wait(SOON_SECONDS)

    def _whole_sent(self, pieces: int) -> None:
        if pieces == CHUNK_BYTES // PIECE_BYTES:
            self._whole_overtook.set()


class OneFile(HubSource):
    """A hub that has said what the file hashes to."""

    def __init__(self, content: bytes) -> None:
        uri, policy = HubUri("acme/tiny", "main"), Policy(attempts=1)
        super().__init__(uri, {}, policy=policy, limit_seconds=20, retried=print)
        self._sha256 = sha256(content).hexdigest()

    def request(self, file: RemoteFile) -> Request:
        return Request(f"http://mirror.example.com/{file.path}", {})

    def checksum(self, file: RemoteFile) -> Checksum:
        return Checksum("sha256", self._sha256)


@contextlib.contextmanager
def transferring(
    source: OneFile,
    volume: Volume,
    mirror: Client,
    *,
    streams: int,
    policy: Policy = ONCE,
    stall: StallWatch | None = None,
) -> Iterator[Transfer]:
    """A run by so many streams; source, volume and mirror are closed after it."""
    yield Transfer(
        source=source,
        volume=volume,
        client=mirror,
        progress=Progress(print),
        policy=policy,
        stall=stall or StallWatch(STALL_SECONDS),
        pace=Pace(streams),
        discarded=lambda: None,
    )
    volume.close()
    mirror.close()
    source.close()


async def test_a_mirror_that_turns_to_whole_files_amid_a_range_gets_no_unverified_byte_placed(
    tmp_path: Path,
) -> None:
    """Two streams of one chunk would write over each other, and only one of them is hashed.

    What differs is found, and fetched once more.
    """
    content = random.Random(3).randbytes(2 * CHUNK_BYTES)
    source, volume, mirror = OneFile(content), Volume(tmp_path / "out"), TurningMirror(content)
    with transferring(source, volume, mirror, streams=2) as transfer:
        await transfer.run([RemoteFile("model.bin", len(content), "one")])
    assert mirror.wholes == 2
    assert (tmp_path / "out" / "model.bin").read_bytes() == content


class HeldStall(StallWatch):
    """Holds a thread that has the second piece of a file, between its look at the run and its write."""

    def __init__(self) -> None:
        super().__init__(STALL_SECONDS)
        self.pieces = 0
        self.held: threading.Thread | None = None
        self.is_held, self.go_on = threading.Event(), threading.Event()

    def received(self, count: int) -> None:
        super().received(count)
        self.pieces += 1
        if self.pieces == 2:
            self.held = threading.current_thread()
            self.is_held.set()
            self.go_on.wait(STALL_SECONDS)


class RefusingMirror(Client):
    """It sends one file, and refuses the other for good once the first is under way."""

    def __init__(self, content: bytes, is_under_way: threading.Event) -> None:
        super().__init__(connections=2, idle_seconds=20, environment={})
        self._content, self._is_under_way = content, is_under_way

    @contextlib.contextmanager
    def get(
        self, request: Request, start: int, stop: int, size: int, *, passing: bool = False
    ) -> Iterator[Body]:
        if request.url.endswith("refused.bin"):
            self._is_under_way.wait(STALL_SECONDS)
            raise FetchError(FetchReason.DOWNLOAD_FAILED, "refused")
        yield Pieces(self._content[start:stop], stop, lambda _: None)


async def test_a_download_that_has_failed_writes_nothing_any_more(tmp_path: Path) -> None:
    """The next one may be at it already, while a thread of the first still has something in hand."""
    content = random.Random(4).randbytes(CHUNK_BYTES)
    stall = HeldStall()
    source, volume = OneFile(content), Volume(tmp_path / "out")
    mirror = RefusingMirror(content, stall.is_held)
    files = [RemoteFile("model.bin", len(content), "one"), RemoteFile("refused.bin", len(content), "two")]
    with transferring(source, volume, mirror, streams=2, stall=stall) as transfer:
        with pytest.raises(FetchError, match="refused"):
            await transfer.run(files)
        stall.go_on.set()
        assert stall.held is not None
        stall.held.join(STALL_SECONDS)
        [data] = (tmp_path / "out").rglob(f"{identity(files[0])}.data")
        assert data.read_bytes() == content[:PIECE_BYTES] + bytes(CHUNK_BYTES - PIECE_BYTES)


class BreakingMirror(Client):
    """It sends what is asked for, and breaks off once, in the middle of a span's second chunk."""

    def __init__(self, content: bytes) -> None:
        super().__init__(connections=1, idle_seconds=20, environment={})
        self._content = content
        self.asked: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def get(
        self, request: Request, start: int, stop: int, size: int, *, passing: bool = False
    ) -> Iterator[Body]:
        self.asked.append((start, stop))
        yield Pieces(self._content[start:stop], stop, self._sent if len(self.asked) == 1 else lambda _: None)

    def _sent(self, pieces: int) -> None:
        if pieces == CHUNK_BYTES * 3 // 2 // PIECE_BYTES:
            raise Transient("reset by peer")


async def test_a_long_request_that_breaks_goes_on_at_the_byte_where_it_broke(tmp_path: Path) -> None:
    """Chunks are remembered one by one, also where one request brings several of them."""
    content = b"".join(bytes([number]) * CHUNK_BYTES for number in range(16))
    source, volume, mirror = OneFile(content), Volume(tmp_path / "out"), BreakingMirror(content)
    policy = Policy(attempts=2, first_seconds=0.01)
    with transferring(source, volume, mirror, streams=1, policy=policy) as transfer:
        await transfer.run([RemoteFile("model.bin", len(content), "one")])
    assert mirror.asked[:2] == [(0, 2 * CHUNK_BYTES), (CHUNK_BYTES * 3 // 2, 2 * CHUNK_BYTES)]
    assert sum(stop - start for start, stop in mirror.asked) == len(content) + CHUNK_BYTES // 2
    assert (tmp_path / "out" / "model.bin").read_bytes() == content


@pytest.mark.parametrize(
    ("number", "reason", "want"),
    [
        pytest.param(errno.ENOSPC, "InsufficientSpace", "the volume is full", id="no space left"),
        pytest.param(errno.EDQUOT, "InsufficientSpace", "a quota holds", id="a quota"),
        pytest.param(errno.EIO, "DownloadFailed", "the volume: I/O error", id="a broken disk"),
        pytest.param(errno.EROFS, "DownloadFailed", "the volume: ", id="a read-only mount"),
    ],
)
def test_errors_of_the_volume(number: int, reason: str, want: str) -> None:
    got = volume_error(OSError(number, "I/O error" if number == errno.EIO else "said by the kernel"))
    assert (got.reason, want in str(got)) == (reason, True), str(got)
