"""The pytest plugin of this repository: cluster fixtures, their markers, and what was not run.

A test skipped because this machine lacks a part of a cluster is named at the end, with the reason and the
remedy: a green run says what it did not prove. Figures that tests measured are shown in tables. The
markers follow from the fixtures; a test that starts clusters itself carries them by hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from hack.cluster.cluster import PARTS
from tests.support.cluster import (
    DIRECTORY_VARIABLE,
    MARKERS,
    MISSING_PROPERTY,
    PARTS_OF_FIXTURE,
    control_plane,
    control_plane_shared,
    full_cluster,
    full_cluster_shared,
    operator_image,
    own_cluster,
    prepare_shared_clusters,
    skip_if_missing,
    spec_cluster,
    spec_cluster_shared,
    stop_shared_clusters,
    world,
)

__all__ = [
    "control_plane",
    "control_plane_shared",
    "full_cluster",
    "full_cluster_shared",
    "operator_image",
    "own_cluster",
    "spec_cluster",
    "spec_cluster_shared",
    "world",
]

E2E = Path(__file__).parents[1] / "e2e"
PREPARED = pytest.StashKey[bool]()
MEASURED_PROPERTY = "aim_measured"


class Measure(Protocol):
    """Keeps a row of figures for the table of that title, printed at the end of the run."""

    def __call__(self, title: str, *row: str) -> None: ...


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Measure:
    """For figures that are worth seeing, and depend on the machine too much to be asserted."""

    def keep(title: str, *row: str) -> None:
        record_property(MEASURED_PROPERTY, json.dumps([title, *row]))

    return keep


def pytest_configure(config: pytest.Config) -> None:
    for marker, part in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: runs only where this machine can do: {part}")
    # In the main process only, and not in a pytest that a test of ours runs inside of it.
    if not hasattr(config, "workerinput") and DIRECTORY_VARIABLE not in os.environ:
        prepare_shared_clusters()
        config.stash[PREPARED] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.stash.get(PREPARED, False):
        stop_shared_clusters()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest first, so that no worker is left alone with one of them at the end.
    items.sort(key=lambda item: E2E not in item.path.parents)
    for item in items:
        for fixture, parts in PARTS_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                for marker in (name for name, part in MARKERS.items() if part in parts):
                    item.add_marker(marker)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    parts = [part for marker, part in MARKERS.items() if item.get_closest_marker(marker)]
    if parts:
        # Every other part needs the control plane.
        skip_if_missing(item, tuple(dict.fromkeys((PARTS[0], *parts))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    _tell_measured(terminalreporter)
    _tell_missing(terminalreporter)


def _tell_measured(terminalreporter: pytest.TerminalReporter) -> None:
    tables: dict[str, list[list[str]]] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", ()):
            if name == MEASURED_PROPERTY and report.when == "call":
                title, *row = json.loads(value)
                tables.setdefault(title, []).append(row)
    for title, rows in sorted(tables.items()):
        terminalreporter.section(title)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in sorted(rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.line("  ".join(cells).rstrip())


def _tell_missing(terminalreporter: pytest.TerminalReporter) -> None:
    tests_of: dict[tuple[str, str, str], list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        for name, value in getattr(report, "user_properties", ()):
            if name == MISSING_PROPERTY:
                part, reason, remedy = json.loads(value)
                tests_of.setdefault((part, reason, remedy), []).append(report.nodeid)
    if not tests_of:
        return
    terminalreporter.section("NOT RUN on this machine:", sep="=", yellow=True, bold=True)
    for (part, reason, remedy), tests in sorted(tests_of.items()):
        terminalreporter.line(f"{part}: {reason}", yellow=True)
        terminalreporter.line(f"  remedy: {remedy}")
        for test in sorted(tests):
            terminalreporter.line(f"  - {test}")
