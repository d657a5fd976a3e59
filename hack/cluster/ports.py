"""Owns the choice of free TCP ports.

Ports come from below the kernel's ephemeral range, so that no outgoing connection takes one between its
choice and its listener. Two instances that start at the same moment are kept apart by a list of the ports
handed out in the last minute; after that the listener itself shows.
"""

from __future__ import annotations

import json
import random
import socket
import time

from hack.cluster.cache import cache_dir, locked

RANGE = range(20_000, 32_000)
RESERVED_SECONDS = 60.0


def pick_ports(names: list[str]) -> dict[str, int]:
    """A free port of 127.0.0.1 for each name, not handed to anybody else for a minute."""
    ledger = cache_dir() / "recent-ports.json"
    with locked(ledger):
        now = time.time()
        try:
            recent: dict[str, float] = json.loads(ledger.read_text())
        except (FileNotFoundError, ValueError):
            recent = {}
        recent = {port: at for port, at in recent.items() if now - at < RESERVED_SECONDS}
        picked: dict[str, int] = {}
        candidates = iter(random.sample(RANGE, len(RANGE)))
        for name in names:
            port = next(port for port in candidates if str(port) not in recent and is_free(port))
            picked[name] = port
            recent[str(port)] = now
        ledger.write_text(json.dumps(recent))
    return picked


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now, on any address."""
    with socket.socket() as probe:
        # As Go's listeners do: a port with nothing but connections in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - webhook servers listen on every address
        except OSError:
            return False
    return True
