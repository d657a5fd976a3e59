"""What .aim-fetch remembers: which source and revision, which files are whole, and the completion marker.

    state.json      written when a listing is chosen: source, revision
    done.jsonl      one line per verified file, appended before the file gets its place
    complete.json   the marker: last of all

A torn last line, or a record that can't be read, counts as not written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import Struct

from aim_operator.fetch import folders
from aim_operator.fetch.listing import path_problem
from aim_operator.fetch.outcome import LeftOut

_STATE = "state.json"
_DONE = "done.jsonl"
_MARKER = "complete.json"
_MOST_BYTES = 256 * 1024 * 1024
T = TypeVar("T", bound=Struct)


class State(Struct, frozen=True, kw_only=True, rename="camel"):
    uri: str
    revision: str
    shown_bytes: int = 0
    """What progress had shown when a bad file was discarded: it must not fall."""


class Done(Struct, frozen=True, kw_only=True, omit_defaults=True):
    identity: str
    path: str
    size: int
    checksum: str | None = None
    """What it was verified by; none where the source has none, and in records of earlier versions."""


class MarkedFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a complete download, as `--verify` compares it."""

    path: str
    size: int
    checksum: str | None = None


class Marker(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    uri: str
    revision: str
    files: int
    total_bytes: int
    finished_at: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    """Patterns that chose the files. A marker of a version that knew none stands for every file there is."""
    left_out: tuple[LeftOut, ...] = ()
    contents: tuple[MarkedFile, ...] = ()
    """All of its files. Empty in a marker of a version that listed none."""


class Records:
    """The records in one .aim-fetch folder. `done` is kept in memory: identity → file."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._log: int | None = None
        self.done = read_done(folder)

    def close(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def state(self) -> State | None:
        return _decoded(self._folder, _STATE, State)

    def write_state(self, state: State) -> None:
        folders.write_file(self._folder, _STATE, msgspec.json.encode(state))

    def marker(self) -> Marker | None:
        return read_marker(self._folder)

    def write_marker(self, marker: Marker) -> None:
        folders.write_file(self._folder, _MARKER, msgspec.json.encode(marker))

    def remove_marker(self) -> None:
        folders.remove(self._folder, _MARKER)
        folders.sync_folder(self._folder)

    def add(self, done: Done) -> None:
        """Remember a verified file. One write of one line: a kill leaves all of it or a torn end."""
        if self._log is None:
            self._log = self._open_log()
        os.write(self._log, msgspec.json.encode(done) + b"\n")
        self.done[done.identity] = done

    def keep(self, done: Iterable[Done]) -> None:
        """Forget all others; also repairs a torn end, so that the next line begins on its own."""
        self.close()
        self.done = {one.identity: one for one in done}
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in self.done.values())
        folders.write_file(self._folder, _DONE, lines)
        self._log = self._open_log()

    def sync(self) -> None:
        if self._log is not None:
            os.fsync(self._log)

    def _open_log(self) -> int:
        return folders.open_file(self._folder, _DONE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def read_marker(folder: int) -> Marker | None:
    """Return the marker in a .aim-fetch folder; None where there is none that can be read."""
    return _decoded(folder, _MARKER, Marker)


def read_done(folder: int) -> dict[str, Done]:
    """Return the files that are remembered as verified, by identity."""
    found: dict[str, Done] = {}
    decoder = msgspec.json.Decoder(Done)
    for line in (folders.read_file(folder, _DONE, _MOST_BYTES) or b"").split(b"\n"):
        try:
            one = decoder.decode(line)
        except msgspec.DecodeError:
            continue
        # Another uid of the volume's group may have written it.
        if not path_problem(one.path):
            found[one.identity] = one
    return found


def _decoded(folder: int, name: str, kind: type[T]) -> T | None:
    content = folders.read_file(folder, name, _MOST_BYTES)
    try:
        return None if content is None else msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError:
        return None
