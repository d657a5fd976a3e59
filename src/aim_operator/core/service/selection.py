"""Chooses a template where a service names none and its image has no default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from aim_operator.api.meta import given
from aim_operator.api.v1alpha1 import AIMService, AIMServiceTemplateStatus, TemplateCandidate
from aim_operator.api.v1alpha1.conditions import State
from aim_operator.core import hardware
from aim_operator.core.catalog import Catalog, Image, Template, is_derived, scope_of
from aim_operator.core.template.desired import discovered

_TYPES = ("optimized", "preview", "unoptimized")
_GENERATIONS = ("MI355X", "MI350X", "MI325X", "MI300X", "MI250X", "MI210")
_METRICS = ("latency", "throughput")
_PRECISIONS = ("fp4", "int4", "fp8", "int8", "fp16", "bf16", "fp32", "auto")
_LISTED = 64
_BEST = "best match"
_UNAVAILABLE = "not available"

Rank = tuple[int, ...]
_Key = tuple[str, str]
_CRITERIA = ("scope", "profile type", "GPUs that nodes have", "GPU generation", "metric", "precision")


class Selection(Struct, frozen=True, kw_only=True):
    """`template` is None where none fits or several are `tied`; `candidates` says why for each."""

    template: Template | None = None
    tied: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    """Templates of the image that may yet become available."""
    candidates: tuple[TemplateCandidate, ...] = ()


def select(service: AIMService, image: Image, catalog: Catalog) -> Selection:
    """Choose the best available template of the image; a choice once made stays while it exists."""
    name, namespace = image.metadata.name, service.metadata.namespace
    of_image: list[Template] = [*catalog.templates_of(namespace, name), *catalog.cluster_templates_of(name)]
    weighed = [t for t in of_image if not is_derived(t) and t.metadata.deletion_timestamp is None]
    weighed.sort(key=lambda t: (scope_of(t) != "Namespace", t.metadata.name))
    before = _told(service)
    kept = next((t for t in weighed if (found := before.get(_key(t))) and found.chosen), None)
    if kept is not None:
        return Selection(template=kept, candidates=_retell(weighed, kept, before))
    models = catalog.gpu_models()
    ranks = {id(t): _rank(t, models) for t in weighed if _available(t)}
    if not ranks:
        states = (State.PENDING, State.PROGRESSING, None)
        waiting = tuple(t.metadata.name for t in weighed if _state(t) in states)
        return Selection(waiting=waiting, candidates=_explain(weighed, None, ranks))
    best = min(ranks.values())
    winners = [t for t in weighed if ranks.get(id(t)) == best]
    if len(winners) > 1:
        return Selection(
            tied=tuple(t.metadata.name for t in winners), candidates=_explain(weighed, None, ranks)
        )
    return Selection(template=winners[0], candidates=_explain(weighed, winners[0], ranks))


def _told(service: AIMService) -> dict[_Key, TemplateCandidate]:
    """Return what the status says of each candidate."""
    status = given(service.status, None)
    return {(c.name, c.scope): c for c in given(status.template_matching, ())} if status else {}


def _key(template: Template) -> _Key:
    return template.metadata.name, scope_of(template)


def _state(template: Template) -> str | None:
    return given(given(template.status, AIMServiceTemplateStatus()).status, None)


def _available(template: Template) -> bool:
    return _state(template) == State.AVAILABLE


def _place(order: Sequence[str], value: object) -> int:
    return order.index(value) if isinstance(value, str) and value in order else len(order)


def _rank(template: Template, models: frozenset[str]) -> Rank:
    """Smaller is better; the places are those of _CRITERIA."""
    metadata = discovered(given(template.status, AIMServiceTemplateStatus()))
    selector = given(template.spec.gpu_selector, None)
    gpu = metadata.get("gpu") or (given(selector.model, "") if selector else "")
    gpu = gpu.upper() if isinstance(gpu, str) else ""
    return (
        int(scope_of(template) != "Namespace"),
        _place(_TYPES, metadata.get("type")),
        int(not hardware.available(gpu, models)),
        _place(_GENERATIONS, gpu),
        _place(_METRICS, metadata.get("metric") or given(template.spec.metric, "")),
        _place(_PRECISIONS, metadata.get("precision") or given(template.spec.precision, "")),
    )


def _retell(
    weighed: Sequence[Template], kept: Template, before: Mapping[_Key, TemplateCandidate]
) -> tuple[TemplateCandidate, ...]:
    """Explain a choice that was made before: by what decided then, which may be otherwise by now."""

    def reason(template: Template) -> str:
        told = before.get(_key(template))
        said = given(told.reason, "") if told is not None else ""
        if template is kept:
            return said or _BEST
        if not _available(template):
            return f"{_UNAVAILABLE}: {_state(template) or State.PENDING}"
        return said if said and not said.startswith(_UNAVAILABLE) else "came after the choice, which stays"

    listed = sorted(weighed, key=lambda t: (t is not kept, t.metadata.name))
    return tuple(
        TemplateCandidate(name=t.metadata.name, scope=scope_of(t), chosen=t is kept, reason=reason(t))
        for t in listed[:_LISTED]
    )


def _explain(
    weighed: Sequence[Template], chosen: Template | None, ranks: dict[int, Rank]
) -> tuple[TemplateCandidate, ...]:
    best = min(ranks.values()) if ranks else ()
    listed = sorted(weighed, key=lambda t: (t is not chosen, ranks.get(id(t), (99,)), t.metadata.name))
    return tuple(
        TemplateCandidate(
            name=t.metadata.name,
            scope=scope_of(t),
            chosen=t is chosen,
            reason=_because(t, chosen, ranks.get(id(t)), best),
        )
        for t in listed[:_LISTED]
    )


def _because(template: Template, chosen: Template | None, rank: Rank | None, best: Rank) -> str:
    if template is chosen:
        return _BEST
    if rank is None:
        return f"{_UNAVAILABLE}: {_state(template) or State.PENDING}"
    if rank == best:
        return "tied with another template"
    worse = next(name for name, mine, theirs in zip(_CRITERIA, rank, best, strict=True) if mine != theirs)
    return f"worse by {worse}"
