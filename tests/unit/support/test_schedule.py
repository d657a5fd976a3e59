"""Workers run tests on real clusters beside the others, the longest first, each once, whatever happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from types import SimpleNamespace
from typing import cast

import pytest
from xdist.workermanage import WorkerController

from tests.docs.blocks import ROOT
from tests.support.schedule import RUNNING_AND_NEXT, LongestFirst, known_seconds

LONGEST, LONG = sorted(
    (test for test in known_seconds() if test.startswith("tests/e2e/")),
    key=lambda test: -known_seconds()[test],
)[:2]
REAL = ["tests/e2e/test_short.py::test_one", LONG, LONGEST, "tests/cluster/test_short.py::test_two"]
OTHERS = [f"tests/unit/test_it.py::test_{number}" for number in range(20)]


class Options:
    """What the scheduler reads of pytest's configuration."""

    def __init__(self, workers: int) -> None:
        self._options = {"tx": ["popen"] * workers, "maxschedchunk": None}

    def getvalue(self, name: str) -> object:
        return self._options[name]

    getoption = getvalue


@dataclass(eq=False)
class Worker:
    """What the scheduler sees of a worker; it ends its tests one by one, when told."""

    gateway: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(id="gw"))
    sent: list[int] = field(default_factory=list)
    shutting_down: bool = False

    def send_runtest_some(self, tests: list[int]) -> None:
        self.sent += tests

    def shutdown(self) -> None:
        self.shutting_down = True


@dataclass
class Run:
    """A run of those tests on that many workers."""

    tests: list[str]
    workers: list[Worker]
    scheduler: LongestFirst
    done: dict[int, int] = field(default_factory=dict)
    """How many of its tests each worker has ended."""

    def names(self, worker: Worker) -> list[str]:
        return [self.tests[test] for test in worker.sent]

    def end(self, worker: Worker) -> None:
        """The worker ends the test that it runs."""
        number = self.workers.index(worker)
        test = worker.sent[self.done.get(number, 0)]
        self.done[number] = self.done.get(number, 0) + 1
        self.scheduler.mark_test_complete(cast("WorkerController", worker), test, 0)

    def left(self, worker: Worker) -> int:
        return len(worker.sent) - self.done.get(self.workers.index(worker), 0)

    def to_the_end(self) -> None:
        """All workers end their tests, in turns."""
        while any(self.left(worker) for worker in self.workers):
            for worker in self.workers:
                # As a real one: the last is started when nothing more can come.
                if self.left(worker) >= RUNNING_AND_NEXT or (self.left(worker) and worker.shutting_down):
                    self.end(worker)


def start(tests: list[str], workers: int) -> Run:
    scheduler = LongestFirst(cast("pytest.Config", Options(workers)))
    run = Run(tests, [Worker() for _ in range(workers)], scheduler)
    for worker in run.workers:
        scheduler.add_node(cast("WorkerController", worker))
        scheduler.add_node_collection(cast("WorkerController", worker), tests)
    scheduler.schedule()
    return run


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("tests", [REAL + OTHERS, OTHERS, REAL, REAL[:1], OTHERS[:1]])
def test_every_test_runs_once(tests: list[str], workers: int) -> None:
    run = start(tests, workers)
    run.to_the_end()
    assert sorted(chain.from_iterable(worker.sent for worker in run.workers)) == list(range(len(tests)))
    assert run.scheduler.tests_finished
    assert all(worker.shutting_down for worker in run.workers)


def test_the_longest_start_first_each_on_a_worker_with_only_a_short_one_behind_it() -> None:
    run = start(OTHERS + REAL, 3)
    first, second, last = run.workers
    assert run.names(first) == [LONGEST, OTHERS[0]]
    assert run.names(second) == [LONG, OTHERS[1]]
    assert run.names(last) == [OTHERS[2], OTHERS[3]]
    run.end(second)
    assert run.names(second)[2:] == [REAL[0]], "the next long one comes when it can start"
    assert run.names(first)[2:] == []


def test_short_ones_follow_each_other_for_they_share_fixtures() -> None:
    short = [f"tests/cluster/test_short.py::test_{number}" for number in range(4)]
    run = start(OTHERS + short, 2)
    first, last = run.workers
    assert run.names(first) == short[:2]
    run.end(first)
    assert run.names(first) == short[:3]
    assert run.names(last) == OTHERS[:2]


def test_a_worker_takes_of_the_other_kind_when_its_own_is_at_its_end() -> None:
    run = start(REAL + OTHERS[:4], 3)
    last = run.workers[-1]
    run.end(last)
    assert run.names(last)[2:] == [REAL[0]]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_what_breaks_a_cluster_of_its_own_runs_on_one_worker(workers: int) -> None:
    breaking = [f"tests/cluster/faults/test_faults.py::test_{number}" for number in range(5)]
    run = start([*breaking[:3], *REAL, *OTHERS, *breaking[3:]], workers)
    run.to_the_end()
    assert sorted(chain.from_iterable(worker.sent for worker in run.workers)) == list(range(len(run.tests)))
    [ran] = [names for worker in run.workers if set(names := run.names(worker)) & set(breaking)]
    first = ran.index(breaking[0])
    assert ran[first : first + 5] == breaking


def test_tests_of_a_worker_that_died_run_on_the_others() -> None:
    run = start(REAL + OTHERS, 3)
    died = run.workers.pop(0)
    assert run.scheduler.remove_node(cast("WorkerController", died)) == LONGEST
    run.done.clear()
    run.to_the_end()
    sent = sorted(chain.from_iterable(worker.sent for worker in run.workers))
    assert sent == [test for test in range(len(run.tests)) if run.tests[test] != LONGEST]


def test_what_is_known_to_be_long_is_there() -> None:
    gone = [
        test
        for test in known_seconds()
        if f"def {test.split('::')[1].partition('[')[0]}(" not in (ROOT / test.split("::")[0]).read_text()
    ]
    assert not gone, "renamed or removed: run them with --keep-seconds, and remove what is left"
