"""Chunk state on disk, under any order of writes, kills and damage."""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aim_operator.fetch.checksums import Digest
from aim_operator.fetch.listing import Checksum
from aim_operator.fetch.partial import CHUNK_BYTES, LargeFile, chunk_count, mapped_bytes, span

NAME = "0" * 32


@contextmanager
def folder() -> Iterator[tuple[Path, int]]:
    with tempfile.TemporaryDirectory() as directory:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            yield Path(directory), descriptor
        finally:
            os.close(descriptor)


@settings(deadline=None)
@given(size=st.integers(0, 20 * CHUNK_BYTES))
def test_chunks_cover_a_file_without_gap_or_overlap(size: int) -> None:
    spans = [span(chunk, size) for chunk in range(chunk_count(size))]
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans)][: len(spans)]
    assert (spans[-1][1] if spans else 0) == size
    assert all(0 < stop - start <= CHUNK_BYTES for start, stop in spans)


def test_files_are_read_back_by_several_threads_and_up_to_any_byte() -> None:
    """A step's buffer is larger than what is asked for, and there is one to a thread."""
    size, stop = 3 * CHUNK_BYTES, 1_500_000
    contents = [random.Random(number).randbytes(size) for number in range(2)]
    wrong: list[int] = []

    def read(number: int, file: LargeFile) -> None:
        for _ in range(10):
            digest = Digest(Checksum("sha256", ""), size)
            file.feed(digest, 0, stop)
            file.feed(digest, stop, size)
            if digest.hexdigest() != sha256(contents[number]).hexdigest():
                wrong.append(number)

    with folder() as (_, descriptor):
        files = [LargeFile(descriptor, f"{number}" * 32, size, sync_chunks=False) for number in range(2)]
        for file, content in zip(files, contents, strict=True):
            file.write(content, 0)
        threads = [threading.Thread(target=read, args=(number, file)) for number, file in enumerate(files)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for file in files:
            file.close()
    assert not wrong


@settings(deadline=None)
@given(
    chunks=st.integers(1, 6),
    rest=st.integers(1, CHUNK_BYTES),
    steps=st.lists(st.one_of(st.integers(0, 6), st.just("kill")), max_size=20),
)
def test_what_was_marked_is_there_after_any_kill(chunks: int, rest: int, steps: list[int | str]) -> None:
    """And nothing else; data of one byte a chunk stands for all of it."""
    size = (chunks - 1) * CHUNK_BYTES + rest
    marked: set[int] = set()
    with folder() as (_, descriptor):
        partial = LargeFile(descriptor, NAME, size, sync_chunks=False)
        for step in steps:
            if step == "kill":
                # A kill closes what was open, and does nothing else.
                partial.close()
                partial = LargeFile(descriptor, NAME, size, sync_chunks=False)
            elif isinstance(step, int) and step < chunks:
                partial.write(bytes([step + 1]), step * CHUNK_BYTES)
                partial.mark(step)
                marked.add(step)
            assert partial.missing() == [chunk for chunk in range(chunks) if chunk not in marked]
            assert mapped_bytes(descriptor, NAME, size) == sum(
                span(chunk, size)[1] - span(chunk, size)[0] for chunk in marked if size > 1024 * 1024
            )
        partial.close()
        with os.fdopen(os.open(f"{NAME}.data", os.O_RDONLY, dir_fd=descriptor), "rb") as data:
            for chunk in marked:
                assert os.pread(data.fileno(), 1, chunk * CHUNK_BYTES) == bytes([chunk + 1])


@settings(deadline=None)
@given(junk=st.binary(max_size=64))
def test_a_spoilt_map_never_claims_more_than_it_can(junk: bytes) -> None:
    size = 5 * CHUNK_BYTES
    with folder() as (directory, descriptor):
        LargeFile(descriptor, NAME, size, sync_chunks=False).close()
        (directory / f"{NAME}.map").write_bytes(junk)
        partial = LargeFile(descriptor, NAME, size, sync_chunks=False)
        assert partial.missing() == [chunk for chunk in range(5) if junk[chunk : chunk + 1] != b"\1"]
        partial.close()


@pytest.mark.parametrize("damage", ["data gone", "data cut"])
def test_a_map_without_its_data_counts_for_nothing(damage: str) -> None:
    size = 3 * CHUNK_BYTES
    with folder() as (directory, descriptor):
        partial = LargeFile(descriptor, NAME, size, sync_chunks=True)
        partial.mark(1)
        partial.close()
        if damage == "data gone":
            (directory / f"{NAME}.data").unlink()
        else:
            os.truncate(directory / f"{NAME}.data", 17)
        assert mapped_bytes(descriptor, NAME, size) == 0
        partial = LargeFile(descriptor, NAME, size, sync_chunks=True)
        assert partial.missing() == [0, 1, 2]
        partial.close()
