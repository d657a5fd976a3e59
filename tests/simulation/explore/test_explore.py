"""Random stories of each explorer, and those that are kept."""

from __future__ import annotations

import pytest

from tests.simulation.explore import chaos, draw, leaders
from tests.simulation.explore.kept import kept
from tests.simulation.explore.play import Probe, play, probe_of
from tests.simulation.explore.stories import lines

EDITS, CHAOS, LEADERS = 120, 60, 10
"""How many stories the suite plays, in less than a minute; `make simulate SEEDS=10000` plays more."""
AT_ONCE = 5


@pytest.mark.parametrize("first", range(0, EDITS, AT_ONCE))
def test_no_edit_loses_a_wake_up_or_breaks_another_rule(first: int) -> None:
    """To shorten and print one that does: `make simulate TELLER=edits SEED=n`."""
    for seed in range(first, first + AT_ONCE):
        failure = play(draw.story(seed), probe_of(seed))
        assert failure is None, f"edits seed {seed}: {failure}"


@pytest.mark.parametrize("first", range(0, CHAOS, AT_ONCE))
def test_whatever_goes_wrong_all_is_well_once_it_has_ended(first: int) -> None:
    """To shorten and print a story of which that is not so: `make simulate TELLER=chaos SEED=n`."""
    for seed in range(first, first + AT_ONCE):
        failure = play(chaos.story(seed), probe_of(seed))
        assert failure is None, f"chaos seed {seed}: {failure}"


@pytest.mark.parametrize("first", range(0, LEADERS, AT_ONCE))
def test_of_three_replicas_never_two_write_and_one_always_goes_on(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        failure = leaders.play(leaders.story(seed))
        assert failure is None, f"leaders seed {seed}: {failure}"


@pytest.mark.parametrize("name", kept())
@pytest.mark.parametrize("probe", Probe)
def test_a_story_that_once_broke_a_rule(name: str, probe: Probe) -> None:
    told = kept()[name]
    failure = play(told, probe)
    assert failure is None, "\n".join([*lines(told), str(failure)])
