"""How much of the API server one namespace may use at once: less while its writes are answered slowly.

Whoever keeps the operator busy has it send as many requests as may be at work for one namespace; on an API
server that has more to do than it can, each of them makes everybody's requests slower. So a namespace's limit
follows how long its own writes take, as TCP's window follows what the network takes: a little more with every
quick answer, a share less with every slow one (RFC 5681). Fed by runtime.apply, asked by runtime.controller.
"""

from __future__ import annotations

from collections.abc import Mapping

SLOW_SECONDS = 0.5
"""An answer to a write that takes longer is slow. Kubernetes' objective is 99 of 100 within a second (the SLO
of API call latency); a server at rest answers in 0.005 to 0.05."""
FEWEST = 2
"""Whatever the API server does: one whose answer never comes must not hold up the rest of its namespace."""
MORE = 0.1
"""Added by a quick answer: the limit stays where one write in ten is slow, or fewer."""
LESS = 0.8
"""What a slow answer leaves of the limit: eight of them, of twelve, are the fewest."""


class Pace:
    """Limits by namespace, between FEWEST and `most`. Keeps something only for those that are limited."""

    def __init__(self, most: int) -> None:
        self._most = float(max(most, FEWEST))
        self._limits: dict[str, float] = {}

    @property
    def limits(self) -> Mapping[str, float]:
        """The namespaces that may have fewer than `most` at work."""
        return self._limits

    def answered(self, namespace: str, seconds: float) -> None:
        """Note that a write for an object of `namespace` succeeded after `seconds`.

        Failures say nothing: a webhook that hangs makes nobody else's requests slower.
        """
        limit = self._limits.get(namespace, self._most)
        limit = max(FEWEST, limit * LESS) if seconds > SLOW_SECONDS else limit + MORE
        if limit >= self._most:
            self._limits.pop(namespace, None)
        else:
            self._limits[namespace] = limit

    def allows(self, namespace: str, at_work: int) -> bool:
        """Return whether a namespace that has so many reconciles at work may begin another."""
        return at_work < int(self._limits.get(namespace, self._most))
