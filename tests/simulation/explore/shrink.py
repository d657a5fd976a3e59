"""Shorten a story that breaks a rule to the few steps that it takes, and those to the few fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import structs

from tests.simulation.explore.steps import Apply
from tests.simulation.explore.stories import Story

Breaks = Callable[[Story], bool]


def shrink(story: Story, breaks: Breaks, *, attempts: int = 400) -> Story:
    """Return the shortest story found from which nothing more can be left out, within so many `attempts`."""
    left = attempts
    shorter = True
    while shorter and left > 0:
        shorter = False
        for candidate in _candidates(story):
            left -= 1
            if breaks(candidate):
                story, shorter = candidate, True
                break
            if left <= 0:
                break
    return story


def _candidates(story: Story) -> Iterator[Story]:
    """Yield simpler ones: without many steps, without one, without one field of one."""
    size = len(story) // 2
    while size >= 1:
        for start in range(len(story) - size, -1, -1):
            yield story[:start] + story[start + size :]
        size = size // 2 if size > 1 else 0
    for place, step in enumerate(story):
        if isinstance(step, Apply):
            for field in step.manifest.get("spec", {}):
                spec = {k: v for k, v in step.manifest["spec"].items() if k != field}
                simpler = structs.replace(step, manifest={**step.manifest, "spec": spec})
                yield (*story[:place], simpler, *story[place + 1 :])
