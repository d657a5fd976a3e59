"""A real Prometheus for tests: Debian's, with promtool; tests that need them carry MARKER.

Called by tests.support.plugin and tests/monitoring. A Prometheus starts in a second and takes 60 MB.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from hack.cluster.errors import Missing
from hack.cluster.ports import pick_ports
from hack.cluster.progress import Progress
from hack.cluster.requirements import missing_packages

MARKER = "needs_prometheus"
PART = "prometheus"
REMEDY = "Run `make test-all`, or `apt-get install prometheus` once; then `make test` runs these too."
RULES = Path(__file__).parents[2] / "charts" / "aim-operator" / "files" / "alerts.yaml"
JOB = 'job="aim-operator-metrics"'
"""In the rules: what the chart replaces by the job of its release."""


@cache
def missing_prometheus(*, install: bool) -> tuple[Missing, ...]:
    """What is missing for tests with MARKER; `install` lets it install Debian's prometheus (20 MB) first."""
    lack = missing_packages(PART, Progress(None), install=install)
    return (Missing(lack.part, lack.reason, REMEDY),) if lack else ()


def promtool(*arguments: str | Path) -> str:
    """What promtool says. Raises AssertionError with its words where it fails."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hurried(rules: str) -> str:
    """The same rules for a test that has seconds: `for` half a second, ranges 30 s, ages of more than 2 s."""
    rules = re.sub(r"\bfor: \S+", "for: 500ms", rules)
    rules = re.sub(r"\[\d+[mh]\]", "[30s]", rules)
    return re.sub(r"> \d{2,}$", "> 2", rules, flags=re.MULTILINE)


class Prometheus:
    """One that runs; `url` is its address."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector: `metric` and `value` of each series."""
        found: list[dict[str, Any]] = (await self._get("query", query=expression))["result"]
        return found

    async def until(self, expression: str, number: int) -> list[dict[str, Any]]:
        """Wait until an expression has that many series, and return them."""
        async with asyncio.timeout(120):
            while True:
                found = await self.query(expression)
                if len(found) >= number:
                    return found
                await asyncio.sleep(0.1)

    async def firing(self) -> dict[str, set[str]]:
        """The names of the alerts that fire, by the job of their release."""
        fire: dict[str, set[str]] = {}
        for alert in (await self._get("alerts"))["alerts"]:
            if alert["state"] == "firing":
                fire.setdefault(alert["labels"]["job"], set()).add(alert["labels"]["alertname"])
        return fire

    async def exemplars(self, expression: str) -> list[dict[str, str]]:
        """Labels of the exemplars of a query's series of the last minutes."""
        end = time.time()
        data: Any = await self._get(
            "query_exemplars", query=expression, start=str(end - 300), end=str(end + 60)
        )
        return [exemplar["labels"] for series in data for exemplar in series["exemplars"]]

    async def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        async with self._session.get(f"{self.url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
            assert response.status == 200, answer
            data: dict[str, Any] = answer["data"]
            return data


Target = tuple[int, dict[str, str]]
"""A port of this machine, and the labels of what is there; `job` is one of them."""


def _configure(
    directory: Path, rules: Mapping[str, str], targets: list[Target], relabelings: list[dict[str, Any]]
) -> Path:
    """Write the configuration and its rules. Returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in rules.items():
        (directory / f"{name}.rules.yaml").write_text(text)
    by_job: dict[str, list[dict[str, Any]]] = {}
    for port, labels in targets:
        rest = {name: value for name, value in labels.items() if name != "job"}
        by_job.setdefault(labels["job"], []).append({"targets": [f"127.0.0.1:{port}"], "labels": rest})
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"},
        "rule_files": [str(directory / "*.rules.yaml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": of_job, "relabel_configs": relabelings}
            for job, of_job in by_job.items()
        ],
    }
    path = directory / "prometheus.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return path


@asynccontextmanager
async def prometheus(
    directory: Path,
    *,
    rules: Mapping[str, str],
    targets: list[Target],
    relabelings: Sequence[dict[str, Any]] = (),
) -> AsyncIterator[Prometheus]:
    """Start one that asks `targets` once a second; `rules` are files by name."""
    configuration = _configure(directory, rules, targets, list(relabelings))
    address = f"127.0.0.1:{pick_ports([PART])[PART]}"
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with aiohttp.ClientSession() as session:
            await _ready(session, f"http://{address}", process)
            yield Prometheus(f"http://{address}", session)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _ready(session: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(120):
        while True:
            assert process.returncode is None, (await process.stderr.read()).decode()
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/-/ready") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)
