"""What comes of the objects: read off what the operator left in the sandbox. Pure.

The Structs are also what `-o json` and `-o yaml` print. Called by command.py.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from aim_operator.api import quantity
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.cli.plan.difference import BAD, Difference, decisive
from aim_operator.cli.plan.documents import Document
from aim_operator.cli.plan.problems import OURS, Problem, named
from aim_operator.cli.plan.resources import Quantity, tiers
from aim_operator.cli.printing import size
from aim_operator.core import labels
from aim_operator.sandbox.storage import Stored

GOOD = (State.RUNNING, State.STOPPED)
UNKNOWN_PROFILE = "unknown until its discovery has run: no profile of its image is given"
CHILDREN = (
    "AIMServiceTemplate",
    "AIMTemplateCache",
    "AIMModelCache",
    "PersistentVolumeClaim",
    "Job",
    "ServingRuntime",
    "ClusterServingRuntime",
    "InferenceService",
    "HTTPRoute",
)
"""Kinds that the operator makes; a claim's volume and a Job's Pod are others'."""
_SERVERS_OWN = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_NAMED_BY = {
    Reason.IMAGE_NOT_FOUND: ("spec.model", ("AIMImage", "AIMClusterImage")),
    Reason.TEMPLATE_NOT_FOUND: ("spec.templateRef", ("AIMServiceTemplate", "AIMClusterServiceTemplate")),
    Reason.TEMPLATE_IMAGE_MISMATCH: ("spec.templateRef", ("AIMServiceTemplate", "AIMClusterServiceTemplate")),
    Reason.RUNTIME_CONFIG_MISSING: (
        "spec.runtimeConfigName",
        ("AIMRuntimeConfig", "AIMClusterRuntimeConfig"),
    ),
    Reason.ROUTE_TEMPLATE_INVALID: ("spec.routing.routeTemplate", ()),
    Reason.ROUTE_CONFLICT: ("spec.routing", ()),
    Reason.PATH_NOT_ALLOWED: ("spec.routing", ()),
    Reason.HOSTNAME_NOT_ALLOWED: ("spec.routing.hostnames", ()),
    Reason.RESOURCES_INVALID: ("spec.resources", ()),
    Reason.ENGINE_ARGS_INVALID: ("spec.engineArgs", ()),
}
"""The field that a reason is about, and the kinds whose names may be in it."""


class Reference(Struct, frozen=True, kw_only=True):
    """An object that is used, and why it is this one."""

    kind: str
    name: str
    namespace: str = ""
    why: str = ""


class Cache(Struct, frozen=True, kw_only=True, rename="camel"):
    """A model that is downloaded; `size` is in words, "" where nobody knows it yet."""

    namespace: str
    name: str
    source: str
    size: str
    claim: str


class Service(Struct, frozen=True, kw_only=True, rename="camel"):
    """One service. `status` and `reason` are what it comes to; `open` says what is not known."""

    namespace: str
    name: str
    status: str
    reason: str
    message: str
    image: str = ""
    replicas: int = 1
    model: Reference | None = None
    template: Reference | None = None
    runtime_config: Reference | None = None
    profile: str = ""
    resources: tuple[Quantity, ...] = ()
    gateway: str = ""
    path: str = ""
    children: tuple[str, ...] = ()
    open: str = ""


class Plan(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything. `children` are whole objects, without what a server adds."""

    services: tuple[Service, ...] = ()
    templates: tuple[Reference, ...] = ()
    """Each template, with its profile, or why it has none, as the reason."""
    caches: tuple[Cache, ...] = ()
    children: tuple[Manifest, ...] = ()
    problems: tuple[Problem, ...] = ()
    assumed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    objects: int = 0
    difference: Difference | None = None
    """What it changes in a cluster, if one was given."""

    @property
    def degraded(self) -> bool:
        worse = self.difference is not None and bool(self.difference.worse)
        return worse or any(problem.severity == "error" for problem in self.problems)

    @property
    def changes(self) -> bool:
        if self.difference is not None:
            return not self.difference.empty
        return bool(self.children or self.objects)


def plan(stored: Iterable[Stored], documents: Sequence[Document], namespace: str) -> Plan:
    """Return what comes of `documents`, whose objects without a namespace are of `namespace`."""
    objects = [each.obj for each in stored]
    given = {
        (d.kind, (d.namespace or namespace) if _namespaced(d.kind) else "", d.name): d for d in documents
    }
    children = [obj for obj in objects if obj["kind"] in CHILDREN and _key(obj) not in given]
    world = _World(objects, children)
    services = tuple(
        _service(obj, world) for obj in _sorted(objects) if obj["kind"] == "AIMService" and _key(obj) in given
    )
    ours = [obj for obj in _sorted(objects) if obj["kind"] in OURS]
    return Plan(
        services=services,
        templates=tuple(_template(obj) for obj in ours if "Template" in obj["kind"] and _is_template(obj)),
        caches=tuple(_cache(obj) for obj in ours if obj["kind"] == "AIMModelCache"),
        children=tuple(_plain(obj) for obj in _sorted(children) if obj["kind"] != "Job"),
        problems=tuple(problem for obj in ours if (problem := _problem(obj, given, documents)) is not None),
        objects=len(documents),
    )


class _World:
    """Objects by what they are looked for."""

    def __init__(self, objects: list[Manifest], children: list[Manifest]) -> None:
        self.by_key = {_key(obj): obj for obj in objects}
        self.owned: dict[str, list[Manifest]] = defaultdict(list)
        for obj in children:
            for owner in obj["metadata"].get("ownerReferences") or ():
                self.owned[owner["uid"]].append(obj)

    def resolved(self, reference: Manifest) -> Manifest | None:
        """Return what a reference in a status leads to."""
        if not reference:
            return None
        return self.by_key.get((reference["kind"], reference.get("namespace") or "", reference["name"]))


def _service(obj: Manifest, world: _World) -> Service:
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    condition = decisive(status)
    template = status.get("resolvedTemplate") or {}
    found = world.resolved(template)
    profile = _profile(found)
    image = status.get("resolvedImage") or {}
    image_object = world.resolved(image)
    owned = world.owned.get(metadata["uid"], [])
    isvc = next((each for each in owned if each["kind"] == "InferenceService"), None)
    route = next((each for each in owned if each["kind"] == "HTTPRoute"), None)
    return Service(
        namespace=metadata["namespace"],
        name=metadata["name"],
        status=status.get("status") or State.PENDING,
        reason=condition.get("reason", ""),
        message=condition.get("message", ""),
        image=image_object["spec"]["image"] if image_object else "",
        replicas=1 if spec.get("replicas") is None else spec["replicas"],
        model=_reference(image, ""),
        template=_reference(template, _why_template(spec, status, image_object, found)),
        runtime_config=_reference(
            status.get("resolvedRuntimeConfig") or {}, _why_config(spec, found, image_object)
        ),
        profile=profile,
        resources=tiers(spec, status.get("active") or {}, isvc) if isvc else (),
        gateway=_gateway(route),
        path=(status.get("routing") or {}).get("path") or "",
        children=tuple(f"{each['kind']} {each['metadata']['name']}" for each in _sorted(owned)),
        open=_open(found, status),
    )


def _open(template: Manifest | None, status: Manifest) -> str:
    """Return what is not known of a service; "" if all is."""
    if status.get("status") in (*BAD, *GOOD):
        return ""
    if template is not None and not _profile(template):
        return f"what follows from the profile of {template['kind']} {template['metadata']['name']}: " + (
            UNKNOWN_PROFILE
        )
    return str(decisive(status).get("message", ""))


def _why_template(spec: Manifest, status: Manifest, image: Manifest | None, template: Manifest | None) -> str:
    if template is not None and (template["metadata"].get("labels") or {}).get(labels.DERIVED_TEMPLATE):
        return "derived for the service's overrides"
    name = (status.get("resolvedTemplate") or {}).get("name")
    for candidate in status.get("templateMatching") or ():
        if candidate.get("chosen"):
            return f"chosen: {candidate.get('reason') or 'the only one'}"
    if spec.get("templateRef") == name:
        return "named in templateRef"
    if image is not None and image["spec"].get("defaultServiceTemplate") == name:
        return "the model's default"
    return "means the same as the service's overrides" if spec.get("overrides") else ""


def _why_config(spec: Manifest, template: Manifest | None, image: Manifest | None) -> str:
    for where, each in (("the service", spec), ("the template", template), ("the model", image)):
        own = each if where == "the service" else (each or {}).get("spec", {})
        if (own or {}).get("runtimeConfigName"):
            return f"named by {where}"
    return "the one named default"


def _profile(template: Manifest | None) -> str:
    """Return a template's profile in a few words; "" before it is known."""
    profile = ((template or {}).get("status") or {}).get("profile") or {}
    metadata = profile.get("metadata") or {}
    count, gpu = metadata.get("gpu_count"), metadata.get("gpu") or ""
    gpus = f"{count} {gpu}".strip() if count else ("no GPU" if count == 0 else "")
    parts = [metadata.get("engine"), metadata.get("metric"), metadata.get("precision"), gpus]
    return " ".join(str(part) for part in parts if part)


def _template(obj: Manifest) -> Reference:
    condition = decisive(obj.get("status") or {})
    status = (obj.get("status") or {}).get("status")
    failed = f"{condition.get('reason')}: {condition.get('message')}" if status in BAD else ""
    given = obj["spec"].get("modelSources") and "its model sources are given: nothing is discovered"
    return Reference(
        kind=obj["kind"],
        name=obj["metadata"]["name"],
        namespace=obj["metadata"].get("namespace", ""),
        why=failed or _profile(obj) or given or UNKNOWN_PROFILE,
    )


def _cache(obj: Manifest) -> Cache:
    status = obj.get("status") or {}
    amount = quantity.parse(status.get("size")) if status.get("size") else None
    return Cache(
        namespace=obj["metadata"]["namespace"],
        name=obj["metadata"]["name"],
        source=obj["spec"]["sourceUri"],
        size=size(int(amount)) if amount is not None else "",
        claim=status.get("persistentVolumeClaim") or "",
    )


def _gateway(route: Manifest | None) -> str:
    for parent in (route or {}).get("spec", {}).get("parentRefs") or ():
        where = parent.get("namespace")
        return f"{where}/{parent['name']}" if where else str(parent["name"])
    return ""


def _reference(resolved: Manifest, why: str) -> Reference | None:
    if not resolved:
        return None
    return Reference(
        kind=resolved["kind"], name=resolved["name"], namespace=resolved.get("namespace") or "", why=why
    )


def _problem(
    obj: Manifest, given: dict[tuple[str, str, str], Document], documents: Sequence[Document]
) -> Problem | None:
    """Return what becomes of an object that would be Degraded or Failed, at its place in a file."""
    status = obj.get("status") or {}
    document = given.get(_key(obj))
    if status.get("status") not in BAD or document is None:
        return None
    condition = decisive(status)
    reason = condition.get("reason", "")
    field, kinds = _NAMED_BY.get(reason, ("spec", ()))
    return Problem(
        severity="error",
        file=document.file,
        line=document.line_of(field),
        subject=named(document),
        message=f"would be {status['status']}: {reason}: {condition.get('message', '')}",
        hint=_meant(document, field, kinds, documents),
    )


def _meant(document: Document, field: str, kinds: Sequence[str], documents: Sequence[Document]) -> str:
    value: Any = document.manifest
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    names = [each.name for each in documents if each.kind in kinds]
    close = difflib.get_close_matches(str(value), [name for name in names if name != value], n=1)
    return f"did you mean {close[0]}?" if close else ""


def _plain(obj: Manifest) -> Manifest:
    """Return an object as one would write it."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _SERVERS_OWN}
    if owners := metadata.get("ownerReferences"):
        metadata["ownerReferences"] = [{k: v for k, v in o.items() if k != "uid"} for o in owners]
    notes = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != labels.APPLIED}
    metadata.pop("annotations", None)
    if notes:
        metadata["annotations"] = notes
    kept = {name: value for name, value in obj.items() if name not in ("status", "metadata")}
    return {"apiVersion": kept.pop("apiVersion"), "kind": kept.pop("kind"), "metadata": metadata} | kept


def _is_template(obj: Manifest) -> bool:
    return obj["kind"] in ("AIMServiceTemplate", "AIMClusterServiceTemplate")


def _namespaced(kind: str) -> bool:
    return kind not in OURS or OURS[kind].namespaced


def _key(obj: Manifest) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _sorted(objects: Iterable[Manifest]) -> list[Manifest]:
    return sorted(objects, key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
