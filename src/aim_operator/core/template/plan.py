"""Decides about one template: its prerequisites, its discovery, its runtime, and how to say it.

`decide` is a chain of steps, first match wins. What comes of the discovery Job is in attempt, how a
step is written down in status.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from msgspec import structs

from aim_operator.api import quantity
from aim_operator.api.external import CLUSTER_SERVING_RUNTIMES, JOBS, SERVING_RUNTIMES
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Outcomes, Plan, Removal, Report
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    CLUSTER_IMAGES,
    IMAGES,
    RUNTIME_CONFIGS,
    TEMPLATE_CACHES,
    TEMPLATES,
    AIMServiceTemplateStatus,
    ModelSource,
)
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core.blocking import crd
from aim_operator.core.caching import desired_template_cache, is_own_template_cache, template_caches
from aim_operator.core.catalog import MissingRuntimeConfig, Template, is_unchanged_derived
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.outcomes import beside, hindered, obstacle, undeleted
from aim_operator.core.template import attempt, desired, events
from aim_operator.core.template.attempt import DiscoveryOptions
from aim_operator.core.template.observed import TemplateObserved
from aim_operator.core.template.status import Step, build_status, with_result
from aim_operator.errors import SpecError

__all__ = ["DiscoveryOptions", "decide"]

ASK_AGAIN_SECONDS = 30.0
"""After so long a template is looked at again that runs unseen: the watch that would tell lags behind."""


def decide(
    observed: TemplateObserved, *, now: datetime, options: DiscoveryOptions
) -> Plan[AIMServiceTemplateStatus]:
    """Return the plan for one template. Idempotent: at its own result it plans nothing."""
    template = observed.template
    if not observed.writable:
        return Plan()
    if is_unchanged_derived(template) and not observed.in_use:
        # A service may adopt it this very moment; then its resourceVersion has moved on or will.
        return Plan(removals=(Removal(resource=TEMPLATES, live=template, unchanged=True),))
    old = template.status or AIMServiceTemplateStatus()
    step = _with_runtime(observed, _step(observed, old, now, options))
    step = _with_cache(observed, step, old)
    return Plan(
        report=partial(_report, observed, old, step, now),
        children=step.children,
        removals=step.removals,
        requeue_after_seconds=_soonest(step.requeue_after_seconds, observed),
        unread=step.unread or observed.use_unknown,
    )


def _soonest(seconds: float | None, observed: TemplateObserved) -> float | None:
    if not observed.use_unseen:
        return seconds
    return ASK_AGAIN_SECONDS if seconds is None else min(seconds, ASK_AGAIN_SECONDS)


def _report(
    observed: TemplateObserved,
    old: AIMServiceTemplateStatus,
    step: Step,
    now: datetime,
    outcomes: Outcomes,
) -> Report[AIMServiceTemplateStatus]:
    """Return the status of the step that was decided, and of what could not be written."""
    cache_problem = outcomes.problem(TEMPLATE_CACHES.kind)
    status = build_status(observed, old, _with_problems(step, outcomes), now, cache_problem=cache_problem)
    return Report(status=status, events=events.transitions(old, status))


def _with_problems(step: Step, outcomes: Outcomes) -> Step:
    job = outcomes.problem(JOBS.kind)
    if job is not None and step.state != State.AVAILABLE:
        remedy = "delete it, or set the annotation aim.silogen.ai/rediscover for another name"
        return hindered(step, obstacle(job, refused=Reason.JOB_REFUSED, remedy=remedy))
    kept = undeleted(outcomes, JOBS.kind)
    if kept is not None and step.state != State.AVAILABLE and step.blocker is None:
        return hindered(step, beside(kept, step.message))
    runtime = outcomes.problem(SERVING_RUNTIMES.kind) or outcomes.problem(CLUSTER_SERVING_RUNTIMES.kind)
    if runtime is not None:
        remedy = "rename this template or delete that object"
        hindrance = obstacle(runtime, refused=Reason.RUNTIME_FAILED, remedy=remedy)
        # What was discovered still holds: no Failed, and a predecessor that goes away is worth no alarm.
        state = State.DEGRADED if hindrance.state == State.FAILED else hindrance.state
        return hindered(step, structs.replace(hindrance, state=state))
    return step


def _step(
    observed: TemplateObserved, old: AIMServiceTemplateStatus, now: datetime, options: DiscoveryOptions
) -> Step:
    template, image, config = observed.template, observed.image, observed.runtime_config
    if image is None:
        kinds = "AIMImage or AIMClusterImage" if template.metadata.namespace else "AIMClusterImage"
        return _degraded(
            old,
            Reason.IMAGE_NOT_FOUND,
            f"spec.aimImageName: no {kinds} is named {template.spec.aim_image_name!r}; create it",
            _in_scope(template, IMAGES, CLUSTER_IMAGES, template.spec.aim_image_name),
        )
    if isinstance(config, MissingRuntimeConfig):
        return _degraded(
            old,
            Reason.RUNTIME_CONFIG_MISSING,
            config.message(observed.discovery_namespace),
            ObjectRef(RUNTIME_CONFIGS.kind, observed.discovery_namespace, config.name),
        )
    try:
        # Of what came of it nothing is needed here: services are rendered with it.
        desired.server_env(template, old, config)
    except SpecError as error:
        return _degraded(old, error.reason, error.message)
    if desired.is_given(template):
        return _given(observed)
    inputs = attempt.Inputs(observed=observed, image=image, config=config, old=old, now=now, options=options)
    return attempt.next_step(inputs)


def _given(observed: TemplateObserved) -> Step:
    """Take the template's own model sources for what would be discovered."""
    sources = tuple(
        ModelSource(
            name=source.name,
            source_uri=source.source_uri,
            size=None if source.size is None else quantity.canonical(source.size) or str(source.size),
        )
        for source in observed.template.spec.model_sources or ()
    )
    return Step(
        state=State.AVAILABLE,
        reason=Reason.AVAILABLE,
        message="spec.modelSources says what it needs",
        result=DiscoveryResult(model_sources=sources, profile={}),
        removals=tuple(
            Removal(resource=JOBS, live=job) for job in observed.jobs if not job.metadata.deletion_timestamp
        ),
    )


def _in_scope(template: Template, namespaced: Resource[Any], cluster: Resource[Any], name: str) -> ObjectRef:
    """Return the object of a name that would be looked for first."""
    namespace = template.metadata.namespace
    return ObjectRef((namespaced if namespace else cluster).kind, namespace, name)


def _degraded(
    old: AIMServiceTemplateStatus, reason: str, message: str, blocker: ObjectRef | None = None
) -> Step:
    return Step(
        state=State.DEGRADED, reason=reason, message=message, discovery=old.discovery, blocker=blocker
    )


def _with_runtime(observed: TemplateObserved, step: Step) -> Step:
    """Publish the runtime of an available template; without KServe or under a foreign name it can't be."""
    config = observed.runtime_config
    if step.state != State.AVAILABLE or observed.image is None or isinstance(config, MissingRuntimeConfig):
        return step
    if not observed.kserve_installed:
        return _unpublished(
            step,
            Reason.KSERVE_NOT_INSTALLED,
            "KServe's CRDs are not installed; install KServe, and the operator continues by itself",
            crd(CLUSTER_SERVING_RUNTIMES if not observed.template.metadata.namespace else SERVING_RUNTIMES),
        )
    try:
        child = desired.runtime(observed.template, observed.image)
    except SpecError as error:
        return _unpublished(step, error.reason, error.message)
    return structs.replace(step, children=(*step.children, child))


def _with_cache(observed: TemplateObserved, step: Step, old: AIMServiceTemplateStatus) -> Step:
    """Have the model sources of a caching template downloaded, unless a user has seen to that."""
    template, cache = observed.template, observed.template_cache
    sources = with_result(template, old, step.result).model_sources or ()
    if not template_caches(template) or not sources or observed.template_cache_taken:
        return step
    if cache is not None and not is_own_template_cache(cache):
        return step
    child = desired_template_cache(template, template.metadata.namespace)
    return structs.replace(step, children=(*step.children, child))


def _unpublished(step: Step, reason: str, message: str, blocker: ObjectRef | None = None) -> Step:
    return structs.replace(step, state=State.DEGRADED, reason=reason, message=message, blocker=blocker)
