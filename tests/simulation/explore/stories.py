"""A story: what happens, step by step."""

from __future__ import annotations

from aim_operator.errors import ApiError, UserError
from tests.simulation.explore.faults import AnyFault, Trouble
from tests.simulation.explore.steps import (
    Apply,
    Behave,
    Delete,
    DeleteNamespace,
    DeleteOne,
    Install,
    LabelOne,
    Lazy,
    Patch,
    Restart,
    Silence,
    Wait,
)
from tests.simulation.world import World

AnyStep = (
    Apply
    | Patch
    | Delete
    | DeleteOne
    | LabelOne
    | DeleteNamespace
    | Install
    | Behave
    | Lazy
    | Restart
    | Wait
    | Silence
    | AnyFault
    | Trouble
)
Story = tuple[AnyStep, ...]


def act(world: World, step: AnyStep) -> bool:
    """Do it. Returns whether the API server took it."""
    try:
        step.act(world)
    except (ApiError, UserError):
        return False
    return True


def all_work(story: Story) -> bool:
    """Whether no image and no download of it fails: what does is tried again later and later."""
    return all(step.outcome == "succeeds" for step in story if isinstance(step, Behave))
