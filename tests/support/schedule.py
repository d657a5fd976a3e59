"""Which of pytest-xdist's workers runs which test next: real clusters beside everything else, longest first.

Tests on a real cluster wait most of their time, the others compute. So all workers but one take the first
kind, the longest first, and the last one takes the second; whose kind is at its end takes of the other. What
waits behind a long test is a short one: it would wait as long as that. Tests that break a cluster of their
worker's own run on one worker, one after the other: each worker more would start one more.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScheduling
from xdist.workermanage import WorkerController

SECONDS_FILE = Path(__file__).with_name("seconds.json")
KEPT_SECONDS = 3
"""Tests that take less are not in the file; their order does not matter."""
REAL = ("tests/e2e/", "tests/docs/test_pages.py", "tests/cluster/")
"""Where tests run on a real cluster, the slowest first."""
ON_ONE_WORKER = "tests/cluster/faults/"
RUNNING_AND_NEXT = 2
"""A worker starts a test once it knows the one after it."""


def known_seconds() -> dict[str, float]:
    """Seconds by node id of the tests that took more than a few, beside others on two cores."""
    found: dict[str, float] = json.loads(SECONDS_FILE.read_text())
    return found


def keep_seconds(reports: Iterable[pytest.TestReport]) -> None:
    """Write down what these took; tests that did not run keep what they had."""
    phases: dict[str, dict[str, float]] = defaultdict(dict)
    for report in reports:
        # Subtests report by themselves, and are a part of their test's call.
        phase = phases[report.nodeid]
        phase[report.when] = max(report.duration, phase.get(report.when, 0))
    took = {node_id: float(round(sum(phase.values()))) for node_id, phase in phases.items()}
    kept = {node_id: seconds for node_id, seconds in known_seconds().items() if node_id not in took}
    kept |= {node_id: seconds for node_id, seconds in took.items() if seconds >= KEPT_SECONDS}
    SECONDS_FILE.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n")


class LongestFirst(LoadScheduling):
    """`pending` begins with tests on real clusters, the longest first; from its end on it has the others."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        self._seconds = known_seconds()

    def schedule(self) -> None:
        if self.collection is None and self._check_nodes_have_same_collection():
            self.collection = next(iter(self.node2collection.values()))
            in_order = sorted(range(len(self.collection)), key=self._rank)
            real = [test for test in in_order if self._is_real(test)]
            # From the end: the longest, and then in the order of the files, whose tests share fixtures.
            self.pending[:] = [*real, *reversed([test for test in in_order if not self._is_real(test)])]
        for node in self.nodes if self.collection is not None else ():
            self.check_schedule(node)

    def check_schedule(self, node: WorkerController, duration: float = 0) -> None:
        del duration
        if node.shutting_down:
            return
        while self.pending and len(self.node2pending[node]) < RUNNING_AND_NEXT:
            tests = self._with_those_beside(self.pending.pop(0 if self._takes_real(node) else -1))
            self.node2pending[node] += tests
            node.send_runtest_some(tests)
        if not self.pending:
            node.shutdown()

    def _with_those_beside(self, test: int) -> list[int]:
        if not self._is_on_one_worker(test):
            return [test]
        beside = [other for other in self.pending if self._is_on_one_worker(other)]
        self.pending[:] = [other for other in self.pending if other not in beside]
        return [test, *beside]

    def _is_on_one_worker(self, test: int) -> bool:
        assert self.collection is not None
        return self.collection[test].startswith(ON_ONE_WORKER)

    def _takes_real(self, node: WorkerController) -> bool:
        real_left, others_left = self._is_real(self.pending[0]), not self._is_real(self.pending[-1])
        if not (real_left and others_left):
            return real_left
        if node not in self.nodes[: max(1, len(self.nodes) - 1)]:
            return False
        runs = self.node2pending[node]
        return not (runs and self._is_real(runs[-1]) and self._is_long(runs[-1]))

    def _is_real(self, test: int) -> bool:
        assert self.collection is not None
        return self.collection[test].startswith(REAL)

    def _is_long(self, test: int) -> bool:
        assert self.collection is not None
        return self.collection[test] in self._seconds

    def _rank(self, test: int) -> tuple[float, int]:
        assert self.collection is not None
        node_id = self.collection[test]
        folder = next((rank for rank, name in enumerate(REAL) if node_id.startswith(name)), len(REAL))
        return -self._seconds_until_the_last(node_id), folder

    def _seconds_until_the_last(self, node_id: str) -> float:
        if not node_id.startswith(ON_ONE_WORKER):
            return self._seconds.get(node_id, 0)
        assert self.collection is not None
        return sum(
            self._seconds.get(other, 0) for other in self.collection if other.startswith(ON_ONE_WORKER)
        )
