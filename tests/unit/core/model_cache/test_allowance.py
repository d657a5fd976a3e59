"""What a storage budget leaves for one cache: a table of who is there and who waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.core.model_cache.allowance import Ask, Budget, decide, strictest

GIB = 1024**3
SOURCE = "AIMClusterRuntimeConfig 'default'"
NOON, ONE, TWO = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z", "2026-01-31T14:00:00Z"


def ask(name: str, gib: int, created: str = ONE) -> Ask:
    return Ask(created, name, gib * GIB)


CASES: dict[str, tuple[Ask, int, int, list[Ask], str, str]] = {
    # own, used GiB, claims, others; reason, words
    "an empty namespace": (ask("own", 40), 0, 0, [], "", ""),
    "it fits to the byte": (ask("own", 40), 60, 2, [], "", ""),
    "a byte too much": (
        Ask(ONE, "own", 40 * GIB + 1),
        60,
        2,
        [],
        "AwaitingStorageBudget",
        "2 claims have 60Gi of it",
    ),
    "more than the whole budget": (
        ask("own", 101),
        0,
        0,
        [],
        "ExceedsStorageBudget",
        "101Gi are more than the storage budget of this namespace, 100Gi (AIMClusterRuntimeConfig 'default')",
    ),
    "all of the budget": (ask("own", 100), 0, 0, [], "", ""),
    "an older one waits for all of the budget": (
        ask("own", 10),
        0,
        0,
        [ask("old", 100, NOON)],
        "AwaitingStorageBudget",
        "and 1 older AIMModelCache comes before, first 'old' with 100Gi",
    ),
    "several wait: the oldest is named": (
        ask("own", 10),
        50,
        1,
        [ask("older", 30, "2026-01-31T12:30:00Z"), ask("oldest", 30, NOON)],
        "AwaitingStorageBudget",
        "and 2 older AIMModelCaches come before, first 'oldest' with 30Gi",
    ),
    "an older one waits, and both fit": (ask("own", 40), 20, 1, [ask("old", 40, NOON)], "", ""),
    "an older one waits that does not fit: no younger one takes its room": (
        ask("own", 10),
        50,
        1,
        [ask("old", 60, NOON)],
        "AwaitingStorageBudget",
        "and 1 older AIMModelCache comes before, first 'old' with 60Gi",
    ),
    "an older one can never fit: it holds up nobody": (
        ask("own", 10),
        50,
        1,
        [ask("old", 160, NOON)],
        "",
        "",
    ),
    "a younger one waits": (ask("own", 40), 60, 2, [ask("young", 10, TWO)], "", ""),
    "of the same age, by name": (
        ask("b", 40),
        50,
        1,
        [ask("a", 40)],
        "AwaitingStorageBudget",
        "first 'a' with 40Gi",
    ),
    "the budget was lowered below what is there": (
        ask("own", 1),
        200,
        1,
        [],
        "AwaitingStorageBudget",
        "1 claim has 200Gi of it",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_who_gets_room(name: str) -> None:
    own, used, claims, others, reason, words = CASES[name]
    got = decide(own, Budget(100 * GIB, SOURCE), used=used * GIB, claims=claims, others=others)
    assert (got.granted, got.reason) == (not reason, reason)
    assert words in got.message


@given(
    budget=st.integers(1, 50),
    used=st.integers(0, 60),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8),
)
def test_all_who_may_go_fit_together_and_the_oldest_that_can_fit_goes_first(
    budget: int, used: int, sizes: list[int]
) -> None:
    asks = [Ask(f"{place:02}", f"cache-{place}", size) for place, size in enumerate(sizes)]

    def goes(own: Ask) -> bool:
        others = [ask for ask in asks if ask != own]
        return decide(own, Budget(budget, SOURCE), used=used, claims=1, others=others).granted

    granted = [own for own in asks if goes(own)]
    assert used + sum(own.size for own in granted) <= max(budget, used)
    possible = [own for own in asks if own.size <= budget]
    assert granted == possible[: len(granted)], "no younger one before an older one that can fit some day"


def test_of_several_budgets_the_smallest_holds() -> None:
    assert strictest([]) is None
    assert strictest([Budget(5, "a"), Budget(3, "b"), Budget(9, "c")]) == Budget(3, "b")
