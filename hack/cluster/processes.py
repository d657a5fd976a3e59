"""Owns the processes of an instance: starting them, knowing them again, ending them.

Each runs in a session of its own (no Ctrl-C of the starter reaches it), logs to DIR/logs/NAME.log, is
recorded in DIR/processes/NAME.json, and carries the instance's directory in its environment. That mark is
what makes a kill safe and complete: no stranger that got a recycled pid is ever hit, and a process whose
starter was killed before it could record it is still found.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.patience import Patience

MARK = "AIM_CLUSTER_DIR"
# Memory is there, cores are not: the API server starts with 7 s of CPU instead of 10.
GO_ENVIRONMENT = {"GOGC": "400"}
POLL_SECONDS = 0.05
TERMINATE_SECONDS = 5.0
LOG_TAIL_LINES = 12


@dataclass(frozen=True, slots=True)
class Process:
    """A process and when it started, in the kernel's clock ticks: together they are never reused."""

    name: str
    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """The kernel's start time of a live process; None for one that is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def start(directory: Path, name: str, argv: list[str], env: Mapping[str, str] | None = None) -> Process:
    """Starts a program in the background. Its output goes to the instance's log of that name."""
    log = log_file(directory, name)
    log.parent.mkdir(exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        argv[0],
        argv,
        {**GO_ENVIRONMENT, **os.environ, **(env or {}), MARK: str(directory)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    process = Process(name, pid, start_time(pid) or 0)
    record = directory / "processes" / f"{name}.json"
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps(asdict(process)))
    return process


def log_file(directory: Path, name: str) -> Path:
    return directory / "logs" / f"{name}.log"


def log_tail(directory: Path, name: str) -> str:
    """The last lines of a log, for an error message."""
    try:
        lines = log_file(directory, name).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(f"    {line[:300]}" for line in lines[-LOG_TAIL_LINES:])


def recorded(directory: Path) -> dict[str, Process]:
    """The processes that were started for an instance, by name; they may be dead by now."""
    processes = {}
    for record in sorted((directory / "processes").glob("*.json")):
        try:
            process = Process(**json.loads(record.read_text()))
        except (ValueError, TypeError):
            continue  # its writer was killed half-way: the mark finds the process
        processes[process.name] = process
    return processes


def marked(directory: Path) -> list[Process]:
    """Every live process that carries the instance's mark, containerd's shims included."""
    mark = f"{MARK}={directory}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        started = start_time(int(entry.name)) if mark in environment else None
        if started is not None:
            found.append(Process("marked", int(entry.name), started))
    return found


def wait_until(
    ready: Callable[[], bool], directory: Path, process: Process, timeout_seconds: float, what: str
) -> None:
    """Returns when `ready` says so; raises with the tail of the process's log if it dies or never is."""
    patience = Patience(timeout_seconds)
    while not ready():
        alive = process.alive
        if alive and not patience.ended:
            time.sleep(POLL_SECONDS)
            continue
        reason = f"is not ready after {timeout_seconds:.0f} s" if alive else "stopped by itself"
        log = log_file(directory, process.name)
        raise ClusterError(
            f"{what} {reason}; the end of its log:\n{log_tail(directory, process.name)}",
            f"The whole log is {log}; `python3 -m hack.cluster down --dir {directory}` removes it.",
        )


def kill(processes: Iterable[Process]) -> None:
    """Kills processes without a warning, and waits until all are gone."""
    _end(processes, ((signal.SIGKILL, TERMINATE_SECONDS),))


def end(processes: Iterable[Process], grace_seconds: float = TERMINATE_SECONDS) -> None:
    """Terminates processes together, kills those that outlive the grace, and waits until all are gone."""
    _end(processes, ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, TERMINATE_SECONDS)))


def _end(processes: Iterable[Process], signals: Iterable[tuple[signal.Signals, float]]) -> None:
    living = [process for process in processes if process.alive]
    for kind, seconds in signals:
        for process in living:
            _send(process, kind)
        deadline = time.monotonic() + seconds
        while living and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            for process in living:
                _reap(process.pid)
            living = [process for process in living if process.alive]
        if not living:
            return
    names = ", ".join(f"{process.name} ({process.pid})" for process in living)
    raise ClusterError(f"these processes cannot be killed: {names}", "Look for them in state D with `ps`.")


def _send(process: Process, kind: signal.Signals) -> None:
    if process.alive:
        with suppress(ProcessLookupError):
            os.kill(process.pid, kind)


def _reap(pid: int) -> None:
    """Takes the exit status if the process is our own child: nobody else would."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
