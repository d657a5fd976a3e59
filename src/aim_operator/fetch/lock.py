"""One fetcher to a directory at a time, though the volume may be shared by nodes. Nothing can be left behind.

Two things together:

- flock(2) on .aim-fetch/lock. The kernel frees it with the process, however it ends. It is certain between
  processes of one node, and between nodes where the file system passes it on (NFSv4, CephFS, Lustre, GPFS);
  a file system mounted with local locks only, or one that has none, does not.
- a lease, .aim-fetch/lease: who holds it (a random name, the node's boot id), rewritten every few seconds.
  It counts where flock can't be trusted: when the holder is on another node, or flock is not there. Whoever
  waits watches the content with its own clock, so clocks need not agree, and takes over once it has not
  changed for `stale_seconds`; it then writes its own name, waits, and reads it back, so that of several
  only one continues.

What holds: never two on one node; never two on a file system whose flock works; else two at once only if a
holder is frozen for longer than `stale_seconds` and then continues, until its next heartbeat notices it. Even
then no file is spoilt: both write the same bytes to the same places, and each verifies them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from aim_operator.errors import FetchError
from aim_operator.fetch import folders
from aim_operator.fetch.outcome import FetchReason

_LOCK = "lock"
_LEASE = "lease"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO)


class Timing(Struct, frozen=True):
    heartbeat_seconds: float = 5
    stale_seconds: float = 30
    settle_seconds: float = 2
    say_seconds: float = 15


class _Lease(Struct, frozen=True):
    holder: str
    boot_id: str
    beat: int


class DirectoryLock:
    """Taken by `hold`. `say` gets the sentences for people."""

    def __init__(
        self,
        folder: int,
        say: Callable[[str], None],
        timing: Timing | None = None,
        boot_id: str | None = None,
    ) -> None:
        self._folder = folder
        self._say = say
        self._timing = timing or Timing()
        self._name = secrets.token_hex(8)
        self._boot_id = _read_boot_id() if boot_id is None else boot_id
        self._file = folders.open_file(folder, _LOCK, os.O_RDWR | os.O_CREAT)
        self._flock_works = True
        self._beat = 0

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait until nobody else fetches into the directory, and keep it that way until the end.

        Ends what it surrounds, and raises FetchError, if another took the lease over.
        """
        try:
            await self._acquire()
            try:
                async with asyncio.timeout(None) as until_lost:
                    heartbeat = asyncio.create_task(self._keep(until_lost))
                    try:
                        yield
                    finally:
                        heartbeat.cancel()
            except TimeoutError as error:
                if not until_lost.expired():
                    raise
                raise FetchError(
                    FetchReason.DOWNLOAD_FAILED,
                    "another fetcher took this directory over while this one stood still",
                ) from error
            finally:
                if not until_lost.expired():
                    folders.remove(self._folder, _LEASE)
        finally:
            os.close(self._file)

    async def _acquire(self) -> None:
        watched: bytes | None = None
        since = said_at = time.monotonic()
        first = True
        while True:
            problem = ""
            if not self._try_flock():
                problem = "another fetcher is at work on this directory"
            else:
                content = folders.read_file(self._folder, _LEASE, 4096)
                if self._may_ignore(content):
                    self._write_lease()
                    return
                now = time.monotonic()
                if content != watched:
                    watched, since = content, now
                if now - since >= self._timing.stale_seconds:
                    self._write_lease()
                    await asyncio.sleep(self._timing.settle_seconds)
                    if self._is_mine():
                        return
                    watched, since = None, time.monotonic()
                problem = "a fetcher on another node is, or was, at work on this directory"
            if first or time.monotonic() - said_at >= self._timing.say_seconds:
                said_at = time.monotonic()
                first = False
                self._say(f"{problem}; waiting until it ends")
            await asyncio.sleep(min(0.5, self._timing.heartbeat_seconds))

    def _try_flock(self) -> bool:
        if not self._flock_works:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            self._flock_works = False
            self._say("this file system has no flock; a lease alone keeps others out")
        return True

    def _may_ignore(self, content: bytes | None) -> bool:
        """Whether that lease stops nobody: there is none, or its holder is dead for certain."""
        if not content:
            return True
        lease = _decoded(content)
        # On this node flock, which we hold, says that its process is gone.
        return lease is not None and self._flock_works and lease.boot_id == self._boot_id

    async def _keep(self, until_lost: asyncio.Timeout) -> None:
        while True:
            await asyncio.sleep(self._timing.heartbeat_seconds)
            if not self._is_mine():
                until_lost.reschedule(asyncio.get_running_loop().time())
                return
            with contextlib.suppress(OSError):
                # A full volume: the download itself will tell.
                self._write_lease()

    def _is_mine(self) -> bool:
        content = folders.read_file(self._folder, _LEASE, 4096)
        lease = _decoded(content) if content else None
        # None: it is being replaced, or the volume is full; nobody else's either.
        return lease is None or lease.holder == self._name

    def _write_lease(self) -> None:
        self._beat += 1
        lease = _Lease(holder=self._name, boot_id=self._boot_id, beat=self._beat)
        fresh = f"{_LEASE}.{self._name}"
        descriptor = folders.open_file(self._folder, fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(lease))
        os.rename(fresh, _LEASE, src_dir_fd=self._folder, dst_dir_fd=self._folder)


def _decoded(content: bytes) -> _Lease | None:
    try:
        return msgspec.json.decode(content, type=_Lease)
    except msgspec.DecodeError:
        return None


def _read_boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        # Nobody's: every lease then has to grow stale.
        return secrets.token_hex(8)
