"""JSON arrays of objects that stand in a log amid other lines, one after the other.

Owns finding where they begin and end; bounded in work and depth, because the log is whatever a
container printed. Does not know what they should hold. Called by core.discovery_output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from aim_operator.core.messages import quote

MAX_DEPTH = 32
"""Brackets within brackets; also what keeps the decoder from deep recursion."""
RETRY_BYTES = 64 * 1024
"""What may be read twice: beyond it, a broken array is skipped with all that was read of it."""
MAX_MARKS = 24 * 1024
"""Opening brackets and quotes, each of which costs some microseconds: a log is read from where no more
follow. A profile at its limit of 64 KiB has a few thousand."""

_START = re.compile(rb'\[[ \t\r\n]*\{[ \t\r\n]*"')
# A whole text, a bracket, or what JSON has no place for: a quote without its pair, a word of a log line.
# Possessive, so that nothing is tried twice. Texts have no raw control characters: one that runs into
# the end of its line was cut off. Numbers, true, false and null are passed over.
_TOKEN = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\[^\x00-\x1f])*+"|[^ \t\r\n,:0-9.eE+\-truefalsn]')
_STRAY = "has, outside of quotes, "
_QUOTE = b'"'[0]
_ARRAY = msgspec.json.Decoder(list[Any])
_CLOSES = {b"]"[0]: b"["[0], b"}"[0]: b"{"[0]}


class JSONArrays:
    """Iterates over the decoded arrays of a log. An array inside another one is part of that one.

    `examined` counts the bytes read so far: at most the log's length and a constant. `steps` counts the
    brackets and texts among them: at most a constant, whatever the log. `problem` says what
    is wrong with the longest array that could not be read; "" where none was.
    Of a log with more than MAX_MARKS brackets and quotes only the end is read.
    """

    def __init__(self, log: bytes) -> None:
        self._log = _readable_end(log)
        self.examined = 0
        self.steps = 0
        whole = len(self._log) == len(log)
        self.problem = "" if whole else f"begins before the last {MAX_MARKS} brackets and quotes of the log"
        self._longest = 0

    def __iter__(self) -> Iterator[list[Any]]:
        at = 0
        retry = RETRY_BYTES
        while match := _START.search(self._log, at):
            start = match.start()
            stop, problem = self._end(start)
            self.examined += stop - start
            if not problem:
                try:
                    array = _ARRAY.decode(self._log[start:stop])
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    problem = f"is not valid JSON ({error})"
                else:
                    yield array
                    at = stop
                    continue
            if stop - start > self._longest:
                self._longest = stop - start
                self.problem = problem + self._word(stop) if problem == _STRAY else problem
            # What looked like the beginning may have been a log line: another array can begin inside it.
            retry -= stop - start
            at = start + 1 if retry > 0 else max(stop, start + 1)

    def _end(self, start: int) -> tuple[int, str]:
        """Find where the array that begins at `start` ends; or how far it can be read, and the problem."""
        opened: list[int] = []
        for token in _TOKEN.finditer(self._log, start):
            self.steps += 1
            mark = self._log[token.start()]
            if mark in b"[{":
                if len(opened) == MAX_DEPTH:
                    return token.start(), f"is nested deeper than {MAX_DEPTH} levels"
                opened.append(mark)
            elif mark in b"]}":
                if opened.pop() != _CLOSES[mark]:
                    return token.start(), "has brackets that do not match"
                if not opened:
                    return token.end(), ""
            elif mark == _QUOTE and token.end() == token.start() + 1:
                return token.start(), "has a text that is not closed"
            elif mark != _QUOTE:
                return token.start(), _STRAY
        return len(self._log), "is cut off"

    def _word(self, at: int) -> str:
        return quote(self._log[at : at + 20].decode(errors="replace").split("\n")[0])


def _readable_end(log: bytes) -> bytes:
    while sum(log.count(mark) for mark in (b"[", b"{", b'"')) > MAX_MARKS:
        log = log[len(log) // 2 :]
    return log
