"""A process that stops an instance as soon as its owner is gone, also by SIGKILL.

`python -m hack.cluster.reaper DIR PID STARTED` waits for one process without polling. Owned instances are
those of tests: who started them with `up` wants them to stay.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

from hack.cluster import processes
from hack.cluster.instance import Instance
from hack.cluster.progress import Progress
from hack.cluster.stop import stop_instance

NAME = "reaper"


def start_reaper(instance: Instance, owner: int) -> None:
    """Ties the instance's life to a process."""
    started = processes.start_time(owner) or 0
    processes.start(
        instance.directory,
        NAME,
        [sys.executable, "-m", "hack.cluster.reaper", str(instance.directory), str(owner), str(started)],
        python_environment(),
    )


def python_environment() -> dict[str, str]:
    """Lets a child Python import this package from wherever it is started."""
    return {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}


def wait_for_end(pid: int, started: int) -> None:
    """Returns when that very process is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    # Compared after opening: from here on the handle means this process, not a later one of its number.
    if processes.start_time(pid) == started:
        select.select([handle], [], [])
    os.close(handle)


def main() -> None:
    directory, pid, started = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    wait_for_end(pid, started)
    stop_instance(directory, Progress(sys.stdout))


if __name__ == "__main__":
    main()
