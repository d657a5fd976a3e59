"""What this program is called by whoever runs it, and help that says so: `aimctl`, or `kubectl aim`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

AIMCTL = "aimctl"
KUBECTL_AIM = "kubectl aim"


def name() -> str:
    """Return how it was called: as a plugin of kubectl, or by its own name."""
    return KUBECTL_AIM if Path(sys.argv[0]).name.startswith("kubectl-") else AIMCTL


def named(text: str) -> str:
    """Return `text` with the commands in it as they are called here."""
    return text if name() == AIMCTL else text.replace(f"{AIMCTL} ", f"{KUBECTL_AIM} ")


class Command(TyperCommand):
    """A command whose help names the program as it was called."""

    def get_help(self, ctx: Any) -> str:
        return named(str(super().get_help(ctx)))


class Group(TyperGroup):
    """The same for the program as a whole; its commands are in the order of importance.

    `aimctl help COMMAND` is `aimctl COMMAND --help`, as of git, go and helm.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asked = [*args[1:2], "--help"] if args[:1] == ["help"] else args
        parsed: list[str] = super().parse_args(ctx, asked)
        return parsed

    def get_help(self, ctx: Any) -> str:
        return named(str(super().get_help(ctx)))
