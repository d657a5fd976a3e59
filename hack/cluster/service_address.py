"""Makes the Service `kubernetes`, the API server's address inside a cluster, answer to Pods of a node.

`python -m hack.cluster.service_address DIR BRIDGE` listens on that address and passes connections on to the
API server on loopback. It stands in for the one rule of kube-proxy that every operator needs. The address is
added to the instance's bridge and goes with it; the listener is bound to the bridge, so several instances
on one kernel use the same address and none hears another's Pods.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from pathlib import Path

from hack.cluster import kernel, processes
from hack.cluster.control_plane import SERVICE_ADDRESS
from hack.cluster.errors import CannotError
from hack.cluster.instance import Instance
from hack.cluster.reaper import python_environment

NAME = "service-address"
PORT = 443
START_SECONDS = 20.0
CHUNK_BYTES = 65_536


def start_service_address(instance: Instance, network: str, suffix: str) -> None:
    """Returns when Pods of a node reach the API server at the Service's address."""
    if not kernel.add_address(network, f"{SERVICE_ADDRESS}/32"):
        raise CannotError(
            f"cannot give {SERVICE_ADDRESS} to the bridge {network}",
            "That takes CAP_NET_ADMIN; `ip address show` tells who has it.",
        )
    argv = [sys.executable, "-m", "hack.cluster.service_address", str(instance.directory), network]
    process = processes.start(instance.directory, f"{NAME}{suffix}", argv, python_environment())
    processes.wait_until(
        lambda: _answers(network),
        instance.directory,
        process,
        START_SECONDS,
        "The Service's address",
    )


def _answers(device: str) -> bool:
    with _socket(device) as probe:
        probe.settimeout(1)
        return probe.connect_ex((SERVICE_ADDRESS, PORT)) == 0


def _socket(device: str) -> socket.socket:
    """A TCP socket of which only connections over one device are a concern."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    return opened


async def serve(device: str, server_port: int) -> None:
    """Passes connections on until cancelled."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", server_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, server[1]), _pass_on(server[0], writer))

    listener = _socket(device)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((SERVICE_ADDRESS, PORT))
    async with await asyncio.start_server(accept, sock=listener) as started:
        await started.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of a connection; the other end of it learns when it ends."""
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()


def main() -> None:
    instance = Instance.load(Path(sys.argv[1]))
    if instance is None:
        sys.exit(f"no cluster in {sys.argv[1]}")
    asyncio.run(serve(sys.argv[2], instance.ports["apiserver"]))


if __name__ == "__main__":
    main()
