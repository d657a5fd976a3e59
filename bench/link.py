"""A network of a given speed for a benchmark: its own, so that nothing else on the machine is slowed.

The loopback interface of a new network namespace, with a token bucket (tc, of iproute2). Linux, and root.
"""

from __future__ import annotations

import ctypes
import os
import subprocess

_CLONE_NEWNET = 0x40000000
_BURST, _LATENCY = "4mb", "20ms"
"""What the bucket holds, and for how long a packet may wait: as a switch does it, not a modem."""


def enter(gbit: float) -> None:
    """Go on in a network of so many Gbit/s, with all processes that are started from now on.

    SystemExit where that can't be had. To be called before there is a second thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise SystemExit(f"--link-gbit: no network of its own ({reason}); it takes Linux, and root")
    try:
        for command in (
            ["ip", "link", "set", "lo", "up"],
            [
                *("tc", "qdisc", "add", "dev", "lo", "root", "tbf"),
                *("rate", f"{gbit}gbit", "burst", _BURST, "latency", _LATENCY),
            ],
        ):
            subprocess.run(command, check=True)
    except FileNotFoundError as error:
        raise SystemExit(f"--link-gbit: {error.filename} is missing: apt-get install iproute2") from error
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"--link-gbit: {' '.join(error.cmd)} failed; the kernel may lack sch_tbf") from error
