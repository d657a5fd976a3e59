"""StorageBudget over the stores: what counts as taken, and who counts as waiting."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.plan import Child, Outcome, Outcomes, OutcomeType
from aim_operator.api.v1alpha1 import MODEL_CACHES
from aim_operator.controllers.storage_budget import StorageBudget
from aim_operator.core import labels
from aim_operator.core.naming import claim_name
from aim_operator.errors import Unavailable
from tests.support.filled_stores import FilledStores

GI = 2**30


class Team(FilledStores):
    """A namespace whose claims may take 10Gi together, and an older cache of 5Gi."""

    def __init__(self) -> None:
        super().__init__()
        self.new("runtime_configs", "team/default", spec={"storage": {"budget": "10Gi"}})
        self.budget = StorageBudget(self.watched, self.catalog)

    def cache(self, name: str, created: str, metadata: dict[str, Any] | None = None, **fields: Any) -> Any:
        known = {"uid": f"uid of AIMModelCache {name}", "creationTimestamp": created, **(metadata or {})}
        spec = {"sourceUri": "hf://example/model", "size": "5Gi"}
        return self.new("model_caches", f"team/{name}", metadata=known, spec=spec, **fields)

    def older(self, **fields: Any) -> Any:
        return self.cache("older", "2026-01-01T00:00:00Z", **fields)

    def claim(self, of: str, asked: str, has: str) -> None:
        self.new(
            "claims",
            f"team/{claim_name(of, f'uid of AIMModelCache {of}')}",
            metadata={"ownerReferences": [f"of AIMModelCache {of}"]},
            spec={"resources": {"requests": {"storage": asked}}},
            status={"phase": "Bound", "capacity": {"storage": has}},
        )

    def asks(self, name: str, size: int, created: str = "2026-01-02T00:00:00Z") -> bool:
        cache = self.cache(name, created)
        answer = self.budget.ask(MODEL_CACHES.ref(cache), cache, size * GI)
        assert answer is not None
        return answer.granted


@pytest.fixture
def team() -> Team:
    return Team()


def test_two_that_ask_at_the_same_moment_do_not_get_the_same_room(team: Team) -> None:
    assert team.asks("younger", 6)
    assert not team.asks("older", 6, "2026-01-01T00:00:00Z")


def test_room_that_was_granted_counts_once(team: Team) -> None:
    """Its cache is still without a claim, and so among those that wait."""
    assert team.asks("older", 6, "2026-01-01T00:00:00Z")
    assert team.asks("younger", 4)


def test_two_that_grow_at_the_same_moment_do_not_get_the_same_room(team: Team) -> None:
    for name in ("older", "younger"):
        team.cache(name, "2026-01-01T00:00:00Z")
        team.claim(name, "2Gi", "2Gi")
    assert team.asks("younger", 6)
    assert not team.asks("older", 6, "2026-01-01T00:00:00Z")
    team.claim("younger", "6Gi", "2Gi")
    assert team.asks("older", 4, "2026-01-01T00:00:00Z")


def test_room_that_was_granted_and_not_used_is_free_again(team: Team) -> None:
    """The claim could not be created: a quota refused it."""
    assert team.asks("a", 6)
    a = team.watched.model_caches.store.get("team", "a")
    assert a is not None
    team.budget.settle(MODEL_CACHES.ref(a), Outcomes(()))
    team.delete("model_caches", "team/a")
    assert team.asks("b", 6)


def test_room_is_kept_for_a_claim_whose_creation_had_no_answer(team: Team) -> None:
    """It may be there, and not be in view yet."""
    assert team.asks("a", 6)
    a = team.watched.model_caches.store.get("team", "a")
    assert a is not None
    manifest = {"metadata": {"namespace": "team", "name": "a"}}
    child = Child(resource=PERSISTENT_VOLUME_CLAIMS, manifest=manifest)
    lost = Outcome(child=child, type=OutcomeType.FAILED, error=Unavailable("the connection broke"))
    team.budget.settle(MODEL_CACHES.ref(a), Outcomes((lost,)))
    # Older, so that nothing but what was granted is before it.
    assert not team.asks("b", 6, "2026-01-01T00:00:00Z")
    team.budget.forget(MODEL_CACHES.ref(a))
    team.delete("model_caches", "team/a")
    assert team.asks("b", 6)


def test_an_older_cache_that_waits_comes_first(team: Team) -> None:
    team.older()
    assert not team.asks("younger", 6)


def test_a_paused_cache_keeps_no_room_from_others(team: Team) -> None:
    team.older(metadata={"annotations": {labels.PAUSED: "true"}})
    assert team.asks("younger", 6)


@pytest.mark.parametrize("reason", ["ProvisioningFailed", "NameConflict", "ResourcesInvalid"])
def test_a_cache_that_can_have_no_claim_keeps_no_room_from_others(team: Team, reason: str) -> None:
    stuck = {"type": "Ready", "status": "False", "reason": reason, "message": "why"}
    team.older(status={"conditions": [stuck]})
    assert team.asks("younger", 6)


def test_a_cache_with_a_claim_counts_once(team: Team) -> None:
    team.older()
    team.claim("older", "5Gi", "5Gi")
    assert team.asks("younger", 4)
    assert not team.asks("younger", 6)


def test_a_claim_counts_as_large_as_it_is(team: Team) -> None:
    """Somebody enlarged it, or its provisioner makes no smaller ones."""
    team.older()
    team.claim("older", "1Gi", "8Gi")
    assert not team.asks("younger", 4)
