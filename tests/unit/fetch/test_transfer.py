"""A run over the files of a listing, where what matters is what the volume does."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from aim_operator.fetch.checksums import Digest
from aim_operator.fetch.folders import volume_error
from aim_operator.fetch.http import Client
from aim_operator.fetch.hub import HubSource
from aim_operator.fetch.listing import RemoteFile
from aim_operator.fetch.pace import Pace
from aim_operator.fetch.partial import CHUNK_BYTES, LargeFile, Partial
from aim_operator.fetch.progress import Progress
from aim_operator.fetch.retrying import Policy
from aim_operator.fetch.source_uri import HubUri
from aim_operator.fetch.stall import StallWatch
from aim_operator.fetch.transfer import Transfer
from aim_operator.fetch.volume import Volume, identity
from tests.support.hub_server import Hub

STALL_SECONDS = 120


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
        discarded=lambda: None,
    )
    await transfer.run([large], Pace(1))
    assert volume.seconds > STALL_SECONDS
    assert (tmp_path / "out" / large.path).read_bytes() == content
    volume.close()


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
