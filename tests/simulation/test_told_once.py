"""Events tell of each transition once, also where the answer to the write that makes it is lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import EVENTS
from aim_operator.app import COMPONENT
from aim_operator.errors import ApiError, Conflict, Unavailable
from aim_operator.sandbox.network import Fault
from tests.simulation.catalog import NAMESPACE, image, service, template
from tests.simulation.world import World

LOST = Unavailable("the connection broke before the answer came")
SENT_AGAIN = Conflict("the object has been modified", code=409, reason="Conflict")


def told(world: World) -> Counter[tuple[str, str, str]]:
    """What the operator's events say, and how often."""
    said: Counter[tuple[str, str, str]] = Counter()
    for event in world.all(EVENTS):
        if event.get("reportingComponent") == COMPONENT:
            times = (event.get("series") or {}).get("count", 1)
            said[event["involvedObject"]["kind"], event["reason"], event["message"]] += times
    return said


async def played(error: ApiError | None, *, times: int = 0) -> Any:
    async with World() as world:
        world.start()
        if error is not None:
            for kind in (aim.TEMPLATES, aim.SERVICES):
                world.network.fail(
                    Fault(error, verb="patch_status", resource=kind.plural, when="after", times=times)
                )
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        await world.until(
            lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running", limit_seconds=600
        )
        await world.pass_seconds(30)
        return told(world)


@pytest.mark.parametrize("error", [LOST, SENT_AGAIN], ids=["no answer", "sent again by the transport"])
@pytest.mark.parametrize("times", [1, 2, 10**9], ids=["once", "twice", "each time"])
async def test_a_status_that_was_written_without_an_answer_is_told_of_as_any_other(
    error: ApiError, times: int
) -> None:
    usual = await played(None)
    assert {reason for _, reason, _ in usual} >= {"DiscoverySucceeded", "TemplateResolved", "RuntimeReady"}
    assert await played(error, times=times) == usual
