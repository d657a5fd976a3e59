"""Which GPUs the nodes have: counted per kind of node, so that a change costs one node, not all of them.

Fed by the informer of nodes. Read by controllers.store_catalog; who waits for GPUs is woken by app.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from aim_operator.api.meta import KubeObject
from aim_operator.core import hardware
from aim_operator.runtime.clock import Clock, Timer
from aim_operator.runtime.informer import Informer

SETTLE_SECONDS = 1.0
"""How long changes are collected before listeners are called: a labeller goes from node to node."""


class GpuModels:
    """How many nodes have which labels about GPUs. Nodes whose labels are silent do not count."""

    def __init__(self, nodes: Informer[KubeObject]) -> None:
        self._counts: Counter[hardware.NodeGpus] = Counter()
        self._kinds: frozenset[hardware.NodeGpus] = frozenset()
        self._listeners: list[_Settling] = []
        nodes.add_handler(self._node_changed)

    @property
    def kinds(self) -> frozenset[hardware.NodeGpus]:
        """The GPU labels of every kind of node that there is."""
        for listener in self._listeners:
            listener.handed_out.add(self._kinds)
        return self._kinds

    def on_change(self, clock: Clock, callback: Callable[[], None]) -> None:
        """Call back once the set of kinds is another one, SETTLE_SECONDS after its first change."""
        self._listeners.append(_Settling(clock, lambda: self._kinds, callback))

    def _node_changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        before, after = _gpus(old), _gpus(new)
        if before == after:
            return
        if after:
            self._counts[after] += 1
        if before:
            self._counts[before] -= 1
            if not self._counts[before]:
                del self._counts[before]
        if self._counts.keys() != self._kinds:
            self._kinds = frozenset(self._counts)
            for listener in self._listeners:
                listener.start()


class _Settling:
    """Tells one listener once of many changes; of none if it ends as it was and nobody read meanwhile."""

    def __init__(
        self, clock: Clock, read: Callable[[], frozenset[hardware.NodeGpus]], callback: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._read = read
        self._callback = callback
        self._reported = read()
        self.handed_out: set[frozenset[hardware.NodeGpus]] = set()
        """What was read since the last report: who read something else than it comes to is told."""
        self._timer: Timer | None = None

    def start(self) -> None:
        if self._timer is None:
            self._timer = self._clock.call_later(SETTLE_SECONDS, self._report)

    def _report(self) -> None:
        self._timer = None
        kinds = self._read()
        if kinds != self._reported or self.handed_out - {kinds}:
            self._reported = kinds
            self.handed_out.clear()
            self._callback()


def _gpus(node: KubeObject | None) -> hardware.NodeGpus:
    labels = (node.metadata.labels or {}) if node is not None else {}
    return hardware.node_gpus(labels)
