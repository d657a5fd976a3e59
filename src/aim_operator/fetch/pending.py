"""A file on its way in memory: which chunks are missing, and how far it is hashed. No I/O of its own.

Of many threads: whoever asks or changes what is missing or waiting has the transfer's lock.
"""

from __future__ import annotations

import threading
from collections import deque

from aim_operator.fetch.checksums import Digest
from aim_operator.fetch.listing import Checksum, RemoteFile, Request
from aim_operator.fetch.partial import CHUNK_BYTES, Partial, chunk_count, span


class PendingFile:
    """`waiting` are the spans that nobody fetches yet, `missing` the chunks that are not there yet.

    `digest` and `hashed_bytes` are of the thread that holds `hashing`.
    """

    def __init__(
        self, file: RemoteFile, checksum: Checksum | None, partial: Partial, missing: list[int]
    ) -> None:
        self.file = file
        self.checksum = checksum
        self.partial = partial
        self.missing = set(missing)
        self.waiting = deque(Stream(self, *span(chunk, file.size)) for chunk in missing)
        self.direct: Request | None = None
        self.digest = Digest(checksum, file.size) if checksum else None
        self.hashed_bytes = 0
        self.hashing = threading.Lock()
        self._frontier = 0
        self.whole_only = False
        self.fetching = 0
        """Streams of it that are under way."""
        self.finishing = False
        """A thread verifies and places it, as nothing is missing any more."""

    def next_stream(self, most_chunks: int) -> Stream:
        """Take of what waits some chunks that follow one another; they are under way then.

        No more than an eighth of all that wait, so that the end of a file is shared by all streams.
        """
        count = min(most_chunks, len(self.waiting) // 8)
        stream = self.waiting.popleft()
        for _ in range(count - 1):
            if not self.waiting or self.waiting[0].start != stream.stop:
                break
            stream.stop = self.waiting.popleft().stop
        self.fetching += 1
        return stream

    def fetch_whole(self) -> bool:
        """Only the whole file can be had, in one stream. Whether that is news.

        It begins once all others of this file have ended, which they do at their next piece: `ended`.
        """
        if self.whole_only:
            return False
        self.whole_only = True
        self.waiting.clear()
        return True

    def ended(self, stream: Stream) -> bool:
        """Note that a stream is no longer under way. Whether the whole file waits to be fetched now.

        Two streams of one span would write over each other, while one of them is hashed as it arrives: what
        is on the volume would not be what was verified.
        """
        self.fetching -= 1
        if not self.whole_only or self.fetching or not self.missing or stream.of_whole_only:
            return False
        whole = Stream(self, 0, self.file.size)
        whole.of_whole_only = True
        self.waiting.append(whole)
        return True

    def unwritten(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Of these bytes the spans that may be written: not what is there, nor what is hashed.

        A server that begins to send whole files only sends some bytes again, and they may be others.
        """
        start = max(start, self.hashed_bytes)
        spans = []
        for chunk in range(start // CHUNK_BYTES, chunk_count(stop)):
            first, end = span(chunk, self.file.size)
            if chunk in self.missing and max(first, start) < min(end, stop):
                spans.append((max(first, start), min(end, stop)))
        return spans

    def leading_bytes(self) -> int:
        """Where the first missing chunk begins."""
        while self._frontier < chunk_count(self.file.size) and self._frontier not in self.missing:
            self._frontier += 1
        return min(self._frontier * CHUNK_BYTES, self.file.size)


class Stream:
    """A span that one worker fetches: some chunks, or all of the file. `position` is how far it came."""

    def __init__(self, pending: PendingFile, start: int, stop: int) -> None:
        self.pending = pending
        self.start = start
        self.stop = stop
        self.position = start
        self.of_whole_only = False
        """The one of a file that can be had as a whole only."""

    @property
    def is_void(self) -> bool:
        """Whether another stream fetches the file now, or has: no byte of this one is needed any more."""
        return self.pending.finishing or (self.pending.whole_only and not self.of_whole_only)

    def ends(self, before: int, after: int) -> list[int]:
        """Chunks whose last byte was among those from `before` to before `after`."""
        size = self.pending.file.size
        first = before // CHUNK_BYTES
        return [chunk for chunk in range(first, chunk_count(after)) if before < span(chunk, size)[1] <= after]
