"""Events tell of transitions: what the two statuses differ in, and nothing a second time."""

from __future__ import annotations

import msgspec
import pytest

from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, Discovery, ModelSource
from aim_operator.core.template import events
from tests.support.template_builders import make_discovery

ONE = ModelSource(name="a", source_uri="hf://org/a")


def status(
    state: str,
    reason: str = "Any",
    *,
    discovery: Discovery | None = None,
    sources: tuple[ModelSource, ...] = (),
) -> AIMServiceTemplateStatus:
    ready = Condition(
        type="Ready",
        status="True" if state == "Available" else "False",
        reason=reason,
        message=f"because of {reason}",
    )
    return AIMServiceTemplateStatus(
        status=state, conditions=(ready,), discovery=discovery, model_sources=sources
    )


NEW = AIMServiceTemplateStatus()
FAILED_ONCE = make_discovery("a", attempts=1, last="2026-01-31T12:00:00Z", message="boom")
FAILED_TWICE = make_discovery("a", attempts=2, last="2026-01-31T12:00:10Z", message="boom")
FOUND = make_discovery("a", last="2026-01-31T12:01:00Z")


MISSING = status("Degraded", "ImageNotFound")
MISSING_IN_OTHER_WORDS = msgspec.structs.replace(
    MISSING,
    conditions=(Condition(type="Ready", status="False", reason="ImageNotFound", message="still none"),),
)


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        pytest.param(
            NEW,
            status("Progressing", "JobPending"),
            ["Normal DiscoveryStarted: because of JobPending"],
            id="a discovery starts",
        ),
        pytest.param(
            status("Progressing", "JobPending"),
            status("Progressing", "DiscoveryRunning"),
            [],
            id="it goes on",
        ),
        pytest.param(
            NEW,
            status("Failed", "JobRefused"),
            ["Warning JobRefused: because of JobRefused"],
            id="its Job is refused",
        ),
        pytest.param(
            status("Failed", "JobRefused"),
            status("Failed", "JobRefused"),
            [],
            id="and refused again",
        ),
        pytest.param(
            status("Progressing", "DiscoveryRunning"),
            status("Available", "Available", discovery=FOUND, sources=(ONE,)),
            ["Normal DiscoverySucceeded: found 1 model source"],
            id="it succeeds with one source",
        ),
        pytest.param(
            status("Progressing", "DiscoveryRunning"),
            status("Available", "Available", discovery=FOUND),
            ["Normal DiscoverySucceeded: found 0 model sources"],
            id="it succeeds with none",
        ),
        pytest.param(
            status("Available", discovery=FOUND),
            status(
                "Available",
                discovery=make_discovery("b", last="2026-01-31T13:00:00Z"),
                sources=(ONE, ModelSource(name="b", source_uri="hf://org/b")),
            ),
            ["Normal DiscoverySucceeded: found 2 model sources"],
            id="a later one succeeds",
        ),
        pytest.param(
            status("Progressing"),
            status("Failed", "DiscoveryFailed", discovery=FAILED_ONCE),
            ["Warning DiscoveryFailed: attempt 1: boom"],
            id="it fails",
        ),
        pytest.param(
            status("Failed", discovery=FAILED_ONCE),
            status("Failed", discovery=FAILED_ONCE),
            [],
            id="it is still failed",
        ),
        pytest.param(
            status("Failed", discovery=FAILED_ONCE),
            status("Progressing", "JobPending", discovery=FAILED_ONCE),
            ["Normal DiscoveryStarted: because of JobPending"],
            id="it is tried again",
        ),
        pytest.param(
            status("Progressing", discovery=FAILED_ONCE),
            status("Failed", discovery=FAILED_TWICE),
            ["Warning DiscoveryFailed: attempt 2: boom"],
            id="it fails again",
        ),
        pytest.param(
            NEW,
            status("Degraded", "ImageNotFound"),
            ["Warning ImageNotFound: because of ImageNotFound"],
            id="a prerequisite is missing from the start",
        ),
        pytest.param(
            status("Available", "Available", discovery=FOUND),
            status("Degraded", "ImageNotFound", discovery=FOUND),
            ["Warning ImageNotFound: because of ImageNotFound"],
            id="a prerequisite goes",
        ),
        pytest.param(
            status("Degraded", "ImageNotFound"), status("Degraded", "ImageNotFound"), [], id="it stays away"
        ),
        pytest.param(MISSING, MISSING_IN_OTHER_WORDS, [], id="it stays away, in other words"),
        pytest.param(
            status("Degraded", "ImageNotFound"),
            status("Degraded", "RuntimeConfigMissing"),
            ["Warning RuntimeConfigMissing: because of RuntimeConfigMissing"],
            id="another one is missing now",
        ),
        pytest.param(
            status("Degraded", "ImageNotFound", discovery=FOUND),
            status("Available", "Available", discovery=FOUND),
            [],
            id="it is back, and nothing had to be discovered",
        ),
        pytest.param(
            status("Progressing"),
            status("Degraded", "KServeNotInstalled", discovery=FOUND, sources=(ONE,)),
            [
                "Normal DiscoverySucceeded: found 1 model source",
                "Warning KServeNotInstalled: because of KServeNotInstalled",
            ],
            id="discovered, but no KServe to publish it to",
        ),
        pytest.param(NEW, status("Pending", "AwaitingDiscoverySlot"), [], id="waiting is not an event"),
    ],
)
def test_transitions(old: AIMServiceTemplateStatus, new: AIMServiceTemplateStatus, want: list[str]) -> None:
    got = [f"{note.type} {note.reason}: {note.message}" for note in events.transitions(old, new)]
    assert got == want
    assert events.transitions(new, new) == ()
