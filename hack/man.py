"""Writes manual pages of aimctl and each of its commands, from the flags and help of the program itself.

A release has them as an archive (.github/workflows/release.yaml). Unpacked below a `man` folder that
`manpath` names, `man aimctl` and `man aimctl-plan` show them. They have no date: the same code makes the
same pages.

python -m hack.man DIR     write DIR/man1/aimctl.1, DIR/man1/aimctl-plan.1, …
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from aim_operator.cli import version as versions
from aim_operator.cli.app import app

VERBATIM = "\b\n"
"""How a paragraph of help begins whose lines stay as they are: examples."""


def pages() -> dict[str, str]:
    """Return the text of every page, by its file's name."""
    program: Any = typer.main.get_command(app())
    commands: dict[str, Any] = dict(program.commands)
    names = [f"aimctl-{name}" for name in commands]
    out = {"aimctl.1": _page("aimctl", "aimctl", program, names)}
    for name, command in commands.items():
        out[f"aimctl-{name}.1"] = _page(f"aimctl-{name}", f"aimctl {name}", command, ["aimctl"])
    return out


def _page(title: str, call: str, command: Any, others: list[str]) -> str:
    summary, *paragraphs = inspect.cleandoc(command.help).split("\n\n")
    lines = [f'.TH "{title.upper()}" 1 "" "aimctl {versions.client()}" "aimctl"']
    lines += [".SH NAME", rf"{_text(title)} \- {_text(' '.join(summary.split()).rstrip('.'))}"]
    context = typer.Context(command, info_name=call)
    usage = " ".join(command.collect_usage_pieces(context))
    lines += [".SH SYNOPSIS", f".B {_text(call)}", _text(usage)]
    if paragraphs:
        lines += [".SH DESCRIPTION", *_paragraphs(paragraphs)]
    if command.params:
        lines += [".SH OPTIONS", *(line for each in command.params for line in _flag(each))]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {_text(other)} (1)" for other in sorted(others))]
    return "\n".join(lines).replace(" (1),\n", " (1),\n") + "\n"


def _paragraphs(paragraphs: list[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield ".PP"
        if paragraph.startswith(VERBATIM):
            yield from (".nf", *map(_text, paragraph.removeprefix(VERBATIM).strip().split("\n")), ".fi")
        else:
            yield _text(" ".join(paragraph.split()))


def _flag(parameter: Any) -> Iterator[str]:
    value = f" {parameter.metavar}" if parameter.metavar else ""
    names = [f"{name}{value}" for name in parameter.opts] + list(parameter.secondary_opts)
    if not parameter.opts[0].startswith("-"):
        # An argument has only its metavar on the command line.
        names = [parameter.metavar or parameter.name.upper()]
    more = [f"Environment: {parameter.envvar}."] if parameter.envvar else []
    if parameter.default not in (None, False):
        more.append(f"Default: {parameter.default}.")
    yield ".TP"
    yield f".B {_text(', '.join(names))}"
    yield _text(" ".join([" ".join((parameter.help or "").split()), *more]).strip())


def _text(text: str) -> str:
    """Return a line of text as roff reads it: no escape, no request, and `-` as it is typed."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR")
    folder = parser.parse_args().directory / "man1"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
