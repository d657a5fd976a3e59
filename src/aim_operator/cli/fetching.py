"""A fetch as a process: its loop, its signals, its lines on stdout, its termination message."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from aim_operator.fetch import logs
from aim_operator.fetch import outcome as outcomes
from aim_operator.fetch.check import Check, check
from aim_operator.fetch.look import Question, look
from aim_operator.fetch.outcome import DONE, EXIT_CODES, FetchReason, Outcome
from aim_operator.fetch.progress import Progress
from aim_operator.fetch.redaction import Redactor
from aim_operator.fetch.run import Options, fetch
from aim_operator.fetch.verify import Verification, verify

if TYPE_CHECKING:
    from aim_operator.cli.terminal import Terminal

_INTERRUPTED = 130


def run(options: Question | Verification, termination_log: Path | None) -> int:
    """Fetch; or list where there is no directory to fetch into; or verify. Return the exit code.

    It has told by then how it ended. Never raises: a bug is an outcome too.
    """
    environment = dict(os.environ)
    redactor = Redactor(environment)
    stdout = logs.redact(redactor)

    whole_lines = threading.Lock()
    terminal = _terminal(stdout)

    def say(text: str) -> None:
        line = redactor.one_line(text, logs.LONGEST_LINE)
        with whole_lines:
            if terminal is None:
                logs.write_line(stdout, line)
                return
            with contextlib.suppress(OSError):
                terminal.say(line)

    def draw(progress: Progress) -> None:
        if terminal is not None:
            # A terminal that was closed does not end what it shows.
            with whole_lines, contextlib.suppress(OSError):
                terminal.show(progress)

    show = None if terminal is None else draw

    signals: list[int] = []

    async def main() -> Outcome:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            signals.append(number)
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        if isinstance(options, Check):
            return await check(options, environment, say)
        if isinstance(options, Options):
            return await fetch(options, environment, say, show)
        if isinstance(options, Verification):
            return await verify(options, say, show)
        return await look(options, environment, say)

    loop = asyncio.new_event_loop()
    try:
        outcome = loop.run_until_complete(main())
    except Exception as error:  # noqa: BLE001 - whoever reads the termination message must learn of it
        sys.stderr.write(traceback.format_exc())
        outcome = Outcome(
            reason=FetchReason.DOWNLOAD_FAILED,
            message=f"a bug in the downloader: {type(error).__name__}: {error}",
        )
    if terminal is not None:
        with contextlib.suppress(OSError):
            terminal.close()
    if outcome.reason not in DONE:
        say(f"{outcome.reason}: {outcome.message}")
    if termination_log is not None:
        outcomes.write(termination_log, outcome, redactor)
    logs.finish()
    if outcome.reason == FetchReason.INTERRUPTED and signals[:1] == [signal.SIGINT]:
        return _INTERRUPTED
    return EXIT_CODES[outcome.reason]


def _terminal(stdout: TextIO) -> Terminal | None:
    """What draws for people; None where lines go to a log, or to a terminal that can't move its cursor."""
    if not stdout.isatty() or os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        return None
    from aim_operator.cli.terminal import Terminal  # noqa: PLC0415 - logs need no rich

    return Terminal(stdout)
