"""What a model cache follows beside its watches, and that it stops."""

from __future__ import annotations

from typing import Any

from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import MODEL_CACHES
from aim_operator.controllers.download_progress import DownloadProgress
from aim_operator.controllers.download_slots import DownloadSlots
from aim_operator.controllers.model_caches import ModelCaches
from aim_operator.core.model_cache.plan import DownloadOptions
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


def caches(stores: FilledStores) -> tuple[ModelCaches, Followed, ForeignWatches]:
    downloads, foreign = Followed(stores), ForeignWatches(stores.client, clock=stores.clock)
    made = ModelCaches(
        client=stores.client,
        watched=stores.watched,
        catalog=stores.catalog,
        options=DownloadOptions(image="x/fetch:1", requests={}),
        downloads=downloads,
        foreign=foreign,
        wake=lambda _: None,
        slots=DownloadSlots(
            stores.watched.jobs.store,
            stores.watched.model_caches.store,
            limit=1,
            clock=stores.clock,
            wake=lambda _: None,
        ),
    )
    return made, downloads, foreign


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
