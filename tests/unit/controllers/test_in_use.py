"""What counts as in use, read from the stores: who is wrong here deletes what something runs on."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.api.v1alpha1 import MODEL_CACHES, TEMPLATE_CACHES, TEMPLATES
from aim_operator.controllers.download_progress import DownloadProgress
from aim_operator.controllers.download_slots import DownloadSlots
from aim_operator.controllers.model_caches import ModelCaches
from aim_operator.controllers.slots import DiscoverySlots
from aim_operator.controllers.template_caches import TemplateCaches
from aim_operator.controllers.templates import Templates
from aim_operator.core import labels
from aim_operator.core.model_cache.plan import DownloadOptions
from aim_operator.core.service.resolution import resolve
from aim_operator.core.template.observed import TemplateObserved
from aim_operator.errors import Unavailable
from aim_operator.runtime.foreign import ForeignWatches
from tests.support.cache_builders import OURS
from tests.support.filled_stores import FilledStores
from tests.support.template_builders import DERIVED, NOW, OPERATOR_NAMESPACE, OPTIONS

SOURCE = "hf://example/llama"
GOING = {"deletionTimestamp": "2026-01-31T12:00:00Z"}
OVERRIDES = {"model": "llama", "templateRef": "fast", "overrides": {"metric": "latency"}}


def nobody(_: Any) -> None:
    """Hears of it."""


class Team(FilledStores):
    """A namespace with an image, its template, a template derived from that, and caches of the operator."""

    def __init__(self) -> None:
        super().__init__()
        self.new("images", "team/llama", spec={"image": "x/llama:1"})
        self.new("templates", "team/fast", spec={"aimImageName": "llama"})
        asks = self.new("services", "team/chat", spec=OVERRIDES)
        derived = resolve(asks, self.catalog).derived
        assert derived is not None
        self.name, self.derived = derived.name, f"team/{derived.name}"
        self.delete("services", "team/chat")
        self.new("templates", self.derived, metadata=DERIVED, spec=derived.manifest["spec"])
        self.new("template_caches", "team/fast", metadata=OURS, spec=cache_of("fast"))
        self.new("model_caches", "team/files", spec={"sourceUri": SOURCE, "shared": True})

    async def template_in_use(self) -> bool:
        return (await self.observed_template()).in_use

    async def observed_template(self) -> TemplateObserved:
        slots = DiscoverySlots(
            self.watched.jobs.store,
            self.catalog,
            operator_namespace=OPERATOR_NAMESPACE,
            limit=1,
            clock=self.clock,
            wake=nobody,
        )
        templates = Templates(
            client=self.client,
            watched=self.watched,
            catalog=self.catalog,
            slots=slots,
            options=OPTIONS,
            operator_namespace=OPERATOR_NAMESPACE,
            cluster=True,
        )
        template = self.watched.templates.store.get(*self.derived.split("/"))
        assert template is not None
        return await templates.gather(TEMPLATES.ref(template), template, NOW)

    async def template_cache_requested(self) -> bool:
        caches = TemplateCaches(watched=self.watched, catalog=self.catalog)
        cache = self.watched.template_caches.store.get("team", "fast")
        assert cache is not None
        return (await caches.gather(TEMPLATE_CACHES.ref(cache), cache, NOW)).requested

    async def model_cache_in_use(self) -> bool:
        caches = ModelCaches(
            client=self.client,
            watched=self.watched,
            catalog=self.catalog,
            options=DownloadOptions(image="x/fetch:1", requests={}),
            downloads=DownloadProgress(self.client, clock=self.clock, wake=nobody),
            foreign=ForeignWatches(self.client, clock=self.clock),
            wake=nobody,
            slots=DownloadSlots(
                self.watched.jobs.store,
                self.watched.model_caches.store,
                limit=1,
                clock=self.clock,
                wake=nobody,
            ),
        )
        cache = self.watched.model_caches.store.get("team", "files")
        assert cache is not None
        observed = await caches.gather(MODEL_CACHES.ref(cache), cache, NOW)
        return observed.in_use


def cache_of(template: str) -> dict[str, Any]:
    return {"templateRef": template, "templateScope": "Namespace"}


def uses(template: str, **status: Any) -> dict[str, Any]:
    return {
        "resolvedTemplate": {"kind": "AIMServiceTemplate", "name": template, "scope": "Namespace"},
        **status,
    }


def made_of(template: str, **more: Any) -> dict[str, Any]:
    return {
        "image": "x/llama:1",
        "resolvedImage": {"kind": "AIMImage", "name": "llama", "scope": "Namespace"},
        "resolvedTemplate": {"kind": "AIMServiceTemplate", "name": template, "scope": "Namespace"},
        **more,
    }


@pytest.fixture
def team() -> Team:
    return Team()


# A derived template


async def test_a_derived_template_that_nothing_names_is_in_use_by_nobody(team: Team) -> None:
    team.new("services", "team/chat", spec={"model": "llama", "templateRef": "fast"})
    assert not await team.template_in_use()


async def test_a_derived_template_is_in_use_while_an_inference_service_runs_on_it(team: Team) -> None:
    """Its service may want another one already, or be gone."""
    runtime = {"runtime": team.name}
    team.new("inference_services", "team/chat", spec={"predictor": {"model": runtime}})
    assert await team.template_in_use()


async def test_a_derived_template_is_in_use_while_a_services_status_names_it(team: Team) -> None:
    """Its overrides are gone, but it has not moved yet."""
    status = uses(team.name)
    team.new("services", "team/chat", spec={"model": "another"}, status=status)
    assert await team.template_in_use()


async def test_a_derived_template_is_in_use_while_a_services_workload_was_made_of_it(team: Team) -> None:
    """The status names the next template already."""
    status = uses("fast", active=made_of(team.name))
    team.new("services", "team/chat", spec={"model": "another"}, status=status)
    assert await team.template_in_use()


async def test_a_derived_template_is_in_use_while_the_server_alone_shows_what_runs_on_it(team: Team) -> None:
    """The watch of InferenceServices stalls."""
    live = {"metadata": {"name": "chat", "namespace": "team", "labels": {labels.TEMPLATE: team.name}}}
    team.client.put(INFERENCE_SERVICES, {**live, "spec": {}})
    observed = await team.observed_template()
    assert (observed.in_use, observed.use_unseen) == (True, True), "and it is looked at again by itself"


async def test_a_derived_template_is_in_use_by_an_inference_service_that_can_not_be_decoded(
    team: Team,
) -> None:
    marked = {"name": "chat", "namespace": "team", "labels": {labels.TEMPLATE: team.name}}
    team.client.put(INFERENCE_SERVICES, {"metadata": marked, "spec": {}, "status": "of another version"})
    assert await team.template_in_use()


async def test_a_derived_template_is_in_use_while_the_server_can_not_be_asked(team: Team) -> None:
    async def down(call: Any) -> None:
        raise Unavailable(f"{call.verb}: down")

    team.client.gate = down
    assert await team.template_in_use()


async def test_the_server_is_not_asked_about_a_derived_template_that_is_seen_to_be_in_use(
    team: Team,
) -> None:
    """At rest the operator asks for nothing."""
    asked = []

    async def noted(call: Any) -> None:
        asked.append(call.verb)

    team.client.gate = noted
    team.new("services", "team/chat", spec=OVERRIDES)
    assert await team.template_in_use()
    assert not asked


async def test_a_derived_template_is_in_use_by_a_service_that_comes_while_the_server_is_asked(
    team: Team,
) -> None:
    async def comes(_: Any) -> None:
        team.new("services", "team/chat", spec=OVERRIDES)

    team.client.gate = comes
    assert await team.template_in_use()


async def test_a_derived_template_is_in_use_by_a_service_that_has_not_said_so_yet(team: Team) -> None:
    team.new("services", "team/chat", spec=OVERRIDES)
    assert await team.template_in_use()


async def test_a_derived_template_is_not_in_use_by_a_service_that_is_being_deleted(team: Team) -> None:
    team.new("services", "team/chat", metadata=GOING, spec=OVERRIDES)
    assert not await team.template_in_use()


async def test_a_derived_template_is_in_use_while_a_service_can_not_be_decoded(team: Team) -> None:
    team.spoil("services", "team/strange")
    assert await team.template_in_use()


# The operator's template cache


async def test_a_template_cache_that_nobody_wants_is_not_requested(team: Team) -> None:
    team.new("services", "team/chat", spec={"model": "llama", "templateRef": "fast"})
    assert not await team.template_cache_requested()


async def test_a_template_cache_is_requested_by_a_service_that_resolves_to_its_template(team: Team) -> None:
    team.new("services", "team/chat", spec={"model": "llama", "templateRef": "fast", "cacheModel": True})
    assert await team.template_cache_requested()


async def test_a_template_cache_is_requested_by_a_service_that_used_it_and_resolves_to_nothing(
    team: Team,
) -> None:
    team.new("services", "team/chat", spec={"model": "gone", "cacheModel": True}, status=uses("fast"))
    assert await team.template_cache_requested()


async def test_a_template_cache_is_requested_by_its_template(team: Team) -> None:
    team.edit("templates", "team/fast", spec={"aimImageName": "llama", "caching": {"enabled": True}})
    assert await team.template_cache_requested()


async def test_a_template_cache_is_not_requested_by_a_service_on_another_template_of_the_image(
    team: Team,
) -> None:
    team.new("templates", "team/other", spec={"aimImageName": "llama"})
    team.new("services", "team/chat", spec={"model": "llama", "templateRef": "other", "cacheModel": True})
    assert not await team.template_cache_requested()


async def test_a_template_cache_is_requested_by_a_service_that_runs_on_its_template_without_a_status(
    team: Team,
) -> None:
    """The status is not written yet, or was lost with a backup; the image is gone as well."""
    team.new("services", "team/chat", spec={"model": "gone", "cacheModel": True})
    assert not await team.template_cache_requested()
    team.new("inference_services", "team/chat", spec={"predictor": {"model": {"runtime": "fast"}}})
    assert await team.template_cache_requested()


async def test_a_template_cache_is_requested_by_a_service_that_used_it_while_its_template_is_gone(
    team: Team,
) -> None:
    """A template may be made again; what the service mounts is downloaded already."""
    team.delete("templates", "team/fast")
    assert not await team.template_cache_requested()
    team.new("services", "team/chat", spec={"model": "llama", "cacheModel": True}, status=uses("fast"))
    assert await team.template_cache_requested()


async def test_a_template_cache_is_not_requested_by_a_service_that_is_being_deleted(team: Team) -> None:
    spec = {"model": "llama", "templateRef": "fast", "cacheModel": True}
    team.new("services", "team/chat", metadata=GOING, spec=spec, status=uses("fast"))
    assert not await team.template_cache_requested()


async def test_a_template_cache_is_requested_while_a_service_can_not_be_decoded(team: Team) -> None:
    team.spoil("services", "team/strange")
    assert await team.template_cache_requested()


async def test_a_template_cache_is_not_requested_beside_one_that_a_user_shares(team: Team) -> None:
    team.new("services", "team/chat", spec={"model": "llama", "templateRef": "fast", "cacheModel": True})
    team.new("template_caches", "team/shared", spec={**cache_of("fast"), "shared": True})
    assert not await team.template_cache_requested()


async def test_a_template_cache_is_not_requested_by_a_service_that_uses_a_namesake_in_the_other_scope(
    team: Team,
) -> None:
    """The namesake's own cache has the same name: it can be made once this one is gone."""
    team.new("cluster_templates", "/fast", spec={"aimImageName": "llama"})
    team.new("services", "team/chat", spec={"model": "llama", "cacheModel": True}, status=uses("fast"))
    assert await team.template_cache_requested()
    team.edit("template_caches", "team/fast", spec={"templateRef": "fast", "templateScope": "Cluster"})
    assert not await team.template_cache_requested()


# A model cache


async def test_a_model_cache_that_nothing_names_is_in_use_by_nobody(team: Team) -> None:
    assert not await team.model_cache_in_use()


async def test_a_model_cache_is_in_use_by_a_template_cache_that_lists_it(team: Team) -> None:
    listed = [{"sourceUri": SOURCE, "name": "files"}]
    team.edit("template_caches", "team/fast", status={"modelCaches": listed})
    assert await team.model_cache_in_use()


async def test_a_model_cache_is_in_use_by_a_template_cache_that_looks_for_its_source(team: Team) -> None:
    team.edit("template_caches", "team/fast", status={"modelCaches": [{"sourceUri": SOURCE}]})
    assert await team.model_cache_in_use()


async def test_a_model_cache_is_in_use_by_a_model_server_that_mounts_its_claim(team: Team) -> None:
    """Its template cache may be gone by now."""
    team.edit("model_caches", "team/files", spec={"sourceUri": SOURCE, "existingClaim": {"name": "disk"}})
    active = made_of("fast", mounts=[{"model": "llama", "claim": "disk"}])
    team.new("services", "team/chat", spec={"model": "gone"}, status=uses("fast", active=active))
    assert await team.model_cache_in_use()


@pytest.mark.parametrize("informer", ["services", "template_caches"])
async def test_a_model_cache_is_in_use_while_what_may_use_it_can_not_be_decoded(
    team: Team, informer: str
) -> None:
    team.spoil(informer, "team/strange")
    assert await team.model_cache_in_use()
