"""Text of images, models and tenants, without what would control a terminal. Called by what streams it.

Tables have the same from printing.py's console.
"""

from __future__ import annotations

import re

import typer

from aim_operator.cli import program

_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def without_controls(text: str) -> str:
    """Return `text` without colours and control characters; line feeds and tabs stay."""
    return _CONTROLS.sub("", text)


def say(text: str, *, err: bool = False) -> None:
    """Print a line in which there may be words of a cluster, and commands as they are called here."""
    typer.echo(program.named(without_controls(text)), err=err)


def error_line(error: Exception) -> str:
    """Return the line that says an error at a terminal: it may have words of files and of a cluster."""
    return f"error: {program.named(' '.join(without_controls(str(error)).split()))}"
