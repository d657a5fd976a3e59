"""The network that a benchmark puts between server and client, by a real kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.report import REPOSITORY

PROGRAM = """\
import socket, threading, time
from bench import link
link.enter(0.5)
SIZE = 50_000_000
server = socket.create_server(("127.0.0.1", 0))
def serve():
    with server.accept()[0] as connection:
        connection.sendall(bytes(SIZE))
threading.Thread(target=serve).start()
began, got = time.monotonic(), 0
with socket.create_connection(server.getsockname()) as client:
    while data := client.recv(1 << 20):
        got += len(data)
assert got == SIZE
print(got * 8 / (time.monotonic() - began) / 1e9)
"""


def _outside() -> str:
    return subprocess.run(
        ["tc", "qdisc", "show", "dev", "lo"], check=True, capture_output=True
    ).stdout.decode()


@pytest.mark.needs_node
def test_a_link_has_its_speed_and_slows_nothing_else() -> None:
    """A tenth more is what the bucket holds in the beginning."""
    before = _outside()
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert float(run.stdout) <= 0.6
    assert _outside() == before
