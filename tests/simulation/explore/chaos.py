"""Random stories of chaos: the edits of draw.py, faster, while everything else goes wrong, and then calm."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from msgspec import structs

from aim_operator.sandbox.network import ANY
from tests.simulation.explore import draw
from tests.simulation.explore.faults import (
    ERRORS,
    FOR_EVER,
    REFUSALS,
    AnyFault,
    Calm,
    Crash,
    Cut,
    Fail,
    Freeze,
    Kill,
    Noise,
    SetClock,
    Stall,
)
from tests.simulation.explore.steps import Silence
from tests.simulation.explore.stories import AnyStep, Story

WRITTEN = (
    *("aimservices", "aimservicetemplates", "aimclusterservicetemplates", "aimimages"),
    *("aimtemplatecaches", "aimmodelcaches", "jobs", "persistentvolumeclaims"),
    *("servingruntimes", "clusterservingruntimes", "inferenceservices", "httproutes"),
)
PAUSES = (0.0, 0.0, 0.3, 2.0, 10.0, 40.0)


def story(seed: int) -> Story:
    """Return the story of a seed."""
    return tuple(_steps(random.Random(seed), draw.story(seed)))


def _steps(chance: random.Random, edits: Story) -> Iterator[AnyStep]:
    likelihood = chance.choice((0.15, 0.3, 0.6))
    silent = isinstance(edits[-1], Silence)
    for step in edits[:-1] if silent else edits:
        yield structs.replace(step, seconds=chance.choice(PAUSES))
        while chance.random() < likelihood:
            yield _fault(chance)
    yield Calm()
    if silent:
        yield Silence()


def _fault(chance: random.Random) -> AnyFault:
    fault = chance.choice(
        (_noise, _fail, _fail, _cut, _stall, _freeze, _set_clock, _crash, _crash, _kill, _calm)
    )
    return structs.replace(fault(chance), seconds=chance.choice(PAUSES))


def _noise(chance: random.Random) -> AnyFault:
    return Noise(
        fail_before=chance.choice((0, 0.1)),
        fail_after=chance.choice((0, 0.1, 0.2)),
        busy=chance.choice((0, 0.05)),
        drop=chance.choice((0, 0.05)),
        call=chance.choice((0, 0.05, 1)),
        delivery=chance.choice((0, 0.3, 2)),
        arrive=chance.choice((0, 0.5)),
        persistent=chance.random() < 0.5,
    )


def _fail(chance: random.Random) -> AnyFault:
    verb = chance.choice(("apply", "apply", "patch_status", "patch_status", "delete", ANY))
    resource = chance.choice((*WRITTEN, ANY)) if verb != ANY else chance.choice(WRITTEN)
    code = chance.choice(tuple(ERRORS))
    when: Literal["before", "after"] = chance.choice(("before", "before", "after"))
    return Fail(
        verb=verb,
        resource=resource,
        code=code,
        when="before" if code in REFUSALS else when,
        times=chance.choice((1, 1, 3, FOR_EVER)),
        hang=chance.choice((0, 0, 0, 5)),
    )


def _cut(chance: random.Random) -> AnyFault:
    return Cut(resource=chance.choice((*WRITTEN, ANY, ANY)), compacted=chance.random() < 0.5)


def _stall(chance: random.Random) -> AnyFault:
    return Stall(resource=chance.choice((*WRITTEN, ANY)), late=chance.choice((0, 1, 5, 20)))


def _freeze(chance: random.Random) -> AnyFault:
    return Freeze(frozen=chance.choice((1, 20, 400)))


def _set_clock(chance: random.Random) -> AnyFault:
    return SetClock(ahead=chance.choice((-86400, -3600, -45, 45, 3600, 86400)))


def _crash(chance: random.Random) -> AnyFault:
    down = chance.choice((0, 0, 5))
    return Crash(writes=chance.randint(1, 8), lost=chance.random() < 0.3, down=down)


def _kill(chance: random.Random) -> AnyFault:
    return Kill(steps=chance.choice((20, 100, 300, 1000)) + chance.randrange(100), down=chance.choice((0, 5)))


def _calm(_: random.Random) -> AnyFault:
    return Calm()
