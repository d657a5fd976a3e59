"""Volumes as the field has them: that hang, that go stale, that are full, that tell nothing of their size.

A fifo hangs whoever opens it, as a file on a dead NFS server does; a folder in the place of a file gives an
error to whoever reads it; a tmpfs without a limit answers statfs(2) with zeros, as some network ones do.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from aim_operator.errors import FetchError
from aim_operator.fetch.listing import RemoteFile
from aim_operator.fetch.lock import DirectoryLock, Timing
from aim_operator.fetch.patience import on_volume
from aim_operator.fetch.volume import identity, space_of
from tests.support.fetch_process import AIMCTL, FetchProcess
from tests.support.fetching import fetched
from tests.support.hub_server import Hub
from tests.support.operator_process import eventually

PATIENT_SECONDS = 60
EAGER = Timing(heartbeat_seconds=0.02)
"""The limits are those of a real one: a busy machine does not reach them."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@contextlib.contextmanager
def hanging(path: Path) -> Iterator[None]:
    """Whoever opens the file hangs, until the end of this."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            # Opened for both: whoever waits for the other end has it, and reads nothing.
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        path.unlink(missing_ok=True)


async def until(holds: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENT_SECONDS):
            while not holds():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(what)


def is_fifo(path: Path) -> bool:
    return path.is_fifo()


async def hung(path: Path) -> int:
    """Have whoever reads the file next hang. The end that it waits for, once somebody does."""
    while True:
        aside = path.with_name("fifo")
        os.mkfifo(aside)
        aside.rename(path)
        while is_fifo(path):
            with contextlib.suppress(OSError):
                # Refused as long as nobody reads.
                end = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                if stat.S_ISFIFO(os.fstat(end).st_mode):
                    return end
                os.close(end)
            await asyncio.sleep(0.005)
        # A heartbeat that was at work already put its lease in the place of the fifo.


@contextlib.contextmanager
def answering_at_last(path: Path) -> Iterator[threading.Event]:
    """So that a test whose event loop hangs fails: the file answers after a while, and the event is set."""
    late = threading.Event()

    def answer() -> None:
        late.set()
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    timer = threading.Timer(PATIENT_SECONDS, answer)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()


async def test_a_volume_that_hangs_does_not_hold_up_the_event_loop(folder: int, tmp_path: Path) -> None:
    """Stall detection and SIGTERM live on it; the heartbeat alone waits for the volume."""
    lease = tmp_path / "lease"
    async with DirectoryLock(folder, print, EAGER).hold():
        with answering_at_last(lease) as late:
            # Both run on this loop, and the heartbeat hangs from the moment on in which this is there.
            end = await hung(lease)
            for _ in range(100):
                await asyncio.sleep(0)
            assert is_fifo(lease)
            assert not late.is_set(), "the loop went on only when the volume answered"
        os.close(end)
        await until(lease.is_file, "the heartbeat goes on once the volume answers again")


def put_a_folder_in_its_place(path: Path) -> None:
    """Also while it is written anew all the time."""
    while not path.is_dir():
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir()


async def test_one_stale_handle_does_not_end_the_heartbeat(folder: int, tmp_path: Path) -> None:
    said: list[str] = []
    lease = tmp_path / "lease"
    async with DirectoryLock(folder, said.append, EAGER).hold():
        put_a_folder_in_its_place(lease)
        await until(lambda: bool(said), "it is said")
        lease.rmdir()
        await until(lease.is_file, "the heartbeat goes on")
    assert len(said) == 1
    assert "lease can't be renewed" in said[0]


async def test_a_lease_that_is_refused_for_good_ends_the_fetch_with_what_the_volume_said(
    folder: int, tmp_path: Path
) -> None:
    # A heartbeat every ten seconds of this clock, and thirty until the lease is given up.
    tens = count(0, 10)

    async def hold() -> None:
        async with DirectoryLock(folder, print, EAGER, clock=lambda: float(next(tens))).hold():
            put_a_folder_in_its_place(tmp_path / "lease")
            await asyncio.sleep(PATIENT_SECONDS)

    with pytest.raises(FetchError, match=r"could not be renewed for 30 s: .*directory"):
        await hold()


async def test_a_volume_that_hangs_from_the_start_is_said_to(folder: int, tmp_path: Path) -> None:
    soon = Timing(silent_seconds=0.2)
    with hanging(tmp_path / "lease"), pytest.raises(FetchError, match="the volume did not answer") as ended:
        async with DirectoryLock(folder, print, soon).hold():
            pass
    assert ended.value.reason == "Stalled"


async def test_a_slow_volume_is_no_hung_one() -> None:
    """As one with a hundred thousand files, each asked for: all together take twenty times the limit."""
    now, steps = 0.0, 0
    looked = threading.Event()

    def clock() -> float:
        looked.set()
        return now

    def slow() -> str:
        nonlocal now, steps
        for _ in range(25):
            now += 0.032
            steps += 1
            looked.clear()
            assert looked.wait(PATIENT_SECONDS)
        return "done"

    assert await on_volume(slow, 0.04, lambda: steps, clock) == "done"
    assert now > 0.04 * 19


def test_sigterm_ends_a_fetch_whose_volume_hangs(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "out" / ".aim-fetch").mkdir(parents=True)
    with hanging(tmp_path / "out" / ".aim-fetch" / "complete.json"):
        process = FetchProcess(
            "hf://acme/tiny", tmp_path / "out", tmp_path / "log", environment={"HF_ENDPOINT": hub.url}
        )
        eventually((tmp_path / "out" / ".aim-fetch" / "lease").exists, "the lock is held")
        process.process.terminate()
        assert process.wait() == 143, process.text
    assert process.message["reason"] == "Interrupted"


def test_a_fetch_onto_a_hung_volume_ends_as_stalled(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "out" / ".aim-fetch").mkdir(parents=True)
    with hanging(tmp_path / "out" / ".aim-fetch" / "complete.json"):
        process = FetchProcess(
            "hf://acme/tiny",
            tmp_path / "out",
            tmp_path / "log",
            *("--stall-seconds", "1.5"),
            environment={"HF_ENDPOINT": hub.url},
        )
        assert process.wait() == 13, process.text
    assert "the volume did not answer" in process.message["message"]


async def test_a_volume_that_hangs_while_a_file_gets_its_place_is_a_stall(hub: Hub, tmp_path: Path) -> None:
    """No stream is open then: before, it was waited for without end."""
    commit = hub.models.commit("acme/tiny", "main") or ""
    (small,) = (file for file in hub.models.files("acme/tiny", commit) if file.path == "config.json")
    partial = tmp_path / "out" / ".aim-fetch" / "partial"
    partial.mkdir(parents=True)
    key = identity(RemoteFile(path=small.path, size=small.size, etag=small.etag))
    with hanging(partial / f"{key}.data"):
        outcome, lines = await fetched(
            "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, stall_seconds=1
        )
    assert outcome.reason == "Stalled", lines
    assert "the volume did not answer for" in outcome.message


@pytest.mark.parametrize(
    ("flags", "code", "want"),
    [
        pytest.param("", 0, "does not tell how much space it has", id="a model is fetched onto it"),
        pytest.param(
            "--capacity 1000",
            12,
            "has space that it can't tell and a capacity of 1000 bytes",
            id="not beyond",
        ),
    ],
)
def test_a_volume_that_tells_no_sizes(flags: str, code: int, want: str, hub: Hub, tmp_path: Path) -> None:
    """statvfs of zeros: before, every model was too large for it."""
    (tmp_path / "zeros").mkdir()
    script = 'mount -t tmpfs -o size=0 none "$0" && "$1" fetch hf://acme/tiny "$0/out" $2'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(tmp_path / "zeros"), AIMCTL, flags],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HF_ENDPOINT": hub.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, want in done.stdout) == (code, True), done.stdout + done.stderr


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_volume_without_the_call_takes_models_too(number: int, folder: int) -> None:
    """FUSE file systems may have no statfs; any other error is the volume's own."""

    def failing(number: int) -> Callable[[int], os.statvfs_result]:
        def ask(_: int) -> os.statvfs_result:
            raise OSError(number, os.strerror(number))

        return ask

    assert space_of(folder, failing(number)) is None
    assert space_of(folder) is not None
    with pytest.raises(OSError, match="Input/output error"):
        space_of(folder, failing(errno.EIO))
