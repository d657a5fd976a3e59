"""What nobody bounds is bounded in the caches, and what decisions follow from is not left out."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest

from aim_operator.api.external import Event, HTTPRoute, InferenceService
from aim_operator.api.meta import KubeObject
from aim_operator.api.v1alpha1 import AIMService, AIMServiceTemplate
from aim_operator.controllers import kept, slim
from aim_operator.controllers.shared import LARGEST_PART, Shared
from aim_operator.core import labels

MEGABYTE = 1024 * 1024


def decoded(type_: Any, metadata: dict[str, Any] | None = None, **body: Any) -> Any:
    encoded = msgspec.json.encode({"metadata": {"name": "a", "uid": "u", **(metadata or {})}, **body})
    return msgspec.json.decode(encoded, type=type_)


def size(obj: Any) -> int:
    return len(msgspec.json.encode(obj))


FLOODS: list[Any] = [
    pytest.param({"labels": {f"l{index}": "x" * 60 for index in range(20_000)}}, id="labels"),
    pytest.param({"annotations": {f"a{index}": "" for index in range(60_000)}}, id="many annotations"),
    pytest.param({"annotations": {"a": "x" * 250_000}}, id="one annotation"),
    pytest.param(
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x" * 200, "uid": "u"}] * 5000},
        id="owner references",
    ),
    pytest.param({"finalizers": [f"example.com/{index}" for index in range(50_000)]}, id="finalizers"),
]


@pytest.mark.parametrize("flood", FLOODS)
def test_a_megabyte_of_metadata_is_not_kept(flood: dict[str, Any]) -> None:
    """No CRD can bound metadata."""
    cases = [
        slim.service(decoded(AIMService, flood, spec={"model": "m"})),
        slim.template(decoded(AIMServiceTemplate, flood, spec={"aimImageName": "m"})),
        slim.inference_service(decoded(InferenceService, flood, spec={})),
        slim.http_route(decoded(HTTPRoute, flood, spec={})),
        kept.object_of(decoded(KubeObject, flood)),
        kept.event(decoded(Event, flood)),
    ]
    assert [size(case) for case in cases if size(case) > 300 * 1024] == []
    assert [size(case) for case in (*cases[:3], *cases[4:]) if size(case) > 70 * 1024] == []


def test_what_we_wrote_is_the_last_to_be_left_out() -> None:
    """Else a flood of labels would hide that an object is ours, and what it was made from."""
    ours = {labels.APPLIED: "0123456789abcdef", labels.PAUSED: "true"}
    flood = {f"a{index:05}": "x" * 50 for index in range(4000)}
    owner = {"apiVersion": "aim.silogen.ai/v1alpha1", "kind": "AIMService", "name": "s", "uid": "u"}
    others = [{"apiVersion": "v1", "kind": "Pod", "name": str(n), "uid": str(n)} for n in range(99)]
    got = kept.object_of(
        decoded(
            KubeObject,
            {"annotations": flood | ours, "ownerReferences": [*others, owner | {"controller": True}]},
        )
    )
    assert {name: got.metadata.annotation(name) for name in ours} == ours
    controller = got.metadata.controller()
    assert controller is not None
    assert controller.name == "s"


def test_usual_metadata_is_kept_as_it_is() -> None:
    metadata = {"labels": {"team": "a"}, "annotations": {"b": "x" * 12_000}, "finalizers": ["f"]}
    obj = decoded(KubeObject, metadata)
    assert kept.object_of(obj) is obj


def test_kubectls_copy_of_an_object_is_not_kept() -> None:
    obj = decoded(KubeObject, {"annotations": {kept.LAST_APPLIED: "x" * 2000, "a": "b"}})
    assert kept.object_of(obj).metadata.annotations == {"a": "b"}


def test_a_megabyte_of_engine_arguments_is_not_kept() -> None:
    """It is refused all the same, in words: tests/unit/core/test_engine_args.py."""
    spec = {"model": "m", "aimImageName": "m", "engineArgs": {"a": [[]] * 300_000}}
    assert size(slim.service(decoded(AIMService, spec=spec))) < 1000
    assert size(slim.template(decoded(AIMServiceTemplate, spec=spec))) < 1000


def test_a_profile_that_no_discovery_brings_is_not_kept() -> None:
    status = {"profile": {"engine_args": {"a": "x" * MEGABYTE}}, "status": "Available"}
    got = slim.template(decoded(AIMServiceTemplate, spec={"aimImageName": "m"}, status=status))
    assert got.status is not None
    assert (got.status.profile, got.status.status) == (None, "Available")


@pytest.mark.parametrize("type_", [InferenceService, HTTPRoute])
def test_a_spec_that_is_none_of_ours_is_not_kept(type_: Any) -> None:
    """Anybody may create one with our label."""
    keep: Any = slim.inference_service if type_ is InferenceService else slim.http_route
    assert bytes(keep(decoded(type_, spec={"a": "x" * MEGABYTE})).spec) == b"{}"


def test_an_event_keeps_the_beginning_of_its_message() -> None:
    got = kept.event(decoded(Event, message="why it is refused: " + "x" * MEGABYTE))
    assert got.message is not None
    assert got.message.startswith("why it is refused")
    assert len(got.message) == 4096


def test_what_is_shared_stays_within_its_budget_whatever_comes() -> None:
    """Parts outlive their objects: eight thousand of 256 KiB would take two gigabytes."""
    shared = Shared(100_000)
    for index in range(1000):
        part = f"{index:04}" + "x" * 4000
        assert shared.get(part, partial(len, part), partial(str, part)) == part
        assert shared.bytes <= 100_000
        assert len(shared) <= 100_000 // 4000
    large = "x" * (LARGEST_PART + 1)
    before = shared.bytes
    shared.get(large, lambda: len(large), lambda: large)
    assert shared.bytes == before


def test_a_model_status_that_kserve_does_not_write_is_not_kept() -> None:
    usual = {"states": {"activeModelState": "Loaded"}, "transitionStatus": "UpToDate"}
    for found, want in ((usual, usual), ({"a": [[]] * 300_000}, None)):
        status: dict[str, Any] = {"modelStatus": found, "url": "http://a"}
        got = slim.inference_service(decoded(InferenceService, spec={}, status=status))
        assert got.status is not None
        assert (got.status.model_status, got.status.url) == (want, "http://a")
