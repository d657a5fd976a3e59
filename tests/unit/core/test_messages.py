"""Quoted and folded text is one printable line, whatever it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from aim_operator.api.external import Event
from aim_operator.api.meta import MOST_MESSAGE, ObjectMeta
from aim_operator.core.messages import cut, last_message, last_words, one_line, quote


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("abc", '"abc"', id="plain text is kept"),
        pytest.param("a\nb\x1b[31m", '"a\\nb\\x1b[31m"', id="line breaks and terminal escapes are escaped"),
        pytest.param("a\u202eb\ud800", '"a\\u202eb\\ud800"', id="so are overrides and lone surrogates"),
        pytest.param("größe 模", '"größe 模"', id="other scripts are printable"),
        pytest.param("x" * 80, f'"{"x" * 80}"', id="as long as may be"),
        pytest.param("x" * 81, f'"{"x" * 79}…"', id="longer is cut"),
    ],
)
def test_quote(text: str, want: str) -> None:
    assert quote(text) == want


@given(st.text(alphabet=st.characters(), max_size=300), st.integers(10, 200))
def test_every_quote_is_one_printable_line_within_its_limit(text: str, limit: int) -> None:
    got = quote(text, limit)
    assert got.isprintable()
    assert len(got) <= limit + 2


@pytest.mark.parametrize(
    ("text", "limit", "want"),
    [
        pytest.param(None, 80, "", id="nothing is an empty line"),
        pytest.param("a\r\n b\t\tc ", 80, "a b c", id="white space of any kind is one space"),
        pytest.param("x" * 12, 10, "x" * 9 + "…", id="a long text is cut and says so"),
        pytest.param("x" * 10, 10, "x" * 10, id="a text of just that length is whole"),
        pytest.param("a\u202eb", 80, "a b", id="bidirectional overrides are folded away"),
    ],
)
def test_one_line(text: str | None, limit: int, want: str) -> None:
    assert one_line(text, limit) == want


def test_a_message_is_whole_up_to_what_a_status_takes() -> None:
    whole = "x" * MOST_MESSAGE
    assert cut(whole) == whole
    assert cut(whole + "x") == whole[:-1] + "…"


class CountedText(str):
    """A text that keeps how many characters of it were looked at."""

    __slots__ = ("__dict__",)

    def __getitem__(self, key: Any) -> str:
        part = super().__getitem__(key)
        self.looked: int = len(part)
        return part

    def splitlines(self, keepends: bool = False) -> list[str]:  # noqa: FBT001, FBT002 - str's own
        self.looked = len(self)
        return super().splitlines(keepends)


@pytest.mark.parametrize("line", ["a\n", "\n", "x", "\x00", "\u2028"])
def test_the_last_words_of_a_log_of_megabytes_are_found_at_its_end(line: str) -> None:
    log = CountedText(line * 1_000_000 + "\nthe end")
    assert last_words(log, 100).endswith("the end")
    assert log.looked <= 16 * 100


def test_a_cause_that_came_back_is_the_last_though_its_event_is_the_older_one() -> None:
    """A recorder counts the same event up: only lastTimestamp moves."""
    back = Event(
        metadata=ObjectMeta(name="a", creation_timestamp="2026-01-31T12:00:00Z"),
        message="no such host",
        last_timestamp="2026-01-31T12:20:00Z",
    )
    between = Event(
        metadata=ObjectMeta(name="b", creation_timestamp="2026-01-31T12:10:00Z"),
        message="401 Unauthorized",
        last_timestamp="2026-01-31T12:11:00Z",
    )
    assert last_message([back, between]) == "no such host"
    assert last_message([structs.replace(back, last_timestamp=None), between]) == "401 Unauthorized"
    assert last_message([]) == ""
