"""What the tests ask: a cluster with these parts, and what of it this machine cannot do.

`cluster_for_tests` may be called by several processes (pytest-xdist's workers): the first starts the
instance, the others find it. Its owner is the process that outlives them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hack.cluster.api import Manifest
from hack.cluster.cluster import SILENT, THIS_PROCESS, Cluster
from hack.cluster.control_plane import PART as CONTROL_PLANE
from hack.cluster.errors import CannotError, Missing
from hack.cluster.external import external_cluster
from hack.cluster.manifests import CRDS_OF_PART, crd_manifests
from hack.cluster.requirements import missing_parts, unbuilt_parts


def cluster_for_tests(
    parts: Sequence[str],
    directory: Path,
    *,
    owner: int = THIS_PROCESS,
    audit: bool = True,
    crds: Sequence[Manifest] = (),
) -> tuple[Cluster | None, list[Missing]]:
    """A running cluster with the parts that this machine can do, and those it cannot.

    There is no cluster only if the control plane is missing. With AIM_TEST_KUBECONFIG it is that one:
    nothing is started, and it gets no more than the CRDs. A part that should work here and does not start
    raises ClusterError.
    """
    external = external_cluster()
    if external is not None:
        for crd in crds:
            external.api.apply(crd)
        absent = [external.missing(part) for part in (CONTROL_PLANE, *parts)]
        return external, [entry for entry in absent if entry is not None]

    missing = unusable_parts((CONTROL_PLANE, *parts))
    cannot = {entry.part for entry in missing}
    if CONTROL_PLANE in cannot:
        return None, missing
    usable = [part for part in parts if part not in cannot]
    known = [crd for part in usable if part in CRDS_OF_PART for crd in crd_manifests(part)]
    cluster = Cluster.start((), directory, audit=audit, crds=[*known, *crds], owner=owner)
    for part in usable:
        try:
            cluster.add(part)
        except CannotError as error:
            missing.append(error.missing(part))
    return cluster, missing


def unusable_parts(parts: Sequence[str]) -> list[Missing]:
    """The parts that this machine cannot do now. Builds nothing: a test run shall not turn into a build.

    Where something is not built yet, only that is returned: no package is installed for a part that could
    not start anyhow.
    """
    return unbuilt_parts(parts) or missing_parts(parts, SILENT)
