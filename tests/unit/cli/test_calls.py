"""Calls that help and pages show are calls that the program takes: its flags, and no others."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from aim_operator.cli.app import app
from tests.docs.blocks import pages

PROGRAM: Any = typer.main.get_command(app())
_CALL = re.compile(r"(?:^|[|(;]|&&)\s*(aimctl (?!   )[^|;<>#)]*)")


def calls(text: str) -> Iterator[str]:
    """Yield the calls of aimctl in lines of shell; what is piped and remarks are left out."""
    for line in text.replace("\\\n", " ").splitlines():
        yield from (found.strip() for found in _CALL.findall(line.removeprefix("$ ")))


SHOWN = sorted(
    {
        (page.name, call)
        for page in pages()
        if not page.name.startswith(("docs/adr/", "CHANGELOG"))
        for block in page.blocks
        if block.language in ("text", "console", "bash")
        for call in calls(block.text)
    }
)


def refused(call: str) -> str:
    """Return why the program would not take a call; "" where it would. Nothing is run."""
    _, *words = shlex.split(call)
    if not words or words[0] in PROGRAM.commands:
        command = PROGRAM.commands[words[0]] if words else PROGRAM
        try:
            command.make_context("aimctl", words[1:])
        except typer.Exit:
            return ""
        except Exception as error:  # noqa: BLE001 - whichever it is, its words are what a user reads
            return f"{type(error).__name__}: {error}"
        return ""
    return f"there is no command {words[0]}"


@pytest.mark.parametrize(("page", "call"), SHOWN, ids=[call for _, call in SHOWN])
def test_a_call_that_is_shown_is_one_that_is_taken(page: str, call: str) -> None:
    assert refused(call) == "", page


def test_a_flag_that_is_none_is_refused() -> None:
    assert "No such option" in refused("aimctl status --nope")
    assert refused("aimctl nope") == "there is no command nope"
