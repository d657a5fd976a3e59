"""Which keys a change of an object wakes.

Pure plumbing between an informer and a queue. The mapping is the controller's; it asks indexes, never
the API server. Used by runtime.controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic

from aim_operator.api.meta import ObjectRef
from aim_operator.api.resource import K
from aim_operator.runtime.informer import Informer

Map = Callable[[K], Iterable[ObjectRef]]
When = Callable[[K | None, K | None], bool]


class Trigger(Generic[K]):
    """Wakes `map(old)` and `map(new)`: an object that changed owners concerns both.

    `when` (old, new) says whether a change matters at all; without it every one does.
    """

    def __init__(self, informer: Informer[K], map: Map[K], when: When[K] | None = None) -> None:  # noqa: A002 - as in functional programming
        self._informer = informer
        self._map = map
        self._when = when

    def connect(self, enqueue: Callable[[ObjectRef], None]) -> None:
        """Call `enqueue` for every key that is woken, from now on, beginning with what there is."""

        def handle(old: K | None, new: K | None) -> None:
            if self._when is not None and not self._when(old, new):
                return
            for obj in (old, new):
                if obj is not None:
                    for ref in self._map(obj):
                        enqueue(ref)

        self._informer.add_handler(handle)
