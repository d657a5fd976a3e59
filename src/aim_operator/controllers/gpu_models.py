"""Which GPU models the nodes have: counted per word, so that a change costs one node, not all of them.

Fed by the informer of nodes. Read by controllers.store_catalog; who waits for GPUs is woken by app.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from aim_operator.api.meta import KubeObject, given
from aim_operator.core import hardware
from aim_operator.runtime.clock import Clock, Timer
from aim_operator.runtime.informer import Informer

SETTLE_SECONDS = 1.0
"""How long changes are collected before listeners are called: a labeller goes from node to node."""


class GpuModels:
    """A multiset of the words that name GPU models, over all nodes."""

    def __init__(self, nodes: Informer[KubeObject]) -> None:
        self._counts: Counter[str] = Counter()
        self._words: frozenset[str] = frozenset()
        self._listeners: list[Callable[[], None]] = []
        nodes.add_handler(self._node_changed)

    @property
    def words(self) -> frozenset[str]:
        """Every word that names a GPU model of at least one node, in upper case."""
        return self._words

    def on_change(self, clock: Clock, callback: Callable[[], None]) -> None:
        """Call back once the set of words is another one, SETTLE_SECONDS after its first change."""
        self._listeners.append(_Settling(clock, lambda: self._words, callback).start)

    def _node_changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        before, after = _words(old), _words(new)
        if before == after:
            return
        appeared = {word for word in after - before if not self._counts[word]}
        self._counts.update(after - before)
        self._counts.subtract(before - after)
        gone = {word for word in before - after if not self._counts[word]}
        for word in gone:
            del self._counts[word]
        if appeared or gone:
            self._words = frozenset(self._counts)
            for listener in self._listeners:
                listener()


class _Settling:
    """Tells one listener, once for many changes, and not at all if it ends as it was."""

    def __init__(
        self, clock: Clock, read: Callable[[], frozenset[str]], callback: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._read = read
        self._callback = callback
        self._reported = read()
        self._timer: Timer | None = None

    def start(self) -> None:
        if self._timer is None:
            self._timer = self._clock.call_later(SETTLE_SECONDS, self._report)

    def _report(self) -> None:
        self._timer = None
        words = self._read()
        if words != self._reported:
            self._reported = words
            self._callback()


def _words(node: KubeObject | None) -> frozenset[str]:
    labels = given(node.metadata.labels, {}) if node is not None else {}
    return hardware.gpu_models(labels)
