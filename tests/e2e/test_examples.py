"""The example sets come to the same in memory and on a real cluster, as `aimctl demo` shows them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from aim_operator.cli.quickstart import load, placeholders, shipped
from tests.support.cluster import StartCluster, aim_crds

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


def outcome(*flags: str) -> dict[str, str]:
    """Run a demo to its good end; return the last that it told of each object."""
    done = subprocess.run([AIMCTL, "demo", *flags], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    told = map(LINE.match, done.stdout.splitlines())
    return {f"{m['what']} {m['name']}": f"{m['state']} {m['detail']}" for m in told if m}


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
