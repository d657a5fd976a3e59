"""Streams are added while cores have time to spare, and only then."""

from __future__ import annotations

import pytest

from aim_operator.fetch.pace import FIRST_STREAMS, LOOK_SECONDS, MOST_CHUNKS, Pace

A_LOOK = LOOK_SECONDS * 1.001


class Machine:
    """One of two cores. A second passes in steps of a look, each with its share of busy cores."""

    def __init__(self, most: int = 8) -> None:
        self.seconds = self.used = 0.0
        self.pace = Pace(most, cores=2, clock=lambda: self.seconds, used=lambda: self.used)

    def passes(self, looks: int, *, busy_cores: float) -> int:
        for _ in range(looks):
            self.seconds += A_LOOK
            self.used += A_LOOK * busy_cores
            self.pace.look()
        return self.pace.streams


def test_a_slow_network_gets_all_streams_within_a_second() -> None:
    assert Machine().passes(10, busy_cores=0.2) == 8


def test_a_machine_that_is_busy_with_two_gets_no_third() -> None:
    assert Machine().passes(1000, busy_cores=1.4) == FIRST_STREAMS


def test_a_busy_moment_takes_no_stream_away() -> None:
    """What is open stays: closing and opening connections again costs more than it brings."""
    machine = Machine()
    assert machine.passes(3, busy_cores=0.1) == FIRST_STREAMS + 3
    assert machine.passes(100, busy_cores=1.9) == FIRST_STREAMS + 3
    assert machine.passes(1, busy_cores=0.1) == FIRST_STREAMS + 4


def test_looking_more_often_adds_no_more() -> None:
    """Only time counts."""
    machine = Machine()
    for _ in range(100):
        machine.seconds += LOOK_SECONDS / 50
        machine.pace.look()
    assert machine.pace.streams == FIRST_STREAMS + 2


@pytest.mark.parametrize("most", [1, 2, 3])
def test_never_more_than_allowed(most: int) -> None:
    assert Machine(most).passes(100, busy_cores=0.0) == most


def test_requests_are_long_until_a_slow_network_has_brought_more_streams() -> None:
    """A single slow request of a long span would hold up the hash, and the end of the file."""
    machine = Machine()
    assert machine.pace.chunks() == MOST_CHUNKS
    machine.passes(10, busy_cores=1.4)
    assert machine.pace.chunks() == MOST_CHUNKS
    machine.passes(1, busy_cores=0.2)
    assert machine.pace.chunks() == 1
