"""The measurements run: with so few services their numbers say nothing, but they are all there."""

from __future__ import annotations

import pytest

from bench import converge, scene
from bench.counts import WRITES
from hack.cluster.manifests import crd_manifests
from tests.support.cluster import StartCluster, aim_crds


@pytest.mark.needs_control_plane
async def test_converge_measures_floor_and_operator(own_cluster: StartCluster) -> None:
    crds = [*crd_manifests("kserve"), *crd_manifests("gateway"), *aim_crds()]
    cluster = own_cluster(audit=False, crds=crds)
    scene.allow_everything(cluster)
    result = await converge.measure(cluster, 5)
    assert min(result.floor_before, result.operator, result.floor_after) > 0
    assert result.starting.calls["APPLY inferenceservices"] == 1
    assert result.starting.calls["APPLY httproutes"] == 1
    reads = {call for call in result.starting.calls if call.split()[0] not in WRITES}
    assert not {call for call in reads if call.startswith("GET ")}, "no read before a write"
    assert 4 <= result.operator_writes <= 5
    assert "ratio to the floor" in converge.tables(result)
