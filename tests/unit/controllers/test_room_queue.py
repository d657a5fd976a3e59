"""RoomQueue: kept as objects change, it says what one made anew from the same stores says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.controllers.room_queue import RoomQueue
from aim_operator.core import labels
from aim_operator.core.model_cache.allowance import Ask
from aim_operator.core.naming import claim_name
from tests.support.filled_stores import FilledStores

GI = 2**30
NAMESPACES, NAMES = ("one", "two"), ("a", "b", "c")
STUCK = {"type": "Ready", "status": "False", "reason": "NameConflict", "message": "why"}
LISTED = {"listing": {"totalBytes": 3 * GI}}


class Scene(FilledStores):
    def __init__(self) -> None:
        super().__init__()
        self.queue = RoomQueue(self.watched, self.catalog)

    def cache(self, where: str, *, minute: int = 0, paused: bool = False, **fields: Any) -> None:
        name = where.rpartition("/")[2]
        metadata = {
            "uid": f"uid of AIMModelCache {name}",
            "creationTimestamp": f"2026-01-01T00:{minute:02}:00Z",
            "annotations": {labels.PAUSED: "true"} if paused else {},
        }
        self.new(
            "model_caches",
            where,
            metadata=metadata,
            **{"spec": {"sourceUri": "hf://a/b", "size": "5Gi"}, **fields},
        )

    def claim(self, where: str, *, asked: str = "6Gi", has: str = "0") -> None:
        """The claim of the cache of that name, which need not be there."""
        self.new(
            "claims",
            claim_of(where),
            metadata={"ownerReferences": [f"of AIMModelCache {where.rpartition('/')[2]}"]},
            spec={"resources": {"requests": {"storage": asked}}},
            status={"phase": "Bound", "capacity": {"storage": has}},
        )

    def config(self, where: str, headroom: int) -> None:
        kind = "runtime_configs" if "/" in where else "cluster_runtime_configs"
        self.new(kind, where, spec={"storage": {"headroomPercent": headroom}})

    def gone(self, informer: str, where: str) -> None:
        if getattr(self.watched, informer).store.get(*where.rpartition("/")[::2]) is not None:
            self.delete(informer, where)

    def said(self, queue: RoomQueue) -> list[Any]:
        return [(list(queue.waiting(n)), dict(queue.taken(n)), queue.total(n)) for n in NAMESPACES]


def claim_of(where: str) -> str:
    namespace, _, name = where.rpartition("/")
    return f"{namespace}/{claim_name(name, f'uid of AIMModelCache {name}')}"


Step = Callable[[Scene], None]
PLACES = st.builds("{}/{}".format, st.sampled_from(NAMESPACES), st.sampled_from(NAMES))
FIELDS: Any = st.sampled_from(
    [
        {},
        {"minute": 1},
        {"spec": {"sourceUri": "hf://a/b", "size": "9Gi"}},
        {"spec": {"sourceUri": "hf://a/b"}},
        {"spec": {"sourceUri": "hf://a/b"}, "status": LISTED},
        {"spec": {"sourceUri": "hf://a/b", "size": "5Gi", "runtimeConfigName": "mine"}},
        {"spec": {"sourceUri": "hf://a/b", "existingClaim": {"name": "disk"}}},
        {"status": {"conditions": [STUCK]}},
        {"paused": True},
    ]
)
SIZES = st.sampled_from(["1Gi", "6Gi", "20Gi"])
CONFIGS = st.sampled_from(["one/default", "two/default", "one/mine", "default", "mine"])
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda where, fields: lambda s: s.cache(where, **fields), PLACES, FIELDS),
    st.builds(lambda where: lambda s: s.gone("model_caches", where), PLACES),
    st.builds(lambda where, asked, has: lambda s: s.claim(where, asked=asked, has=has), PLACES, SIZES, SIZES),
    st.builds(lambda where: lambda s: s.gone("claims", claim_of(where)), PLACES),
    st.builds(lambda where, percent: lambda s: s.config(where, percent), CONFIGS, st.sampled_from([0, 50])),
    st.just(lambda s: s.said(s.queue)),
)


@given(st.lists(STEPS, max_size=25))
def test_it_says_what_one_made_anew_says(steps: list[Step]) -> None:
    scene = Scene()
    for step in steps:
        step(scene)
    assert scene.said(scene.queue) == scene.said(RoomQueue(scene.watched, scene.catalog))


@given(st.lists(STEPS, max_size=25))
def test_it_keeps_nothing_of_what_is_gone(steps: list[Step]) -> None:
    scene = Scene()
    for step in steps:
        step(scene)
    for where in (f"{namespace}/{name}" for namespace in NAMESPACES for name in NAMES):
        scene.gone("model_caches", where)
        scene.gone("claims", claim_of(where))
    assert len(scene.queue) == 0


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.config("default", 0)
    return scene


def test_caches_without_a_claim_wait_oldest_first(scene: Scene) -> None:
    scene.cache("one/a", minute=2)
    scene.cache("one/b", minute=1)
    scene.cache("two/c")
    scene.cache("one/c")
    scene.claim("one/c")
    waiting = [(each.name, each.size) for each in scene.queue.waiting("one")]
    assert waiting == [("b", 5 * GI), ("a", 5 * GI)]
    assert (dict(scene.queue.taken("one")), scene.queue.total("one")) == (
        {claim_of("one/c").rpartition("/")[2]: 6 * GI},
        6 * GI,
    )
    assert (scene.queue.taken("two"), scene.queue.total("two")) == ({}, 0)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        pytest.param({}, 5 * GI, id="of a size that is given"),
        pytest.param({"spec": {"sourceUri": "hf://a/b"}}, None, id="of a size that nobody knows yet"),
        pytest.param(
            {"spec": {"sourceUri": "hf://a/b"}, "status": LISTED}, 3 * GI, id="of a size that was found"
        ),
        pytest.param({"paused": True}, None, id="that is paused"),
        pytest.param({"status": {"conditions": [STUCK]}}, None, id="that can have no claim"),
        pytest.param(
            {"spec": {"sourceUri": "hf://a/b", "size": "5Gi", "runtimeConfigName": "missing"}},
            None,
            id="whose configuration is missing",
        ),
        pytest.param({"spec": {"sourceUri": "hf://a/b", "size": "lots"}}, None, id="of a size that is none"),
    ],
)
def test_what_a_cache_waits_for(scene: Scene, fields: dict[str, Any], size: int | None) -> None:
    scene.cache("one/a", **fields)
    wanted = [] if size is None else [Ask("2026-01-01T00:00:00Z", "a", size)]
    assert list(scene.queue.waiting("one")) == wanted


def test_an_edited_headroom_changes_what_is_waited_for(scene: Scene) -> None:
    scene.cache("one/a")
    assert [each.size for each in scene.queue.waiting("one")] == [5 * GI]
    scene.config("default", 100)
    assert [each.size for each in scene.queue.waiting("one")] == [10 * GI]
    scene.config("one/default", 0)
    assert [each.size for each in scene.queue.waiting("one")] == [5 * GI]
