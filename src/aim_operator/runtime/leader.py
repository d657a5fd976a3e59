"""Which of several processes works: the one that holds a Lease.

Follows client-go's rules: others' clocks are never compared with ours, only how long a record stays
unchanged is. The holder stops writing `renew` seconds after its last renewal began, others take over
`lease` seconds after they saw it, so the two never overlap. A Lease that is not there proves nothing, it may
have been deleted under its holder: who creates one works only after `lease` seconds. Run by app.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog
from msgspec import to_builtins

from aim_operator.api.meta import KubeObject, Manifest, ObjectMeta, Wire
from aim_operator.api.resource import Resource
from aim_operator.backoff import spread
from aim_operator.errors import AlreadyExists, ApiError, Conflict, NotFound, NotLeader, Unavailable
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock, micro_time, within
from aim_operator.runtime.metrics import MetricSink

log = structlog.get_logger("aim_operator.leader")

RELEASE_SECONDS = 3.0
RELEASED_SECONDS = 1
"""The duration that a released Lease states, as client-go's does. Without it the holder was merely erased."""
MARGIN_SECONDS = 0.01
LOOKS = (0.6, 0.8)
"""After which shares of the time between renewals a standby looks at the Lease again.

It counts from when it saw the last renewal: so it leads within two seconds more than a Lease lasts."""


class LeaseSpec(Wire):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(KubeObject):
    spec: LeaseSpec | None = None


LEASES = Resource(
    group="coordination.k8s.io", version="v1", plural="leases", kind="Lease", namespaced=True, type=Lease
)


class _Observed(NamedTuple):
    """A record that is not ours, and since when it is the same, by our monotonic clock."""

    spec: LeaseSpec
    version: str
    since: float


class LeaderElector:
    """One candidate. `identity` must differ between processes, also of one Pod before and after a restart."""

    def __init__(
        self,
        client: KubeClient,
        *,
        clock: Clock,
        namespace: str,
        name: str,
        identity: str,
        lease_seconds: int = 15,
        renew_seconds: float = 10.0,
        retry_seconds: float = 2.0,
        metrics: MetricSink | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._namespace, self._name, self._identity = namespace, name, identity
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._retry_seconds = retry_seconds
        self._valid_until = float("-inf")
        self._works_from = float("-inf")
        """Until then a leader whose Lease was deleted may continue to write: it does not know yet."""
        self._lease: Lease | None = None
        self._observed: _Observed | None = None
        self._log = log.bind(lease=f"{namespace}/{name}", identity=identity)
        (metrics or MetricSink()).leading(lambda: self.is_leader)

    @property
    def is_leader(self) -> bool:
        return self._works_from <= self._clock.monotonic() < self._valid_until

    def fence(self) -> None:
        """Raise NotLeader unless a write begun now ends before another replica may lead."""
        if not self.is_leader:
            raise NotLeader("the Lease is not held any more")

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` while leading, again after each time the Lease was lost; until it returns.

        Losing the Lease, and cancellation, cancel `work` and wait for its end. The Lease is released
        at the end, so that the next leader need not wait.
        """
        try:
            while True:
                await self._acquire()
                self._log.info("leading")
                if await self._lead(work):
                    return
                self._log.warning("the Lease was lost, standing by")
        finally:
            await self._release()

    async def _lead(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Return whether `work` ended by itself, rather than by losing the Lease."""
        working = asyncio.ensure_future(_run(work))
        renewing = asyncio.ensure_future(self._renew_while_possible())
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                return False
            working.result()
            return True
        finally:
            # Work first: while it unwinds, it may still write, and so the Lease is still renewed.
            await _cancelled(working)
            await _cancelled(renewing)

    async def _acquire(self) -> None:
        while not (await self._try(within_seconds=self._renew_seconds) and self.is_leader):
            look = self._retry_seconds * spread(*LOOKS)
            await self._clock.sleep(min(look, self._runs_out_in(), self._works_in()))

    def _works_in(self) -> float:
        """Seconds until the holder of a Lease that it created may work."""
        left = self._works_from - self._clock.monotonic()
        return left + MARGIN_SECONDS if left > 0 else float("inf")

    def _runs_out_in(self) -> float:
        """Seconds until a record that does not change any more may be taken over: then, not a look later."""
        if self._observed is None:
            return float("inf")
        seconds = (
            self._lease_seconds
            if self._observed.spec.lease_duration_seconds is None
            else self._observed.spec.lease_duration_seconds
        )
        left = self._observed.since + seconds - self._clock.monotonic()
        # A little later than that: seconds are floats, and what is left of them may be too little to pass.
        return left + MARGIN_SECONDS if left > 0 else float("inf")

    async def _renew_while_possible(self) -> None:
        """Renew every `retry` seconds; returns once the Lease is lost."""
        while self.is_leader:
            await self._clock.sleep(min(self._retry_seconds, self._remaining()))
            remaining = self._remaining()
            if remaining > 0:
                await self._try(within_seconds=remaining)

    def _remaining(self) -> float:
        return self._valid_until - self._clock.monotonic()

    async def _try(self, *, within_seconds: float) -> bool:
        """Take or renew the Lease if that is possible now. Returns whether it was."""
        start = self._clock.monotonic()
        try:
            held = await within(self._clock, within_seconds, self._take())
        except TimeoutError:
            self._log.info("the Lease could not be renewed in time")
            return False
        except (Conflict, NotFound) as error:
            self._lease = None
            self._log.debug("another replica was first", error=str(error))
            return False
        except Unavailable as error:
            # It is tried again in a moment; if that fails too, the loss of the Lease is logged.
            self._lease = None
            self._log.info("the Lease was not renewed, trying again", error=str(error))
            return False
        except ApiError as error:
            self._lease = None
            self._log.warning("the Lease cannot be renewed", error=str(error))
            return False
        # Counted from before the request: others count from when they saw its result, which is later.
        self._valid_until = start + self._renew_seconds if held else float("-inf")
        return held

    async def _take(self) -> bool:
        if self._lease is None:
            try:
                self._lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
            except NotFound:
                return await self._create()
        spec = self._lease.spec or LeaseSpec()
        if not self._may_take(spec, self._lease.metadata):
            # Look afresh next time: it may have been renewed.
            self._lease = None
            return False
        mine = (spec.holder_identity or "") == self._identity
        manifest = self._manifest(self._lease.metadata, spec, keep_times=mine)
        self._lease = await self._client.replace(LEASES, manifest)
        return True

    async def _create(self) -> bool:
        """Make the Lease; while we lead by our last renewal, ours that was deleted is simply made again."""
        led = self.is_leader
        if not led:
            # Before it is asked for: without an answer, the Lease with our name may be there all the same.
            self._works_from = self._clock.monotonic() + self._lease_seconds
        metadata = ObjectMeta(name=self._name, namespace=self._namespace)
        try:
            self._lease = await self._client.create(
                LEASES, self._manifest(metadata, LeaseSpec(), keep_times=False), namespace=self._namespace
            )
        except AlreadyExists:
            return False
        if not led:
            self._log.info("created the Lease, waiting for former leaders", seconds=self._lease_seconds)
        return True

    def _may_take(self, spec: LeaseSpec, metadata: ObjectMeta) -> bool:
        holder = spec.holder_identity or ""
        if holder == self._identity or (not holder and spec.lease_duration_seconds == RELEASED_SECONDS):
            return True
        now = self._clock.monotonic()
        # Records differ in their times. One without a holder may have been written twice.
        version = metadata.uid if holder else metadata.resource_version
        observed = self._observed
        if observed is None or (observed.spec, observed.version) != (spec, version):
            observed = self._observed = _Observed(spec, version, now)
        seconds = self._lease_seconds if spec.lease_duration_seconds is None else spec.lease_duration_seconds
        return now >= observed.since + seconds

    def _manifest(self, metadata: ObjectMeta, spec: LeaseSpec, *, keep_times: bool) -> Manifest:
        now = micro_time(self._clock.now())
        transitions = spec.lease_transitions or 0
        if not keep_times and (spec.acquire_time or ""):
            transitions += 1
        return self._wrapped(
            metadata,
            {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._lease_seconds,
                "acquireTime": (now if spec.acquire_time is None else spec.acquire_time)
                if keep_times
                else now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        )

    def _wrapped(self, metadata: ObjectMeta, spec: Manifest) -> Manifest:
        # A PUT replaces everything: what others wrote into the metadata goes back as it came.
        kept = {
            name: value
            for name, value in to_builtins(metadata).items()
            if name not in {"generation", "creationTimestamp", "deletionTimestamp"}
            and value not in ("", None)
        }
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": kept, "spec": spec}

    async def _release(self) -> None:
        """Let the next one lead at once. If that fails, it waits for the Lease to run out."""
        if not self.is_leader or self._lease is None:
            return
        self._valid_until = float("-inf")
        spec = self._lease.spec or LeaseSpec()
        now = micro_time(self._clock.now())
        released = {
            "holderIdentity": "",
            "leaseDurationSeconds": RELEASED_SECONDS,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": spec.lease_transitions or 0,
        }
        manifest = self._wrapped(self._lease.metadata, released)
        try:
            await within(self._clock, RELEASE_SECONDS, self._replace(manifest))
        except (ApiError, TimeoutError) as error:
            self._log.info("the Lease was not released, it will run out", error=str(error))

    async def _replace(self, manifest: Manifest) -> None:
        await self._client.replace(LEASES, manifest)


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _cancelled(task: asyncio.Task[None]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
