"""Decides about one template cache: a model cache per source of its template, and the worst of their states.

Model caches are shared by everyone in the namespace: this one makes those that are missing, and keeps the
references (env, pull secrets, configuration) of those that it has used longest. It never removes one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from msgspec import Struct, structs

from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Child, EventNote, Outcome, Outcomes, Plan, Removal, Report
from aim_operator.api.v1alpha1 import (
    CLUSTER_TEMPLATES,
    MODEL_CACHES,
    RUNTIME_CONFIGS,
    TEMPLATE_CACHES,
    TEMPLATES,
    AIMModelCacheStatus,
    AIMServiceTemplateStatus,
    AIMTemplateCacheStatus,
    CachedModel,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import EventReason, Reason, State
from aim_operator.core import blocking, conditions
from aim_operator.core.caching import is_own_model_cache, is_own_template_cache, serves_others, sources_of
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig, Template, kind_of, reference_to
from aim_operator.core.outcomes import obstacle
from aim_operator.core.template_cache.desired import model_cache
from aim_operator.core.template_cache.observed import SourceObserved, TemplateCacheObserved

_WORST_FIRST = (State.FAILED, State.DEGRADED, State.PENDING, State.PROGRESSING, State.AVAILABLE)


class _Case(Struct, frozen=True, kw_only=True):
    state: str
    reason: str
    message: str
    blocker: ObjectRef | None = None


def decide(observed: TemplateCacheObserved, *, now: datetime) -> Plan[AIMTemplateCacheStatus]:
    """Return the plan for one template cache. Idempotent: at its own result it plans nothing."""
    cache = observed.cache
    if is_own_template_cache(cache) and not observed.requested:
        # A service may ask for it this very moment; then its resourceVersion has moved on or will.
        return Plan(removals=(Removal(resource=TEMPLATE_CACHES, live=cache, unchanged=True),))
    old = cache.status or AIMTemplateCacheStatus()
    return Plan(report=partial(_report, observed, old, now), children=_desired_children(observed))


def _report(
    observed: TemplateCacheObserved, old: AIMTemplateCacheStatus, now: datetime, outcomes: Outcomes
) -> Report[AIMTemplateCacheStatus]:
    status = _status(observed, old, _case(observed, outcomes), now)
    return Report(status=status, events=_transitions(old, status))


def _case(observed: TemplateCacheObserved, outcomes: Outcomes) -> _Case:
    template, config = observed.template, observed.runtime_config
    if template is None:
        return _degraded(Reason.TEMPLATE_NOT_FOUND, _no_template(observed), _missing_template(observed))
    if not sources_of(template):
        return _without_sources(template)
    if isinstance(config, MissingRuntimeConfig):
        message = config.message(observed.cache.metadata.namespace)
        named = ObjectRef(RUNTIME_CONFIGS.kind, observed.cache.metadata.namespace, config.name)
        return _degraded(Reason.RUNTIME_CONFIG_MISSING, message, named)
    namespace = observed.cache.metadata.namespace
    parts = [
        _as_it_was(_judge(namespace, source, _problem(source, outcomes)), source, outcomes)
        for source in observed.sources
    ]
    worst = min(parts, key=lambda part: _WORST_FIRST.index(part.state))
    if serves_others(observed.cache):
        return worst
    message = f"{worst.message}; services don't use it, set spec.shared to let them"
    return structs.replace(worst, message=message)


def _problem(source: SourceObserved, outcomes: Outcomes) -> Outcome | None:
    """Return what kept the model cache of a source from being created."""
    if source.cache is not None:
        return None
    return outcomes.problem(MODEL_CACHES.kind, source.name)


def _as_it_was(part: _Case, source: SourceObserved, outcomes: Outcomes) -> _Case:
    """Say of a model cache that is there what keeps it from getting another token, or whatever is set by now.

    How its download goes is not hidden by that, and files that are all there are as good as they were.
    """
    problem = outcomes.problem(MODEL_CACHES.kind, source.cache.metadata.name) if source.cache else None
    if problem is None:
        return part
    hindrance = obstacle(problem, refused=Reason.DOWNLOAD_FAILED, remedy="delete it")
    words = f"its settings can't be brought up to date: {hindrance.message}"
    return structs.replace(part, message=f"{part.message}; {words}")


def _degraded(reason: str, message: str, blocker: ObjectRef | None) -> _Case:
    return _Case(state=State.DEGRADED, reason=reason, message=message, blocker=blocker)


def _missing_template(observed: TemplateCacheObserved) -> ObjectRef:
    """Return the template of the name; where both scopes would do, the namespace's."""
    spec, namespace = observed.cache.spec, observed.cache.metadata.namespace
    if spec.template_scope == "Cluster":
        return ObjectRef(CLUSTER_TEMPLATES.kind, "", spec.template_ref)
    return ObjectRef(TEMPLATES.kind, namespace, spec.template_ref)


def _no_template(observed: TemplateCacheObserved) -> str:
    spec, namespace = observed.cache.spec, observed.cache.metadata.namespace
    places = {
        "Namespace": f"no AIMServiceTemplate {spec.template_ref!r} in namespace {namespace!r}",
        "Cluster": f"no AIMClusterServiceTemplate {spec.template_ref!r}",
    }
    tiers = [places[spec.template_scope]] if spec.template_scope is not None else list(places.values())
    return f"spec.templateRef: {' and '.join(tiers)}; create it or correct the name"


def _without_sources(template: Template) -> _Case:
    name, status = template.metadata.name, template.status or AIMServiceTemplateStatus()
    state = State.PENDING if status.status is None else status.status
    blocker = ObjectRef(kind_of(template), template.metadata.namespace, name)
    if state in (State.PENDING, State.PROGRESSING):
        return _Case(
            blocker=blocker,
            state=State.PENDING,
            reason=Reason.TEMPLATE_NOT_AVAILABLE,
            message=f"template {name!r} is {state}; its model sources are not known yet",
        )
    failure = conditions.find(status.conditions or (), c.FAILURE)
    if state in (State.FAILED, State.DEGRADED) and failure is not None:
        return _degraded(failure.reason, f"template {name!r}: {failure.message}", blocker)
    return _degraded(
        Reason.NO_MODEL_SOURCES, f"discovery of template {name!r} found no model sources", blocker
    )


def _desired_children(observed: TemplateCacheObserved) -> tuple[Child, ...]:
    template, config = observed.template, observed.runtime_config
    if template is None or isinstance(config, MissingRuntimeConfig):
        return ()
    return tuple(_children(observed, template, config))


def _children(observed: TemplateCacheObserved, template: Template, config: RuntimeConfig) -> Iterable[Child]:
    for source in observed.sources:
        live = source.cache
        new = live is None and not source.taken
        if new or (live is not None and is_own_model_cache(live) and source.senior):
            yield model_cache(observed, template, config, source)


def _judge(namespace: str, source: SourceObserved, problem: Outcome | None) -> _Case:
    uri = source.source.source_uri
    of_name = ObjectRef(MODEL_CACHES.kind, namespace, source.name)
    if source.taken and source.unshared == source.name:
        return _degraded(
            Reason.NAME_CONFLICT,
            f"the AIMModelCache for {uri} can't be made: {source.name!r}, which has its name, is not shared; "
            "set its spec.shared, or delete it",
            of_name,
        )
    if source.taken:
        return _degraded(
            Reason.NAME_CONFLICT,
            f"the AIMModelCache for {uri} can't be made: one of its name has another source or class; "
            "delete that",
            of_name,
        )
    if problem is not None:
        remedy = "delete it, or create an AIMModelCache for this source under another name"
        hindrance = obstacle(problem, refused=Reason.DOWNLOAD_FAILED, remedy=remedy)
        return _Case(
            state=hindrance.state,
            reason=hindrance.reason,
            message=f"{uri}: {hindrance.message}",
            blocker=hindrance.blocker,
        )
    if source.cache is None:
        return _Case(
            state=State.PENDING,
            reason=Reason.WAITING_FOR_CACHE,
            message=f"the AIMModelCache for {uri} is being created{_unshared(source)}",
        )
    name, status = source.cache.metadata.name, source.cache.status or AIMModelCacheStatus()
    state = State.PENDING if status.status is None else status.status
    ready = conditions.find(status.conditions or (), c.READY)
    ready_message = f": {ready.message}" if ready is not None else ""
    if state == State.AVAILABLE:
        return _Case(state=state, reason=Reason.CACHE_WARM, message=f"AIMModelCache {name}{ready_message}")
    reason = ready.reason if ready is not None else Reason.WAITING_FOR_CACHE
    return _Case(
        state=state,
        reason=reason,
        message=f"AIMModelCache {name}{ready_message}",
        blocker=ObjectRef(MODEL_CACHES.kind, namespace, name),
    )


def _unshared(source: SourceObserved) -> str:
    if not source.unshared:
        return ""
    return f"; AIMModelCache {source.unshared!r} has this source and is not shared (spec.shared)"


def _status(
    observed: TemplateCacheObserved, old: AIMTemplateCacheStatus, case: _Case, now: datetime
) -> AIMTemplateCacheStatus:
    generation = observed.cache.metadata.generation
    config = observed.runtime_config
    reference = None if isinstance(config, MissingRuntimeConfig) else config.reference
    models = tuple(map(_model, observed.sources))
    moment = conditions.timestamp(now)
    told = conditions.merge(
        old.conditions or (),
        conditions.summary(case.state, case.reason, case.message),
        now=moment,
        generation=generation,
    )
    return AIMTemplateCacheStatus(
        observed_generation=generation,
        status=case.state,
        resolved_template=reference_to(observed.template) if observed.template is not None else None,
        resolved_runtime_config=reference or None,
        # What was there before the template went missing is there still.
        model_caches=(models or None) if observed.template is not None else old.model_caches,
        conditions=told,
        blocked_by=blocking.blocked_by(
            old.blocked_by, case.blocker, told, namespace=observed.cache.metadata.namespace, now=moment
        ),
    )


def _model(source: SourceObserved) -> CachedModel:
    if source.cache is None:
        return CachedModel(source_uri=source.source.source_uri)
    status = source.cache.status or AIMModelCacheStatus()
    return CachedModel(
        source_uri=source.source.source_uri,
        name=source.cache.metadata.name,
        status=status.status,
        size=status.size,
    )


def _transitions(old: AIMTemplateCacheStatus, new: AIMTemplateCacheStatus) -> tuple[EventNote, ...]:
    """Tell when the cache is warm, and when something keeps it from getting so."""
    ready = conditions.find(new.conditions or (), c.READY)
    if ready is None or old.status == new.status:
        return ()
    if new.status == State.AVAILABLE:
        return (EventNote(type="Normal", reason=EventReason.CACHE_READY, message="all models are cached"),)
    if new.status in (State.FAILED, State.DEGRADED):
        return (EventNote(type="Warning", reason=ready.reason, message=ready.message),)
    return ()
