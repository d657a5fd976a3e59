"""`aimctl demo` without a cluster: the real operator on the sandbox, with stand-ins slow enough to watch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from aim_operator.api.meta import Manifest
from aim_operator.app import Operator
from aim_operator.cli.demo_show import Patience, keep_logs, show
from aim_operator.cli.demo_snapshot import Snapshot
from aim_operator.cli.quickstart import Example
from aim_operator.errors import ApiError, UserError
from aim_operator.runtime.clock import SystemClock
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.nodes import gpu_node
from aim_operator.settings import Settings

TITLE = "aim-operator demo: the real operator, a cluster in memory, no GPU, nothing downloaded"
SETTLE_SECONDS = 2.0
START_SECONDS, RUN_SECONDS, READY_SECONDS, ACCEPT_SECONDS = 0.2, 0.6, 0.7, 0.3
"""What a real cluster takes seconds or minutes for: starting a Pod, discovery, loading a model, a route."""


def run_in_sandbox(
    directory: Path, examples: tuple[Example, ...], timeout_seconds: float, console: Console
) -> Snapshot:
    """Run the demo to its end. Raises UserError for objects that an API server refuses."""
    return asyncio.run(_run(directory, examples, timeout_seconds, console))


async def _run(
    directory: Path, examples: tuple[Example, ...], timeout_seconds: float, console: Console
) -> Snapshot:
    clock = SystemClock()
    # CEL rules take 0.7 s to import, and the real server will hold the objects to them anyway.
    sandbox = Sandbox(clock, profiles=directory / "profiles", evaluate_rules=False)
    sandbox.load([storage_class()])
    sandbox.jobs.start_seconds, sandbox.jobs.run_seconds = START_SECONDS, RUN_SECONDS
    sandbox.kserve.ready_seconds = READY_SECONDS
    sandbox.gateway.accept_seconds = ACCEPT_SECONDS
    sandbox.load([gpu_node("gpu-node-1"), *_gateways(examples)])
    for example in examples:
        try:
            sandbox.load([example.manifest])
        except ApiError as error:
            raise UserError(f"{example.ref} is refused: {error}") from error
    acting = asyncio.create_task(sandbox.run(), name="sandbox")
    client = sandbox.client()
    told = keep_logs()
    try:
        return await show(
            Operator(client, Settings(), clock=clock),
            client,
            clock,
            examples,
            title=TITLE,
            patience=Patience(timeout_seconds, SETTLE_SECONDS),
            logs_so_far=told,
            console=console,
        )
    finally:
        await sandbox.close()
        await acting


def _gateways(examples: tuple[Example, ...]) -> Iterator[Manifest]:
    """The Gateways that the examples route through: infrastructure, which a cluster has already."""
    routings = [example.manifest.get("spec", {}).get("routing", {}) for example in examples]
    refs = [
        (ref.get("namespace") or example.manifest["metadata"].get("namespace", ""), ref["name"])
        for example, routing in zip(examples, routings, strict=True)
        if (ref := routing.get("gatewayRef"))
    ]
    for namespace, name in dict.fromkeys(refs):
        yield {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"namespace": namespace or "default", "name": name},
            "spec": {
                "gatewayClassName": "sandbox",
                "listeners": [
                    {
                        "name": "http",
                        "port": 80,
                        "protocol": "HTTP",
                        "allowedRoutes": {"namespaces": {"from": "All"}},
                    }
                ],
            },
        }
