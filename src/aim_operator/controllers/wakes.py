"""What the wake tables of the controllers are written with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.resource import Resource


def itself(resource: Resource[Any]) -> Callable[[KubeObject], Iterable[ObjectRef]]:
    """Return what maps an object of this kind to its own key."""

    def own_key(obj: KubeObject) -> tuple[ObjectRef]:
        return (resource.ref(obj),)

    return own_key


def came_or_went(old: KubeObject | None, new: KubeObject | None) -> bool:
    return old is None or new is None


def spec_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Whether dependents may care: status writes leave the generation as it is."""
    return old is None or new is None or old.metadata.generation != new.metadata.generation
