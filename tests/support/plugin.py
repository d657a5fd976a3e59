"""The pytest plugin of this repository: cluster fixtures, their markers, and what was not run.

A skipped test is named at the end, with the reason and the remedy: a green run says what it did not prove,
and with `--not-run=fail`, as in CI, it is not green. Figures that tests measured are shown in tables. The
markers follow from the fixtures; a test that starts clusters itself carries them by hand.
"""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Callable
from typing import Protocol

import pytest
from xdist.remote import Producer

from hack.cluster.cluster import PARTS
from tests.support import browser, prometheus
from tests.support.cluster import (
    DIRECTORY_VARIABLE,
    MARKERS,
    PARTS_OF_FIXTURE,
    control_plane,
    control_plane_shared,
    full_cluster,
    full_cluster_shared,
    operator_image,
    own_cluster,
    prepare_shared_clusters,
    skip,
    skip_if_missing,
    spec_cluster,
    spec_cluster_shared,
    stop_shared_clusters,
    world,
)
from tests.support.not_run import lines, not_run
from tests.support.schedule import LongestFirst, keep_seconds

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

PREPARED = pytest.StashKey[bool]()
MEASURED_PROPERTY = "aim_measured"
OPTION, NAME, FAIL = "--not-run", "name", "fail"
KEEP_SECONDS = "--keep-seconds"


class Measure(Protocol):
    """Keeps a row of figures for the table of that title, printed at the end of the run."""

    def __call__(self, title: str, *row: str) -> None: ...


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Measure:
    """For figures that are worth seeing, and depend on the machine too much to be asserted."""

    def keep(title: str, *row: str) -> None:
        record_property(MEASURED_PROPERTY, json.dumps([title, *row]))

    return keep


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION,
        choices=(NAME, FAIL),
        default=NAME,
        help="tests that this machine can't run: name them, or fail",
    )
    parser.addoption(
        KEEP_SECONDS,
        action="store_true",
        help="write down what the longest tests took; with workers, they start first",
    )


def pytest_configure(config: pytest.Config) -> None:
    _take_interrupts()
    for marker, part in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: runs only where this machine can do: {part}")
    config.addinivalue_line("markers", f"{browser.MARKER}: runs only where there is a browser")
    config.addinivalue_line("markers", f"{prometheus.MARKER}: runs only where there is Prometheus")
    if hasattr(config, "workerinput"):
        return
    _refuse_missing_paths(config)
    # Not in a pytest that a test of ours runs inside of one.
    if DIRECTORY_VARIABLE not in os.environ:
        prepare_shared_clusters()
        config.stash[PREPARED] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.stash.get(PREPARED, False):
        stop_shared_clusters()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture, parts in PARTS_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                for marker in (name for name, part in MARKERS.items() if part in parts):
                    item.add_marker(marker)


def pytest_collection_finish() -> None:
    # All tests and what they import stay until the end. Python's collector looks through everything the more
    # seldom the more there is, and left a gigabyte of what tests had thrown away.
    gc.collect()
    gc.freeze()
    # It counts from what the last look found, which would still be all of that.
    gc.collect()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongestFirst | None:
    return LongestFirst(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # Who asks for every test gets what they need; nobody else is made to download it.
    install = item.config.getoption(OPTION) == FAIL
    if item.get_closest_marker(browser.MARKER):
        skip(item, browser.missing_browser(install=install))
    if item.get_closest_marker(prometheus.MARKER):
        skip(item, prometheus.missing_prometheus(install=install))
    parts = [part for marker, part in MARKERS.items() if item.get_closest_marker(marker)]
    if parts:
        # Every other part needs the control plane.
        skip_if_missing(item, tuple(dict.fromkeys((PARTS[0], *parts))))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter: pytest.TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    # Workers report to the main process, which knows all that was skipped.
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    must_run = session.config.getoption(OPTION) == FAIL
    if must_run and exitstatus == pytest.ExitCode.OK and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.config.getoption(KEEP_SECONDS):
        keep_seconds(terminalreporter.stats.get("passed", []))
    _tell_measured(terminalreporter)
    _tell_not_run(terminalreporter)


def _refuse_missing_paths(config: pytest.Config) -> None:
    """Name the paths that are not there: with workers, pytest says only that no tests ran."""
    asked = {argument.partition("::")[0] for argument in config.args}
    missing = sorted(path for path in asked if not (config.invocation_params.dir / path).exists())
    if missing:
        raise pytest.UsageError(f"no such file or directory: {', '.join(missing)}")


def _take_interrupts() -> None:
    """Take SIGINT, and let tests' children take it: our parent may ignore (as `&` in sh) or block it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


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


def _tell_not_run(terminalreporter: pytest.TerminalReporter) -> None:
    groups = not_run(terminalreporter.stats.get("skipped", []))
    if not groups:
        return
    terminalreporter.section("NOT RUN on this machine:", sep="=", yellow=True, bold=True)
    for group in groups:
        for line in lines(group):
            terminalreporter.line(line, yellow=not line.startswith(" "))
    if terminalreporter.config.getoption(OPTION) == FAIL:
        terminalreporter.line(f"That fails this run: {OPTION}={FAIL}.", red=True)
