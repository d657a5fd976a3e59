"""aimctl, also installed as kubectl-aim. `main` is the entry point; app.py has the subcommands.

Owns the mapping from errors to exit codes: 0 done, 1 not achieved, 2 something to fix, 130 Ctrl-C.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from aim_operator.errors import AimError

MEND = 2
NOT_WRITTEN = 1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a disk says that takes no more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Errors made on purpose become one line on stderr."""
    # Only here may typer's usage errors end the process.
    from aim_operator.cli import program  # noqa: PLC0415
    from aim_operator.cli.app import COMMANDS, app  # noqa: PLC0415
    from aim_operator.cli.completion import VARIABLE  # noqa: PLC0415
    from aim_operator.cli.plain import error_line  # noqa: PLC0415

    _take_interrupts()
    _take_streams()
    if VARIABLE in os.environ:
        # A shell asks for completions; typer knows how to answer once it is told to.
        from typer._completion_classes import completion_init  # noqa: PLC0415

        completion_init()
    arguments = sys.argv[1:] if argv is None else list(argv)
    # What comes after an option is not known to be a command.
    called = arguments[0] if arguments else ""
    code = 0
    try:
        try:
            # To import and describe two dozen commands takes longer than most of them.
            commands = app(called) if called in COMMANDS else app()
            commands(args=arguments, prog_name=program.name())
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 0
        # What is still held back is lost at the end otherwise, and that with a traceback.
        sys.stdout.flush()
    except AimError as error:
        print(error_line(error), file=sys.stderr)  # noqa: T201
        return MEND
    except UnicodeEncodeError as error:
        # Arguments are any bytes; what is sent or printed of them is UTF-8.
        given = error.object.encode(errors="surrogateescape").decode(errors="replace")
        print(f"error: {' '.join(given.split())[:200]!r} is not UTF-8", file=sys.stderr)  # noqa: T201
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


def _take_streams() -> None:
    """Have all three streams, also where a service manager or `>&-` closed one, and write to any encoding."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A sign that the encoding has not becomes a `?`, not a traceback.
        sys.stdout.reconfigure(errors="replace")


def _take_interrupts() -> None:
    """Make SIGINT end every command alike, `run` as `demo`: a shell starts `aimctl … &` with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
