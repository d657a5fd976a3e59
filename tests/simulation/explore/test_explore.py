"""Random stories of each explorer, and those that are kept."""

from __future__ import annotations

import pytest

from tests.simulation.explore.__main__ import explore, replay, shortened, tell, unhurried_collection
from tests.simulation.explore.kept import kept
from tests.simulation.explore.play import Probe, probe_of
from tests.simulation.explore.script import script

EDITS, CHAOS, LEADERS = 1200, 400, 40
"""How many stories the suite plays, in three minutes of CPU. CI plays 10,000 more: `make simulate`."""
AT_ONCE = 40
STORIES = [
    *(("edits", first) for first in range(0, EDITS, AT_ONCE)),
    *(("chaos", first) for first in range(0, CHAOS, AT_ONCE)),
    *(("leaders", first) for first in range(0, LEADERS, AT_ONCE // 4)),
]


@pytest.mark.parametrize(("teller", "first"), STORIES)
def test_whatever_people_do_and_whatever_fails_no_rule_is_broken(teller: str, first: int) -> None:
    """A story that breaks one is shortened, printed step by step, and replayed by the command above it."""
    with unhurried_collection():
        for seed in range(first, first + (AT_ONCE // 4 if teller == "leaders" else AT_ONCE)):
            _, failure = explore((teller, seed))
            if failure is not None:
                told, shorter = shortened((teller, seed))
                steps = script(told, probe_of(seed), compared=failure.rule == "fresh")
                pytest.fail("\n".join([failure.brief, replay((teller, seed)), *steps, str(shorter)]))


@pytest.mark.parametrize("name", kept())
@pytest.mark.parametrize("probe", Probe)
def test_a_story_that_once_broke_a_rule(name: str, probe: Probe) -> None:
    told = kept()[name]
    failure = tell(told, probe)
    assert failure is None, "\n".join([*script(told, probe, compared=True), str(failure)])
