"""Which keys are to be reconciled, and when.

A key is handed out once at a time; added while it runs, it is handed out again after that. Namespaces take
turns, however many keys each has; within one, keys wait in the order they came. Owns backoff per key, not
what a failure is. Used by runtime.controller.
"""

from __future__ import annotations

from collections.abc import Callable

from aim_operator.api.meta import ObjectRef
from aim_operator.backoff import exponential, jittered
from aim_operator.runtime.clock import Clock, Timer
from aim_operator.runtime.fair import FairQueue

FIRST_BACKOFF_SECONDS = 0.005
LONGEST_BACKOFF_SECONDS = 300.0


class WorkQueue:
    """For one event loop. `on_ready` is called when a key becomes ready to be taken."""

    def __init__(self, clock: Clock, *, on_ready: Callable[[], None] | None = None) -> None:
        self._clock = clock
        self._on_ready = on_ready or _nothing
        self._ready: FairQueue[ObjectRef] = FairQueue()
        self._since: dict[ObjectRef, float] = {}
        """The ready keys, and since when."""
        self._running: set[ObjectRef] = set()
        self._again: dict[ObjectRef, float] = {}
        """Keys added while they run, and since when."""
        self._again_unless_failing: dict[ObjectRef, float] = {}
        self._later: dict[ObjectRef, tuple[float, Timer]] = {}
        self._failures: dict[ObjectRef, int] = {}

    def __len__(self) -> int:
        """Return how many keys wait to be taken; those for later are not counted."""
        return len(self._ready)

    @property
    def age_seconds(self) -> float:
        """How long the key that came first has waited. Costs what there are namespaces that wait."""
        heads = self._ready.heads()
        return self._clock.monotonic() - min(self._since[ref] for ref in heads) if heads else 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs. Keys for later do not count."""
        return not self._ready and not self._running

    def add(self, ref: ObjectRef) -> None:
        """Enqueue `ref`; workers take the keys of a namespace in order of arrival."""
        if ref in self._running:
            self._again.setdefault(ref, self._clock.monotonic())
        elif ref not in self._since:
            self._since[ref] = self._clock.monotonic()
            self._ready.push(ref.namespace, ref)
            self._on_ready()

    def add_unless_failing(self, ref: ObjectRef) -> None:
        """Enqueue `ref`, unless its last run failed: then it comes back after its backoff anyway."""
        if ref in self._running:
            self._again_unless_failing.setdefault(ref, self._clock.monotonic())
        elif ref not in self._failures:
            self.add(ref)

    def add_after(self, ref: ObjectRef, seconds: float) -> None:
        """Enqueue `ref` in `seconds`, if nothing else enqueues it sooner.

        The earliest wish counts; being taken fulfils it.
        """
        if seconds <= 0:
            self.add(ref)
            return
        due = self._clock.monotonic() + seconds
        scheduled = self._later.get(ref)
        if scheduled is not None:
            if scheduled[0] <= due:
                return
            scheduled[1].cancel()
        self._later[ref] = (due, self._clock.call_later(seconds, lambda: self._fall_due(ref)))

    def add_rate_limited(self, ref: ObjectRef, *, at_least_seconds: float = 0.0) -> float:
        """Enqueue `ref` after its backoff, which doubles each time. Returns the seconds."""
        failures = self._failures.get(ref, 0)
        self._failures[ref] = failures + 1
        wait = jittered(exponential(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, failures))
        wait = max(wait, at_least_seconds)
        self.add_after(ref, wait)
        return wait

    def forget(self, ref: ObjectRef) -> None:
        """Start its backoff from the beginning."""
        self._failures.pop(ref, None)

    def take(self, may: Callable[[str], bool] | None = None) -> tuple[ObjectRef, float] | None:
        """Hand out the next key, and how long it waited; None if there is none. `done` must follow.

        `may` says of a namespace whether a key of it can be taken now.
        """
        ref = self._ready.pop(may)
        if ref is None:
            return None
        since = self._since.pop(ref)
        self._running.add(ref)
        later = self._later.pop(ref, None)
        if later is not None:
            later[1].cancel()
        return ref, self._clock.monotonic() - since

    def done(self, ref: ObjectRef) -> None:
        """Give `ref` back; if it was added meanwhile, it is ready again."""
        self._running.discard(ref)
        since, unless_failing = self._again.pop(ref, None), self._again_unless_failing.pop(ref, None)
        if since is None and ref not in self._failures:
            since = unless_failing
        if since is not None:
            self._since[ref] = since
            self._ready.push(ref.namespace, ref)
            self._on_ready()

    def _fall_due(self, ref: ObjectRef) -> None:
        self._later.pop(ref, None)
        self.add(ref)


def _nothing() -> None:
    """Ready keys are found by asking."""
