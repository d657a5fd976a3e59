"""Who waits on a busy machine waits longer, and not for ever."""

from __future__ import annotations

import pytest

from hack.cluster.patience import MOST_TIMES, Patience, times_slower


@pytest.mark.parametrize(
    ("load", "cores", "want"),
    [
        pytest.param(0.0, 2, 1, id="an idle machine has the seconds that were said"),
        pytest.param(2.0, 2, 1, id="a core for each process"),
        pytest.param(8.0, 2, 4, id="four processes on each core"),
        pytest.param(8.0, 16, 1, id="the same load on more cores"),
        pytest.param(300.0, 2, MOST_TIMES, id="whatever the load, it ends"),
    ],
)
def test_things_take_as_much_longer_as_processes_share_a_core(load: float, cores: int, want: float) -> None:
    assert times_slower(load, cores) == want


def test_it_ends() -> None:
    assert Patience(0).ended
    assert Patience(-1).left < 0


def test_it_has_at_least_what_was_said() -> None:
    patience = Patience(1000)
    assert not patience.ended
    assert 990 < patience.left <= 1000 * MOST_TIMES
