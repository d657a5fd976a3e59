"""The example sets come to the same in memory and on a real cluster: what is told, and the children."""

from __future__ import annotations

import asyncio
import copy
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aim_operator.cli.demo_cluster import DEMO_LABEL
from aim_operator.cli.plan.world import World, images
from aim_operator.cli.quickstart import load, placeholders, shipped
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.nodes import gpu_node
from hack.cluster.api import Manifest
from hack.cluster.node import NODE
from tests.support.children import Seen, differences, on_the_server, planned, platform
from tests.support.cluster import StartCluster, aim_crds
from tests.support.operator_process import eventually

AIMCTL = Path(sys.executable).with_name("aimctl")
# "  1.23 s  service   team-red/chat   Running   on …": what is said of an object, without when.
LINE = re.compile(
    r"^ *[0-9.]+ s  (?P<what>image|template|service) +(?P<name>\S+) +(?P<state>\w+) +(?P<detail>.*)$"
)


# The services of published images ask for what those need, 4 CPUs and 32 GiB each: test_contract.py serves
# their stand-ins. Downloads want a hub, and the cluster has none: test_caches.py brings one.
PLACEHOLDERS = sorted(
    name for name, path in shipped().items() if placeholders(load(path)) and name != "cached-model"
)


DOWNLOADED, DEFAULT_CLASS = "hf://amd/Llama-3.1-8B-Instruct-FP8-KV", "local"
"""What the quickstart caches, and the class of its claim there."""


def outcome(*flags: str) -> dict[str, str]:
    """Run a demo to its good end; return the last that it told of each object."""
    done = subprocess.run([AIMCTL, "demo", *flags], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    told = map(LINE.match, done.stdout.splitlines())
    return {f"{m['what']} {m['name']}": f"{m['state']} {m['detail']}" for m in told if m}


def of_the_demo() -> Iterator[Manifest]:
    """The objects of all sets, as the demo writes them."""
    for name in PLACEHOLDERS:
        for example in load(shipped()[name]):
            made = copy.deepcopy(example.manifest)
            if example.is_ours:
                made["metadata"].setdefault("labels", {})[DEMO_LABEL] = "quickstart"
            yield made


def in_memory() -> Seen:
    """What comes of all sets at once where no node has the operator's image, which downloads."""
    world = World(images(sorted(path / "profiles" for path in shipped().values())))
    world.sandbox.jobs.behaviours[DOWNLOADED] = ImageBehaviour(outcome="pull error", message="not found")
    world.sandbox.load([gpu_node(NODE), *platform(), storage_class(DEFAULT_CLASS)])
    want, _ = asyncio.run(planned(world, of_the_demo(), everything))
    return want


def everything(_where: str) -> bool:
    return True


@pytest.mark.needs_node
@pytest.mark.needs_kserve
@pytest.mark.needs_gateway
def test_examples_come_to_the_same_in_memory_and_on_a_real_cluster(own_cluster: StartCluster) -> None:
    cluster = own_cluster(("node", "kserve", "gateway"), crds=aim_crds())
    for name in PLACEHOLDERS:
        want = outcome(f"--example={name}")
        where = (f"--kubeconfig={cluster.kubeconfig}", f"--gateway-url={cluster.gateway_url}")
        got = outcome(f"--example={name}", "--cluster", *where)
        assert got == want, name
        assert sum(key.startswith("service ") for key in want) >= 1
    children = in_memory()
    assert {key.split()[0] for key in children} >= {"InferenceService", "HTTPRoute", "ServingRuntime", "Job"}
    eventually(
        lambda: not differences(children, on_the_server(cluster, everything, beside_kserve=True)),
        "both have the same children",
        timeout_seconds=20,
    )
