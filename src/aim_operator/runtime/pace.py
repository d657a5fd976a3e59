"""How much of the API server one namespace may use at once: less while its writes are answered slowly.

Whoever keeps the operator busy has it send as many requests as may be at work for one namespace; on an API
server that has more to do than it can, each of them makes everybody's requests slower. So a namespace's limit
follows how long its own writes take, as TCP's window follows what the network takes: a little more with every
quick answer, a share less with every slow one (RFC 5681). Fed by runtime.apply, asked by runtime.controller.
"""

from __future__ import annotations

from collections.abc import Mapping

from aim_operator.runtime.clock import Clock

SLOW_SECONDS = 0.5
"""An answer to a write that takes longer is slow. Kubernetes' objective is 99 of 100 within a second (the SLO
of API call latency); a server at rest answers in 0.005 to 0.05."""
FEWEST = 2
"""Whatever the API server does: one whose answer never comes must not hold up the rest of its namespace."""
MORE = 0.1
"""Added by a quick answer: the limit stays where one write in ten is slow, or fewer."""
LESS = 0.8
"""What a slow answer leaves of the limit: eight of them, of twelve, are the fewest."""
KEPT_SECONDS = 300.0
"""After the last answer. What was slow then says nothing of now, and the namespace may be gone."""


class Pace:
    """Limits by namespace, between FEWEST and `most`. Keeps something only for those that are limited."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = float(max(most, FEWEST))
        self._clock = clock
        self._limits: dict[str, tuple[float, float]] = {}
        """With the moment of the last answer, in the order of these."""

    @property
    def limits(self) -> Mapping[str, float]:
        """The namespaces that may have fewer than `most` at work."""
        self._forget()
        return {namespace: limit for namespace, (limit, _) in self._limits.items()}

    def answered(self, namespace: str, seconds: float) -> None:
        """Note that a write for an object of `namespace` succeeded after `seconds`.

        Failures say nothing: a webhook that hangs makes nobody else's requests slower.
        """
        limit = self._limit(namespace)
        limit = max(FEWEST, limit * LESS) if seconds > SLOW_SECONDS else limit + MORE
        self._limits.pop(namespace, None)
        if limit < self._most:
            self._limits[namespace] = limit, self._clock.monotonic()

    def allows(self, namespace: str, at_work: int) -> bool:
        """Return whether a namespace that has so many reconciles at work may begin another."""
        return at_work < int(self._limit(namespace))

    def _limit(self, namespace: str) -> float:
        self._forget()
        return self._limits.get(namespace, (self._most, 0.0))[0]

    def _forget(self) -> None:
        while self._limits:
            oldest = next(iter(self._limits))
            if self._clock.monotonic() - self._limits[oldest][1] < KEPT_SECONDS:
                return
            del self._limits[oldest]
