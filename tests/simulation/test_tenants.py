"""What somebody in another namespace can't make the operator believe."""

from __future__ import annotations

from typing import Any

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import JOBS
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.template import desired, discovery
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import cluster_image, cluster_template
from tests.simulation.world import World, decoded

EVIL = "evil:v1"
ATTACKER = "attacker"


def forged(world: World) -> dict[str, Any]:
    """The very Job that discovery would make, owner and labels included, but elsewhere and of their image.

    Whoever may read a cluster template knows its uid, and an owner reference to it is good everywhere.
    """
    template = decoded(world.find(aim.CLUSTER_TEMPLATES, "fast") or {}, aim.AIMClusterServiceTemplate)
    image = decoded(world.find(aim.CLUSTER_IMAGES, "model") or {}, aim.AIMClusterImage)
    digest = discovery.digest(template, image, RuntimeConfig())
    job = desired.job(
        template, image, RuntimeConfig(), namespace=ATTACKER, digest=digest, requests={}
    ).manifest
    job["spec"]["template"]["spec"]["containers"][0]["image"] = EVIL
    return job


async def test_a_job_of_another_namespace_is_no_discovery_whatever_owner_it_names() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[EVIL] = ImageBehaviour(log=b"this would be believed\n")
        world.apply([cluster_image(), cluster_template()])
        job = forged(world)
        world.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ATTACKER}}, job])
        world.start()
        await world.until(lambda: world.state_of(aim.CLUSTER_TEMPLATES, "fast") == "Available")
        names = {found["metadata"]["namespace"]: found["metadata"]["name"] for found in world.all(JOBS)}
        assert names == dict.fromkeys((ATTACKER, "kaiwo-system"), job["metadata"]["name"])
        assert not [w for w in world.writes() if w[0] == "delete"], "a stranger's Job is left alone"
