"""`aimctl demo` without a cluster: the real operator on the sandbox, with stand-ins slow enough to watch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console

from aim_operator.api.meta import Manifest
from aim_operator.app import Operator
from aim_operator.cli.demo_ending import Ending
from aim_operator.cli.demo_refusal import refusal
from aim_operator.cli.demo_show import Display, Patience, keep_logs, on_console, show
from aim_operator.cli.quickstart import Example, gateways, images
from aim_operator.errors import ApiError, UserError
from aim_operator.runtime.clock import Clock, SystemClock
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.nodes import gpu_node
from aim_operator.sandbox.profiles import read_profiles
from aim_operator.settings import Settings

TITLE = "aim-operator demo: the real operator, a cluster in memory, no GPU, nothing downloaded"
PROFILES = "profiles"
"""The folder beside the objects that has what their images print in a dry run; see sandbox/profiles.py."""
SETTLE_SECONDS = 2.0
START_SECONDS, RUN_SECONDS, READY_SECONDS, ACCEPT_SECONDS = 0.2, 0.6, 0.7, 0.3
"""What a real cluster takes seconds or minutes for: starting a Pod, discovery, loading a model, a route."""


def run_in_memory(
    directory: Path, examples: tuple[Example, ...], *, timeout_seconds: float, console: Console, below: int
) -> tuple[Ending, list[str]]:
    """Run the demo to its end, shown on `console`. Returns that, and the images of made-up discoveries.

    `below` is how many lines follow it on the screen if it ends well.
    """
    display = on_console(console, TITLE, below=below)
    ending = asyncio.run(run_in_sandbox(SystemClock(), directory, examples, timeout_seconds, display))
    return ending, without_profile(directory, examples)


async def run_in_sandbox(
    clock: Clock,
    directory: Path,
    examples: tuple[Example, ...],
    timeout_seconds: float,
    display: AbstractContextManager[Display],
) -> Ending:
    """Run the demo to its end. Raises UserError for objects that an API server refuses."""
    sandbox = Sandbox(clock, profiles=directory / PROFILES)
    sandbox.load([storage_class()])
    sandbox.jobs.start_seconds, sandbox.jobs.run_seconds = START_SECONDS, RUN_SECONDS
    sandbox.kserve.ready_seconds = READY_SECONDS
    sandbox.gateway.accept_seconds = ACCEPT_SECONDS
    settings = Settings()
    # Where an operator is installed, its namespace is.
    own_namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": settings.operator_namespace},
    }
    sandbox.load([own_namespace, gpu_node("gpu-node-1"), *_gateways(examples)])
    for example in examples:
        try:
            sandbox.load([example.manifest])
        except ApiError as error:
            raise UserError(refusal(example, error)) from error
    acting = asyncio.create_task(sandbox.run(), name="sandbox")
    client = sandbox.client()
    logs = keep_logs()
    try:
        return await show(
            Operator(client, settings, clock=clock),
            client,
            clock,
            examples,
            patience=Patience(timeout_seconds, SETTLE_SECONDS),
            logs_so_far=logs,
            display=display,
        )
    finally:
        await sandbox.close()
        await acting


def without_profile(directory: Path, examples: tuple[Example, ...]) -> list[str]:
    """Return the images of `examples` for which nobody wrote what discovery finds: it is made up then."""
    profiles = read_profiles(directory / PROFILES)
    return sorted(set(images(examples)) - profiles.keys())


def _gateways(examples: tuple[Example, ...]) -> Iterator[Manifest]:
    """The Gateways that the examples route through: infrastructure, which a cluster has already."""
    for namespace, name in gateways(examples):
        yield {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"namespace": namespace, "name": name},
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
