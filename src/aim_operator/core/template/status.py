"""Writes down where a template stands: its status and conditions, from the step that was decided."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, structs

from aim_operator.api.meta import Condition, ObjectRef
from aim_operator.api.plan import Child, Outcome, Removal
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, AIMTemplateCacheStatus, Discovery
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import blocking, conditions, hardware
from aim_operator.core.caching import template_caches
from aim_operator.core.catalog import MissingRuntimeConfig, Template, reference_to
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.jobs import attempts
from aim_operator.core.outcomes import obstacle
from aim_operator.core.template import desired, discovery
from aim_operator.core.template.observed import TemplateObserved
from aim_operator.errors import ApiError


class Step(Struct, frozen=True, kw_only=True):
    """Where the template stands, and what it asks for, before it is written down as a status."""

    state: str
    reason: str
    message: str
    discovery: Discovery | None = None
    result: DiscoveryResult | None = None
    children: tuple[Child, ...] = ()
    removals: tuple[Removal, ...] = ()
    requeue_after_seconds: float | None = None
    unread: ApiError | None = None
    """Why it has to be read again what the step depends on."""
    blocker: ObjectRef | None = None
    """The object that the template waits for, or that is in its way, where it is one."""


def build_status(
    observed: TemplateObserved,
    old: AIMServiceTemplateStatus,
    step: Step,
    now: datetime,
    *,
    cache_problem: Outcome | None = None,
) -> AIMServiceTemplateStatus:
    """Return the whole status. `cache_problem` is what became of writing the AIMTemplateCache."""
    config = observed.runtime_config
    reference = None if isinstance(config, MissingRuntimeConfig) else config.reference
    template = observed.template
    status = with_result(template, old, step.result)
    generation = observed.template.metadata.generation
    moment = conditions.timestamp(now)
    told = conditions.merge(
        old.conditions or (),
        _conditions(observed, old, step, status, cache_problem),
        now=moment,
        generation=generation,
    )
    return structs.replace(
        status,
        observed_generation=generation,
        status=step.state,
        discovery=step.discovery,
        resolved_image=reference_to(observed.image) if observed.image else None,
        resolved_runtime_config=reference or None,
        conditions=told,
        blocked_by=blocking.blocked_by(
            old.blocked_by, step.blocker, told, namespace=template.metadata.namespace, now=moment
        ),
    )


def _conditions(
    observed: TemplateObserved,
    old: AIMServiceTemplateStatus,
    step: Step,
    status: AIMServiceTemplateStatus,
    cache_problem: Outcome | None,
) -> list[Condition]:
    succeeded = attempts.succeeded(step.discovery, observed.digest) and bool(observed.digest)
    number = len(status.model_sources or ())
    sources = f"{number} model source{'' if number == 1 else 's'}"
    discovered = Condition(type=c.DISCOVERED, status="False", reason=step.reason, message=step.message)
    if desired.is_given(observed.template):
        discovered = Condition(
            type=c.DISCOVERED,
            status="True",
            reason=Reason.MODEL_SOURCES_GIVEN,
            message=f"spec.modelSources names {sources}; nothing is discovered",
        )
    elif succeeded:
        discovered = Condition(
            type=c.DISCOVERED, status="True", reason=Reason.DISCOVERED, message=f"{sources} found"
        )
    elif step.state == State.DEGRADED and step.reason not in discovery.FAILURES:
        # What came of it before the prerequisite went missing is still true; what was under way is not.
        before = conditions.find(old.conditions or (), c.DISCOVERED)
        if before is not None and (before.status == "True" or before.reason in discovery.FAILURES):
            discovered = before
    result = [
        discovered,
        *conditions.summary(step.state, step.reason, step.message),
        _hardware(observed, status),
    ]
    if template_caches(observed.template):
        result.append(_cache_warm(observed, status, cache_problem))
    return result


def _cache_warm(
    observed: TemplateObserved, status: AIMServiceTemplateStatus, problem: Outcome | None
) -> Condition:
    name, cache = observed.template.metadata.name, observed.template_cache
    warmth = (cache.status or AIMTemplateCacheStatus()) if cache is not None else None
    ready = conditions.find(warmth.conditions or (), c.READY) if warmth is not None else None
    if observed.template_cache_taken:
        reason, message = (
            Reason.NAME_CONFLICT,
            f"AIMTemplateCache {name!r} is not about this template, or not shared; rename or share it",
        )
    elif problem is not None:
        remedy = "rename this template or delete that object"
        hindrance = obstacle(problem, refused=Reason.DOWNLOAD_FAILED, remedy=remedy)
        reason, message = hindrance.reason, hindrance.message
    elif not (status.model_sources or ()):
        reason, message = Reason.WAITING_FOR_CACHE, "the model sources are not known yet"
    elif ready is None:
        reason, message = Reason.WAITING_FOR_CACHE, "the AIMTemplateCache is being created"
    else:
        reason, message = ready.reason, ready.message
    warm = ready is not None and ready.status == "True"
    return Condition(type=c.CACHE_WARM, status="True" if warm else "False", reason=reason, message=message)


def _hardware(observed: TemplateObserved, status: AIMServiceTemplateStatus) -> Condition:
    model = desired.gpu_model(observed.template, status)
    if model is None:
        return _hardware_condition("Unknown", Reason.HARDWARE_UNKNOWN, "the template names no GPU model")
    if not hardware.needs_gpu(model):
        return _hardware_condition("True", Reason.HARDWARE_FOUND, "the profile needs no GPU")
    if not observed.nodes_known:
        return _hardware_condition("Unknown", Reason.HARDWARE_UNKNOWN, "the operator can't read nodes")
    if not observed.gpu_models:
        return _hardware_condition("Unknown", Reason.HARDWARE_UNKNOWN, "no node has GPU labels")
    verdicts = {hardware.verdict(model, node) for node in observed.gpu_models}
    if hardware.Verdict.FITS in verdicts:
        return _hardware_condition("True", Reason.HARDWARE_FOUND, f"nodes with GPU model {model} exist")
    if hardware.Verdict.UNKNOWN in verdicts:
        return _hardware_condition(
            "Unknown",
            Reason.HARDWARE_UNKNOWN,
            f"no node is known to have GPU model {model}; the labels of some do not tell",
        )
    return _hardware_condition(
        "False", Reason.HARDWARE_NOT_FOUND, f"no node is labelled with GPU model {model}"
    )


def _hardware_condition(status: str, reason: str, message: str) -> Condition:
    return Condition(type=c.HARDWARE_AVAILABLE, status=status, reason=reason, message=message)


def with_result(
    template: Template, old: AIMServiceTemplateStatus, result: DiscoveryResult | None
) -> AIMServiceTemplateStatus:
    """Return the status with a new result, or with what earlier ones left if there is none."""
    if result is None:
        return old
    status = structs.replace(old, model_sources=result.model_sources, profile=result.profile or None)
    return structs.replace(status, profile_id=desired.profile_id(template, status) or None)
