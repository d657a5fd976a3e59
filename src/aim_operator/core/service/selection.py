"""Chooses a template where a service names none and its image has no default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from aim_operator.api.v1alpha1 import (
    AIMService,
    AIMServiceStatus,
    AIMServiceTemplateStatus,
    TemplateCandidate,
)
from aim_operator.api.v1alpha1.conditions import State
from aim_operator.core.catalog import (
    Catalog,
    Image,
    MissingRuntimeConfig,
    Template,
    is_derived,
    resolve_runtime_config,
    scope_of,
)
from aim_operator.core.hardware import NodeGpus
from aim_operator.core.pause import is_paused
from aim_operator.core.service import derivation
from aim_operator.core.service.ranking import (
    CRITERIA,
    OPTIMIZED,
    Rank,
    hoped_rank,
    is_optimized,
    profile_type,
    rank,
)

_LISTED = 64
_BEST = "best match"
_BEST_SO_FAR = "best so far"
_UNAVAILABLE = "not available"
_UNDECIDED = (State.PENDING, State.PROGRESSING, None)

_Key = tuple[str, str]


class Selection(Struct, frozen=True, kw_only=True):
    """`template` is None where none fits, several are `tied`, or `waiting` ones may be better.

    `candidates` says why for each.
    """

    template: Template | None = None
    tied: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    """Templates of the image that may yet become available, and as good as or better than `best`."""
    first_waiting: Template | None = None
    """The first of `waiting`: a template of the other scope may have its name."""
    best: tuple[str, ...] = ()
    """The best ones that are available, while others are waited for."""
    not_optimized: tuple[str, ...] = ()
    """Available ones that may not be chosen, where none that may is there or waited for."""
    candidates: tuple[TemplateCandidate, ...] = ()


def select(service: AIMService, image: Image, catalog: Catalog) -> Selection:
    """Choose the best template of the image; a choice once made stays while the template exists.

    It must not depend on which discovery ends first. So nothing is chosen while one that is still to be
    discovered could be as good, judging by its spec. Those that failed are not waited for. Those that are not
    optimized may not be allowed.
    """
    name, namespace = image.metadata.name, service.metadata.namespace
    of_image: list[Template] = [*catalog.templates_of(namespace, name), *catalog.cluster_templates_of(name)]
    weighed = [t for t in of_image if not is_derived(t) and t.metadata.deletion_timestamp is None]
    weighed.sort(key=lambda t: (scope_of(t) != "Namespace", t.metadata.name))
    before = _previous_candidates(service)
    kept = next((t for t in weighed if (candidate := before.get(_key(t))) and candidate.chosen), None)
    kept = kept or _running(service, weighed, image, catalog)
    if kept is not None:
        return Selection(template=kept, candidates=_retell(weighed, kept, before))
    models = catalog.gpu_models()
    allowed = _allows_unoptimized(service, image, catalog)
    ranks = {id(t): rank(t, models) for t in weighed if _available(t) and (allowed or is_optimized(t))}
    if not ranks:
        undecided = [t for t in weighed if _state(t) in _UNDECIDED]
        return Selection(
            waiting=tuple(t.metadata.name for t in undecided),
            first_waiting=next(iter(undecided), None),
            not_optimized=tuple(t.metadata.name for t in weighed if _available(t)),
            candidates=_explain(weighed, None, ranks),
        )
    best = min(ranks.values())
    winners = [t for t in weighed if ranks.get(id(t)) == best]
    rivals = [t for t in weighed if _may_beat(t, best, models, tied=len(winners) > 1)]
    names = tuple(t.metadata.name for t in winners)
    if rivals:
        return Selection(
            waiting=tuple(t.metadata.name for t in rivals),
            first_waiting=rivals[0],
            best=names,
            candidates=_explain(weighed, None, ranks, _BEST_SO_FAR),
        )
    if len(winners) > 1:
        return Selection(tied=names, candidates=_explain(weighed, None, ranks))
    return Selection(template=winners[0], candidates=_explain(weighed, winners[0], ranks))


def _allows_unoptimized(service: AIMService, image: Image, catalog: Catalog) -> bool:
    """Ask the service, then its configuration: that which it has before a template is chosen."""
    if service.spec.allow_unoptimized is not None:
        return service.spec.allow_unoptimized
    names = (service.spec.runtime_config_name, image.spec.runtime_config_name)
    config = resolve_runtime_config(catalog, service.metadata.namespace, names)
    # One that is missing is reported once a template is found.
    return isinstance(config, MissingRuntimeConfig) or config.allow_unoptimized


def _running(
    service: AIMService, weighed: Sequence[Template], image: Image, catalog: Catalog
) -> Template | None:
    """Return the template that the service runs on already.

    The status that recorded the choice may be lost, but not what was made of it.
    """
    # To derive a template costs a look at each of the image: not for more than a status lists.
    weighed = weighed[:_LISTED]
    active = (service.status or AIMServiceStatus()).active
    if active is not None:
        running = (active.resolved_template.name, active.resolved_template.scope)
        return next((t for t in weighed if _used(service, t, image, catalog) == running), None)
    runtime = catalog.runtime_of(service)
    if not runtime:
        return None
    return next((t for t in weighed if _used(service, t, image, catalog)[0] == runtime), None)


def _used(service: AIMService, base: Template, image: Image, catalog: Catalog) -> _Key:
    """Return the template that the service would run on if `base` were chosen: itself, or derived from it."""
    if not derivation.needed(service, base, image):
        return _key(base)
    derived = derivation.derive(service, base, image, catalog)
    return derived.name, scope_of(derived.template) if derived.template is not None else "Namespace"


def _may_beat(template: Template, best: Rank, models: frozenset[NodeGpus], *, tied: bool) -> bool:
    """Whether a template that is still to be discovered may turn out as good as the best, or better.

    Another one as good as several that are `tied` changes nothing.
    """
    if _state(template) not in _UNDECIDED or is_paused(template):
        return False
    hoped = hoped_rank(template, models)
    return hoped < best or (hoped == best and not tied)


def _previous_candidates(service: AIMService) -> dict[_Key, TemplateCandidate]:
    """Return what the status says of each candidate."""
    status = service.status
    return {(c.name, c.scope): c for c in status.template_matching or ()} if status else {}


def _key(template: Template) -> _Key:
    return template.metadata.name, scope_of(template)


def _state(template: Template) -> str | None:
    """Return the state of the template, as far as it is about its present spec."""
    status, generation = template.status or AIMServiceTemplateStatus(), template.metadata.generation
    if (generation if status.observed_generation is None else status.observed_generation) < generation:
        return State.PENDING
    return status.status


def _available(template: Template) -> bool:
    return _state(template) == State.AVAILABLE


def _best(template: Template) -> str:
    return f"{_BEST}; {note}" if (note := unoptimized_note(template)) else _BEST


def unoptimized_note(template: Template) -> str:
    """Return that the profile is not an optimized one; "" where it is, or does not say."""
    return _not_optimized(template) if profile_type(template) not in ("", OPTIMIZED) else ""


def _not_optimized(template: Template) -> str:
    type_ = profile_type(template)
    return (
        f"its profile is {type_}, not optimized" if type_ else "its profile does not say that it is optimized"
    )


def _retell(
    weighed: Sequence[Template], kept: Template, before: Mapping[_Key, TemplateCandidate]
) -> tuple[TemplateCandidate, ...]:
    """Explain a choice that was made before: by what decided then, which may be otherwise by now."""

    def reason(template: Template) -> str:
        candidate = before.get(_key(template))
        previous_reason = (candidate.reason or "") if candidate is not None else ""
        if template is kept:
            return previous_reason or _best(template)
        if not _available(template):
            return f"{_UNAVAILABLE}: {_state(template) or State.PENDING}"
        return (
            previous_reason
            if previous_reason and not previous_reason.startswith(_UNAVAILABLE)
            else "came after the choice, which stays"
        )

    listed = sorted(weighed, key=lambda t: (t is not kept, t.metadata.name))
    return tuple(
        TemplateCandidate(name=t.metadata.name, scope=scope_of(t), chosen=t is kept, reason=reason(t))
        for t in listed[:_LISTED]
    )


def _explain(
    weighed: Sequence[Template],
    chosen: Template | None,
    ranks: dict[int, Rank],
    among_best: str = "tied with another template",
) -> tuple[TemplateCandidate, ...]:
    """Say of each why it was chosen or not; `among_best` of those of the best rank that were not."""
    best = min(ranks.values()) if ranks else ()

    def reason(template: Template) -> str:
        own = ranks.get(id(template))
        if template is chosen:
            return _best(template)
        if own is None and _available(template):
            return f"{_not_optimized(template)}, and allowUnoptimized is false"
        if own is None:
            return f"{_UNAVAILABLE}: {_state(template) or State.PENDING}"
        if own == best:
            return among_best
        worse = next(name for name, mine, theirs in zip(CRITERIA, own, best, strict=True) if mine != theirs)
        return f"worse by {worse}"

    # The chosen one has the best rank, and alone.
    listed = sorted(weighed, key=lambda t: (ranks.get(id(t), (99,)), t.metadata.name))
    return tuple(
        TemplateCandidate(name=t.metadata.name, scope=scope_of(t), chosen=t is chosen, reason=reason(t))
        for t in listed[:_LISTED]
    )
