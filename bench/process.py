"""What processes of this machine cost: CPU seconds and resident memory, from /proc."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster import processes
from hack.cluster.cluster import Cluster

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_SECONDS = 90.0


def cpu_seconds(pid: int) -> float:
    """Return user and system time so far."""
    return cpu_of(Path(f"/proc/{pid}/stat").read_text())


def cpu_of(stat: str) -> float:
    """Read user and system time from the text of /proc/PID/stat: fields 14 and 15 of proc(5)."""
    # The program's name is in brackets, and may hold brackets and blanks itself.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> float:
    """Return the resident set, now."""
    return _status_mib(pid, "VmRSS")


class Peak:
    """`mib` is the most that was resident so far."""

    def __init__(self) -> None:
        self.mib = 0.0


@contextmanager
def peak_mib(pid: int, every_seconds: float = 0.02) -> Iterator[Peak]:
    """Look at the most that the process had resident, until it ends or the block does.

    Not ru_maxrss of wait4(2): that counts the memory of whoever started the program, too.
    """
    peak, ended = Peak(), threading.Event()

    def look() -> None:
        while True:
            try:
                peak.mib = max(peak.mib, _status_mib(pid, "VmHWM"))
            except (OSError, StopIteration):
                # It has ended.
                return
            if ended.wait(every_seconds):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _status_mib(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


async def rest(used: Callable[[], float], *, share: float, seconds: float = 1.0) -> None:
    """Wait until less than that share of a core was used for that long; at most QUIET_SECONDS."""
    for _ in range(int(QUIET_SECONDS / seconds)):
        before = used()
        await asyncio.sleep(seconds)
        if used() - before <= share * seconds:
            return


async def cluster_rests(cluster: Cluster) -> None:
    """Wait until the control plane has done what it was left to do, such as collecting garbage."""
    pids = [process.pid for process in processes.recorded(cluster.directory).values() if process.alive]
    await rest(lambda: sum(map(cpu_seconds, pids)), share=0.25, seconds=2.0)
