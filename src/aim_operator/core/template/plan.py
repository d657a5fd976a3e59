"""Decides about one template: its prerequisites, its discovery, its runtime, and how to say it.

`decide` is a chain of cases, first match wins. What comes of the discovery Job is in attempt, how a
case is written down in status.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import structs

from aim_operator.api.meta import given
from aim_operator.api.v1alpha1 import TEMPLATES, AIMServiceTemplateStatus
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core.caching import desired_template_cache, made_by_operator, template_caches
from aim_operator.core.catalog import MissingRuntimeConfig, is_derived
from aim_operator.core.messages import one_line
from aim_operator.core.plan import Plan, Removal
from aim_operator.core.template import attempt, desired, events
from aim_operator.core.template.attempt import DiscoveryOptions
from aim_operator.core.template.observed import TemplateObserved
from aim_operator.core.template.status import Case, build_status, with_result

__all__ = ["DiscoveryOptions", "decide"]


def decide(
    observed: TemplateObserved, *, now: datetime, options: DiscoveryOptions
) -> Plan[AIMServiceTemplateStatus]:
    """Return the plan for one template. Idempotent: at its own result it plans nothing."""
    template = observed.template
    if template.metadata.deletion_timestamp is not None or not observed.writable:
        return Plan()
    if is_derived(template) and not observed.in_use:
        # A service may adopt it this very moment; then its resourceVersion has moved on or will.
        return Plan(removals=(Removal(resource=TEMPLATES, live=template, unchanged=True),))
    old = given(template.status, AIMServiceTemplateStatus())
    case = _with_runtime(observed, _case(observed, old, now, options), old)
    case = _with_cache(observed, case, old)
    status = build_status(observed, old, case, now)
    return Plan(
        status=status,
        children=case.children,
        removals=case.removals,
        events=events.transitions(old, status),
        requeue_after_seconds=case.requeue_after_seconds,
    )


def _case(
    observed: TemplateObserved, old: AIMServiceTemplateStatus, now: datetime, options: DiscoveryOptions
) -> Case:
    template, image, config = observed.template, observed.image, observed.runtime_config
    if image is None:
        kinds = "AIMImage or AIMClusterImage" if template.metadata.namespace else "AIMClusterImage"
        return _degraded(
            old,
            Reason.IMAGE_NOT_FOUND,
            f"spec.aimImageName: no {kinds} is named {template.spec.aim_image_name!r}; create it",
        )
    if isinstance(config, MissingRuntimeConfig):
        said = config.message(observed.discovery_namespace)
        return _degraded(old, Reason.RUNTIME_CONFIG_MISSING, said)
    inputs = attempt.Inputs(observed=observed, image=image, config=config, old=old, now=now, options=options)
    return attempt.case(inputs)


def _degraded(old: AIMServiceTemplateStatus, reason: str, message: str) -> Case:
    return Case(state=State.DEGRADED, reason=reason, message=message, discovery=old.discovery)


def _with_runtime(observed: TemplateObserved, case: Case, old: AIMServiceTemplateStatus) -> Case:
    """Publish the runtime of an available template; without KServe or under a foreign name it can't be."""
    config = observed.runtime_config
    if case.state != State.AVAILABLE or observed.image is None or isinstance(config, MissingRuntimeConfig):
        return case
    if not observed.kserve_installed:
        return _unpublished(
            case,
            Reason.KSERVE_NOT_INSTALLED,
            "KServe's CRDs are not installed; install KServe, the operator goes on by itself then",
        )
    child = desired.runtime(observed.template, observed.image, config, with_result(old, case.result))
    kind = child.manifest["kind"]
    if observed.runtime_foreign:
        return _unpublished(
            case,
            Reason.NAME_CONFLICT,
            f"{kind} {observed.template.metadata.name!r} exists and belongs to somebody else; rename this "
            "template or delete that object",
        )
    if observed.runtime_refused:
        return _unpublished(
            case, Reason.RUNTIME_FAILED, f"the {kind} was refused: {one_line(observed.runtime_refused)}"
        )
    return structs.replace(case, children=(*case.children, child))


def _with_cache(observed: TemplateObserved, case: Case, old: AIMServiceTemplateStatus) -> Case:
    """Have the model sources of a caching template downloaded, unless a user has seen to that."""
    template, cache = observed.template, observed.template_cache
    sources = given(with_result(old, case.result).model_sources, ())
    if not template_caches(template) or not sources or observed.template_cache_taken:
        return case
    if cache is not None and not made_by_operator(cache):
        return case
    child = desired_template_cache(template, template.metadata.namespace)
    return structs.replace(case, children=(*case.children, child))


def _unpublished(case: Case, reason: str, message: str) -> Case:
    return structs.replace(case, state=State.DEGRADED, reason=reason, message=message)
