"""What is computed from the times at which Jobs came and ended."""

from __future__ import annotations

from typing import Any

import pytest

from bench.discovery import Jobs


def change(name: str, *, type_: str = "MODIFIED", ended: bool = False) -> dict[str, Any]:
    conditions = [{"type": "Complete", "status": "True"}] if ended else []
    return {"type": type_, "object": {"metadata": {"name": name}, "status": {"conditions": conditions}}}


def watched() -> Jobs:
    """Two slots: one is refilled at once, the other stands empty from 4 to 6."""
    jobs = Jobs()
    jobs.saw(change("a", type_="ADDED"), 0)
    jobs.saw(change("b", type_="ADDED"), 0)
    jobs.saw(change("a"), 1)
    jobs.saw(change("a", ended=True), 2)
    jobs.saw(change("c", type_="ADDED"), 2)
    jobs.saw(change("b", ended=True), 4)
    jobs.saw(change("b", ended=True), 5)
    jobs.saw(change("d", type_="ADDED"), 6)
    return jobs


def test_an_empty_slot_lowers_the_share_in_use() -> None:
    assert watched().occupied(2) == pytest.approx(10 / 12)


def test_each_end_hands_over_to_the_next_job() -> None:
    assert watched().hand_overs(2) == [0, 2]


def test_no_more_jobs_at_once_than_were_unfinished() -> None:
    assert watched().most == 2


def test_a_job_that_had_ended_before_is_none_of_ours() -> None:
    jobs = Jobs()
    jobs.saw(change("old", type_="ADDED", ended=True), 0)
    assert not jobs.created
