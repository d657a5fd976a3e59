"""What the watches keep of an object: bounded parts of it, and equal parts of different objects once."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, structs

from aim_operator.api.external import (
    Deployment,
    HorizontalPodAutoscaler,
    HTTPRoute,
    InferenceService,
    OtherHTTPRoute,
    OwnedObject,
)
from aim_operator.api.meta import KubeObject, ObjectMeta
from aim_operator.api.v1alpha1 import (
    AIMClusterServiceTemplate,
    AIMService,
    AIMServiceStatus,
    AIMServiceTemplate,
)
from aim_operator.controllers import kept
from aim_operator.controllers.shared import LARGEST_PART, Shared
from aim_operator.core import hardware, labels

T = TypeVar("T")
O = TypeVar("O", bound=OwnedObject)  # noqa: E741 - an Owned object

M = TypeVar("M", AIMServiceTemplate, AIMClusterServiceTemplate)

# Of JSON; what Python takes for a part is two to five times that.
_WORDS = Shared(1024 * 1024)
_PARTS = Shared(2 * 1024 * 1024)
_SPECS = Shared(4 * 1024 * 1024)
_RECORDS = Shared(2 * 1024 * 1024)


def own_bytes(obj: O) -> O:
    """Copy the spec's bytes out of the event's buffer, which they would keep alive whole."""
    return structs.replace(obj, spec=Raw(kept.spec(obj.spec)), metadata=_metadata(obj.metadata))


def inference_service(obj: InferenceService) -> InferenceService:
    """Keep one of equal specs, of 2 to 5 KB each: nothing in them names the service."""
    encoded = kept.spec(obj.spec)
    spec = _SPECS.get(encoded, lambda: len(encoded), lambda: Raw(encoded))
    status = obj.status
    if status is not None:
        status = structs.replace(status, model_status=kept.model_status(status.model_status))
    bounded = structs.replace(obj, spec=spec, metadata=_metadata(obj.metadata))
    return _with_shared_status(bounded, status, "conditions")


def deployment(obj: Deployment) -> Deployment:
    """Keep the counts, and of which revision its Pods are; its name tells whose it is."""
    revision = obj.metadata.label(labels.REVISION)
    kept_labels = None if revision is None else {labels.REVISION: revision}
    metadata = structs.replace(
        obj.metadata, labels=_words(kept_labels), annotations=None, owner_references=None, finalizers=None
    )
    return structs.replace(obj, metadata=metadata)


def autoscaler(obj: HorizontalPodAutoscaler) -> HorizontalPodAutoscaler:
    """Keep what it says about itself; its name tells whose it is."""
    metadata = structs.replace(
        obj.metadata, labels=None, annotations=None, owner_references=None, finalizers=None
    )
    return structs.replace(obj, metadata=metadata)


def http_route(obj: HTTPRoute) -> HTTPRoute:
    bounded = structs.replace(
        obj, spec=Raw(kept.spec(obj.spec)), metadata=_metadata(obj.metadata, kept.MOST_ROUTE_METADATA)
    )
    return _with_shared_status(bounded, obj.status, "parents")


def other_route(obj: OtherHTTPRoute) -> OtherHTTPRoute:
    """Keep what it takes and since when: of those that others made there may be thousands, too."""
    metadata = structs.replace(
        obj.metadata, labels=None, annotations=None, owner_references=None, finalizers=None
    )
    return structs.replace(obj, metadata=metadata)


def node(obj: KubeObject) -> KubeObject:
    """Keep the name and the labels about GPUs: nodes carry fifty labels, and change every minute."""
    gpu_labels = {
        name: value for name, value in (obj.metadata.labels or {}).items() if hardware.is_gpu_label(name)
    }
    metadata = structs.replace(
        obj.metadata, labels=_words(gpu_labels), annotations=None, owner_references=None, finalizers=None
    )
    return structs.replace(obj, metadata=metadata)


def template(obj: M) -> M:
    bounded = kept.object_of(obj)
    arguments = kept.arguments(obj.spec.engine_args)
    if arguments is not obj.spec.engine_args:
        bounded = structs.replace(bounded, spec=structs.replace(obj.spec, engine_args=arguments))
    if obj.status is not None and (profile := kept.profile(obj.status.profile)) is not obj.status.profile:
        bounded = structs.replace(bounded, status=structs.replace(obj.status, profile=profile))
    return bounded


def service(obj: AIMService) -> AIMService:
    status = obj.status
    if isinstance(status, AIMServiceStatus):
        status = structs.replace(
            status,
            conditions=_each(status.conditions),
            resolved_image=_shared(status.resolved_image),
            resolved_template=_shared(status.resolved_template),
            resolved_runtime_config=_shared(status.resolved_runtime_config),
            active=_shared_by_content(status.active),
        )
    arguments = kept.arguments(obj.spec.engine_args)
    spec = obj.spec
    if arguments is not spec.engine_args:
        spec = structs.replace(spec, engine_args=arguments)
    return structs.replace(obj, spec=spec, status=status, metadata=_metadata(obj.metadata))


def _with_shared_status(obj: O, status: Any, field: str) -> O:
    if status is None:
        return obj
    return structs.replace(obj, status=structs.replace(status, **{field: _each(getattr(status, field))}))


def _metadata(metadata: ObjectMeta, most: int = kept.MOST_METADATA) -> ObjectMeta:
    bounded = kept.metadata(metadata, most)
    return structs.replace(bounded, labels=_words(bounded.labels), annotations=_words(bounded.annotations))


def _words(words: Any) -> Any:
    return {_word(name): _word(value) for name, value in words.items()} if words else words


def _word(word: str) -> str:
    return _WORDS.get(word, lambda: len(word), lambda: word)


def _each(parts: Any) -> Any:
    return tuple(map(_shared, parts)) if parts else parts


def _shared(part: T) -> T:
    """Return an equal part that is kept already, or this one."""
    if part is None:
        return part
    return _PARTS.get(part, lambda: len(msgspec.json.encode(part)), lambda: part)


def _shared_by_content(part: T) -> T:
    """Return an equal part that is kept already; for one that holds maps, which have no hash."""
    if not isinstance(part, Struct):
        return part
    encoded = msgspec.json.encode(part)
    if len(encoded) > LARGEST_PART:
        return part
    return _RECORDS.get((type(part), encoded), lambda: len(encoded), lambda: part)
