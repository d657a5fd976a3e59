"""aimctl, also installed as kubectl-aim. `main` is the entry point; app.py has the subcommands.

Owns the mapping from errors to exit codes: 0 done, 1 not achieved, 2 something to fix, 130 Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from aim_operator.errors import AimError

MEND = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Errors made on purpose become one line on stderr."""
    from aim_operator.cli.app import app  # noqa: PLC0415 - only here may typer's usage errors end the process

    _take_interrupts()
    try:
        app(args=None if argv is None else list(argv), prog_name=_program())
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except AimError as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)  # noqa: T201
        return MEND
    return 0


def _take_interrupts() -> None:
    """Make SIGINT end every command alike, `run` as `demo`: a shell starts `aimctl … &` with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _program() -> str:
    return "kubectl aim" if Path(sys.argv[0]).name.startswith("kubectl-") else "aimctl"


def _one_line(error: AimError) -> str:
    return " ".join(str(error).split())
