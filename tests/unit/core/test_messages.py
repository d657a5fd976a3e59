"""Quoted text is one printable line, whatever it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.core.messages import quote


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
