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
from typing import TypeVar

import msgspec
from msgspec import Struct

from aim_operator.errors import FetchError
from aim_operator.fetch import folders
from aim_operator.fetch.folders import volume_error
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.patience import on_volume
from aim_operator.fetch.threads import in_thread

T = TypeVar("T")

_LOCK = "lock"
_LEASE = "lease"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO)


class Timing(Struct, frozen=True):
    heartbeat_seconds: float = 5
    stale_seconds: float = 30
    settle_seconds: float = 2
    say_seconds: float = 15
    silent_seconds: float = 120
    """How long the volume may say nothing while the lock is taken."""


class _Lease(Struct, frozen=True):
    holder: str
    boot_id: str
    beat: int


class DirectoryLock:
    """Taken by `hold`. `say` gets the sentences for people; `clock` gives seconds, each time it looks."""

    def __init__(
        self,
        folder: int,
        say: Callable[[str], None],
        timing: Timing | None = None,
        boot_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._say = say
        self._timing = timing or Timing()
        self._name = secrets.token_hex(8)
        self._boot_id = _read_boot_id() if boot_id is None else boot_id
        self._file: int | None = None
        self._flock_works = True
        self._beat = 0
        self._lost = ""

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait until nobody else fetches into the directory, and keep it that way until the end.

        Ends what it surrounds, and raises FetchError, if another took the lease over, or if the volume
        refused it for `stale_seconds`. Nothing here blocks the event loop, whatever the volume does.
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
                raise FetchError(FetchReason.DOWNLOAD_FAILED, self._lost) from error
            finally:
                if not until_lost.expired():
                    await self._release()
        finally:
            if self._file is not None:
                os.close(self._file)

    async def _release(self) -> None:
        """Remove the lease, unless the volume can't even do that: it grows stale by itself then."""
        with contextlib.suppress(OSError, FetchError, TimeoutError):
            async with asyncio.timeout(self._timing.settle_seconds):
                await in_thread(lambda: folders.remove(self._folder, _LEASE))

    async def _acquire(self) -> None:
        watched: bytes | None = None
        since = said_at = self._clock()
        first = True
        while True:
            problem = ""
            if not await self._on_volume(self._try_flock):
                problem = "another fetcher is at work on this directory"
            else:
                content = await self._on_volume(lambda: folders.read_file(self._folder, _LEASE, 4096))
                if self._may_ignore(content):
                    await self._on_volume(self._write_lease)
                    return
                now = self._clock()
                if content != watched:
                    watched, since = content, now
                if now - since >= self._timing.stale_seconds:
                    await self._on_volume(self._write_lease)
                    await asyncio.sleep(self._timing.settle_seconds)
                    if await self._on_volume(self._is_mine):
                        return
                    watched, since = None, self._clock()
                problem = "a fetcher on another node is, or was, at work on this directory"
            if first or self._clock() - said_at >= self._timing.say_seconds:
                said_at = self._clock()
                first = False
                self._say(f"{problem}; waiting until it ends")
            await asyncio.sleep(min(0.5, self._timing.heartbeat_seconds))

    async def _on_volume(self, call: Callable[[], T]) -> T:
        return await on_volume(call, self._timing.silent_seconds)

    def _try_flock(self) -> bool:
        if self._file is None:
            self._file = folders.open_file(self._folder, _LOCK, os.O_RDWR | os.O_CREAT)
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
        """Renew the lease until cancelled. One that can't be renewed is tried again, and said.

        A volume that hangs holds up this task only: the transfer's own watch ends a download that stands
        still, with its reason.
        """
        refused_since: float | None = None
        while True:
            await asyncio.sleep(self._timing.heartbeat_seconds)
            try:
                if not await in_thread(self._renew):
                    self._lost = "another fetcher took this directory over while this one stood still"
                    break
                refused_since = None
            except (OSError, FetchError) as error:
                cause = str(volume_error(error) if isinstance(error, OSError) else error)
                now = self._clock()
                if refused_since is None:
                    refused_since = now
                    self._say(f"the lease can't be renewed ({cause}); trying again")
                if now - refused_since >= self._timing.stale_seconds:
                    self._lost = (
                        f"the lease that keeps other fetchers out could not be renewed for"
                        f" {now - refused_since:.0f} s: {cause}. What is there stays, and the next run"
                        " continues from it"
                    )
                    break
        until_lost.reschedule(asyncio.get_running_loop().time())

    def _renew(self) -> bool:
        """Whether the lease was still this one's, and is renewed."""
        if not self._is_mine():
            return False
        try:
            self._write_lease()
        except OSError as error:
            # A full volume: the download itself will tell.
            if error.errno not in _FULL:
                raise
        return True

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
