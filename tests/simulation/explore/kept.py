"""The stories that once broke a rule, shortened, each under the name of what it is about.

In kept.json, as steps and not as seeds: what a seed tells changes whenever draw.py does.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.simulation.explore.stories import AnyStep, Story

FILE = Path(__file__).with_name("kept.json")


def kept() -> dict[str, Story]:
    """Return the stories by name."""
    stories: dict[str, Story] = msgspec.json.decode(FILE.read_bytes(), type=dict[str, tuple[AnyStep, ...]])
    return stories


def encoded(story: Story) -> str:
    """Return a story as kept.json has it."""
    return msgspec.json.encode(story).decode()
