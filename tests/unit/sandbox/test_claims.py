"""Claims in the sandbox, and the Pods that wait for them, as in a cluster with a provisioner."""

from __future__ import annotations

import pytest

from aim_operator.api.external import JOBS, PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.meta import Manifest
from aim_operator.sandbox.claims import storage_class
from tests.unit.sandbox.cluster import Cluster, make_job, running

NODE: Manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
IMMEDIATE = (
    "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. no new claims to deallocate, "
    "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)


def mounting_job(claim: str = "c") -> Manifest:
    job = make_job()
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
    job["spec"]["template"]["spec"]["volumes"] = [volume]
    return job


def make_claim(name: str = "c") -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


async def phases(cluster: Cluster) -> tuple[str, str]:
    [pod] = await cluster.pods()
    claim = cluster.stored(PERSISTENT_VOLUME_CLAIMS, "c")
    return pod.status.phase or "", claim["status"]["phase"]


@pytest.mark.parametrize("nodes", [(), (NODE,)], ids=["without nodes", "on a node"])
@pytest.mark.parametrize("wait", [False, True], ids=["Immediate", "WaitForFirstConsumer"])
async def test_a_pod_does_not_run_before_its_claims_are_bound(*, wait: bool, nodes: tuple[Manifest]) -> None:
    async with running() as cluster:
        cluster.sandbox.claims.bind_seconds = 5
        cluster.sandbox.load([*nodes, storage_class(wait=wait), make_claim()])
        await cluster.client.apply(JOBS, mounting_job())
        await cluster.advance(4)
        assert await phases(cluster) == ("Pending", "Pending")
        [pod] = await cluster.pods()
        said = {each.message for each in pod.status.conditions or ()}
        assert said == (set() if wait else {IMMEDIATE})
        await cluster.advance(2)
        assert await phases(cluster) == ("Succeeded", "Bound")


async def test_a_pod_whose_claim_can_t_be_provisioned_waits_until_it_can() -> None:
    async with running() as cluster:
        cluster.sandbox.claims.failing["standard"] = "no space left in the pool"
        cluster.sandbox.load([storage_class(), make_claim()])
        await cluster.client.apply(JOBS, mounting_job())
        await cluster.advance(600)
        assert await phases(cluster) == ("Pending", "Pending")
        cluster.sandbox.claims.failing.clear()
        cluster.sandbox.claims.bind_all()
        await cluster.advance(1)
        assert await phases(cluster) == ("Succeeded", "Bound")


async def test_a_pod_whose_claim_is_missing_waits_for_it() -> None:
    async with running() as cluster:
        cluster.sandbox.load([storage_class()])
        await cluster.client.apply(JOBS, mounting_job())
        await cluster.advance()
        [pod] = await cluster.pods()
        [condition] = pod.status.conditions or ()
        assert 'persistentvolumeclaim "c" not found' in (condition.message or "")
        cluster.sandbox.load([make_claim()])
        await cluster.advance()
        assert await phases(cluster) == ("Succeeded", "Bound")


async def test_a_claim_keeps_the_class_that_it_was_made_with_and_one_without_gets_the_newest() -> None:
    async with running() as cluster:
        cluster.sandbox.load([make_claim("early")])
        await cluster.advance()
        assert "storageClassName" not in cluster.stored(PERSISTENT_VOLUME_CLAIMS, "early")["spec"]
        cluster.sandbox.load([storage_class("old")])
        await cluster.advance(1)
        cluster.sandbox.load([storage_class("new"), make_claim("late")])
        await cluster.advance(1)
        names = {
            n: cluster.stored(PERSISTENT_VOLUME_CLAIMS, n)["spec"]["storageClassName"]
            for n in ("early", "late")
        }
        assert names == {"early": "old", "late": "new"}
