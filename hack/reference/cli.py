"""docs/reference/cli.md: every command of aimctl with its flags, defaults and environment variables."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from aim_operator.cli.app import app
from hack.reference.text import HEADER, code, prose

INTRODUCTION = """\
`aimctl` is one program: the operator itself and what goes with it. It is installed as `kubectl-aim` too, \
so that `kubectl aim …` works. Every command answers `--help`.

A flag wins over its environment variable. A value that can't be used ends the program with exit code 2 and \
a line that names the flag, the value and what to write instead.
"""


CALLS = "<!-- test: not output, calls to copy, which tests/unit/cli/test_calls.py parses -->"
VERBATIM = "\b\n"
"""How a paragraph of help begins whose lines stay as they are: examples."""


def text() -> str:
    """Return the page."""
    program: Any = typer.main.get_command(app())
    parts = [f"{HEADER}# Command line\n", INTRODUCTION, "## aimctl\n", *_command(program)]
    for name, command in program.commands.items():
        parts += [f"## aimctl {name}\n", *_command(command)]
    return "\n".join(parts)


def _command(command: Any) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help).split("\n\n"):
        if paragraph.startswith(VERBATIM):
            yield f"{CALLS}\n```text\n{paragraph.removeprefix(VERBATIM).strip()}\n```\n"
        else:
            yield f"{prose(' '.join(paragraph.split()))}\n"
    if flags := [_flag(parameter) for parameter in command.params]:
        yield "\n".join(flags) + "\n"


def _flag(parameter: Any) -> str:
    value = f" {parameter.metavar}" if parameter.metavar else ""
    names = [code(f"{name}{value}") for name in parameter.opts] + [
        code(name) for name in parameter.secondary_opts
    ]
    more = []
    if parameter.envvar:
        more.append(f"environment {code(parameter.envvar)}")
    if parameter.default not in (None, False):
        more.append(f"default {code(str(parameter.default))}")
    about = f" ({', '.join(more)})" if more else ""
    return f"- {', '.join(names)}{about}: {prose(parameter.help)}"
