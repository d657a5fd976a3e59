"""A story as a person reads it: all that is played, from the first step to what must hold at the end."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.explore import leaders
from tests.simulation.explore.faults import Trouble
from tests.simulation.explore.play import REST_SECONDS, Probe, is_chaos, whole
from tests.simulation.explore.steps import Silence, Wait
from tests.simulation.explore.stories import Story, all_work


def script(story: Story, probe: Probe, *, compared: bool) -> Iterator[str]:
    """Yield the steps, each with the pause after it, and then what is done and must hold."""
    story = whole(story)
    for number, step in enumerate(story, 1):
        is_pause = isinstance(step, Wait | Silence)
        yield f"{number:3}. {step}" + (f"; wait {step.seconds:g} s" if step.seconds and not is_pause else "")
    yield from (f"     {line}" for line in _ending(story, probe, compared=compared))


def has_replicas(story: Story) -> bool:
    """Whether it is played with three replicas: something happens to one of them."""
    return any(isinstance(step, Trouble) for step in story)


def _ending(story: Story, probe: Probe, *, compared: bool) -> Iterator[str]:
    if has_replicas(story):
        seconds = leaders.LONGEST_FAILOVER_SECONDS + leaders.REST_SECONDS
        yield f"Then all replicas go on, and {seconds:g} s later one operator takes their place."
        hour = f", nor for {leaders.SILENT_SECONDS:g} s" if all_work(story) else ""
        yield f"It must write nothing when it starts{hour}."
        return
    rest = f"nothing was written for {REST_SECONDS:g} s"
    looked_at = not is_chaos(story) and any(step.seconds >= REST_SECONDS for step in story[:-1])
    if probe is not Probe.NOTHING and looked_at:
        wait = f"After each wait of {REST_SECONDS:g} s or more"
        yield f"{wait}, once {rest}, a {probe.value} must write nothing."
    yield f"At the end, once {rest}, a restart must write nothing."
    if compared and all_work(story):
        yield "What is in order in a new cluster that is given all at once must be so here, too."
