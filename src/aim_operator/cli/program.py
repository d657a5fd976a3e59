"""What this program is called by whoever runs it, and help that says so: `aimctl`, or `kubectl aim`."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import typer
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

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        # What is required is in braces there, which manual pages use for a choice.
        return [re.sub(r"^\{(.*)\}$", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def get_help(self, ctx: Any) -> str:
        return named(str(super().get_help(ctx)))


class Group(TyperGroup):
    """The same for the program as a whole; its commands are in the order of importance.

    `aimctl help COMMAND` is `aimctl COMMAND --help`, as of git, go and helm.
    """

    def main(self, *args: Any, **more: Any) -> Any:
        """End the process as typer does; what is wrong with a call begins with `error:`, as all else does."""
        try:
            code = super().main(*args, **more | {"standalone_mode": False})
        except typer.Abort as error:
            # Ctrl-D at a question.
            sys.stderr.write("error: nothing was done: the questions were ended\n")
            raise SystemExit(1) from error
        except Exception as error:
            if not hasattr(error, "show"):
                raise
            shown = io.StringIO()
            error.show(file=shown)
            sys.stderr.write(re.sub("^Error: ", "error: ", shown.getvalue(), flags=re.MULTILINE))
            raise SystemExit(error.exit_code) from error  # type: ignore[attr-defined]
        raise SystemExit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asked = [*args[1:2], "--help"] if args[:1] == ["help"] else args
        parsed: list[str] = super().parse_args(ctx, asked)
        return parsed

    def get_help(self, ctx: Any) -> str:
        return named(str(super().get_help(ctx)))
