"""`aimctl demo --cluster`: the same demo on a real cluster, with objects made in this very run.

Owns what the demo leaves and removes there: it deletes only what carries its label, and overwrites nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console

from aim_operator.api.crd import all_crds
from aim_operator.api.external import CUSTOM_RESOURCE_DEFINITIONS, HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.api.meta import KubeObject
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import ALL_KINDS, SERVICES
from aim_operator.app import Operator
from aim_operator.cli.access import check_access
from aim_operator.cli.demo_ending import Ending
from aim_operator.cli.demo_refusal import refusal
from aim_operator.cli.demo_request import MODEL_PODS, request_model, selector
from aim_operator.cli.demo_show import Display, Patience, keep_logs, on_console, show
from aim_operator.cli.quickstart import Example
from aim_operator.errors import AlreadyExists, ApiError, Conflict, NotFound, NotInstalled, UserError
from aim_operator.kube.client import Client
from aim_operator.kube.credentials import Connection
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock, SystemClock, within
from aim_operator.settings import Settings

DEMO_LABEL = "aim.silogen.ai/demo"
SETTLE_SECONDS = 30.0
"""Longer than in the sandbox: Pods that fail are retried."""
SERVED_SECONDS, DELETED_SECONDS = 30.0, 120.0
PAUSE_SECONDS = 0.2

_OURS: tuple[Resource[Any], ...] = tuple(ALL_KINDS)
_NEEDED: dict[Resource[Any], str] = {
    INFERENCE_SERVICES: "KServe, which runs the models: https://kserve.github.io/website",
    HTTP_ROUTES: "the Gateway API, which routes to them: https://gateway-api.sigs.k8s.io",
}


def run_on_cluster(
    connection: Connection,
    examples: tuple[Example, ...],
    *,
    operator_namespace: str,
    gateway_url: str | None,
    timeout_seconds: float,
    console: Console,
    below: int,
) -> tuple[Ending, list[str]]:
    """Run the demo to its end. Returns that, and what was wrong with the answers of the model servers.

    `below` is how many lines follow it on the screen if it ends well.

    Raises UserError where the cluster can't be used for it.
    """
    settings = Settings(operator_namespace=operator_namespace, leader_elect=True)
    patience = Patience(timeout_seconds, SETTLE_SECONDS)
    title = f"aim-operator demo: the real operator on {connection.server}"
    display = on_console(console, title, below=below)
    return asyncio.run(_run(connection, settings, examples, patience, gateway_url, console, display))


async def _run(  # noqa: PLR0917 - what run_on_cluster names
    connection: Connection,
    settings: Settings,
    examples: tuple[Example, ...],
    patience: Patience,
    gateway_url: str | None,
    console: Console,
    display: AbstractContextManager[Display],
) -> tuple[Ending, list[str]]:
    clock = SystemClock()
    client = Client(connection)
    logs = keep_logs()
    operator = Operator(
        client, settings, clock=clock, identity=f"{socket.gethostname()}-demo-{secrets.token_hex(4)}"
    )
    try:
        await check_access(client, connection, ())
        await _check_needed(client, connection)
        console.out(f"cluster: {connection.server} ({connection.source})", highlight=False)
        await _install_crds(client, clock)
        await check_access(client, connection, operator.watched.all)
        await _remove_leftovers(client, clock, examples, console)
        await _create(client, examples)
        ending = await show(
            operator,
            client,
            clock,
            examples,
            patience=patience,
            logs_so_far=logs,
            display=display,
        )
        problems = []
        if ending.good:
            for row in ending.last.services:
                problems += await request_model(client, clock, row, gateway_url, console)
    except ApiError as error:
        raise UserError(str(error)) from error
    finally:
        await client.close()
    return ending, problems


async def _check_needed(client: KubeClient, connection: Connection) -> None:
    missing = []
    for resource, what in _NEEDED.items():
        try:
            await client.list(resource, limit=1)
        except NotInstalled:
            missing.append(what)
    if missing:
        raise UserError(
            f"{connection.server} lacks {' and '.join(missing)}; "
            "install it there, or let `make demo-cluster` start a cluster that has it"
        )


async def _install_crds(client: KubeClient, clock: Clock) -> None:
    for manifest in all_crds():
        try:
            await client.apply(CUSTOM_RESOURCE_DEFINITIONS, manifest)
        except Conflict as error:
            name = manifest["metadata"]["name"]
            raise UserError(
                f"the cluster has another version of {name}, which another program manages; "
                "replace it: aimctl crds | kubectl apply --server-side --force-conflicts -f -"
            ) from error

    async def served() -> bool:
        try:
            for resource in _OURS:
                await client.list(resource, limit=1)
        except NotInstalled:
            return False
        return True

    await _wait(clock, served, SERVED_SECONDS, "the API server does not serve the CRDs yet")


async def _remove_leftovers(
    client: KubeClient, clock: Clock, examples: tuple[Example, ...], console: Console
) -> None:
    """Delete what an earlier demo made, and wait until its Pods are gone too."""
    ours = [example for example in examples if example.is_ours]
    leftovers = [(example, obj) for example in ours if (obj := await _existing(client, example)) is not None]
    for example, obj in leftovers:
        if obj.metadata.label(DEMO_LABEL) is None:
            raise UserError(
                f"{example.ref} is there already and not from a demo; delete it if nobody needs it, "
                f"or use objects of other names with --dir"
            )
    if not leftovers:
        return
    console.out(f"deleting {len(leftovers)} objects of an earlier demo", highlight=False)
    # The service first, as a user would: its template is in use until then.
    for example, obj in reversed(leftovers):
        try:
            await client.delete(
                example.resource,
                obj.metadata.name,
                namespace=obj.metadata.namespace,
                uid=obj.metadata.uid,
                propagation="Foreground",
            )
        except NotFound:
            continue

    async def gone() -> bool:
        for example in ours:
            if await _existing(client, example) is not None:
                return False
            if example.resource == SERVICES:
                _, namespace, name = example.ref
                pods = await client.list(MODEL_PODS, namespace=namespace, label_selector=selector(name))
                if pods.items:
                    return False
        return True

    await _wait(clock, gone, DELETED_SECONDS, "objects of an earlier demo are still being deleted")


async def _existing(client: KubeClient, example: Example) -> KubeObject | None:
    _, namespace, name = example.ref
    try:
        obj: KubeObject = await client.get(example.resource, name, namespace=namespace)
    except NotFound:
        return None
    return obj


async def _create(client: KubeClient, examples: tuple[Example, ...]) -> None:
    for example in examples:
        metadata = example.manifest["metadata"]
        manifest = example.manifest
        if example.is_ours:
            labels = {**metadata.get("labels", {}), DEMO_LABEL: "quickstart"}
            manifest = manifest | {"metadata": metadata | {"labels": labels}}
        try:
            await client.create(example.resource, manifest, namespace=example.ref.namespace)
        except AlreadyExists:
            # A namespace or a Secret that somebody needs as it is.
            if example.is_ours:
                raise
        except ApiError as error:
            raise UserError(refusal(example, error)) from error


async def _wait(clock: Clock, check: Callable[[], Awaitable[bool]], seconds: float, complaint: str) -> None:
    async def until() -> None:
        while not await check():
            await clock.sleep(PAUSE_SECONDS)

    try:
        await within(clock, seconds, until())
    except TimeoutError as error:
        raise UserError(f"{complaint}, after {seconds:g} s") from error
