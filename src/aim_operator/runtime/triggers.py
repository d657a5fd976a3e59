"""Which keys a change of an object wakes.

Pure plumbing between an informer and a queue. The mapping is the controller's; it asks indexes, never
the API server. Used by runtime.controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic

from msgspec import structs

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.resource import K
from aim_operator.runtime.informer import Informer

Map = Callable[[K], Iterable[ObjectRef]]
When = Callable[[K | None, K | None], bool]


class Trigger(Generic[K]):
    """Wakes `map(old)` and `map(new)`: an object that changed owners concerns both.

    `when` (old, new) says whether a change matters at all; without it every one does. With `own`, `map` gives
    the object's own key, whose reconcile writes the status: a change of that alone ends no backoff.
    """

    def __init__(
        self,
        informer: Informer[K],
        map: Map[K],  # noqa: A002 - as in functional programming
        when: When[K] | None = None,
        *,
        own: bool = False,
    ) -> None:
        self._informer = informer
        self._map = map
        self._when = when
        self._own = own

    def connect(
        self, enqueue: Callable[[ObjectRef], None], enqueue_unless_failing: Callable[[ObjectRef], None]
    ) -> None:
        """Call `enqueue` for every key that is woken, from now on, beginning with what there is.

        The other one is called where the object's own status changed and nothing else. A message that differs
        each time, as that of a webhook which can't be reached, would else wake its own next attempt for ever.
        """

        def handle(old: K | None, new: K | None) -> None:
            if self._when is not None and not self._when(old, new):
                return
            wake = enqueue_unless_failing if self._own and _only_status_changed(old, new) else enqueue
            for obj in (old, new):
                if obj is not None:
                    for ref in self._map(obj):
                        wake(ref)

        self._informer.add_handler(handle)


def _only_status_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Whether neither spec (which counts the generation up) nor metadata differ."""
    if old is None or new is None:
        return False
    version = new.metadata.resource_version
    return structs.replace(old.metadata, resource_version=version) == new.metadata
