"""Whether the KServe that is installed is one that can serve, by its CRD: 0.15 and older can't.

Its version is written nowhere in the cluster. The InferenceService's schema has `predictor.storageUris` from
0.16 on. The watch of CRDs sees metadata only, and a schema is most of a megabyte, so that the one CRD is read
once for each of its generations, with the right to list that the watch has. Called by app.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from aim_operator.api.external import INFERENCE_SERVICES, INFERENCE_SERVICES_CRD, InferenceServicesCrd
from aim_operator.api.meta import KubeObject
from aim_operator.backoff import Backoff
from aim_operator.errors import ApiError
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock

log = structlog.get_logger("aim_operator.kserve")

SINCE_0_16 = "storageUris"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0


class KServeVersion:
    """Follows the CRD. Single-threaded, like the event loop."""

    def __init__(self, client: KubeClient, *, clock: Clock, on_change: Callable[[], None]) -> None:
        self._client, self._clock, self._on_change = client, clock, on_change
        self._read_for: tuple[str, int | None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._too_old = False
        self._tried = asyncio.Event()
        self._tried.set()

    @property
    def too_old(self) -> bool:
        """Whether it is known to be 0.15 or older; not while it is not read, or its schema says nothing."""
        return self._too_old

    def crd_changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        """Handle what the watch of CRDs brings; those of other kinds cost a comparison."""
        crd = new or old
        if crd is None or crd.metadata.name != INFERENCE_SERVICES.qualified:
            return
        seen = (new.metadata.uid, new.metadata.generation) if new is not None else None
        if seen == self._read_for:
            return
        self._read_for = seen
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if seen is None:
            self._conclude(too_old=False)
        else:
            self._tried.clear()
            self._reading = asyncio.create_task(self._read(), name="read KServe's CRD")

    async def wait_tried(self) -> None:
        """Return once the CRD, if it is there, was read, or could not be read at first."""
        await self._tried.wait()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))

    async def _read(self) -> None:
        pause = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while True:
            try:
                only = f"metadata.name={INFERENCE_SERVICES.qualified}"
                page = await self._client.list(INFERENCE_SERVICES_CRD, field_selector=only, limit=1)
            except ApiError as error:
                log.warning("KServe's CRD can't be read", error=str(error))
                self._tried.set()
                await self._clock.sleep(pause.next())
                continue
            self._conclude(too_old=any(map(lacks_what_0_16_has, page.items)))
            return

    def _conclude(self, *, too_old: bool) -> None:
        self._tried.set()
        if too_old != self._too_old:
            self._too_old = too_old
            self._on_change()


def lacks_what_0_16_has(crd: InferenceServicesCrd) -> bool:
    """Whether the schema lists the fields of a predictor, and not one that 0.16 brought.

    The minimal CRDs, which KServe ships as well, list none: they say nothing.
    """
    fields = crd.predictor_fields(INFERENCE_SERVICES.version)
    return bool(fields) and SINCE_0_16 not in fields
