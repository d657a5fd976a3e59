"""Shorten a story that breaks a rule to the few steps that it takes, and those to the few fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import NODEFAULT, structs

from tests.simulation.explore.faults import Crash, Freeze, Kill
from tests.simulation.explore.steps import Apply, Restart, Wait
from tests.simulation.explore.stories import AnyStep, Story

Breaks = Callable[[Story], bool]
_MEANT = frozenset({"seconds", "namespace", "resource", "replica", "times", "late"})
"""Fields of steps that are no simpler as they are by default."""


def shrink(story: Story, breaks: Breaks, *, attempts: int = 400) -> Story:
    """Return the shortest story found that still `breaks`, within so many `attempts`.

    Nothing more can be left out of it, replaced by waiting, or simplified.
    """
    left = attempts

    def still_breaks(candidate: Story) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and breaks(candidate)

    before: Story | None = None
    while story != before:
        before = story
        for shorten in (_fewer, _waiting, _simpler):
            story = shorten(story, still_breaks)
    return story


def _fewer(story: Story, breaks: Breaks) -> Story:
    """Leave out steps: first many at once, later ones before earlier ones."""
    size = len(story)
    while size > 1:
        size //= 2
        end = len(story)
        while end > 0:
            start = max(end - size, 0)
            if breaks(candidate := story[:start] + story[end:]):
                story = candidate
            end = start
    return story


def _waiting(story: Story, breaks: Breaks) -> Story:
    """Replace steps by waiting as long as they take: some are needed for their time only."""
    for place, step in enumerate(story):
        waited = Wait(seconds=_seconds(step))
        if step != waited and breaks(candidate := _with(story, place, waited)):
            story = candidate
    return story


def _simpler(story: Story, breaks: Breaks) -> Story:
    """Take from each step what it can do without, part by part."""
    for place in range(len(story)):
        while (simpler := next(filter(breaks, _with_less(story, place)), None)) is not None:
            story = simpler
    return story


def _with_less(story: Story, place: int) -> Iterator[Story]:
    return (_with(story, place, step) for step in _less(story[place]))


def _with(story: Story, place: int, step: AnyStep) -> Story:
    return (*story[:place], step, *story[place + 1 :])


def _seconds(step: AnyStep) -> float:
    match step:
        case Restart(down=more) | Crash(down=more) | Kill(down=more) | Freeze(frozen=more):
            return step.seconds + more
        case _:
            return step.seconds


def _less(step: AnyStep) -> Iterator[AnyStep]:
    """Yield the step with one thing less: a field as it is by default, or a label or field of its object."""
    for field in structs.fields(step):
        value = getattr(step, field.name)
        if field.name not in _MEANT and field.default is not NODEFAULT and value != field.default:
            yield structs.replace(step, **{field.name: field.default})
    if isinstance(step, Apply):
        manifest, metadata = step.manifest, step.manifest["metadata"]
        for spec in _smaller(manifest.get("spec", {})):
            yield structs.replace(step, manifest={**manifest, "spec": spec})
        if "labels" in metadata:
            fewer = {name: value for name, value in metadata.items() if name != "labels"}
            yield structs.replace(step, manifest={**manifest, "metadata": fewer})


def _smaller(value: Any) -> Iterator[Any]:
    """Yield a mapping or list without one of its entries, and then with one of them smaller."""
    if isinstance(value, dict):
        for name in value:
            yield {other: each for other, each in value.items() if other != name}
        for name, each in value.items():
            yield from ({**value, name: smaller} for smaller in _smaller(each))
    elif isinstance(value, list):
        for place in range(len(value)):
            yield value[:place] + value[place + 1 :]
        for place, each in enumerate(value):
            yield from ([*value[:place], smaller, *value[place + 1 :]] for smaller in _smaller(each))
