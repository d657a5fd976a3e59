"""What commands print is text, whoever wrote its words."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from rich.text import Text

from aim_operator.cli.printing import Column, console, table


def test_a_message_of_a_tenant_does_not_control_the_terminal_of_whoever_reads_it() -> None:
    """`aimctl why` shows the words of images and events: they could retitle the window, or hide lines."""
    hostile = "\x1b]0;owned\x07\x1b[2Jall is well\x9b1A\r"
    shown = io.StringIO()
    with redirect_stdout(shown):
        screen = console()
        screen.print(hostile)
        screen.print(Text(hostile))
        screen.print(table([Column("MESSAGE")], [[hostile]], wide=False))
    assert "all is well" in shown.getvalue()
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(shown.getvalue())
