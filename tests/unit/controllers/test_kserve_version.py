"""Which KServe is installed: read of its CRD once per generation, and what happens where that fails."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from aim_operator.api.external import INFERENCE_SERVICES, INFERENCE_SERVICES_CRD
from aim_operator.api.meta import KubeObject, Manifest, ObjectMeta
from aim_operator.controllers.kserve_version import KServeVersion, lacks_what_0_16_has
from aim_operator.errors import ApiError, Forbidden, Unavailable
from aim_operator.sandbox.external_crds import kserve_crds
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock

NAME = INFERENCE_SERVICES.qualified


def crd(*, fields: dict[str, Any] | None) -> Manifest:
    [found] = [copy.deepcopy(c) for c in kserve_crds() if c["metadata"]["name"] == NAME]
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    predictor = schema["properties"]["spec"]["properties"]["predictor"]
    if fields is None:
        schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    else:
        predictor["properties"] = fields
    return found


OLD = crd(fields={"model": {"type": "object"}})
NEW = crd(fields={"model": {"type": "object"}, "storageUris": {"type": "array"}})
MINIMAL = crd(fields=None)


@pytest.mark.parametrize(
    ("manifest", "want"),
    [
        pytest.param(OLD, True, id="0.15 lists the fields of a predictor, without storageUris"),
        pytest.param(NEW, False, id="0.16 and newer have storageUris"),
        pytest.param(MINIMAL, False, id="the minimal CRDs list no fields: not refused"),
        pytest.param({"metadata": {"name": NAME}}, False, id="without any version"),
    ],
)
def test_what_the_crd_says(manifest: Manifest, want: bool) -> None:  # noqa: FBT001 - a table
    decoded = msgspec.json.decode(msgspec.json.encode(manifest), type=INFERENCE_SERVICES_CRD.type)
    assert lacks_what_0_16_has(decoded) is want


class Version:
    """A KServeVersion on a fake API server."""

    def __init__(self) -> None:
        self.client, self.clock, self.changes = FakeClient(), VirtualClock(), 0
        self.version = KServeVersion(self.client, clock=self.clock, on_change=self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def installed(self, manifest: Manifest, *, generation: int = 1) -> None:
        self.client.put(INFERENCE_SERVICES_CRD, manifest)
        self.seen(generation=generation)

    def seen(self, *, generation: int = 1, name: str = NAME) -> None:
        metadata = ObjectMeta(name=name, uid="one", generation=generation)
        self.version.crd_changed(None, KubeObject(metadata=metadata))

    @property
    def reads(self) -> int:
        return sum(call.verb == "list" for call in self.client.calls)


async def test_it_is_read_once_for_each_generation_whatever_else_changes() -> None:
    at = Version()
    at.installed(OLD)
    for _ in range(5):
        at.seen()
        at.seen(name="servingruntimes.serving.kserve.io")
    await at.clock.run(at.version.wait_tried())
    assert (at.version.too_old, at.reads, at.changes) == (True, 1, 1)
    at.installed(NEW, generation=2)
    await at.clock.run(at.version.wait_tried())
    assert (at.version.too_old, at.reads, at.changes) == (False, 2, 2)
    await at.version.close()


async def test_one_that_goes_is_not_too_old_any_more() -> None:
    at = Version()
    at.installed(OLD)
    await at.clock.run(at.version.wait_tried())
    at.version.crd_changed(KubeObject(metadata=ObjectMeta(name=NAME, uid="one", generation=1)), None)
    assert (at.version.too_old, at.changes) == (False, 2)
    await at.version.close()


@pytest.mark.parametrize(
    "error", [Unavailable("no answer"), Forbidden("no right to list")], ids=lambda e: type(e).__name__
)
async def test_one_that_can_never_be_read_holds_nothing_up_and_is_asked_ever_less_often(
    error: ApiError,
) -> None:
    at = Version()
    at.client.fail("list", INFERENCE_SERVICES_CRD, *[error] * 100)
    at.installed(OLD)
    await at.clock.run(at.version.wait_tried())
    assert not at.version.too_old
    await at.clock.advance(3600)
    assert 10 < at.reads < 40
    await at.version.close()
