"""Privileges by way of KServe's Go templates: no text of ours that it executes has a `{{`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import ActiveMount
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core.service.plan import decide
from aim_operator.core.serving.go_templates import without_templates
from aim_operator.core.serving.workload import inference_service, own_runtime
from aim_operator.core.template import desired
from aim_operator.errors import SpecError
from tests.support import go_template_attack
from tests.support.outcomes import report_of
from tests.support.service_builders import (
    NOW,
    FakeCatalog,
    make_image,
    make_inference_service,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_template_status,
    make_workload,
)
from tests.support.service_status import condition_of

SIX_ENTRIES = go_template_attack.env()


def observed_with(env: list[Manifest], **seen: Any) -> Any:
    return make_service_observed(make_service(env=env), **seen)


def test_six_pieces_in_the_api_versions_of_field_references_get_no_privileges() -> None:
    assert len(SIX_ENTRIES) == 6
    plan = decide(observed_with(SIX_ENTRIES), now=NOW)
    assert [child.manifest["kind"] for child in plan.children] == []
    failure = condition_of(report_of(plan).status, c.FAILURE)
    assert (failure.status, failure.reason) == ("True", "GoTemplateRefused")
    path = 'spec.predictor.model.env["V0"].valueFrom.fieldRef.apiVersion of the InferenceService has'
    assert path in failure.message
    assert "{{$q:=" in failure.message
    assert "valueFrom.configMapKeyRef" in failure.message


def test_a_running_server_is_left_running_when_a_template_is_put_into_its_service() -> None:
    before = make_service_observed(inference_service=make_inference_service(ready=True))
    running = report_of(decide(before, now=NOW)).status
    assert running is not None
    service = make_service(env=SIX_ENTRIES, status=running)
    plan = decide(
        make_service_observed(service, inference_service=make_inference_service(ready=True)), now=NOW
    )
    assert (plan.children, plan.removals) == ((), ())
    status = report_of(plan).status
    assert status is not None
    assert status.active == running.active
    assert condition_of(status, c.FAILURE).reason == "GoTemplateRefused"
    assert condition_of(status, "RuntimeReady").status == "True"


def child_of(spec: Any) -> Child:
    manifest = {"kind": "InferenceService", "spec": spec}
    return Child(resource=INFERENCE_SERVICES, manifest=manifest)


BRACES = st.text(st.sampled_from('{}"a\\ ,:'), max_size=4)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), BRACES, st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(BRACES, inner, max_size=3)),
    max_leaves=8,
)


@given(spec=JSON)
@example(spec=[{"a": {"b": {}}}, {"{": "{"}, ["{", "{"]])
@example(spec={"a{": {"{b": "{"}})
def test_two_braces_in_two_texts_are_no_template(spec: Any) -> None:
    """What KServe executes is the whole JSON, written without spaces: it has a `{{` where one text has it."""
    executed = "{{" in json.dumps(spec, separators=(",", ":"), ensure_ascii=False)
    try:
        without_templates(child_of(spec))
        refused = False
    except SpecError:
        refused = True
    assert refused == executed


def test_a_template_in_an_annotation_is_not_kserves() -> None:
    vault = {"vault.hashicorp.com/agent-inject-template-token": '{{ with secret "hub" }}x{{ end }}'}
    service = make_service(pods={"annotations": vault})
    child = inference_service(service, make_workload(), runtime="fast")
    assert child.manifest["spec"]["predictor"]["annotations"] == vault


# Every text of every object

TEXT = {"name": "A", "value": "x"}
SOURCES = [
    go_template_attack.piece("FIELD", "v1"),
    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "token"}}},
    {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "token"}}},
    {
        "name": "RESOURCE",
        "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "containerName": "c", "divisor": "1m"}},
    },
]
COMPUTE = {"requests": {"example.com/device": "1", "cpu": "1"}, "limits": {"example.com/device": "1"}}
SERVING = {"sharedMemorySize": "1Gi", "startupTimeoutSeconds": 60}
WORLD: dict[str, Any] = {
    "service": {
        "env": [TEXT, *SOURCES],
        "engineArgs": {"flag": {"deep": ["text", {"er": "text"}]}},
        "resources": COMPUTE,
        "serving": SERVING,
        "imagePullSecrets": [{"name": "pull"}],
    },
    "template": {
        "env": [{**TEXT, "name": "B"}],
        "metric": "latency",
        "precision": "fp16",
        "profileId": "profile",
        "model": "owner/model",
        "gpuSelector": {"model": "MI300X", "count": 1, "resourceName": "amd.com/gpu"},
        "engineArgs": {"other": "text"},
        "resources": {"requests": {"memory": "1Gi"}},
        "imagePullSecrets": [{"name": "pull"}],
    },
    "config": {
        "env": [{**TEXT, "name": "C"}],
        "serviceAccountName": "account",
        "imagePullSecrets": [{"name": "pull"}],
        "securityContext": {
            "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]},
            "seccompProfile": {"type": "Localhost", "localhostProfile": "profile.json"},
        },
        "serving": {"defaultResourcesPerGpu": {"cpu": "1", "memory": "1Gi", "memoryLimit": "2Gi"}},
    },
    "image": {"image": "example/model:v1", "resources": {"limits": {"cpu": "4"}}},
    "discovered": {"metric": "latency", "precision": "fp16", "gpu": "MI300X", "discovered_image": "old:v1"},
    "mount": {"model": "example/model", "claim": "claim"},
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every text; one that ends with None is of the key before it."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))


def keys() -> Iterator[tuple[Any, ...]]:
    """Yield the keys that users choose, of objects that are no Structs."""
    yield from (("service", "engineArgs", "flag"), ("service", "engineArgs", "flag", "deep"))
    yield from (("service", "resources", side, "example.com/device") for side in ("requests", "limits"))


def replaced(value: Any, path: tuple[Any, ...], attack: Any, *, key: bool = False) -> Any:
    head, *rest = path
    if isinstance(value, list):
        return (
            [
                replaced(inner, tuple(rest), attack, key=key) if index == head and rest else inner
                for index, inner in enumerate(value)
            ]
            if rest
            else [attack(inner) if index == head else inner for index, inner in enumerate(value)]
        )
    if not rest:
        if key:
            return {(attack(name) if name == head else name): inner for name, inner in value.items()}
        return {**value, head: attack(value[head])}
    return {**value, head: replaced(value[head], tuple(rest), attack, key=key)}


def rendered(world: dict[str, Any]) -> list[Child]:
    """Return all that is made for KServe of a world; SpecError and ValidationError are refusals."""
    template = make_template(status=make_template_status(**world["discovered"]), **world["template"])
    image = make_image(**world["image"])
    catalog = FakeCatalog(image, template, make_runtime_config(**world["config"]))
    service = make_service(**world["service"])
    mount = msgspec.convert(world["mount"], ActiveMount)
    resolution_of = make_service_observed(service, catalog)
    active = make_workload(resolution_of, mount)
    return [
        inference_service(service, active, runtime="fast"),
        own_runtime(service, active),
        desired.runtime(template, image),
    ]


def test_a_world_without_templates_is_rendered() -> None:
    assert [child.manifest["kind"] for child in rendered(WORLD)] == [
        "InferenceService",
        "ServingRuntime",
        "ServingRuntime",
    ]


LEAVES = [(path, "text") for path in leaves(WORLD)] + [(path, "key") for path in keys()]


@pytest.mark.parametrize(
    ("path", "what"), [pytest.param(*leaf, id=".".join(map(str, leaf[0]))) for leaf in LEAVES]
)
@given(at=st.integers(0, 20), text=st.sampled_from(["{{", "{{{", '{{define "x"}}', "{{- /*"]))
def test_no_text_of_any_object_is_executed_by_kserve(
    path: tuple[Any, ...], what: str, at: int, text: str
) -> None:
    attacked = replaced(WORLD, path, lambda old: old[:at] + text + old[at:], key=what == "key")
    try:
        children = rendered(attacked)
    except (SpecError, msgspec.ValidationError):
        return  # Refused: nothing is made for KServe.
    assert "{{" not in json.dumps([child.manifest for child in children])


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(("service", "env", 0, "value"), id="a value"),
        pytest.param(("service", "env", 0, "name"), id="a variable's name"),
        pytest.param(("service", "env", 1, "valueFrom", "fieldRef", "apiVersion"), id="an API version"),
        pytest.param(("service", "env", 1, "valueFrom", "fieldRef", "fieldPath"), id="a field's path"),
        pytest.param(("service", "env", 2, "valueFrom", "secretKeyRef", "key"), id="a key of a Secret"),
        pytest.param(("service", "env", 4, "valueFrom", "resourceFieldRef", "resource"), id="a resource"),
        pytest.param(("config", "securityContext", "seccompProfile", "localhostProfile"), id="a profile"),
        pytest.param(("config", "securityContext", "capabilities", "add", 0), id="a capability"),
        pytest.param(
            (
                "config",
                "serviceAccountName",
            ),
            id="a service account",
        ),
        pytest.param(("discovered", "metric"), id="what an image printed"),
        pytest.param(("mount", "model"), id="a path of a volume"),
        pytest.param(("image", "image"), id="an image"),
    ],
)
def test_what_is_refused_is_named(path: tuple[Any, ...]) -> None:
    """That these reach KServe otherwise is what makes the test above one that can fail."""
    with pytest.raises(SpecError) as caught:
        rendered(replaced(WORLD, path, lambda old: old + "{{.Name}}"))
    assert caught.value.reason == "GoTemplateRefused"
    assert '{{.Name}}"' in caught.value.message
