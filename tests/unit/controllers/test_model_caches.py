"""What a model cache follows, asks for and holds beside its watches, and that it stops; and its claims."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import MODEL_CACHES, AIMModelCache
from aim_operator.controllers.download_progress import DownloadProgress
from aim_operator.controllers.download_slots import DownloadSlots
from aim_operator.controllers.model_caches import ModelCaches
from aim_operator.core import labels
from aim_operator.core.model_cache.plan import DownloadOptions
from aim_operator.core.naming import claim_name
from aim_operator.runtime.foreign import ForeignWatches
from tests.support.filled_stores import FilledStores
from tests.support.template_builders import NOW


class Followed(DownloadProgress):
    """Keeps whose log is followed last."""

    def __init__(self, stores: FilledStores) -> None:
        super().__init__(stores.client, clock=stores.clock, wake=lambda _: None)
        self.told: list[tuple[str, Any]] = []

    def follow(self, ref: ObjectRef, source: Any) -> None:
        self.told.append((ref.name, source))


def caches(
    stores: FilledStores, slots: DownloadSlots | None = None
) -> tuple[ModelCaches, Followed, ForeignWatches]:
    downloads, foreign = Followed(stores), ForeignWatches(stores.client, clock=stores.clock)
    made = ModelCaches(
        client=stores.client,
        watched=stores.watched,
        catalog=stores.catalog,
        options=DownloadOptions(image="x/fetch:1", requests={}),
        downloads=downloads,
        foreign=foreign,
        wake=lambda _: None,
        slots=slots or slots_of(stores),
    )
    return made, downloads, foreign


def slots_of(stores: FilledStores, *, limit: int = 1) -> DownloadSlots:
    return DownloadSlots(
        stores.watched.jobs.store,
        stores.watched.model_caches.store,
        limit=limit,
        clock=stores.clock,
        wake=lambda _: None,
    )


def files_of(stores: FilledStores, name: str = "files", **metadata: Any) -> AIMModelCache:
    spec = {"sourceUri": "hf://a/b", "size": "5Gi"}
    made: AIMModelCache = stores.new(
        "model_caches",
        f"team/{name}",
        metadata={"uid": f"uid of AIMModelCache {name}", **metadata},
        spec=spec,
    )
    return made


def claim_for(
    stores: FilledStores, cache: AIMModelCache, name: str = "", **metadata: Any
) -> PersistentVolumeClaim:
    """A bound claim of a cache, under the name of its own unless another is given."""
    owned = {"ownerReferences": [f"of AIMModelCache {cache.metadata.name}"], **metadata}
    made: PersistentVolumeClaim = stores.new(
        "claims",
        f"team/{name or claim_name(cache.metadata.name, cache.metadata.uid)}",
        metadata=owned,
        spec={"resources": {"requests": {"storage": "6Gi"}}},
        status={"phase": "Bound"},
    )
    return made


async def test_a_claim_of_the_users_own_is_watched_while_its_cache_is_there() -> None:
    """It bears no label of ours: no watch of ours would tell that it came, or went."""
    stores = FilledStores()
    spec = {"sourceUri": "hf://a/b", "existingClaim": {"name": "disk"}}
    cache = stores.new("model_caches", "team/files", spec=spec)
    ref = MODEL_CACHES.ref(cache)
    made, _, foreign = caches(stores)
    await made.gather(ref, cache, NOW)
    assert len(foreign) == 1
    made.forget(ref)
    assert len(foreign) == 0
    await foreign.close()


def test_the_log_of_a_download_is_followed_no_longer_than_its_cache_is_there() -> None:
    stores = FilledStores()
    cache = stores.new("model_caches", "team/files", spec={"sourceUri": "hf://a/b"})
    made, downloads, _ = caches(stores)
    made.forget(MODEL_CACHES.ref(cache))
    assert downloads.told == [("files", None)]


async def test_a_cache_whose_claim_went_gives_up_its_place_for_a_download() -> None:
    stores = FilledStores()
    slots = slots_of(stores, limit=0)
    made, _, _ = caches(stores, slots)
    cache = files_of(stores)
    ref, claim = MODEL_CACHES.ref(cache), claim_for(stores, cache)
    await made.gather(ref, cache, NOW)
    assert slots.samples() == [(("running",), 0.0), (("waiting",), 1.0)]
    stores.delete("claims", f"team/{claim.metadata.name}")
    await made.gather(ref, cache, NOW)
    assert slots.samples() == [(("running",), 0.0), (("waiting",), 0.0)]


@pytest.mark.parametrize("mounted", [False, True], ids=["nobody", "a model server"])
async def test_the_claim_that_another_replaced_is_not_called_unused_while_it_is_mounted(
    *, mounted: bool
) -> None:
    """One came back from a backup while the cache had a claim of its own."""
    stores = FilledStores()
    made, _, _ = caches(stores)
    cache = files_of(stores)
    own = claim_for(stores, cache)
    back = claim_for(stores, cache, "files-0a1b2c3d", annotations={labels.APPLIED: "x"})
    if mounted:
        used = {"kind": "AIMServiceTemplate", "name": "fast", "scope": "Namespace"}
        active = {
            "image": "x/llama:1",
            "resolvedImage": {"kind": "AIMImage", "name": "llama", "scope": "Namespace"},
            "resolvedTemplate": used,
            "mounts": [{"model": "llama", "claim": own.metadata.name}],
        }
        stores.new("services", "team/chat", spec={"model": "llama"}, status={"active": active})
    observed = await made.gather(MODEL_CACHES.ref(cache), cache, NOW)
    assert observed.claim == back
    assert observed.superseded == (None if mounted else own)


async def test_the_room_of_a_cache_that_went_before_its_claim_was_seen_is_free() -> None:
    stores = FilledStores()
    stores.new("runtime_configs", "team/default", spec={"storage": {"budget": "10Gi"}})
    made, _, _ = caches(stores)
    first, second = files_of(stores), files_of(stores, "others")
    granted = (await made.gather(MODEL_CACHES.ref(first), first, NOW)).allowance
    assert granted is not None
    assert granted.granted
    stores.delete("model_caches", "team/files")
    made.forget(MODEL_CACHES.ref(first))
    granted = (await made.gather(MODEL_CACHES.ref(second), second, NOW)).allowance
    assert granted is not None
    assert granted.granted, granted.message
