"""Random stories, the kept ones, and that the explorer finds what it is for."""

from __future__ import annotations

import pytest

from tests.simulation.explore.draw import story
from tests.simulation.explore.kept import kept
from tests.simulation.explore.play import play
from tests.simulation.explore.stories import lines

SEEDS = 60
"""In the suite; `make simulate SEEDS=10000` plays more."""
AT_ONCE = 20


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_no_edit_loses_a_wake_up_or_breaks_another_rule(first: int) -> None:
    """To shorten and print one that does: `make simulate SEED=n`."""
    for seed in range(first, first + AT_ONCE):
        failure = play(story(seed), restarts=seed % 2 == 0)
        assert failure is None, f"seed {seed}: {failure}"


@pytest.mark.parametrize("name", kept())
@pytest.mark.parametrize("restarts", [True, False], ids=["with restarts", "without"])
def test_a_story_that_once_broke_a_rule(name: str, restarts: bool) -> None:  # noqa: FBT001 - a table
    told = kept()[name]
    failure = play(told, restarts=restarts)
    assert failure is None, "\n".join([*lines(told), str(failure)])
