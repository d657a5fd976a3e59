"""What the docs tell readers to run runs, and prints what they show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.cluster import Cluster
from hack.cluster.external import VARIABLE
from hack.cluster.progress import Progress
from hack.cluster.stop import stop_instance
from tests.docs.blocks import COMMANDS, Environment, Page, pages
from tests.docs.manifests import refused
from tests.docs.session import Session
from tests.support.cluster import DIRECTORY_VARIABLE

ALL = pages()
FIRST = "docs/start.md"


def pages_on(environment: Environment) -> list[Page]:
    return [page for page in ALL if page.environment == environment and page.name != FIRST]


def run(page: Page, session: Session, *, at_the_end: bool = False) -> None:
    """Run a page from its top, as a reader does; the first block that goes wrong ends it."""
    for block in page.blocks:
        if block.run_elsewhere or ("at the end" in block.says) is not at_the_end:
            continue
        if block.language in COMMANDS or "saved as" in block.says:
            problem = session.block(block)
            assert not problem, problem


@pytest.mark.parametrize("page", pages_on("a bare checkout"), ids=lambda page: page.name)
def test_page_without_a_cluster(page: Page, tmp_path: Path) -> None:
    with Session(tmp_path, {}) as session:
        run(page, session)


def test_manifests_are_such_as_the_api_server_takes(full_cluster: Cluster, subtests: pytest.Subtests) -> None:
    for page in ALL:
        with subtests.test(page=page.name):
            shown = (b for b in page.blocks if b.language == "yaml" and "saved as" not in b.says)
            problems = [refused(full_cluster.api, block) for block in shown if not block.run_elsewhere]
            assert not [problem for problem in problems if problem]


@pytest.fixture
def instance() -> Iterator[Path]:
    """Where the cluster of the first page goes; the main pytest process ends it if this one can't."""
    if os.environ.get(VARIABLE):
        pytest.skip(f"starts a cluster of its own, and {VARIABLE} is set")
    directory = Path(os.environ[DIRECTORY_VARIABLE]) / "docs"
    yield directory
    stop_instance(directory, Progress(None))


@pytest.mark.needs_node
@pytest.mark.needs_kserve
@pytest.mark.needs_gateway
def test_first_page_and_those_that_go_on_from_it(
    instance: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """One test, because the others need the cluster and the operator that the first page starts."""
    (first,) = (page for page in ALL if page.name == FIRST)
    environment = {"AIM_CLUSTER_DEFAULT": str(instance)}
    with session_of(first, tmp_path, environment) as session:
        run(first, session)
        for page in pages_on("start here"):
            with subtests.test(page=page.name), session_of(page, tmp_path, environment) as follower:
                follower.run('eval "$(python3 -m hack.cluster env)"')
                run(page, follower)
        session.stop_backgrounds()
        run(first, session, at_the_end=True)


def session_of(page: Page, tmp_path: Path, environment: dict[str, str]) -> Session:
    folder = tmp_path / page.name.replace("/", "-")
    folder.mkdir()
    return Session(folder, environment)
