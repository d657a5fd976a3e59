"""Fixtures that give tests a real cluster, shared by all workers of one pytest run.

`control_plane` and `full_cluster` are two instances, because tests of the first rely on KServe and the
Gateway API not being there; `spec_cluster` (and `world`, a corner of it) is a third, with stand-ins. Each is
started by the first test that asks, owned by the main pytest process, and stopped at its end; tests keep
apart by namespaces. `own_cluster` starts one for a single test. A test whose part this machine lacks is
skipped, and tests.support.plugin names it at the end of the run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from hack.cluster import operator_image as operator_image_part
from hack.cluster.api import Manifest
from hack.cluster.build import yaml_to_json
from hack.cluster.cluster import PARTS, SERVING_PARTS, Cluster
from hack.cluster.components import OLDEST_KSERVE_PART, TOOLS
from hack.cluster.errors import Missing
from hack.cluster.external import VARIABLE, external_cluster
from hack.cluster.progress import Progress
from hack.cluster.requirements import unbuilt_parts
from hack.cluster.stop import stop_instance
from hack.cluster.testing import cluster_for_tests, unusable_parts
from tests.support import not_run
from tests.support.spec_cluster import assert_at_work, start_spec_cluster
from tests.support.spec_world import World

# Set by the main pytest process, inherited by xdist's workers.
DIRECTORY_VARIABLE = "AIM_TEST_CLUSTER_DIRECTORY"
OWNER_VARIABLE = "AIM_TEST_CLUSTER_OWNER"
# "oldest": tests run on the oldest KServe that the operator works with.
KSERVE_VARIABLE = "AIM_TEST_KSERVE"
# Our own clusters always have an audit log; somebody else's may keep it elsewhere.
AUDIT = "audit"
MARKERS = {f"needs_{part.replace('-', '_')}": part for part in (*PARTS, *TOOLS, AUDIT)}
WHOLE = (PARTS[0], *SERVING_PARTS)
PARTS_OF_FIXTURE = {
    "control_plane": PARTS[:1],
    "full_cluster": WHOLE,
    "spec_cluster": PARTS[:1],
    "operator_image": (*WHOLE, operator_image_part.PART),
}
REPOSITORY = Path(__file__).parents[2]
CRDS = REPOSITORY / "deploy" / "crds"


class StartCluster(Protocol):
    """Starts an instance for one test."""

    def __call__(
        self, parts: Sequence[str] = (), *, audit: bool = True, crds: Sequence[Manifest] = ()
    ) -> Cluster: ...


@pytest.fixture(scope="session")
def control_plane_shared() -> tuple[Cluster | None, list[Missing]]:
    """The instance behind `control_plane`."""
    return _shared("plain", ())


@pytest.fixture(scope="session")
def full_cluster_shared() -> tuple[Cluster | None, list[Missing]]:
    """The instance behind `full_cluster`."""
    return _shared("full", SERVING_PARTS)


@pytest.fixture
def control_plane(
    request: pytest.FixtureRequest, control_plane_shared: tuple[Cluster | None, list[Missing]]
) -> Cluster:
    """A real API server and controllers, with our CRDs, without nodes, KServe and Gateway API; audited."""
    return _usable(request, *control_plane_shared)


@pytest.fixture
def full_cluster(
    request: pytest.FixtureRequest, full_cluster_shared: tuple[Cluster | None, list[Missing]]
) -> Cluster:
    """The same with a node, KServe and a gateway."""
    return _usable(request, *full_cluster_shared)


@pytest.fixture(scope="session")
def spec_cluster_shared() -> tuple[Cluster | None, list[Missing]]:
    """The instance behind `spec_cluster`."""
    missing = _missing_parts(PARTS[:1])
    if missing or external_cluster() is not None:
        return None, missing
    directory, owner = _shared_directory("spec")
    return start_spec_cluster(directory, owner, aim_crds()), []


@pytest.fixture
def spec_cluster(
    request: pytest.FixtureRequest, spec_cluster_shared: tuple[Cluster | None, list[Missing]]
) -> Cluster:
    """A control plane with stand-ins for node, KServe and gateway, and one operator at work for all tests."""
    if os.environ.get(VARIABLE):
        pytest.skip(f"needs stand-ins instead of the parts of a cluster, and {VARIABLE} is set")
    cluster = _usable(request, *spec_cluster_shared)
    assert_at_work(cluster)
    return cluster


@pytest.fixture
def world(spec_cluster: Cluster) -> Iterator[World]:
    """A namespace of `spec_cluster` for one test."""
    with spec_cluster.namespace("spec") as namespace:
        mine = World(spec_cluster, namespace)
        yield mine
        mine.clear()


@pytest.fixture
def operator_image(full_cluster: Cluster) -> str:
    """The reference of this checkout's image, which the node of `full_cluster` has from now on."""
    full_cluster.add(operator_image_part.PART)
    return full_cluster.operator_image


@pytest.fixture
def own_cluster(request: pytest.FixtureRequest) -> Iterator[StartCluster]:
    """Starts instances for this test alone: `own_cluster(("node",), crds=…)`. They stop with it."""
    if os.environ.get(VARIABLE):
        pytest.skip(f"starts a cluster of its own, and {VARIABLE} is set")
    started: list[Cluster] = []

    def start(parts: Sequence[str] = (), *, audit: bool = True, crds: Sequence[Manifest] = ()) -> Cluster:
        directory = Path(tempfile.mkdtemp(prefix="aim-own-"))
        cluster, missing = cluster_for_tests(_with_chosen_kserve(parts), directory, audit=audit, crds=crds)
        if cluster is not None:
            started.append(cluster)
        return _usable(request, cluster, missing)

    yield start
    for cluster in started:
        cluster.stop()


def aim_crds() -> list[Manifest]:
    """Our own CRDs, as generated into deploy/crds."""
    return [manifest for path in sorted(CRDS.glob("*.yaml")) for manifest in yaml_to_json(path.read_text())]


def prepare_shared_clusters() -> None:
    """Called by the main process before it starts workers."""
    os.environ[DIRECTORY_VARIABLE] = tempfile.mkdtemp(prefix="aim-test-")
    os.environ[OWNER_VARIABLE] = str(os.getpid())


def stop_shared_clusters() -> None:
    """Called by the main process when no test is left."""
    directory = Path(os.environ.pop(DIRECTORY_VARIABLE))
    os.environ.pop(OWNER_VARIABLE)
    for instance in directory.glob("*/state.json"):
        stop_instance(instance.parent, Progress(None))
    shutil.rmtree(directory, ignore_errors=True)


def skip_if_missing(item: pytest.Item, parts: tuple[str, ...]) -> None:
    """Skips a test by its markers. Nothing is built for it."""
    skip(item, _missing_parts(parts))


@cache  # asking again would, for example, try to install Go again
def _missing_parts(parts: tuple[str, ...]) -> list[Missing]:
    # kubectl, which an external cluster needs as well, is the control plane's program.
    unbuilt = unbuilt_parts(PARTS[:1])
    external = None if unbuilt else external_cluster()
    if external is None:
        return unusable_parts([part for part in parts if part in (*PARTS, *TOOLS)])
    absent = [external.missing(part) for part in parts if part not in TOOLS]
    return [*unusable_parts([part for part in parts if part in TOOLS]), *filter(None, absent)]


def _shared(name: str, parts: Sequence[str]) -> tuple[Cluster | None, list[Missing]]:
    directory, owner = _shared_directory(name)
    missing = _missing_parts(PARTS[:1])  # the YAML of our CRDs is read by the control plane's binary
    if missing:
        return None, missing
    return cluster_for_tests(_with_chosen_kserve(parts), directory, owner=owner, crds=aim_crds())


def _with_chosen_kserve(parts: Sequence[str]) -> list[str]:
    """The parts, with the oldest KServe in the place of the newest where the environment asks for it."""
    oldest = os.environ.get(KSERVE_VARIABLE) == "oldest"
    return [OLDEST_KSERVE_PART if oldest and part == "kserve" else part for part in parts]


def _shared_directory(name: str) -> tuple[Path, int]:
    """Where the instance of that name is, and the process that it ends with."""
    return Path(os.environ[DIRECTORY_VARIABLE]) / name, int(os.environ[OWNER_VARIABLE])


def _usable(request: pytest.FixtureRequest, cluster: Cluster | None, missing: list[Missing]) -> Cluster:
    skip(request.node, missing)
    assert cluster is not None
    return cluster


def skip(item: pytest.Item, missing: Sequence[Missing]) -> None:
    """Skips a test for what is missing, if anything is; it is named at the end of the run."""
    if not missing:
        return
    not_run.keep(item, missing)
    pytest.skip("; ".join(f"{entry.part}: {entry.reason}" for entry in missing))
