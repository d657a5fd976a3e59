"""The operator in a process of its own, and what that process costs: CPU seconds and resident memory."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from bench import process
from hack.cluster.cluster import Cluster
from hack.cluster.ports import pick_ports

REPOSITORY = Path(__file__).parents[1]
SYNC_SECONDS = 120.0


class Operator:
    """`aimctl run` of this checkout, with its defaults."""

    def __init__(self, directory: Path, kubeconfig: Path, *, profile: Path | None = None) -> None:
        self.log = directory / f"operator-{time.monotonic_ns()}.log"
        self._metrics = f"127.0.0.1:{pick_ports(['metrics'])['metrics']}"
        self.started = time.monotonic()
        self.synced_seconds = 0.0
        """How long after its start its caches were filled."""
        prefix = [sys.executable, "-m", "cProfile", "-o", str(profile)] if profile is not None else []
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *prefix,
                    str(Path(sys.executable).with_name("aimctl")),
                    "run",
                    f"--kubeconfig={kubeconfig}",
                    f"--metrics-address={self._metrics}",
                    "--log-format=json",
                ],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return process.cpu_seconds(self.pid)

    @property
    def memory_mib(self) -> float:
        """Resident set, now."""
        return process.memory_mib(self.pid)

    async def synced(self) -> None:
        """Wait until its caches are filled."""
        while "caches synced" not in self.log.read_text():
            if self._process.poll() is not None or time.monotonic() - self.started > SYNC_SECONDS:
                raise RuntimeError(f"the operator did not come up: {self.log.read_text()[-2000:]}")
            await asyncio.sleep(0.02)
        self.synced_seconds = time.monotonic() - self.started

    async def idle(self) -> None:
        """Wait until it uses next to no CPU."""
        await process.rest(lambda: self.cpu_seconds, share=0.03)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=30) as response:
            text: str = response.read().decode()
        return text

    @property
    def died(self) -> bool:
        """Whether it ended otherwise than by `stop`."""
        return self._process.poll() not in (None, 0)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


def running(cluster: Cluster, *, profile: Path | None = None) -> AbstractAsyncContextManager[Operator]:
    """Run an operator on a cluster of ours."""
    return started(cluster.directory, cluster.operator_kubeconfig, profile=profile)


@asynccontextmanager
async def started(
    directory: Path, kubeconfig: Path, *, profile: Path | None = None
) -> AsyncIterator[Operator]:
    """Yield an operator whose caches are filled; it must still be alive at the end."""
    operator = Operator(directory, kubeconfig, profile=profile)
    try:
        await operator.synced()
        yield operator
        if operator.died:
            raise RuntimeError(f"the operator died: {operator.log.read_text()[-2000:]}")
    finally:
        operator.stop()
