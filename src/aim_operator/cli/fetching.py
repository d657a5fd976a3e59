"""A fetch as a process: its loop, its signals, its lines on stdout, its termination message."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from aim_operator.fetch import logs
from aim_operator.fetch import outcome as outcomes
from aim_operator.fetch.look import Question, look
from aim_operator.fetch.outcome import DONE, EXIT_CODES, FetchReason, Outcome
from aim_operator.fetch.redaction import Redactor
from aim_operator.fetch.run import Options, fetch

_INTERRUPTED = 130


def run(options: Question, termination_log: Path | None) -> int:
    """Fetch, or list where there is no directory to fetch into. Return the exit code.

    It has told by then how it ended. Never raises: a bug is an outcome too.
    """
    environment = dict(os.environ)
    redactor = Redactor(environment)
    stdout = logs.redact(redactor)

    whole_lines = threading.Lock()

    def say(text: str) -> None:
        line = redactor.one_line(text, logs.LONGEST_LINE) + "\n"
        with whole_lines:
            stdout.write(line)
            stdout.flush()

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
        if isinstance(options, Options):
            return await fetch(options, environment, say)
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
    if outcome.reason not in DONE:
        say(f"{outcome.reason}: {outcome.message}")
    if termination_log is not None:
        outcomes.write(termination_log, outcome, redactor)
    logs.finish()
    if outcome.reason == FetchReason.INTERRUPTED and signals[:1] == [signal.SIGINT]:
        return _INTERRUPTED
    return EXIT_CODES[outcome.reason]
