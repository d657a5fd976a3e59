"""The cache's part of a service: whether it waits for one, and which claims its model server mounts.

A claim is mounted only where its cache is complete and the claim is there to stay. A model server that
runs keeps what it mounts; where that is gone, the service says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct, structs

from aim_operator.api.external import InferenceService
from aim_operator.api.meta import UNREADABLE, ObjectRef, Wire
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    TEMPLATE_CACHES,
    ActiveMount,
    AIMModelCache,
    AIMModelCacheStatus,
    AIMTemplateCache,
    AIMTemplateCacheStatus,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.caching import (
    desired_template_cache,
    download_env,
    filled_from,
    is_own_template_cache,
    listed_models,
    service_caches,
    sources_of,
)
from aim_operator.core.catalog import Template
from aim_operator.core.environment import origin
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.status import ConditionSummary

NOT_REQUESTED = ConditionSummary(
    ok=True, reason=Reason.CACHING_NOT_REQUESTED, message="Caching not requested", state=State.RUNNING
)


class CachePlan(Struct, frozen=True, kw_only=True):
    summary: ConditionSummary
    children: tuple[Child, ...] = ()
    mounts: tuple[ActiveMount, ...] = ()


class _Claim(Wire):
    claim_name: str = ""


class _Volume(Wire):
    persistent_volume_claim: _Claim | None = None


class _Predictor(Wire):
    volumes: tuple[_Volume, ...] | None = None


class _Spec(Wire):
    predictor: _Predictor = _Predictor()


def plan_cache(observed: ServiceObserved) -> CachePlan:
    """Return what the service mounts, or why it waits."""
    template = observed.resolution.template
    if template is None or not service_caches(observed.service, template):
        requested = observed.service.spec.cache_model or False
        return CachePlan(summary=_waiting("no template is resolved yet") if requested else NOT_REQUESTED)
    if not sources_of(template):
        name = template.metadata.name
        return CachePlan(summary=_waiting(f"the model sources of template {name!r} are not known yet"))
    cache = observed.template_cache
    children = _own(observed, template)
    mounts = list(_mounts(observed, template))
    if None not in mounts:
        number = len(mounts)
        message = (
            f"{number} cached model{'' if number == 1 else 's'} on the volume{'' if number == 1 else 's'}"
        )
        warm = ConditionSummary(ok=True, reason=Reason.CACHE_WARM, message=message, state=State.RUNNING)
        return CachePlan(summary=warm, children=children, mounts=tuple(m for m in mounts if m is not None))
    lost = sorted(mounted_claims(observed.inference_service) - observed.live_claims)
    if lost:
        summary = structs.replace(_lost(lost, cache), blocker=_cache_ref(observed))
        return CachePlan(summary=summary, children=children)
    return CachePlan(summary=_judge(observed, template), children=children)


def _own(observed: ServiceObserved, template: Template) -> tuple[Child, ...]:
    """Render the operator's template cache, unless a user made one for the template or has taken the name."""
    cache = observed.template_cache
    if observed.template_cache_taken or (cache is not None and not is_own_template_cache(cache)):
        return ()
    return (desired_template_cache(template, observed.service.metadata.namespace),)


def _mounts(observed: ServiceObserved, template: Template) -> Iterator[ActiveMount | None]:
    """Return what to mount for each source, None where that is not there yet."""
    cache = observed.template_cache
    listed = {each.source_uri: (each.name or "") for each in listed_models(cache)} if cache else {}
    by_name = {each.metadata.name: each for each in observed.model_caches}
    for source in sources_of(template):
        model_cache = by_name.get(listed.get(source.source_uri, ""))
        if model_cache is not None and _from_elsewhere(observed, template, model_cache):
            model_cache = None
        claim = filled_claim(model_cache) if model_cache is not None else None
        if model_cache is None or claim is None or claim not in observed.live_claims:
            yield None
        else:
            existing = model_cache.spec.existing_claim
            sub_path = None if existing is None else existing.sub_path
            yield ActiveMount(model=source.name, claim=claim, sub_path=sub_path)


def _from_elsewhere(observed: ServiceObserved, template: Template, model_cache: AIMModelCache) -> bool:
    """Whether the files are not from the endpoint that the service asks for, which changed just now.

    The template cache follows. Of one that a user made, that user decides.
    """
    cache, config = observed.template_cache, observed.resolution.config
    if cache is None or config is None or not is_own_template_cache(cache):
        return False
    if model_cache.spec.existing_claim is not None:
        return False
    layers = (download_env(template), cache.spec.env or (), observed.service.spec.env or ())
    return filled_from(model_cache) != origin(model_cache.spec.source_uri, config.env, *layers)


def filled_claim(cache: AIMModelCache) -> str | None:
    """Return the claim with all files of a cache, None while they are not all there to stay."""
    status = cache.status or AIMModelCacheStatus()
    if status.status != State.AVAILABLE or cache.metadata.deletion_timestamp is not None:
        return None
    return status.persistent_volume_claim


def mounted_claims(live: InferenceService | None) -> frozenset[str]:
    """Return the claims that an InferenceService of ours mounts; we put no others into it."""
    if live is None or not bytes(live.spec):
        return frozenset()
    try:
        volumes = msgspec.json.decode(live.spec, type=_Spec).predictor.volumes or ()
    except UNREADABLE:
        return frozenset()
    claims = (volume.persistent_volume_claim for volume in volumes)
    return frozenset(claim.claim_name for claim in claims if claim is not None)


def _cache_ref(observed: ServiceObserved) -> ObjectRef | None:
    cache = observed.template_cache
    if cache is None:
        return None
    return ObjectRef(TEMPLATE_CACHES.kind, cache.metadata.namespace, cache.metadata.name)


def _lost(claims: list[str], cache: AIMTemplateCache | None) -> ConditionSummary:
    ready = _ready_message(cache)
    progress = f"; {ready}" if ready else ""
    return ConditionSummary(
        ok=False,
        reason=Reason.CACHE_LOST,
        message=(
            f"the model server mounts {', '.join(map(repr, claims))}, whose files are deleted or being "
            f"deleted; it is replaced once they are downloaded again{progress}"
        ),
        state=State.DEGRADED,
    )


def _judge(observed: ServiceObserved, template: Template) -> ConditionSummary:
    name = template.metadata.name
    if observed.template_cache_taken:
        return ConditionSummary(
            ok=False,
            reason=Reason.NAME_CONFLICT,
            message=(
                (
                    f"AIMTemplateCache {name!r} is for this template and is not shared; set its spec.shared, "
                    "or make it under another name"
                )
                if observed.unshared_template_cache == name
                else (
                    f"AIMTemplateCache {name!r} is about another template; rename it, or create a shared one "
                    f"for template {name!r} under another name"
                )
            ),
            state=State.DEGRADED,
            blocker=ObjectRef(TEMPLATE_CACHES.kind, observed.service.metadata.namespace, name),
        )
    cache = observed.template_cache
    if cache is None:
        return _waiting(f"AIMTemplateCache {name!r} is being created{_unshared(observed)}")
    status = cache.status or AIMTemplateCacheStatus()
    failure = conditions.find(status.conditions or (), c.FAILURE)
    message = f"AIMTemplateCache {cache.metadata.name!r}: {_ready_message(cache) or State.PENDING}"
    if failure is not None and failure.status == "True":
        return ConditionSummary(
            ok=False,
            reason=failure.reason,
            message=message,
            state=State.DEGRADED,
            blocker=_cache_ref(observed),
        )
    return structs.replace(_waiting(message + _unshared(observed)), blocker=_cache_ref(observed))


def _unshared(observed: ServiceObserved) -> str:
    name = observed.unshared_template_cache
    if not name:
        return ""
    return f"; AIMTemplateCache {name!r} is for this template, and is not shared (spec.shared)"


def _ready_message(cache: AIMTemplateCache | None) -> str:
    status = (cache.status or AIMTemplateCacheStatus()) if cache is not None else AIMTemplateCacheStatus()
    ready = conditions.find(status.conditions or (), c.READY)
    return ready.message if ready is not None else ""


def _waiting(message: str) -> ConditionSummary:
    return ConditionSummary(ok=False, reason=Reason.WAITING_FOR_CACHE, message=message, state=State.PENDING)
