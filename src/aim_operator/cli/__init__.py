"""aimctl, also installed as kubectl-aim. `main` is the entry point; app.py has the subcommands.

Owns the mapping from errors to exit codes: 0 done, 1 not achieved, 2 something to fix, 130 Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence

from aim_operator.errors import AimError

MEND = 2
NOT_WRITTEN = 1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a disk says that takes no more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Errors made on purpose become one line on stderr."""
    # Only here may typer's usage errors end the process.
    from aim_operator.cli import program  # noqa: PLC0415
    from aim_operator.cli.app import app  # noqa: PLC0415
    from aim_operator.cli.completion import VARIABLE  # noqa: PLC0415
    from aim_operator.cli.plain import error_line  # noqa: PLC0415

    _take_interrupts()
    if VARIABLE in os.environ:
        # A shell asks for completions; typer knows how to answer once it is told to.
        from typer._completion_classes import completion_init  # noqa: PLC0415

        completion_init()
    code = 0
    try:
        try:
            app(args=None if argv is None else list(argv), prog_name=program.name())
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 0
        # What is still held back is lost at the end otherwise, and that with a traceback.
        sys.stdout.flush()
    except AimError as error:
        print(error_line(error), file=sys.stderr)  # noqa: T201
        return MEND
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL:
            raise
        _leave_stdout()
        print(f"error: the output can't be written: {error.strerror}", file=sys.stderr)  # noqa: T201
        return NOT_WRITTEN
    return code


def _leave_stdout() -> None:
    """Let what was not written go: the interpreter would try again on its way out."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _take_interrupts() -> None:
    """Make SIGINT end every command alike, `run` as `demo`: a shell starts `aimctl … &` with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
