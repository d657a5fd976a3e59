"""What is worked out once for each version of an object: never for another, and not remembered for ever."""

from __future__ import annotations

import gc
import weakref

import pytest

from aim_operator.core.versions import REMEMBERED, once


class Version:
    """Equal to every other one, as two versions of an object may look."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version)

    def __hash__(self) -> int:
        return 0


def test_the_same_objects_are_worked_out_once_and_equal_ones_each() -> None:
    seen: list[tuple[object, object]] = []

    @once
    def pair(one: object, other: object) -> list[object]:
        seen.append((one, other))
        return [one, other]

    first, second = Version(), Version()
    assert pair(first, second) is pair(first, second)
    assert pair(second, first) is not pair(first, second)
    assert pair(first, None) == [first, None]
    assert [(a is first, b is second) for a, b in seen] == [(True, True), (False, False), (True, False)]


def test_an_object_that_takes_the_place_of_one_that_is_gone_is_another() -> None:
    @once
    def name(version: list[int]) -> int:
        return version[0]

    assert [name([number]) for number in range(10 * REMEMBERED)] == list(range(10 * REMEMBERED))


def test_what_is_gone_is_forgotten_after_some_others() -> None:
    @once
    def same(version: Version) -> Version:
        return version

    gone = Version()
    watched = weakref.ref(gone)
    same(gone)
    del gone
    for _ in range(REMEMBERED):
        same(Version())
    gc.collect()
    assert watched() is None


def test_what_is_refused_is_asked_again() -> None:
    answers = iter([ValueError("not yet"), None])

    @once
    def refused_at_first(version: Version) -> str:
        error = next(answers)
        if error is not None:
            raise error
        return repr(type(version))

    version = Version()
    with pytest.raises(ValueError, match="not yet"):
        refused_at_first(version)
    assert refused_at_first(version) == repr(Version)
