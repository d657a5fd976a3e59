"""A service's cache: when it waits, what it mounts, and what it says when the files are gone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.external import InferenceService
from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import ActiveMount, AIMModelCache, AIMService, AIMTemplateCache
from aim_operator.core.service.cache_plan import CachePlan, filled_claim, mounted_claims, plan_cache
from aim_operator.core.service.observed import ServiceObserved
from tests.support.cache_builders import make_model_cache, make_template_cache
from tests.support.service_builders import (
    FakeCatalog,
    make_cluster_template,
    make_image,
    make_inference_service,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_template_status,
)

SOURCE = "hf://example/model"
WARM = make_template_cache(
    ready="True/CacheWarm: all there", status="Available", models={SOURCE: "example-model"}, ours=True
)


def filled(name: str = "example-model", claim: str = "claim-1") -> AIMModelCache:
    return make_model_cache(name, status={"status": "Available", "persistentVolumeClaim": claim})


def observed(service: AIMService | None = None, **seen: Any) -> ServiceObserved:
    return make_service_observed(service or make_service(cacheModel=True), **seen)


def mounting(*claims: str) -> InferenceService:
    spec = {"predictor": {"volumes": [{"persistentVolumeClaim": {"claimName": name}} for name in claims]}}
    return structs.replace(make_inference_service(ready=True), spec=msgspec.Raw(msgspec.json.encode(spec)))


def told(plan: CachePlan) -> tuple[str, str, str]:
    judgement = plan.summary
    return ("True" if judgement.ok else "False"), judgement.reason, judgement.state


def children(plan: CachePlan) -> list[str]:
    return [child.manifest["metadata"]["name"] for child in plan.children]


def test_without_a_wish_there_is_no_cache() -> None:
    plan = plan_cache(observed(make_service()))
    assert (told(plan), plan.children, plan.mounts) == (("True", "CachingNotRequested", "Running"), (), ())
    assert plan.summary.message == "Caching not requested"


def test_a_caching_template_is_a_wish_too() -> None:
    catalog = FakeCatalog(make_image(defaultServiceTemplate="fast"), make_template(caching={"enabled": True}))
    assert told(plan_cache(observed(make_service(), catalog=catalog)))[1] == "WaitingForCache"


WAITING: list[Any] = [
    pytest.param(
        {}, ("False", "WaitingForCache", "Pending"), "is being created", ["fast"], id="no cache yet"
    ),
    pytest.param(
        {
            "template_cache": make_template_cache(
                ready="False/Downloading: 40 %", status="Progressing", ours=True
            )
        },
        ("False", "WaitingForCache", "Pending"),
        "AIMTemplateCache 'fast': 40 %",
        ["fast"],
        id="it fills",
    ),
    pytest.param(
        {
            "template_cache": make_template_cache(
                "by-hand", ready="False/Downloading: 40 %", status="Progressing"
            )
        },
        ("False", "WaitingForCache", "Pending"),
        "AIMTemplateCache 'by-hand': 40 %",
        [],
        id="one made by hand fills: no other is made",
    ),
    pytest.param(
        {"template_cache": make_template_cache(ready="False/Stalled: no byte", status="Failed", ours=True)},
        ("False", "Stalled", "Degraded"),
        "no byte",
        ["fast"],
        id="it failed: the cause is told",
    ),
    pytest.param(
        {"template_cache_taken": True},
        ("False", "NameConflict", "Degraded"),
        "is about another template",
        [],
        id="its name is taken",
    ),
    pytest.param(
        {"template_cache": WARM, "model_caches": (filled(),)},
        ("False", "WaitingForCache", "Pending"),
        "all there",
        ["fast"],
        id="its claim is not seen yet",
    ),
    pytest.param(
        {
            "template_cache": WARM,
            "model_caches": (make_model_cache(status={"status": "Progressing"}),),
            "live_claims": frozenset({"claim-1"}),
        },
        ("False", "WaitingForCache", "Pending"),
        "all there",
        ["fast"],
        id="its model cache begins anew",
    ),
]


@pytest.mark.parametrize(("seen", "want", "message", "made"), WAITING)
def test_nothing_is_mounted_while(
    seen: dict[str, Any], want: tuple[str, str, str], message: str, made: list[str]
) -> None:
    plan = plan_cache(observed(**seen))
    assert (told(plan), plan.mounts, children(plan)) == (want, (), made)
    assert message in plan.summary.message


READY: dict[str, Any] = {
    "template_cache": WARM,
    "model_caches": (filled(),),
    "live_claims": frozenset({"claim-1"}),
}


def test_a_warm_cache_is_mounted_under_the_models_name() -> None:
    plan = plan_cache(observed(**READY))
    assert told(plan) == ("True", "CacheWarm", "Running")
    assert plan.mounts == (ActiveMount(model="example/model", claim="claim-1"),)


def test_a_folder_on_a_claim_of_the_users_own_is_mounted() -> None:
    existing = make_model_cache(
        size=None,
        existingClaim={"name": "claim-1", "subPath": "llama"},
        status={"status": "Available", "persistentVolumeClaim": "claim-1"},
    )
    plan = plan_cache(observed(**{**READY, "model_caches": (existing,)}))
    assert plan.mounts == (ActiveMount(model="example/model", claim="claim-1", sub_path="llama"),)


def test_what_is_waited_for_is_the_template_cache_and_what_would_do_if_it_were_shared_is_named() -> None:
    fills = make_template_cache(ready="False/Downloading: 40 %", status="Progressing", ours=True)
    summary = plan_cache(observed(template_cache=fills, unshared_template_cache="mine")).summary
    assert summary.blocker == ObjectRef("AIMTemplateCache", "team", "fast")
    words = "AIMTemplateCache 'mine' is for this template, and is not shared (spec.shared)"
    assert summary.message.endswith(words)


MIRROR = {"name": "HF_ENDPOINT", "value": "https://mirror.example.com"}


@pytest.mark.parametrize(
    ("cache", "model_cache", "want"),
    [
        pytest.param(WARM, filled(), False, id="not the hub's, where the configuration asks a mirror by now"),
        pytest.param(
            WARM,
            make_model_cache(
                size=None,
                existingClaim={"name": "claim-1"},
                status={"status": "Available", "persistentVolumeClaim": "claim-1"},
            ),
            True,
            id="but those on a claim of a user's, who knows where they are from",
        ),
        pytest.param(
            make_template_cache("mine", ready="True/CacheWarm: all there", models={SOURCE: "example-model"}),
            filled(),
            True,
            id="and those of a template cache that a user made",
        ),
    ],
)
def test_files_from_elsewhere_are_not_mounted(
    cache: AIMTemplateCache,
    model_cache: AIMModelCache,
    *,
    want: bool,
) -> None:
    seen: dict[str, Any] = {**READY, "template_cache": cache, "model_caches": (model_cache,)}
    mirrored = FakeCatalog(
        make_image(defaultServiceTemplate="fast"), make_template(), make_runtime_config(env=[MIRROR])
    )
    plan = plan_cache(observed(catalog=mirrored, **seen))
    assert bool(plan.mounts) is want


@pytest.mark.parametrize(
    ("source", "want"),
    [
        pytest.param("own", True, id="those that it asks for are"),
        pytest.param("mirror", False, id="those that its template asks for are not"),
    ],
)
def test_a_service_with_an_endpoint_of_its_own_mounts_the_files_from_there(
    source: str,
    *,
    want: bool,
) -> None:
    """A derived template keeps caching.env of its base, over which goes what the service says."""
    endpoint = {"name": "HF_ENDPOINT", "value": f"https://{source}.example.com"}
    status = {"status": "Available", "persistentVolumeClaim": "claim-1"}
    cache = make_model_cache("example-model", env=[endpoint], status=status)
    service = make_service(cacheModel=True, env=[{**endpoint, "value": "https://own.example.com"}])
    seen = observed(service, **{**READY, "model_caches": (cache,)})
    derived = make_template(caching={"enabled": True, "env": [MIRROR]})
    seen = structs.replace(seen, resolution=structs.replace(seen.resolution, template=derived))
    assert bool(plan_cache(seen).mounts) is want


def test_every_source_must_be_there() -> None:
    status = make_template_status(sources=(SOURCE, "hf://example/draft"))
    catalog = FakeCatalog(make_image(defaultServiceTemplate="fast"), make_template(status=status))
    assert not plan_cache(observed(catalog=catalog, **READY)).mounts
    both = make_template_cache(
        ready="True/CacheWarm: all",
        models={SOURCE: "example-model", "hf://example/draft": "draft"},
        ours=True,
    )
    seen: dict[str, Any] = {
        "template_cache": both,
        "model_caches": (filled(), filled("draft", "claim-2")),
        "live_claims": frozenset({"claim-1", "claim-2"}),
    }
    plan = plan_cache(observed(catalog=catalog, **seen))
    assert [mount.claim for mount in plan.mounts] == ["claim-1", "claim-2"]
    assert plan.summary.message == "2 cached models on the volumes"


def test_files_that_are_gone_under_a_model_server_degrade_the_service() -> None:
    again = make_template_cache(
        ready="False/Downloading: 10 %", status="Progressing", models={SOURCE: "example-model"}, ours=True
    )
    plan = plan_cache(observed(template_cache=again, inference_service=mounting("claim-0")))
    assert told(plan) == ("False", "CacheLost", "Degraded")
    assert "'claim-0'" in plan.summary.message
    assert "10 %" in plan.summary.message


def test_files_that_are_there_still_let_a_model_server_go_on() -> None:
    seen: dict[str, Any] = {"inference_service": mounting("claim-0"), "live_claims": frozenset({"claim-0"})}
    assert told(plan_cache(observed(**seen))) == ("False", "WaitingForCache", "Pending")


def test_the_cache_of_a_namespaced_template_is_owned_by_it_that_of_a_cluster_one_by_nobody() -> None:
    (child,) = plan_cache(observed()).children
    assert child.manifest["metadata"]["ownerReferences"][0]["kind"] == "AIMServiceTemplate"
    assert child.manifest["spec"] == {"templateRef": "fast", "templateScope": "Namespace"}
    catalog = FakeCatalog(make_image(defaultServiceTemplate="fast"), make_cluster_template())
    from_cluster = make_service(cacheModel=True, templateRef="fast")
    plan = plan_cache(observed(from_cluster, catalog=catalog))
    manifests = [c.manifest for c in plan.children]
    assert all(
        "ownerReferences" not in m["metadata"] for m in manifests if m["spec"]["templateScope"] == "Cluster"
    )


def test_a_claim_whose_cache_is_going_is_mounted_no_more() -> None:
    cache = filled()
    metadata = structs.replace(cache.metadata, deletion_timestamp="2026-01-31T12:00:00Z")
    assert filled_claim(cache) == "claim-1"
    assert filled_claim(structs.replace(cache, metadata=metadata)) is None


def test_mounted_claims_of_nothing_are_none() -> None:
    assert mounted_claims(None) == frozenset()
    assert mounted_claims(make_inference_service()) == frozenset()
