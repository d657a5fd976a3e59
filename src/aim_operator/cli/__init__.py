"""aimctl, also installed as kubectl-aim. `main` is the entry point; app.py has the subcommands.

Owns the mapping from errors to exit codes: 0 done, 1 not achieved, 2 something to fix, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from aim_operator.errors import AimError

MEND = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Errors made on purpose become one line on stderr."""
    # Only here may typer's usage errors end the process.
    from aim_operator.cli import program  # noqa: PLC0415
    from aim_operator.cli.app import app  # noqa: PLC0415
    from aim_operator.cli.completion import VARIABLE  # noqa: PLC0415

    _take_interrupts()
    if VARIABLE in os.environ:
        # A shell asks for completions; typer knows how to answer once it is told to.
        from typer._completion_classes import completion_init  # noqa: PLC0415

        completion_init()
    try:
        app(args=None if argv is None else list(argv), prog_name=program.name())
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


def _one_line(error: AimError) -> str:
    from aim_operator.cli import program  # noqa: PLC0415

    return program.named(" ".join(str(error).split()))
