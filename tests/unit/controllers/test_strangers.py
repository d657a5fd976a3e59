"""What bears a name, a label or an owner of ours and is not ours: anybody may write those."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1 import MODEL_CACHES, SERVICES, TEMPLATES
from aim_operator.controllers.cache_claims import claim_of, left_behind
from aim_operator.controllers.download_progress import DownloadProgress
from aim_operator.controllers.download_slots import DownloadSlots
from aim_operator.controllers.index import INFERENCE_SERVICE_LABEL
from aim_operator.controllers.kserve_version import KServeVersion
from aim_operator.controllers.model_caches import ModelCaches
from aim_operator.controllers.route_owners import RouteOwners
from aim_operator.controllers.services import Services
from aim_operator.controllers.slots import DiscoverySlots
from aim_operator.controllers.templates import Templates
from aim_operator.core import labels
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.model_cache import digests
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.plan import DownloadOptions
from aim_operator.core.naming import (
    claim_name,
    discovery_job_name,
    download_job_name,
    listing_job_name,
)
from aim_operator.core.service import meaning
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.template.observed import TemplateObserved
from aim_operator.runtime.foreign import ForeignWatches
from tests.support.filled_stores import FilledStores
from tests.support.template_builders import (
    DERIVED,
    NOW,
    OPERATOR_NAMESPACE,
    OPTIONS,
    make_derived_template,
)

DOWNLOADS = DownloadOptions(image="x/fetch:1", requests={})
JOB = "batch.kubernetes.io/job-name"
APPLIED = {labels.APPLIED: "0123456789abcdef"}


def nobody(_: Any) -> None:
    """Hears of it."""


class Team(FilledStores):
    """A namespace with a service, a template and a model cache, each of which owns by its uid."""

    def __init__(self) -> None:
        super().__init__()
        self.new("images", "team/llama", spec={"image": "x/llama:1"})
        self.template = self.new(
            "templates",
            "team/fast",
            metadata={"uid": "uid of AIMServiceTemplate fast"},
            spec={"aimImageName": "llama"},
        )
        self.service = self.new(
            "services",
            "team/chat",
            metadata={"uid": "uid of AIMService chat"},
            spec={"model": "llama", "templateRef": "fast"},
        )
        self.cache = self.new(
            "model_caches",
            "team/files",
            metadata={"uid": "uid of AIMModelCache files"},
            spec={"sourceUri": "hf://example/llama"},
        )

    async def observed_service(self) -> ServiceObserved:
        watched = self.watched
        services = Services(
            watched=watched,
            catalog=self.catalog,
            route_owners=RouteOwners(watched, clock=self.clock, wake=nobody, apart=lambda: False),
            kserve=KServeVersion(self.client, clock=self.clock, on_change=lambda: None),
        )
        return await services.gather(SERVICES.ref(self.service), self.service, NOW)

    async def observed_template(self) -> TemplateObserved:
        templates = Templates(
            client=self.client,
            watched=self.watched,
            catalog=self.catalog,
            slots=DiscoverySlots(
                self.watched.jobs.store,
                self.catalog,
                operator_namespace=OPERATOR_NAMESPACE,
                limit=1,
                clock=self.clock,
                wake=nobody,
            ),
            options=OPTIONS,
            operator_namespace=OPERATOR_NAMESPACE,
            cluster=True,
        )
        return await templates.gather(TEMPLATES.ref(self.template), self.template, NOW)

    async def observed_cache(self) -> ModelCacheObserved:
        watched = self.watched
        caches = ModelCaches(
            client=self.client,
            watched=watched,
            catalog=self.catalog,
            options=DOWNLOADS,
            downloads=DownloadProgress(self.client, clock=self.clock, wake=nobody),
            foreign=ForeignWatches(self.client, clock=self.clock),
            wake=nobody,
            slots=DownloadSlots(
                watched.jobs.store, watched.model_caches.store, limit=1, clock=self.clock, wake=nobody
            ),
        )
        return await caches.gather(MODEL_CACHES.ref(self.cache), self.cache, NOW)

    def job(self, where: str, owner: str) -> None:
        name = where.partition("/")[2]
        metadata = {"uid": f"uid of Job {name}", "ownerReferences": [owner]}
        self.new("jobs", where, metadata=metadata)

    def pods_of(self, job: str) -> None:
        """One that the Job made, and one that somebody labelled as its."""
        self.new("pods", "team/made", metadata={"labels": {JOB: job}, "ownerReferences": [f"of Job {job}"]})
        self.new("pods", "team/labelled", metadata={"labels": {JOB: job}})


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.mark.parametrize(
    "children", ["inference_services", "http_routes", "disruption_budgets", "scaled_objects"]
)
@pytest.mark.parametrize(
    ("owner", "ours"),
    [
        pytest.param("of AIMService chat", True, id="the service's own counts"),
        pytest.param("of AIMService another", False, id="that of another object of the name does not"),
    ],
)
async def test_an_object_of_a_services_name_is_its_own_by_its_owner(
    team: Team, children: str, owner: str, *, ours: bool
) -> None:
    team.new(children, "team/chat", metadata={"ownerReferences": [owner]}, spec={})
    observed = await team.observed_service()
    assert (getattr(observed, children.removesuffix("s")) is not None) is ours


async def test_a_job_of_another_namespace_is_no_discovery_whatever_owner_it_names(team: Team) -> None:
    name = discovery_job_name("fast", "of former inputs")
    team.job(f"team/{name}", "of AIMServiceTemplate fast")
    team.job(f"elsewhere/{name}", "of AIMServiceTemplate fast")
    jobs = (await team.observed_template()).jobs
    assert [job.metadata.namespace for job in jobs] == ["team"]


async def test_a_copy_of_a_job_under_another_name_is_its_makers(team: Team) -> None:
    """`kubectl get job -o yaml`, another name, `kubectl create`: labels and owner come along."""
    team.job("team/my-discovery", "of AIMServiceTemplate fast")
    team.job("team/my-download", "of AIMModelCache files")
    cache = await team.observed_cache()
    assert ((await team.observed_template()).jobs, cache.jobs, cache.listing_jobs) == ((), (), ())


@pytest.mark.parametrize(
    ("owner", "counts"),
    [
        pytest.param("chat-predictor-7d9f8b6c5", True, id="made by the service's Deployment"),
        pytest.param("copy-of-chat-predictor-7d9f8b6c5", False, id="of somebody's copy of its Deployment"),
        pytest.param("chat-predictor-debug-7d9f8b6c5", False, id="of a copy with a name like it"),
        pytest.param("", True, id="of nobody: by its labels the ReplicaSet takes it over"),
    ],
)
async def test_a_pod_that_somebody_labelled_says_nothing_about_a_service(
    team: Team, owner: str, *, counts: bool
) -> None:
    found = {INFERENCE_SERVICE_LABEL: "chat"}
    owners = {"ownerReferences": [f"of ReplicaSet {owner}"]} if owner else {}
    team.new("pods", "team/labelled", metadata={"labels": found, **owners})
    assert [pod.metadata.name for pod in (await team.observed_service()).pods] == ["labelled"] * counts


@pytest.mark.parametrize(
    ("metadata", "counts"),
    [
        pytest.param({"ownerReferences": ["of AIMServiceTemplate fast"]}, True, id="the template's"),
        pytest.param({"annotations": APPLIED}, True, id="one that came back from a backup"),
        pytest.param({}, False, id="one that somebody labelled as ours"),
        pytest.param({"ownerReferences": ["of Deployment fast"]}, False, id="one that something else has"),
    ],
)
async def test_a_runtime_of_somebody_is_not_the_one_that_a_service_runs_on(
    team: Team, metadata: dict[str, Any], *, counts: bool
) -> None:
    team.new("serving_runtimes", "team/fast", metadata=metadata)
    active = {
        "image": "x/llama:1",
        "resolvedImage": {"kind": "AIMImage", "name": "llama", "scope": "Namespace"},
        "resolvedTemplate": {"kind": "AIMServiceTemplate", "name": "fast", "scope": "Namespace"},
    }
    team.service = team.edit("services", "team/chat", status={"active": active})
    assert ((await team.observed_service()).runtimes == {"fast"}) is counts


async def test_a_warning_about_somebodys_inference_service_is_not_the_services(team: Team) -> None:
    team.new("inference_services", "team/chat", metadata={"uid": "theirs"})
    team.new("kserve_warnings", "team/w", reason="Broken", involvedObject={"uid": "theirs"})
    assert (await team.observed_service()).kserve_warnings == ()


@pytest.mark.parametrize(("namespace", "words"), [("team", "no room"), ("elsewhere", "")])
async def test_an_event_that_another_namespace_forged_is_quoted_by_nobody(
    team: Team, namespace: str, words: str
) -> None:
    """The API server compares its namespace with that of its object, but never looks for the object's uid."""
    discovery = discovery_job_name("fast", (await team.observed_template()).digest)
    listing = listing_job_name("files", digests.listing(team.cache, RuntimeConfig(), DOWNLOADS))
    team.job(f"team/{discovery}", "of AIMServiceTemplate fast")
    team.job(f"team/{listing}", "of AIMModelCache files")
    for children in ("inference_services", "scaled_objects"):
        owned = {"uid": f"uid of {children}", "ownerReferences": ["of AIMService chat"]}
        team.new(children, "team/chat", metadata=owned, spec={})
    for events, uid in (
        ("refusals", f"uid of Job {discovery}"),
        ("refusals", f"uid of Job {listing}"),
        ("kserve_warnings", "uid of inference_services"),
        ("keda_warnings", "uid of scaled_objects"),
    ):
        involved = {"namespace": namespace, "name": "x", "uid": uid}
        team.new(events, f"{namespace}/{uid}", reason="Failed", message="no room", involvedObject=involved)
    service = await team.observed_service()
    assert (await team.observed_template()).refusal == words
    assert (await team.observed_cache()).refusal == words
    assert service.keda_warning == words
    assert [event.message for event in service.kserve_warnings] == [words] * bool(words)


async def test_a_pod_that_somebody_labelled_says_nothing_about_a_discovery(team: Team) -> None:
    name = discovery_job_name("fast", (await team.observed_template()).digest)
    team.job(f"team/{name}", "of AIMServiceTemplate fast")
    team.pods_of(name)
    assert [pod.metadata.name for pod in (await team.observed_template()).pods] == ["made"]


async def test_a_job_of_another_namespace_is_no_download_whatever_owner_it_names(team: Team) -> None:
    name = download_job_name("files", "of former inputs")
    team.job(f"team/{name}", "of AIMModelCache files")
    team.job(f"elsewhere/{name}", "of AIMModelCache files")
    jobs = (await team.observed_cache()).jobs
    assert [job.metadata.namespace for job in jobs] == ["team"]


async def test_a_pod_that_somebody_labelled_says_nothing_about_a_download(team: Team) -> None:
    name = listing_job_name("files", digests.listing(team.cache, RuntimeConfig(), DOWNLOADS))
    team.job(f"team/{name}", "of AIMModelCache files")
    team.pods_of(name)
    assert [pod.metadata.name for pod in (await team.observed_cache()).pods] == ["made"]


OWN = claim_name("files", "uid of AIMModelCache files")
FORMER = claim_name("files", "uid before the backup")


@pytest.mark.parametrize(
    ("name", "metadata", "found"),
    [
        pytest.param(OWN, {"ownerReferences": ["of AIMModelCache files"]}, True, id="its own"),
        pytest.param(OWN, {}, False, id="one that a user made under its name"),
        pytest.param(OWN, {"ownerReferences": ["of AIMModelCache another"]}, False, id="another's"),
        pytest.param(
            FORMER,
            {"ownerReferences": ["of AIMModelCache files"], "annotations": APPLIED},
            True,
            id="one that came back from a backup and was adopted",
        ),
        pytest.param(
            FORMER,
            {"ownerReferences": ["of AIMModelCache files"]},
            False,
            id="one that a user made and gave the cache for an owner",
        ),
    ],
)
def test_which_claim_a_model_cache_has(
    team: Team, name: str, metadata: dict[str, Any], *, found: bool
) -> None:
    team.new("claims", f"team/{name}", metadata=metadata)
    assert (claim_of(team.watched.claims.store, team.cache) is not None) is found


LEFT = {"labels": {labels.MODEL_CACHE: "files"}, "annotations": APPLIED}


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        pytest.param(LEFT, True, id="one without an owner is used again"),
        pytest.param(
            {**LEFT, "deletionTimestamp": "2026-01-31T12:00:00Z"}, False, id="not one that is going"
        ),
        pytest.param({**LEFT, "annotations": {}}, False, id="not one that a user made"),
        pytest.param({**LEFT, "ownerReferences": ["of AIMModelCache another"]}, False, id="not another's"),
    ],
)
def test_which_claim_came_back_from_a_backup(team: Team, metadata: dict[str, Any], *, found: bool) -> None:
    team.new("claims", f"team/{FORMER}", metadata=metadata)
    assert (left_behind(team.watched.claims.store, team.cache) is not None) is found


def test_a_derived_template_is_never_taken_for_one_that_means_the_same(team: Team) -> None:
    """It goes with the last service that derived it; another may not come to depend on it."""
    derived = make_derived_template(metric="latency")
    spec = {"aimImageName": "llama", "metric": "latency"}
    team.new("templates", f"team/{derived.metadata.name}", metadata=DERIVED, spec=spec)
    equal = team.new("templates", "team/equal", spec=spec)
    found = team.catalog.templates_that_mean("team", meaning.digest_of(equal))
    assert [template.metadata.name for template in found] == ["equal"]


@pytest.mark.parametrize("filled", [True, False], ids=["there", "gone"])
async def test_files_on_a_claim_of_the_users_own_are_not_lost_while_their_cache_has_them(
    team: Team, *, filled: bool
) -> None:
    """The operator does not watch such a claim for the service; its cache knows."""
    active = {
        "image": "x/llama:1",
        "resolvedImage": {"kind": "AIMImage", "name": "llama", "scope": "Namespace"},
        "resolvedTemplate": {"kind": "AIMServiceTemplate", "name": "fast", "scope": "Namespace"},
        "mounts": [{"model": "llama", "claim": "disk"}],
    }
    team.service = team.edit("services", "team/chat", status={"active": active})
    if filled:
        status = {"status": "Available", "persistentVolumeClaim": "disk"}
        spec = {"sourceUri": "hf://example/llama", "existingClaim": {"name": "disk"}}
        team.edit("model_caches", "team/files", spec=spec, status=status)
    assert (await team.observed_service()).lost_claims == (frozenset() if filled else {"disk"})
