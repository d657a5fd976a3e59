"""Owns the commands that a build runs, several at once from threads, so that all of them end with it.

Each has a process group of its own: Go's compilers and linkers end with the `go` that started them. Who kills
this process with SIGKILL leaves them behind; they then keep the locks that they were given, and the next
build waits until they are done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from hack.cluster.errors import ClusterError

# Within it Go removes its temporary files.
END_SECONDS = 10.0


class Finished(NamedTuple):
    code: int
    output: str


class Commands:
    """Runs commands until it is stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(
        self,
        argv: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        errors: IO[str],
        held: int,
    ) -> Finished:
        """Run one command to its end; its stderr goes to `errors`. `held` is the descriptor of a lock.

        Raises ClusterError if `stop` was called before.
        """
        with self._lock:
            if self._stopped:
                raise ClusterError(f"not run, because something else went wrong: {' '.join(argv)}")
            process = subprocess.Popen(
                argv,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0,
                pass_fds=(held,),
            )
            self._running.add(process)
        try:
            output, _ = process.communicate()
        except BaseException:
            _end(process)
            raise
        finally:
            with self._lock:
                self._running.discard(process)
        return Finished(process.returncode, output)

    def stop(self) -> None:
        """End what runs, and let nothing more begin. `run` returns in each of its threads."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """As Ctrl-C in a terminal does, which this group is not in; the hard way after END_SECONDS."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return
