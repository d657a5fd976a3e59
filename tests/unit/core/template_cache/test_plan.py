"""Decisions about one template cache: which model caches it makes, and the worst of their states."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import convert, structs

from aim_operator.api.plan import OutcomeType, Plan
from aim_operator.api.v1alpha1 import AIMModelCache, AIMTemplateCacheStatus, ModelSource, Scheduling, Storage
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import conditions, labels
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from aim_operator.core.naming import model_cache_name
from aim_operator.core.template_cache.desired import required_files
from aim_operator.core.template_cache.observed import SourceObserved, TemplateCacheObserved
from aim_operator.core.template_cache.plan import decide
from tests.support.cache_builders import OURS, make_model_cache, make_template_cache
from tests.support.outcomes import Trouble, problem, report_of
from tests.support.service_builders import make_image, make_service, make_template, make_template_status
from tests.support.status import assert_status_well_formed

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SOURCE = ModelSource(name="example/model", source_uri="hf://example/model", size="9094593249")
OTHER = ModelSource(name="example/draft", source_uri="hf://example/draft", size="1073741824")


ON_GPU = {"placement": {"gpuModel": "MI300X"}}
"""What the template's profile needs."""


def source_observed(source: ModelSource = SOURCE, **fields: Any) -> SourceObserved:
    return SourceObserved(source=source, name=model_cache_name(source.source_uri, ""), **fields)


def observed(*sources: SourceObserved, **fields: Any) -> TemplateCacheObserved:
    base: dict[str, Any] = {
        "cache": make_template_cache(),
        "template": make_template(),
        "image": make_image(),
        "runtime_config": RuntimeConfig(),
        "sources": sources or (source_observed(),),
    }
    return TemplateCacheObserved(**{**base, **fields})


def planned(seen: TemplateCacheObserved) -> Plan[AIMTemplateCacheStatus]:
    return decide(seen, now=NOW)


def stands(plan: Plan[AIMTemplateCacheStatus]) -> tuple[str, str]:
    assert plan.status is not None
    assert_status_well_formed(plan.status)
    ready = conditions.find(plan.status.conditions or (), c.READY)
    assert ready is not None
    return plan.status.status or "", ready.reason


def in_state(state: str, reason: str, *, ours: bool = True) -> AIMModelCache:
    status: dict[str, Any] = {
        "status": state,
        "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "words"}],
    }
    name = model_cache_name(SOURCE.source_uri, "")
    return make_model_cache(name, status=status, metadata=OURS if ours else {})


def held(state: str, reason: str, source: ModelSource = SOURCE, **more: Any) -> SourceObserved:
    return source_observed(source, cache=in_state(state, reason, **more))


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        pytest.param(observed(template=None), ("Degraded", "TemplateNotFound"), id="no template"),
        pytest.param(
            observed(template=make_template(status=make_template_status("Progressing", sources=()))),
            ("Pending", "TemplateNotAvailable"),
            id="a template that discovers",
        ),
        pytest.param(
            observed(
                template=make_template(
                    status=make_template_status("Failed", reason="DiscoveryFailed", sources=())
                )
            ),
            ("Degraded", "DiscoveryFailed"),
            id="a template that failed",
        ),
        pytest.param(
            observed(template=make_template(status=make_template_status(sources=()))),
            ("Degraded", "NoModelSources"),
            id="a template without sources",
        ),
        pytest.param(
            observed(runtime_config=MissingRuntimeConfig("gone")),
            ("Degraded", "RuntimeConfigMissing"),
            id="no configuration",
        ),
        pytest.param(observed(), ("Pending", "WaitingForCache"), id="a cache about to be made"),
        pytest.param(
            observed(source_observed(taken=True)),
            ("Degraded", "NameConflict"),
            id="a taken name",
        ),
        pytest.param(
            observed(source_observed(structs.replace(SOURCE, size=None))),
            ("Pending", "WaitingForCache"),
            id="a source of unknown size",
        ),
        pytest.param(observed(held("Available", "Downloaded")), ("Available", "CacheWarm"), id="all there"),
        pytest.param(
            observed(held("Available", "Downloaded"), held("Progressing", "Downloading", OTHER)),
            ("Progressing", "Downloading"),
            id="one of two there",
        ),
        pytest.param(
            observed(held("Progressing", "Downloading"), held("Failed", "Stalled", OTHER)),
            ("Failed", "Stalled"),
            id="the worst speaks",
        ),
    ],
)
def test_where_a_template_cache_stands(seen: TemplateCacheObserved, want: tuple[str, str]) -> None:
    first = planned(seen)
    assert stands(first) == want
    assert first.status is not None
    again = planned(structs.replace(seen, cache=structs.replace(seen.cache, status=first.status)))
    assert (again.status, again.events) == (first.status, ())


NAME = model_cache_name(SOURCE.source_uri, "")
REMEDY = "delete it, or create an AIMModelCache for this source under another name"


@pytest.mark.parametrize(
    ("trouble", "want"),
    [
        pytest.param(
            Trouble("AIMModelCache", OutcomeType.REFUSED, "exceeded\nquota"),
            ("Failed", "DownloadFailed", "the AIMModelCache was refused: exceeded quota"),
            id="it is refused",
        ),
        pytest.param(
            Trouble("AIMModelCache", OutcomeType.FOREIGN),
            (
                "Degraded",
                "NameConflict",
                f"AIMModelCache {NAME!r} exists and is not managed by the operator; {REMEDY}",
            ),
            id="its name is taken",
        ),
        pytest.param(
            Trouble("AIMModelCache", OutcomeType.FAILED, "no answer"),
            (
                "Degraded",
                "WriteFailed",
                "the AIMModelCache can't be written, the operator tries again: no answer",
            ),
            id="the API server does not answer",
        ),
        pytest.param(
            Trouble("AIMModelCache", OutcomeType.GOING_AWAY),
            (
                "Pending",
                "WaitingForDeletion",
                f"waiting for the previous AIMModelCache {NAME!r} to be deleted",
            ),
            id="the previous one goes away",
        ),
    ],
)
def test_a_model_cache_that_could_not_be_made_is_in_the_status(
    trouble: Trouble, want: tuple[str, str, str]
) -> None:
    seen = observed()
    first = report_of(planned(seen), trouble)
    assert_status_well_formed(first.status)
    ready = conditions.find(first.status.conditions or (), c.READY)
    assert ready is not None
    state, reason, message = want
    assert (first.status.status, ready.reason) == (state, reason)
    assert ready.message == f"{SOURCE.source_uri}: {message}"
    written = structs.replace(seen, cache=structs.replace(seen.cache, status=first.status))
    again = report_of(planned(written), trouble)
    assert (again.status, again.events) == (first.status, ())


def test_each_source_has_its_own_problem() -> None:
    """What keeps one model cache from being made says nothing about the next source."""
    plan = planned(observed(source_observed(), source_observed(OTHER)))
    name = model_cache_name(OTHER.source_uri, "")
    assert plan.report is not None
    status = plan.report(problem(plan, "AIMModelCache", OutcomeType.REFUSED, "no", name=name)).status
    ready = conditions.find(status.conditions or (), c.READY)
    assert ready is not None
    assert ready.message == f"{OTHER.source_uri}: the AIMModelCache was refused: no"


def test_references_that_can_not_be_updated_do_not_hide_how_the_download_goes() -> None:
    plan = planned(observed(held("Progressing", "Downloading")))
    told = report_of(plan, Trouble("AIMModelCache", OutcomeType.REFUSED, "no")).status
    usual = plan.status
    assert usual is not None
    assert told.status == usual.status
    for one, other in zip(told.conditions or (), usual.conditions or (), strict=True):
        assert (one.type, one.status, one.reason) == (other.type, other.status, other.reason)
        words = "its settings can't be brought up to date: the AIMModelCache was refused: no"
        assert one.message == f"{other.message}; {words}"


def test_a_missing_model_cache_is_made_from_the_source_without_an_owner() -> None:
    (child,) = planned(observed()).children
    metadata = child.manifest["metadata"]
    assert metadata["name"] == model_cache_name(SOURCE.source_uri, "")
    assert "ownerReferences" not in metadata
    assert metadata["labels"][labels.MANAGED_BY] == labels.CONTROLLER
    assert child.manifest["spec"] == {"sourceUri": SOURCE.source_uri, "size": SOURCE.size, **ON_GPU}


def variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


@pytest.mark.parametrize(
    ("caching", "cache", "want"),
    [
        pytest.param({}, {}, {"size": SOURCE.size}, id="none"),
        pytest.param(
            {"include": ["b", "a", "b"], "exclude": ["c"]},
            {},
            {"include": ["a", "b"], "exclude": ["c"]},
            id="the template's",
        ),
        pytest.param(
            {"include": ["a"], "exclude": ["c"]},
            {"include": ["z"]},
            {"include": ["z"], "exclude": ["c"]},
            id="each list of the cache's own",
        ),
        pytest.param(
            {"include": ["a"]}, {"include": []}, {"size": SOURCE.size}, id="an empty one of its own"
        ),
    ],
)
def test_patterns_choose_the_files_whose_size_discovery_does_not_know(
    caching: dict[str, Any], cache: dict[str, Any], want: dict[str, Any]
) -> None:
    seen = observed(template=make_template(caching=caching), cache=make_template_cache(**cache))
    (child,) = planned(seen).children
    assert child.manifest["spec"] == {"sourceUri": SOURCE.source_uri, **want, **ON_GPU}


def test_a_source_of_unknown_size_is_cached_and_its_size_is_shown_once_it_is_found() -> None:
    source = structs.replace(SOURCE, size=None)
    (child,) = planned(observed(source_observed(source))).children
    assert child.manifest["spec"] == {"sourceUri": SOURCE.source_uri, **ON_GPU}
    live = make_model_cache(child.name, size=None, status={"size": "8.47Gi"}, metadata=OURS)
    plan = planned(observed(source_observed(cache=live)))
    assert plan.status is not None
    assert [model.size for model in plan.status.model_caches or ()] == ["8.47Gi"]
    (child,) = plan.children
    assert "size" not in child.manifest["spec"], "what discovery learnt later does not change it"


def test_references_come_from_template_and_cache() -> None:
    template = make_template(
        env=[
            variable("HF_TOKEN", "template"),
            variable("HTTPS_PROXY", "template"),
            variable("VLLM_LOGGING_LEVEL", "of the server alone"),
        ],
        caching={"enabled": True, "env": [variable("HTTPS_PROXY", "caching")]},
        imagePullSecrets=[{"name": "registry"}],
        runtimeConfigName="ours",
    )
    cache = make_template_cache(
        storageClassName="gold", env=[variable("NO_PROXY", "cache")], imagePullSecrets=[{"name": "own"}]
    )
    (child,) = planned(observed(cache=cache, template=template)).children
    spec = child.manifest["spec"]
    assert spec["env"] == [
        variable("HF_TOKEN", "template"),
        variable("HTTPS_PROXY", "caching"),
        variable("NO_PROXY", "cache"),
    ]
    assert spec["imagePullSecrets"] == [{"name": "registry"}, {"name": "own"}]
    assert (spec["storageClassName"], spec["runtimeConfigName"]) == ("gold", "ours")


def test_the_operators_own_takes_the_environment_and_configuration_of_its_service() -> None:
    template = make_template(
        env=[variable("HF_TOKEN", "template"), variable("NO_PROXY", "template")],
        caching={"enabled": True, "env": [variable("HF_TOKEN", "caching")]},
        runtimeConfigName="of-template",
    )
    service = make_service(
        env=[variable("HF_TOKEN", "service"), variable("VLLM_LOGGING_LEVEL", "DEBUG")],
        runtimeConfigName="of-service",
    )
    (child,) = planned(observed(template=template, service=service)).children
    assert child.manifest["spec"]["env"] == [
        variable("HF_TOKEN", "service"),
        variable("NO_PROXY", "template"),
    ]
    assert child.manifest["spec"]["runtimeConfigName"] == "of-service"


@pytest.mark.parametrize(
    ("source", "want"),
    [
        pytest.param(held("Progressing", "Downloading"), 1, id="our own is kept up to date"),
        pytest.param(held("Progressing", "Downloading", ours=False), 0, id="a user's is left alone"),
        pytest.param(
            source_observed(cache=make_model_cache("mine", metadata=OURS)),
            0,
            id="a copy made by hand with its labels under another name is left alone",
        ),
        pytest.param(
            structs.replace(held("Progressing", "Downloading"), senior=False), 0, id="an older one sees to it"
        ),
    ],
)
def test_who_keeps_the_references_of_a_cache(source: SourceObserved, want: int) -> None:
    assert len(planned(observed(source)).children) == want


def test_what_a_cache_holds_and_where_is_settled() -> None:
    name = model_cache_name(SOURCE.source_uri, "bronze")
    live = make_model_cache(name, size="3Gi", storageClassName="bronze", metadata=OURS)
    seen = observed(source_observed(cache=live), cache=make_template_cache(storageClassName="gold"))
    (child,) = planned(seen).children
    assert child.manifest["metadata"]["name"] == name
    assert (child.manifest["spec"]["size"], child.manifest["spec"]["storageClassName"]) == ("3Gi", "bronze")


def test_the_operators_own_goes_when_nobody_asks_for_it_a_users_never() -> None:
    assert planned(observed(cache=make_template_cache(ours=True), requested=False)).removals
    for theirs in (make_template_cache(), make_template_cache("a-copy", ours=True)):
        plan = planned(observed(cache=theirs, requested=False))
        assert not plan.removals
        assert plan.status is not None


def test_events_tell_when_it_is_warm_and_when_it_can_not_get_so() -> None:
    assert [e.reason for e in planned(observed(held("Available", "Downloaded"))).events] == ["CacheReady"]
    (failed,) = planned(observed(held("Failed", "Stalled"))).events
    assert (failed.type, failed.reason) == ("Warning", "Stalled")
    assert planned(observed(held("Progressing", "Downloading"))).events == ()


def test_a_cache_knows_where_the_model_is_served() -> None:
    template = make_template(scheduling={"nodeSelector": {"pool": "gpu"}})
    taint = {"key": "amd.com/gpu", "operator": "Exists"}
    (child,) = planned(
        observed(template=template, served=convert({"tolerations": [taint]}, Scheduling))
    ).children
    assert child.manifest["spec"]["placement"] == {
        "gpuModel": "MI300X",
        "scheduling": {"nodeSelector": {"pool": "gpu"}, "tolerations": [taint]},
    }


@pytest.mark.parametrize(
    ("modes", "want"),
    [
        pytest.param(None, None, id="many nodes mount the default"),
        pytest.param(("ReadWriteOnce", "ReadWriteMany"), None, id="many can"),
        pytest.param(("ReadWriteOnce",), "MI300X", id="one node has it"),
        pytest.param(("ReadWriteOncePod",), "MI300X", id="one Pod has it"),
    ],
)
def test_files_that_one_node_has_are_shared_only_by_templates_for_its_gpu(
    modes: tuple[str, ...] | None, want: str | None
) -> None:
    config = RuntimeConfig(storage=Storage(access_modes=modes))
    template = make_template()
    got = required_files(observed(template=template), template, config, SOURCE)
    assert got.gpu_model == want


def test_the_operators_own_goes_only_if_nobody_has_asked_for_it_meanwhile() -> None:
    """Whoever does changes nothing of it; but its status moves on, and so does its resourceVersion."""
    (removal,) = planned(observed(cache=make_template_cache(ours=True), requested=False)).removals
    assert removal.unchanged


def test_the_model_caches_that_were_made_stay_listed_while_the_template_is_missing() -> None:
    """They are in use all the same: what is not listed looks unused, and may go."""
    cache = make_template_cache(models={SOURCE.source_uri: "files"})
    status = planned(observed(cache=cache, template=None, sources=())).status
    assert status is not None
    assert [model.name for model in status.model_caches or ()] == ["files"]
