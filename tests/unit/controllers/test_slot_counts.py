"""Which discoveries and downloads count, as the watches bring their Jobs."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import JOBS
from aim_operator.api.plan import Child, Outcome, Outcomes, OutcomeType, Plan
from aim_operator.api.v1alpha1 import MODEL_CACHES, TEMPLATES
from aim_operator.controllers.download_progress import DownloadProgress
from aim_operator.controllers.download_slots import DownloadSlots
from aim_operator.controllers.model_caches import ModelCaches
from aim_operator.controllers.slots import DiscoverySlots
from aim_operator.controllers.templates import Templates
from aim_operator.core import labels
from aim_operator.core.model_cache.plan import DownloadOptions
from aim_operator.core.model_cache.slots import holds_slot
from aim_operator.core.naming import discovery_job_name, download_job_name
from aim_operator.core.template.desired import DEADLINE_SECONDS
from aim_operator.errors import Forbidden, Unavailable
from aim_operator.runtime.foreign import ForeignWatches
from tests.support.filled_stores import FilledStores
from tests.support.template_builders import (
    DERIVED,
    NOW,
    OPERATOR_NAMESPACE,
    OPTIONS,
    make_derived_template,
)

HASH = "0a1b2c3d"
DISCOVERY, DOWNLOAD = discovery_job_name("fast", HASH), download_job_name("files", HASH)
GOING = {"deletionTimestamp": "2026-01-31T12:00:00Z"}
PAUSED = {"annotations": {labels.PAUSED: "true"}}
SUSPENDED = {"suspend": True}
ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}
RESULT = {"discovery": {"specHash": HASH + "0" * 8, "attempts": 0}}
WAITS = {
    "conditions": [{"type": "Ready", "status": "False", "reason": "AwaitingDownloadSlot", "message": "waits"}]
}


class Counted(FilledStores):
    def __init__(self) -> None:
        super().__init__()
        watched = self.watched
        self.woken: list[str] = []
        self.discoveries = DiscoverySlots(
            watched.jobs.store,
            self.catalog,
            operator_namespace=OPERATOR_NAMESPACE,
            limit=1,
            clock=self.clock,
            wake=lambda ref: self.woken.append(ref.name),
        )
        watched.jobs.add_handler(self.discoveries.job_changed)
        watched.templates.add_handler(self.discoveries.template_changed)
        self.downloads = DownloadSlots(
            watched.jobs.store,
            watched.model_caches.store,
            limit=1,
            clock=self.clock,
            wake=lambda ref: self.woken.append(ref.name),
        )
        watched.jobs.add_handler(self.downloads.job_changed)
        watched.model_caches.add_handler(self.downloads.cache_changed)

    def template(self, name: str = "fast", metadata: dict[str, Any] | None = None, **fields: Any) -> Any:
        uid = {"uid": f"uid of AIMServiceTemplate {name}"}
        spec = {"aimImageName": "llama"}
        return self.new(
            "templates", f"team/{name}", metadata={**uid, **(metadata or {})}, spec=spec, **fields
        )

    def cache(self, name: str = "files", **fields: Any) -> Any:
        uid = {"uid": f"uid of AIMModelCache {name}"}
        return self.new(
            "model_caches", f"team/{name}", metadata=uid, spec={"sourceUri": "hf://a/b"}, **fields
        )

    def job(self, where: str, owner: str, metadata: dict[str, Any] | None = None, **fields: Any) -> None:
        self.new("jobs", where, metadata={"ownerReferences": [owner], **(metadata or {})}, **fields)

    def templates(self) -> Templates:
        self.new("images", "team/llama", spec={"image": "x/llama:1"})
        return Templates(
            client=self.client,
            watched=self.watched,
            catalog=self.catalog,
            slots=self.discoveries,
            options=OPTIONS,
            operator_namespace=OPERATOR_NAMESPACE,
            cluster=True,
        )

    def caches(self) -> ModelCaches:
        return ModelCaches(
            client=self.client,
            watched=self.watched,
            catalog=self.catalog,
            options=DownloadOptions(image="x/fetch:1", requests={}),
            downloads=DownloadProgress(self.client, clock=self.clock, wake=lambda _: None),
            foreign=ForeignWatches(self.client, clock=self.clock),
            wake=lambda _: None,
            slots=self.downloads,
        )


def refused(name: str) -> Outcomes:
    """What comes of a Job that a quota refuses."""
    manifest = {"metadata": {"namespace": "team", "name": name}}
    error = Forbidden("quota")
    job = Child(resource=JOBS, manifest=manifest)
    return Outcomes((Outcome(child=job, type=OutcomeType.REFUSED, message="quota", error=error),))


def counts(slots: DiscoverySlots | DownloadSlots) -> tuple[float, float]:
    """How many run, and how many wait."""
    samples = dict(slots.samples())
    return samples["running",], samples["waiting",]


@pytest.fixture
def counted() -> Counted:
    return Counted()


OF_FAST = "of AIMServiceTemplate fast"


@pytest.mark.parametrize(
    ("where", "owner", "fields", "running"),
    [
        pytest.param(f"team/{DISCOVERY}", OF_FAST, {}, 1, id="a discovery that runs"),
        pytest.param("team/anything", OF_FAST, {}, 0, id="not a Job of another name"),
        pytest.param(f"elsewhere/{DISCOVERY}", OF_FAST, {}, 0, id="not one of another namespace"),
        pytest.param(f"team/{DISCOVERY}", OF_FAST, {"status": ENDED}, 0, id="not one that has ended"),
        pytest.param(f"team/{DISCOVERY}", OF_FAST, {"metadata": GOING}, 0, id="not one that is going"),
        pytest.param(
            f"team/{DISCOVERY}", OF_FAST, {"spec": SUSPENDED}, 0, id="not one that a queue suspended"
        ),
    ],
)
def test_which_jobs_hold_a_discovery_slot(
    counted: Counted, where: str, owner: str, fields: dict[str, Any], running: int
) -> None:
    counted.template(status={})
    counted.job(where, owner, **fields)
    assert counts(counted.discoveries) == (running, 0)


def test_a_job_of_a_former_template_does_not_hold_its_successors_slot(counted: Counted) -> None:
    counted.template(metadata={"uid": "another"}, status={})
    counted.job(f"team/{DISCOVERY}", OF_FAST)
    assert counts(counted.discoveries) == (0, 0)


def test_a_job_whose_result_is_in_the_status_holds_no_slot(counted: Counted) -> None:
    counted.template(status=RESULT)
    counted.job(f"team/{DISCOVERY}", OF_FAST)
    assert counts(counted.discoveries) == (0, 0)


def test_a_job_that_never_ends_holds_its_slot_for_so_long_only(counted: Counted) -> None:
    counted.template(status={})
    counted.job(f"team/{DISCOVERY}", OF_FAST)
    counted.clock.freeze(DEADLINE_SECONDS + 120)
    assert counts(counted.discoveries) == (0, 0)


@pytest.mark.parametrize(
    ("metadata", "waiting"),
    [({}, 1), (GOING, 0), (PAUSED, 0)],
    ids=["has a place", "being deleted: none", "paused: none"],
)
def test_a_template_that_was_never_looked_at(counted: Counted, metadata: Any, waiting: int) -> None:
    counted.template(metadata=metadata)
    assert counts(counted.discoveries) == (0, waiting)


@pytest.mark.parametrize("metadata", [GOING, PAUSED], ids=["is being deleted", "is paused"])
def test_one_that_waits_and_then_does_not_want_to_makes_room(counted: Counted, metadata: Any) -> None:
    """Held by a finalizer, or paused, it may be so for ever."""
    counted.template("fast", {"creationTimestamp": "2026-01-01T00:00:00Z"})
    counted.template("next", {"creationTimestamp": "2026-01-02T00:00:00Z"})
    counted.template("fast", {"creationTimestamp": "2026-01-01T00:00:00Z", **metadata})
    assert counts(counted.discoveries) == (0, 1)
    assert counted.woken == ["next"]


def test_a_discovery_that_ends_wakes_the_next_template(counted: Counted) -> None:
    counted.template(status={})
    counted.job(f"team/{DISCOVERY}", OF_FAST)
    other = counted.template("next", status={})
    assert not counted.discoveries.request(TEMPLATES.ref(other), other, "discover-next").granted
    counted.delete("jobs", f"team/{DISCOVERY}")
    assert counted.woken == ["next"]


OF_FILES = "of AIMModelCache files"


@pytest.mark.parametrize(
    ("where", "status", "fields", "running"),
    [
        pytest.param(f"team/{DOWNLOAD}", {}, {}, 1, id="a download that runs"),
        pytest.param(f"elsewhere/{DOWNLOAD}", {}, {}, 0, id="not one of another namespace"),
        pytest.param(f"team/{DOWNLOAD}", {}, {"spec": SUSPENDED}, 0, id="not one that a queue suspended"),
        pytest.param(f"team/{DOWNLOAD}", {"status": "Degraded"}, {}, 0, id="not one whose Pod can't start"),
        pytest.param(
            f"team/{DOWNLOAD}",
            {"status": "Degraded"},
            {"status": {"ready": 1}},
            1,
            id="one that runs on without its configuration",
        ),
        pytest.param(
            f"team/{DOWNLOAD}",
            {"status": "Available"},
            {"status": {"ready": 1}},
            0,
            id="not one that only a sidecar keeps running",
        ),
    ],
)
def test_which_jobs_hold_a_download_slot(
    counted: Counted, where: str, status: dict[str, Any], fields: dict[str, Any], running: int
) -> None:
    counted.cache(status=status)
    counted.job(where, OF_FILES, **fields)
    assert counts(counted.downloads) == (running, 0)


def test_a_download_that_came_before_its_cache_counts(counted: Counted) -> None:
    counted.job(f"team/{DOWNLOAD}", OF_FILES)
    counted.cache()
    assert counts(counted.downloads) == (1, 0)


def test_a_cache_that_waited_before_a_restart_keeps_its_place_until_it_is_deleted(counted: Counted) -> None:
    counted.cache(status=WAITS)
    assert counts(counted.downloads) == (0, 1)
    counted.delete("model_caches", "team/files")
    assert counts(counted.downloads) == (0, 0)
    assert counted.downloads.request(
        MODEL_CACHES.ref(counted.cache("other")), counted.cache("other"), "download-other"
    ).granted


# Who asks


async def test_a_template_takes_a_slot_when_its_job_is_due(counted: Counted) -> None:
    templates, template = counted.templates(), counted.template(status={})
    assert (await templates.gather(TEMPLATES.ref(template), template, NOW)).slot.granted
    assert counts(counted.discoveries) == (1, 0)


async def test_a_template_takes_no_slot_while_its_next_attempt_has_to_wait(counted: Counted) -> None:
    templates, template = counted.templates(), counted.template(status={})
    ref = TEMPLATES.ref(template)
    digest = (await templates.gather(ref, template, NOW)).digest
    failed = {"specHash": digest, "attempts": 1, "lastAttemptTime": NOW.isoformat()}
    template = counted.template(status={"discovery": failed})
    await templates.gather(ref, template, NOW)
    assert counts(counted.discoveries) == (0, 0)


async def test_a_derived_template_that_goes_takes_no_slot(counted: Counted) -> None:
    templates, derived = counted.templates(), make_derived_template(metric="latency")
    template = counted.template(derived.metadata.name, DERIVED, status={})
    await templates.gather(TEMPLATES.ref(template), template, NOW)
    assert counts(counted.discoveries) == (0, 0)


async def test_a_template_whose_job_is_refused_leaves_the_slot_to_others_for_a_while(
    counted: Counted,
) -> None:
    templates, template = counted.templates(), counted.template(status={})
    ref = TEMPLATES.ref(template)
    name = discovery_job_name("fast", (await templates.gather(ref, template, NOW)).digest)
    templates.settle(ref, Plan(), refused(name))
    assert counts(counted.discoveries) == (0, 0)
    with pytest.raises(Forbidden, match="quota"):
        await templates.gather(ref, template, NOW)


async def test_a_template_that_goes_gives_its_slot_back(counted: Counted) -> None:
    templates, template = counted.templates(), counted.template(status={})
    await templates.gather(TEMPLATES.ref(template), template, NOW)
    templates.forget(TEMPLATES.ref(template))
    assert counts(counted.discoveries) == (0, 0)


def test_a_cache_whose_download_is_refused_leaves_the_slot_to_others_for_a_while(counted: Counted) -> None:
    caches, cache = counted.caches(), counted.cache()
    ref = MODEL_CACHES.ref(cache)
    assert counted.downloads.request(ref, cache, "download-files").granted
    caches.settle(ref, Plan(), refused("download-files"))
    with pytest.raises(Forbidden, match="quota"):
        counted.downloads.request(ref, cache, "download-files")


def test_a_cache_that_goes_gives_its_slot_back(counted: Counted) -> None:
    caches, cache = counted.caches(), counted.cache()
    assert counted.downloads.request(MODEL_CACHES.ref(cache), cache, "download-files").granted
    caches.forget(MODEL_CACHES.ref(cache))
    assert counts(counted.downloads) == (0, 0)


def test_a_job_of_another_namespace_is_no_download_of_a_cache(counted: Counted) -> None:
    """Owner references are not validated across namespaces."""
    counted.job(f"elsewhere/{DOWNLOAD}", OF_FILES)
    job = counted.watched.jobs.store.get("elsewhere", DOWNLOAD)
    assert job is not None
    assert not holds_slot(counted.cache(), job)


async def test_a_discovery_whose_log_can_not_be_read_is_told_as_such(counted: Counted) -> None:
    """The status says so, and it is asked for again: an exception here would leave the status as it was."""
    templates, template = counted.templates(), counted.template(status={})
    ref = TEMPLATES.ref(template)
    name = discovery_job_name("fast", (await templates.gather(ref, template, NOW)).digest)
    counted.job(f"team/{name}", OF_FAST, status=ENDED)

    async def down(call: Any) -> None:
        raise Unavailable(f"{call.verb}: down")

    counted.client.gate = down
    assert isinstance((await templates.gather(ref, template, NOW)).unread, Unavailable)
