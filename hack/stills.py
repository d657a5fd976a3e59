"""Pictures of what commands print, from runs of them on one made-up evening of a cluster.

docs/assets/: status.svg, why.svg and plan.svg. The real operator runs on the sandbox under virtual time, and
the commands' own code reads and draws it, so that the same code gives the same pictures and `make check` can
tell when they are out of date. Called by generate.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import yaml
from rich.console import Group, RenderableType
from rich.text import Text

from aim_operator.cli import objects
from aim_operator.cli.demo_show import keep_logs
from aim_operator.cli.plan import documents, view, world
from aim_operator.cli.plan.planning import planned
from aim_operator.cli.printing import age
from aim_operator.cli.status.gather import read
from aim_operator.cli.status.view import draw
from aim_operator.cli.why import chain
from aim_operator.cli.why.look import explain
from aim_operator.sandbox.jobs import ImageBehaviour
from hack.recording import Frame, lines_of, svg

# The sandbox with an operator that a story starts.
from tests.simulation.world import World

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
WIDTH, WIDE = 92, 100
"""Of the terminals, in columns."""
PLAYED = ("team-overrides", "cached-model")
SINCE_SECONDS = 300.0
"""How long the cluster has been running when something goes wrong in it."""
DOWNLOAD_SECONDS, LOOK_SECONDS = 400.0, 190.0
"""How long the download takes, and when in it the commands look."""

SOURCE = "hf://meta-llama/Llama-3.1-8B-Instruct"
# In the catalog of team-blue: a registry that wants credentials, which nobody gave.
PRIVATE_IMAGE = "registry.example.com/vision/pixtral:v3"
PRIVATE = f"""
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMImage
metadata: {{name: pixtral, namespace: team-blue}}
spec: {{image: "{PRIVATE_IMAGE}", defaultServiceTemplate: pixtral-latency}}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMServiceTemplate
metadata: {{name: pixtral-latency, namespace: team-blue}}
spec: {{aimImageName: pixtral, metric: latency, precision: fp16, gpuSelector: {{model: MI300X, count: 1}}}}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {{name: vision, namespace: team-blue}}
spec: {{model: pixtral}}
"""


def files() -> dict[str, str]:
    """Return the pictures: name to text."""
    keep_logs()
    status, why = _evening()
    return {
        "status.svg": _picture("aimctl status -A", "What there is, and why some is not ready", status, WIDTH),
        "why.svg": _picture("aimctl why vision -n team-blue", "Each cause, and what to do", why, WIDE),
        "plan.svg": _picture("aimctl plan examples/quickstart", "What would come of it", _plan(), WIDE),
    }


def _picture(command: str, words: str, drawn: RenderableType, width: int) -> str:
    screen = Group(Text(f"$ {command}", style="bold"), drawn)
    frame = Frame(0.0, tuple(lines_of(screen, width)))
    return svg([frame], title=command, words=words, width=width)


def _evening() -> tuple[RenderableType, RenderableType]:
    """Return what status and why show of a cluster where one thing is wrong and one is not done."""

    async def told() -> tuple[RenderableType, RenderableType]:
        async with World(profiles=EXAMPLES / PLAYED[0] / "profiles") as cluster:
            client = cluster.sandbox.client("somebody")
            slow = ImageBehaviour(run_seconds=DOWNLOAD_SECONDS)
            cluster.sandbox.jobs.behaviours[SOURCE] = slow
            cluster.start()
            cluster.apply(_manifests(PLAYED[0]))
            await cluster.pass_seconds(SINCE_SECONDS)
            behaviour = ImageBehaviour(outcome="pull error", message="401 Unauthorized: no credentials")
            cluster.sandbox.jobs.behaviours[PRIVATE_IMAGE] = behaviour
            cluster.apply(PRIVATE)
            cluster.apply(_manifests(PLAYED[1]))
            await cluster.pass_seconds(LOOK_SECONDS)
            now = cluster.clock.now()
            found = await cluster.clock.run(read(client, ""))
            status = draw(found, namespace="", now=now, bars=True)
            causes = await cluster.clock.run(explain(client, objects.find("vision", "team-blue")))
            ages = {hop.since: age(hop.since, now) for hop in causes.hops if hop.since}
            return status, chain.draw(causes, ages)

    return asyncio.run(told())


def _manifests(example: str) -> Iterable[dict[str, object]]:
    for path in sorted((EXAMPLES / example).glob("*.yaml")):
        yield from (one for one in yaml.safe_load_all(path.read_text()) if one)


def _plan() -> RenderableType:
    paths = [str(EXAMPLES / "quickstart")]
    found = documents.read(paths)
    images = world.images(documents.profile_folders(paths))
    plan, _ = asyncio.run(planned(found, images, "default", None))
    return view.tree(plan)
