"""What a change does to a cluster: all objects before and after it, compared. Pure.

Before is the cluster once the operator has nothing to do there any more, so that only the change counts. The
Structs are also what `-o json` and `-o yaml` print. Called by command.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from aim_operator.api import quantity
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1.conditions import State
from aim_operator.cli.plan.gpus import NodeGpus, gpus
from aim_operator.cli.plan.problems import OURS
from aim_operator.core import labels
from aim_operator.core.service.route_name import beside

BAD = (State.DEGRADED, State.FAILED)
TAKEN = "taken to be as before"
Objects = dict[tuple[str, str, str], Manifest]


class Restart(Struct, frozen=True, kw_only=True, rename="camel"):
    """A service whose Pods are replaced. `changes` names what of the model server differs."""

    namespace: str
    name: str
    old_image: str
    new_image: str
    changes: tuple[str, ...]


class Scaled(Struct, frozen=True, kw_only=True):
    """A service that begins (`old` 0) or ends (`new` 0) to run, or has another number of replicas."""

    namespace: str
    name: str
    old: int
    new: int


class Moved(Struct, frozen=True, kw_only=True):
    """A service whose address changes: path, Gateways and hosts of its route; "" where there is none."""

    namespace: str
    name: str
    old: str
    new: str


class Discovery(Struct, frozen=True, kw_only=True):
    """A template whose image is asked. `answer` is what was taken for its answer."""

    kind: str
    namespace: str
    name: str
    image: str
    answer: str


class Download(Struct, frozen=True, kw_only=True, rename="camel"):
    """A model that is downloaded; `size_bytes` is None where nobody knows it."""

    namespace: str
    name: str
    source: str
    size_bytes: int | None


class Worse(Struct, frozen=True, kw_only=True):
    """An object that was not Degraded or Failed, or for another reason, and is then."""

    kind: str
    namespace: str
    name: str
    status: str
    reason: str
    message: str


class Difference(Struct, frozen=True, kw_only=True, rename="camel"):
    """`changed` are objects of ours that are made, or whose spec is another then."""

    changed: tuple[str, ...] = ()
    restarts: tuple[Restart, ...] = ()
    scaled: tuple[Scaled, ...] = ()
    moved: tuple[Moved, ...] = ()
    discoveries: tuple[Discovery, ...] = ()
    downloads: tuple[Download, ...] = ()
    worse: tuple[Worse, ...] = ()
    waiting: tuple[Worse, ...] = ()
    """Services that wait then and did not before, for a discovery of which nobody knows the answer."""
    nodes: tuple[NodeGpus, ...] = ()
    unplaced: tuple[str, ...] = ()
    """Services for whose Pods no node has enough GPUs left, as far as nodes were seen."""
    unseen: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.changed or self.restarts or self.scaled or self.moved or self.worse)


def difference(
    before: Objects,
    after: Objects,
    *,
    jobs: Iterable[Manifest] = (),
    known: Iterable[str] = (),
    pods: Iterable[Manifest] = (),
    unseen: Iterable[str] = (),
) -> Difference:
    """Return what the change does.

    `jobs` are those made meanwhile, `known` the images whose profile is given, `pods` those of the cluster.
    """
    discoveries, downloads = _jobs(jobs, after, frozenset(known))
    served = sorted(key for key in before.keys() | after.keys() if key[0] == "InferenceService")
    pairs = [(key, before.get(key), after.get(key)) for key in served]
    nodes, unplaced = gpus((obj for key, obj in before.items() if key[0] == "Node"), pods, pairs)
    judged = [
        (_judged(new), before.get(key))
        for key, new in sorted(after.items())
        if key[0] in OURS and new.get("status")
    ]
    return Difference(
        changed=tuple(_changed(before, after)),
        restarts=tuple(_restart(old, new) for _, old, new in pairs if old and new and _is_other(old, new)),
        scaled=tuple(_scaled(pairs)),
        moved=tuple(_moved(before, after)),
        discoveries=discoveries,
        downloads=downloads,
        worse=tuple(now for now, old in judged if now.status in BAD and not _was(old, now)),
        waiting=tuple(
            now
            for now, old in judged
            if now.kind == "AIMService"
            and now.status in (State.PENDING, State.STARTING, State.PROGRESSING)
            and not _was(old, now)
        ),
        nodes=nodes,
        unplaced=unplaced,
        unseen=tuple(unseen),
    )


def keyed(objects: Iterable[Manifest]) -> Objects:
    return {
        (obj["kind"], obj["metadata"].get("namespace") or "", obj["metadata"]["name"]): obj for obj in objects
    }


def _changed(before: Objects, after: Objects) -> Iterator[str]:
    """Name the objects of ours that are made or changed by the files, not by the operator."""
    for key in sorted(after):
        kind, namespace, name = key
        new, old = after[key], before.get(key)
        if kind not in OURS or labels.APPLIED in (new["metadata"].get("annotations") or {}):
            continue
        if old is None or old.get("spec") != new.get("spec") or _notes(old) != _notes(new):
            yield f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _notes(obj: Manifest) -> tuple[Any, Any]:
    return obj["metadata"].get("annotations") or {}, obj["metadata"].get("labels") or {}


def _is_other(old: Manifest, new: Manifest) -> bool:
    """Whether the Pods of a rendering are replaced by those of another: its revision says so."""
    return _revision(old) != _revision(new)


def _revision(isvc: Manifest) -> str:
    return str((isvc["metadata"].get("labels") or {}).get(labels.REVISION))


def _restart(old: Manifest, new: Manifest) -> Restart:
    before, after = _server(old), _server(new)
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return Restart(
        namespace=new["metadata"]["namespace"],
        name=new["metadata"]["name"],
        old_image=str(before.get("image") or ""),
        new_image=str(after.get("image") or ""),
        changes=tuple(names) or ("what its Pods are made from",),
    )


def _server(isvc: Manifest) -> Manifest:
    """Return the model server's fields, and beside them those of its Pods."""
    predictor = isvc["spec"]["predictor"]
    pods = {name: value for name, value in predictor.items() if name not in ("model", *_COUNTS)}
    model = {name: value for name, value in (predictor.get("model") or {}).items() if name not in _DEFAULTED}
    return pods | model


_DEFAULTED = ("name", "protocolVersion")
"""What KServe's webhook writes into a model server's fields beside ours."""
_COUNTS = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "autoScaling")


def _scaled(pairs: Iterable[tuple[Any, Manifest | None, Manifest | None]]) -> Iterator[Scaled]:
    for (_, namespace, name), old, new in pairs:
        counts = _replicas(old), _replicas(new)
        if counts[0] != counts[1]:
            yield Scaled(namespace=namespace, name=name, old=counts[0], new=counts[1])


def _replicas(isvc: Manifest | None) -> int:
    if isvc is None:
        return 0
    count = isvc["spec"]["predictor"].get("minReplicas")
    return 1 if count is None else int(count)


def _moved(before: Objects, after: Objects) -> Iterator[Moved]:
    for key in sorted(key for key in before.keys() | after.keys() if key[0] == "AIMService"):
        old, new = _address(before.get(key), before), _address(after.get(key), after)
        if key not in before:
            # A service without a path of its own has its uid in it, which nobody knows before it is made.
            new = new.replace(after[key]["metadata"]["uid"], "<uid>")
        if old != new:
            yield Moved(namespace=key[1], name=key[2], old=old, new=new)


def _address(service: Manifest | None, objects: Objects) -> str:
    """Return path, Gateways and hosts of a service's HTTPRoute; "" where it has none."""
    if service is None:
        return ""
    routing = (service.get("status") or {}).get("routing") or {}
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    routes = (objects.get(("HTTPRoute", namespace, each)) for each in (name, beside(name)))
    route = next((each for each in routes if each is not None and _is_owned(each, service)), None)
    path = routing.get("path") or ""
    if route is None or not path:
        return ""
    refs = route["spec"].get("parentRefs") or ()
    gateways = ", ".join(f"{each.get('namespace') or namespace}/{each['name']}" for each in refs)
    hosts = ", ".join(route["spec"].get("hostnames") or ())
    return f"{path} on Gateway {gateways}{f' for {hosts}' if hosts else ''}"


def _is_owned(obj: Manifest, owner: Manifest) -> bool:
    uids = [each["uid"] for each in obj["metadata"].get("ownerReferences") or ()]
    return owner["metadata"].get("uid") in uids


def _jobs(
    jobs: Iterable[Manifest], after: Objects, known: frozenset[str]
) -> tuple[tuple[Discovery, ...], tuple[Download, ...]]:
    """Return what the Jobs are for that were made meanwhile, each once."""
    discoveries: dict[Any, Discovery] = {}
    downloads: dict[Any, Download] = {}
    by_uid = {obj["metadata"].get("uid"): obj for key, obj in after.items() if key[0] in OURS}
    for job in jobs:
        owners = (by_uid.get(each["uid"]) for each in job["metadata"].get("ownerReferences") or ())
        owner = next((each for each in owners if each is not None), None)
        if owner is None:
            continue
        namespace, name = owner["metadata"].get("namespace") or "", owner["metadata"]["name"]
        if owner["kind"] == "AIMModelCache":
            status = owner.get("status") or {}
            amount = quantity.parse(status.get("size") or owner["spec"].get("size") or "")
            downloads[namespace, name] = Download(
                namespace=namespace,
                name=name,
                source=owner["spec"]["sourceUri"],
                size_bytes=None if amount is None else int(amount),
            )
        elif owner["kind"] in ("AIMServiceTemplate", "AIMClusterServiceTemplate"):
            image = job["spec"]["template"]["spec"]["containers"][0]["image"]
            found = (owner.get("status") or {}).get("profile")
            discoveries[owner["kind"], namespace, name] = Discovery(
                kind=owner["kind"],
                namespace=namespace,
                name=name,
                image=image,
                answer="given" if image in known else TAKEN if found else "unknown",
            )
    return (
        tuple(discoveries[key] for key in sorted(discoveries)),
        tuple(downloads[key] for key in sorted(downloads)),
    )


def _judged(obj: Manifest) -> Worse:
    status = obj.get("status") or {}
    condition = decisive(status)
    return Worse(
        kind=obj["kind"],
        namespace=obj["metadata"].get("namespace") or "",
        name=obj["metadata"]["name"],
        status=str(status.get("status") or ""),
        reason=str(condition.get("reason") or ""),
        message=" ".join(str(condition.get("message") or "").split()),
    )


def _was(old: Manifest | None, now: Worse) -> bool:
    """Whether it was so before, for the same reason."""
    if old is None:
        return False
    then = _judged(old)
    return (then.status, then.reason) == (now.status, now.reason)


def decisive(status: Manifest) -> Manifest:
    """Return the condition that says why: the failure, else Ready."""
    by_type = {condition["type"]: condition for condition in status.get("conditions") or ()}
    failure: Manifest = by_type.get("Failure") or {}
    if failure.get("status") == "True":
        return failure
    ready: Manifest = by_type.get("Ready") or {}
    return ready
