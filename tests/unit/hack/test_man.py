"""Manual pages: one for every command, with all of its flags, and nothing that roff would read as its own."""

import re
from pathlib import Path
from typing import Any

import typer

from aim_operator.cli.app import app
from hack.man import pages

REQUESTS = {".TH", ".SH", ".B", ".BR", ".PP", ".nf", ".fi", ".TP"}


def test_every_command_has_a_page_with_all_of_its_flags() -> None:
    program: Any = typer.main.get_command(app())
    found = pages()
    assert found.keys() == {"aimctl.1", *(f"aimctl-{name}.1" for name in program.commands)}
    for name, command in program.commands.items():
        page = found[f"aimctl-{name}.1"].replace(r"\-", "-")
        missing = [
            flag for each in command.params for flag in each.opts if flag[0] == "-" and flag not in page
        ]
        assert not missing, name
        assert f"aimctl-{name} - " in page


def test_no_line_of_help_is_taken_for_a_request_or_an_escape() -> None:
    for name, page in pages().items():
        begun = {line.split(" ")[0] for line in page.splitlines() if line.startswith((".", "'"))}
        assert begun <= REQUESTS, name
        assert set(re.findall(r"\\(.)", page)) <= {"-", "e", "&"}, name


def test_a_release_has_them() -> None:
    assert "python -m hack.man " in Path(".github/workflows/release.yaml").read_text()
