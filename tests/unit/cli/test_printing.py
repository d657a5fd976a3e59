"""What commands print is text, whoever wrote its words."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

import pytest
import yaml
from rich.text import Text

from aim_operator.cli.kubernetes_yaml import Loader
from aim_operator.cli.printing import Column, console, structured, table


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


def test_nor_does_it_as_json_or_yaml_which_keep_every_sign_of_it() -> None:
    """JSON may have all from a tilde to a space without break as they are: \\x9b begins a sequence."""
    hostile = {"message": "\x1b[2J\x9b1A\x7f\x85é"}
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        shown = structured(hostile, form)
        assert not {"\x1b", "\x7f", "\x85", "\x9b"} & set(shown)
        assert "é" in shown
        assert read(shown) == hostile


@pytest.mark.parametrize(
    "text", ["y", "N", "on", "12e3", "7E5", "0o17", "1_0", "22:22", "=", "2026-11-26", ""]
)
def test_what_is_printed_as_yaml_is_text_to_kubectl_too(text: str) -> None:
    """`aimctl serve y | kubectl apply -f -` was refused: PyYAML writes a `y` without quotes."""
    assert yaml.load(structured({"name": text}, "yaml"), Loader) == {"name": text}
