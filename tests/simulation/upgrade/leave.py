"""Print what this version of the operator leaves: Jobs at work and at their end, and services that run.

For a fixture of an upgrade: copied into a worktree of an earlier commit, this is run by that one's code, and
its own sandbox. `python -m tests.simulation.upgrade.leave FILE`
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import yaml

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SERVING_RUNTIMES,
)
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import API, NAMESPACE, config, image, routed, service, template
from tests.simulation.world import World

SLOW = "ghcr.io/example/slow:v1"
BROKEN = "ghcr.io/example/broken:v1"
LARGE = "hf://sandbox/large"
UNLISTED = "hf://sandbox/unlisted"
LEFT = (
    aim.IMAGES,
    aim.TEMPLATES,
    aim.RUNTIME_CONFIGS,
    aim.TEMPLATE_CACHES,
    aim.MODEL_CACHES,
    aim.SERVICES,
    JOBS,
    PODS,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
    INFERENCE_SERVICES,
    HTTP_ROUTES,
)
"""Owners before what they own."""
_SERVERS_OWN = ("resourceVersion", "managedFields")
# Written in an order of their own: equal inputs, and another text.
ENV = [{"name": "Z", "value": "1"}, {"name": "A", "value": "2"}]
SECRETS = [{"name": "z"}, {"name": "a"}]
DOWNLOAD = {"resources": {"limits": {"memory": "2Gi"}}}


def cache(name: str, source: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "AIMModelCache",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"sourceUri": source, **spec},
    }


async def play(world: World) -> None:
    """Have everything at work and at its end at the same moment."""
    behaviours = world.sandbox.jobs.behaviours
    behaviours[SLOW] = ImageBehaviour(run_seconds=5_000)
    behaviours[BROKEN] = ImageBehaviour(outcome="fails", message="no such model", exit_code=1)
    behaviours[LARGE] = ImageBehaviour(run_seconds=5_000)
    behaviours[UNLISTED] = ImageBehaviour(outcome="hangs")
    world.apply(
        [
            config(env=ENV, imagePullSecrets=SECRETS, jobs={"download": DOWNLOAD}),
            image(defaultServiceTemplate="fast"),
            image("slow", ref=SLOW),
            image("broken", ref=BROKEN),
            template(caching={"enabled": True}),
            template("lean"),
            template("slow", model="slow"),
            template("broken", model="broken"),
            cache("large", LARGE, size="1Ti"),
            cache("unlisted", UNLISTED),
            service("chat", routing=routed("/chat")),
            service("lean", templateRef="lean"),
        ]
    )
    world.start()
    await world.until(
        lambda: all(world.state_of(aim.SERVICES, name, NAMESPACE) == "Running" for name in ("chat", "lean"))
    )
    await world.pass_seconds(60)


def without_what_the_server_makes(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SERVERS_OWN}
    return {**obj, "metadata": metadata}


async def left() -> list[dict[str, Any]]:
    async with World(seed=11) as world:
        await play(world)
        return [without_what_the_server_makes(obj) for kind in LEFT for obj in world.all(kind)]


if __name__ == "__main__":
    objects = asyncio.run(left())
    Path(sys.argv[1]).write_text(yaml.safe_dump_all(objects, sort_keys=False, width=110))
