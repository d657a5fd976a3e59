"""The client-level scenarios on a real control plane; tests/unit/sandbox runs the same in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.kube.client import Client
from aim_operator.kube.credentials import load
from hack.cluster.cluster import Cluster
from tests.cluster.scenarios import SCENARIOS, World

APPLY_PATCH = "application/apply-patch+yaml"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_real_server_plays(
    control_plane: Cluster, scenario: Callable[[World], Awaitable[None]]
) -> None:
    async def apply_as(
        manager: str, resource: Resource[Any], manifest: Manifest, *, force: bool = False
    ) -> None:
        metadata = manifest["metadata"]
        path = resource.object_path(metadata["name"], metadata.get("namespace", ""))
        query = f"?fieldManager={manager}&force={str(force).lower()}"
        await asyncio.to_thread(control_plane.api.request, "PATCH", path + query, manifest, APPLY_PATCH)

    client = Client(load(str(control_plane.kubeconfig)))
    try:
        with control_plane.namespace("scenario") as namespace:
            await scenario(World(client, namespace, apply_as=apply_as, sleep=asyncio.sleep))
    finally:
        await client.close()
