"""One file on its way: its bytes in .aim-fetch/partial, and a map of the chunks that are there.

    <identity>.data   sparse, of the file's final size
    <identity>.map    one byte per chunk of 8 MiB, 1 once the chunk's data is written

Data is written before its byte in the map. That holds against a kill at any moment; against a node that
dies it holds for what is synced, which is every chunk of a file that no checksum will verify.
Small files never come here: `SmallFile` keeps them in memory until they are whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Protocol

from aim_operator.fetch import folders
from aim_operator.fetch.checksums import Digest

CHUNK_BYTES = 8 * 1024 * 1024
SMALL_BYTES = 1024 * 1024
"""Files up to this size are held in memory while they arrive, one per connection."""
_READ_BYTES = 1024 * 1024
_THERE = 1


def chunk_count(size: int) -> int:
    return -(-size // CHUNK_BYTES)


def span(chunk: int, size: int) -> tuple[int, int]:
    """First byte of a chunk, and the one after its last."""
    return chunk * CHUNK_BYTES, min((chunk + 1) * CHUNK_BYTES, size)


def mapped_bytes(folder: int, identity: str, size: int) -> int:
    """Bytes of the chunks that the map says are there; 0 where `LargeFile` would begin anew."""
    if size <= SMALL_BYTES:
        return 0
    try:
        if os.stat(f"{identity}.data", dir_fd=folder, follow_symlinks=False).st_size != size:
            return 0
    except FileNotFoundError:
        return 0
    chunks = (folders.read_file(folder, f"{identity}.map", chunk_count(size)) or b"").ljust(
        chunk_count(size), b"\0"
    )
    return sum(
        span(chunk, size)[1] - span(chunk, size)[0] for chunk, there in enumerate(chunks) if there == _THERE
    )


class _Read(threading.local):
    """One buffer to a thread: fresh pages for each step cost as much as to fill them."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ_BYTES))


_READ = _Read()


class Partial(Protocol):
    """Blocking, unless it is in memory; called from threads, one chunk at a time from each."""

    @property
    def in_memory(self) -> bool:
        """Whether all but `finish` and `discard` are done at once."""

    def missing(self) -> list[int]: ...

    def write(self, piece: bytes | memoryview, offset: int) -> None: ...

    def mark(self, chunk: int) -> None: ...

    def feed(self, digest: Digest, start: int, stop: int) -> None: ...

    def finish(self, place: Callable[[], None]) -> None:
        """Make the data durable, and call `place`, which moves it away."""

    def discard(self) -> None: ...

    def close(self) -> None: ...


class LargeFile:
    """A file in chunks. Once it is finished or discarded, writing to it does nothing."""

    in_memory = False

    def __init__(self, folder: int, identity: str, size: int, *, sync_chunks: bool) -> None:
        self._folder = folder
        self._data_name = f"{identity}.data"
        self._map_name = f"{identity}.map"
        self._size = size
        self._sync_chunks = sync_chunks
        self._writing = threading.Lock()
        flags = os.O_RDWR | os.O_CREAT
        self._data = folders.open_file(folder, self._data_name, flags)
        try:
            self._map = folders.open_file(folder, self._map_name, flags)
        except BaseException:
            os.close(self._data)
            raise
        if os.fstat(self._data).st_size != size:
            # New, or not ours: what the map says is of no data.
            os.ftruncate(self._map, 0)
            os.ftruncate(self._data, 0)
            os.ftruncate(self._data, size)

    def missing(self) -> list[int]:
        count = chunk_count(self._size)
        there = os.pread(self._map, count, 0)
        return [chunk for chunk in range(count) if there[chunk : chunk + 1] != bytes([_THERE])]

    def write(self, piece: bytes | memoryview, offset: int) -> None:
        # The kernel lets one at a time write to a file, and has the others spin, which costs a core.
        with self._writing:
            if self._data >= 0:
                folders.write_all(self._data, piece, offset)

    def mark(self, chunk: int) -> None:
        with self._writing:
            if self._data < 0:
                return
            if self._sync_chunks:
                os.fdatasync(self._data)
            os.pwrite(self._map, bytes([_THERE]), chunk)

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        buffer = _READ.view
        while start < stop:
            count = os.preadv(self._data, [buffer[: stop - start]], start)
            if not count:
                raise OSError(f"{self._data_name} ends at {start}: another program truncated it")
            digest.update(buffer[:count])
            start += count

    def finish(self, place: Callable[[], None]) -> None:
        os.fsync(self._data)
        self.close()
        place()
        folders.remove(self._folder, self._map_name)

    def discard(self) -> None:
        self.close()
        # The map first: data without a map is nothing, a map without data is only checked for.
        folders.remove(self._folder, self._map_name)
        folders.remove(self._folder, self._data_name)

    def close(self) -> None:
        with self._writing:
            for descriptor in (self._data, self._map):
                if descriptor >= 0:
                    os.close(descriptor)
            self._data = self._map = -1


class SmallFile:
    """A file of one chunk that is in memory until it is whole."""

    in_memory = True

    def __init__(self, folder: int, identity: str, size: int) -> None:
        self._folder = folder
        self._name = f"{identity}.data"
        self._content = bytearray(size)

    def missing(self) -> list[int]:
        return [0] if self._content else []

    def write(self, piece: bytes | memoryview, offset: int) -> None:
        self._content[offset : offset + len(piece)] = piece

    def mark(self, chunk: int) -> None:
        """Nothing to remember: a kill loses it, and it is less than a chunk."""

    def feed(self, digest: Digest, start: int, stop: int) -> None:
        digest.update(memoryview(self._content)[start:stop])

    def finish(self, place: Callable[[], None]) -> None:
        descriptor = folders.open_file(self._folder, self._name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            folders.write_all(descriptor, self._content, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        place()

    def discard(self) -> None:
        folders.remove(self._folder, self._name)

    def close(self) -> None:
        """Nothing is open."""
