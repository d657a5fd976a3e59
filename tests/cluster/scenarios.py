"""What a client sees of an API server, as scenarios that the sandbox and a real server must both pass.

tests/unit/sandbox/test_scenarios.py runs them in memory, test_scenarios.py here on a real control plane.
Where they disagree, the sandbox is wrong. A scenario is a coroutine whose name is the sentence it proves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import pytest
from msgspec import field

from aim_operator.api.external import EVENTS, JOBS, Event
from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.resource import K, Resource, WatchEvent
from aim_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    NotInstalled,
    Unavailable,
)
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.apply import NO_VERSION

GROUP = "aim.silogen.ai/v1alpha1"
WAIT_SECONDS = 60.0


class Anything(KubeObject):
    """Any object, with its body as it is."""

    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    data: dict[str, str] | None = None


def _any(group: str, version: str, plural: str, kind: str, *, namespaced: bool = True) -> Resource[Anything]:
    return Resource(
        group=group, version=version, plural=plural, kind=kind, namespaced=namespaced, type=Anything
    )


SERVICES = _any("aim.silogen.ai", "v1alpha1", "aimservices", "AIMService")
MODEL_CACHES = _any("aim.silogen.ai", "v1alpha1", "aimmodelcaches", "AIMModelCache")
TEMPLATES = _any("aim.silogen.ai", "v1alpha1", "aimservicetemplates", "AIMServiceTemplate")
CONFIG_MAPS = _any("", "v1", "configmaps", "ConfigMap")
NAMESPACES = _any("", "v1", "namespaces", "Namespace", namespaced=False)
ANY_JOBS = _any("batch", "v1", "jobs", "Job")
LEASES = _any("coordination.k8s.io", "v1", "leases", "Lease")
NEW_EVENTS = _any("events.k8s.io", "v1", "events", "Event")
PODS = _any("", "v1", "pods", "Pod")
CLAIMS = _any("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
VOLUMES = _any("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
CLASSES = _any("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)


class ApplyAs(Protocol):
    """Server-side apply under another field manager than the client's."""

    def __call__(
        self, manager: str, resource: Resource[Any], manifest: Manifest, *, force: bool = False
    ) -> Awaitable[None]: ...


class World:
    """One server, seen by one client, in a namespace of the scenario's own."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        *,
        apply_as: ApplyAs,
        sleep: Callable[[float], Awaitable[None]],
        forget_history: Callable[[], None] = lambda: None,
    ) -> None:
        self.client, self.namespace = client, namespace
        self.apply_as, self.sleep, self.forget_history = apply_as, sleep, forget_history

    def service(self, name: str, spec: Manifest | None = None, **metadata: Any) -> Manifest:
        return self.manifest(SERVICES, name, spec={"model": "llama"} if spec is None else spec, **metadata)

    def config_map(self, name: str, data: dict[str, str] | None = None, **metadata: Any) -> Manifest:
        manifest = self.manifest(CONFIG_MAPS, name, **metadata)
        del manifest["spec"]
        return manifest | {"data": data or {}}

    def manifest(
        self, resource: Resource[Any], name: str, spec: Manifest | None = None, **metadata: Any
    ) -> Manifest:
        where = {"namespace": self.namespace} if resource.namespaced else {}
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name} | where | metadata,
            "spec": spec or {},
        }

    async def create(self, manifest: Manifest, resource: Resource[K]) -> K:
        return await self.client.create(resource, manifest, namespace=self.namespace)

    async def get(self, resource: Resource[K], name: str) -> K:
        return await self.client.get(resource, name, namespace=self.namespace)

    async def names(
        self, resource: Resource[Any], *, label_selector: str = "", field_selector: str = ""
    ) -> list[str]:
        page = await self.client.list(
            resource, namespace=self.namespace, label_selector=label_selector, field_selector=field_selector
        )
        return [obj.metadata.name for obj in page.items]

    async def gone(self, resource: Resource[Any], name: str) -> bool:
        try:
            await self.get(resource, name)
        except NotFound:
            return True
        return False

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Waits for what a controller does in its own time."""
        waited = 0.0
        while not await holds():
            assert waited < WAIT_SECONDS, f"it never came true that {what}"
            await self.sleep(0.1)
            waited += 0.1

    async def revision(self, resource: Resource[Any]) -> str:
        return (await self.client.list(resource, namespace=self.namespace)).resource_version

    async def events(self, number: int, stream: AsyncIterator[WatchEvent[K]]) -> list[WatchEvent[K]]:
        """The next events of a watch, without bookmarks that only tell the time."""
        found: list[WatchEvent[K]] = []
        while len(found) < number:
            event = await anext(stream)
            if event.type != "BOOKMARK" or event.initial_events_end:
                found.append(event)
        return found


def told(event: WatchEvent[Any]) -> tuple[str, str]:
    return event.type, event.object.metadata.name if event.object else ""


async def refusal(kind: type[ApiError], attempt: Awaitable[Any]) -> str:
    """The message of the error, which must be of exactly this kind."""
    with pytest.raises(ApiError) as caught:
        await attempt
    assert type(caught.value) is kind, repr(caught.value)
    return str(caught.value)


# Creating and reading


async def a_created_object_has_what_the_server_gives_it(w: World) -> None:
    made = await w.create(w.service("a", labels={"x": "y"}), SERVICES)
    assert made.kind == "AIMService"
    assert made.api_version == GROUP
    assert made.metadata.namespace == w.namespace
    assert made.metadata.generation == 1
    assert made.metadata.uid
    assert int(made.metadata.resource_version) > 0
    assert (made.metadata.creation_timestamp or "").endswith("Z")
    assert made.metadata.labels == {"x": "y"}
    assert await w.get(SERVICES, "a") == made


async def a_name_is_taken_once(w: World) -> None:
    await w.create(w.service("a"), SERVICES)
    message = await refusal(AlreadyExists, w.create(w.service("a"), SERVICES))
    assert 'aimservices.aim.silogen.ai "a" already exists' in message


async def a_generated_name_begins_as_asked(w: World) -> None:
    manifest = w.config_map("")
    manifest["metadata"] = {"generateName": "a-"}
    made = await w.create(manifest, CONFIG_MAPS)
    assert made.metadata.name.startswith("a-")
    assert len(made.metadata.name) == len("a-") + 5


async def nothing_is_created_in_a_namespace_that_is_not_there(w: World) -> None:
    missing = f"{w.namespace}-missing"
    manifest = w.service("a", namespace=missing)
    message = await refusal(NotFound, w.client.create(SERVICES, manifest, namespace=missing))
    assert f'namespaces "{missing}" not found' in message
    await refusal(NotFound, w.client.apply(SERVICES, manifest))
    assert (await w.client.list(SERVICES, namespace=missing)).items == ()


async def a_missing_object_is_not_found(w: World) -> None:
    message = await refusal(NotFound, w.get(SERVICES, "a"))
    assert 'aimservices.aim.silogen.ai "a" not found' in message
    namespace = w.namespace
    await refusal(NotFound, w.client.patch(SERVICES, "a", {"spec": {}}, namespace=namespace))
    await refusal(NotFound, w.client.patch_status(SERVICES, "a", {"status": {}}, namespace=namespace))
    await refusal(NotFound, w.client.delete(SERVICES, "a", namespace=namespace))


async def a_kind_that_is_not_there_is_not_installed(w: World) -> None:
    for resource in (
        _any("example.com", "v1", "examples", "Example"),
        _any("aim.silogen.ai", "v1alpha1", "examples", "Example"),
        _any("aim.silogen.ai", "v1", "aimservices", "AIMService"),
    ):
        await refusal(NotInstalled, w.client.list(resource, namespace=w.namespace))
        await refusal(NotInstalled, w.client.list(resource))
        await refusal(NotInstalled, w.get(resource, "a"))
        await refusal(NotInstalled, w.client.apply(resource, w.manifest(resource, "a")))
        await refusal(NotInstalled, anext(w.client.watch(resource, resource_version="0")))


# Validation


async def defaults_are_filled_in_and_owned_by_nobody(w: World) -> None:
    made = await w.client.apply(SERVICES, w.service("a"))
    assert made.spec == {"model": "llama", "replicas": 1}
    await w.apply_as("someone", SERVICES, w.service("a", {"replicas": 2}))
    assert (await w.get(SERVICES, "a")).spec == {"model": "llama", "replicas": 2}


async def unknown_fields_are_dropped_from_a_created_object(w: World) -> None:
    made = await w.create(w.service("a", {"model": "llama", "modle": "x", "routing": {"on": True}}), SERVICES)
    assert made.spec == {"model": "llama", "replicas": 1, "routing": {}}


async def a_bad_value_is_refused_with_its_field(w: World) -> None:
    for spec, says in (
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than"),
        (
            {"replicas": "2"},
            'spec.replicas: Invalid value: "string": spec.replicas in body must be of type int',
        ),
        (
            {"overrides": {"metric": "fast"}},
            'spec.overrides.metric: Unsupported value: "fast": supported values: "latency", "throughput"',
        ),
        ({"model": "Llama"}, 'spec.model: Invalid value: "Llama": not an object\'s name; write lower-case'),
        ({"env": [{"value": "x"}]}, "spec.env[0].name: Required value"),
        ({"env": [{"name": "A"}, {"name": "A"}]}, 'spec.env[1]: Duplicate value: {"name":"A"}'),
    ):
        message = await refusal(Invalid, w.create(w.service("a", {"model": "llama"} | spec), SERVICES))
        assert 'AIMService.aim.silogen.ai "a" is invalid: ' in message
        assert says in message


async def a_bad_name_or_label_is_refused(w: World) -> None:
    assert "metadata.name: Invalid value" in await refusal(
        Invalid, w.create(w.config_map("Not_a_name"), CONFIG_MAPS)
    )
    labelled = w.config_map("a", labels={"a": "not ok"})
    assert "metadata.labels: Invalid value" in await refusal(Invalid, w.create(labelled, CONFIG_MAPS))


async def an_immutable_field_may_be_repeated_and_not_changed(w: World) -> None:
    await w.create(w.manifest(TEMPLATES, "a", {"aimImageName": "x"}), TEMPLATES)
    await w.client.apply(TEMPLATES, w.manifest(TEMPLATES, "a", {"aimImageName": "x", "metric": "latency"}))
    manifest = w.manifest(TEMPLATES, "a", {"aimImageName": "y"})
    message = await refusal(Invalid, w.client.apply(TEMPLATES, manifest, force=True))
    assert "spec.aimImageName: Invalid value" in message
    # One that was forgotten may be added, and one that the image refuses may be left out.
    for model in ({}, {"model": "org/a"}, {"model": "org/a", "metric": "latency"}):
        await w.client.apply(TEMPLATES, w.manifest(TEMPLATES, "b", {"aimImageName": "x", **model}))
    manifest = w.manifest(TEMPLATES, "b", {"aimImageName": "x", "model": "org/b"})
    message = await refusal(Invalid, w.client.apply(TEMPLATES, manifest, force=True))
    assert "spec.model: Invalid value" in message
    assert "immutable; create a new template for another model" in message
    await w.client.apply(TEMPLATES, w.manifest(TEMPLATES, "b", {"aimImageName": "x"}))


async def the_patterns_of_a_model_cache_can_be_neither_set_nor_changed_nor_removed_later(w: World) -> None:
    source = {"sourceUri": "hf://a/b"}
    for name, first, second in (
        ("set", {}, {"include": ["*.json"]}),
        ("changed", {"include": ["*.json"]}, {"include": ["*.txt"]}),
        ("removed", {"include": ["*.json"]}, {}),
    ):
        await w.client.apply(MODEL_CACHES, w.manifest(MODEL_CACHES, name, {**source, **first}))
        same = w.manifest(MODEL_CACHES, name, {**source, **first, "size": "2Gi"})
        await w.client.apply(MODEL_CACHES, same)
        other = w.manifest(MODEL_CACHES, name, {**source, **second})
        message = await refusal(Invalid, w.client.apply(MODEL_CACHES, other, force=True))
        assert "spec.include: Invalid value" in message
        assert "include is immutable; create a new AIMModelCache" in message


async def an_apply_that_fits_no_schema_is_refused(w: World) -> None:
    for spec, says in (
        ({"modle": "x"}, ".spec.modle: field not declared in schema"),
        ({"replicas": "2"}, ".spec.replicas: expected numeric (int or float), got string"),
        ({"env": [{"name": "A"}, {"name": "A"}]}, '.spec.env: duplicate entries for key [name="A"]'),
    ):
        # The server answers 500, whatever one thinks of it.
        assert says in await refusal(Unavailable, w.client.apply(SERVICES, w.service("a", spec)))


# Server-side apply


async def applying_the_same_again_writes_nothing(w: World) -> None:
    manifest = w.service("a", {"model": "llama", "env": [{"name": "A", "value": "1"}]}, labels={"x": "y"})
    first = await w.client.apply(SERVICES, manifest)
    assert await w.client.apply(SERVICES, manifest) == first
    assert await w.client.apply(SERVICES, manifest, force=True) == first


async def only_a_change_of_the_spec_counts_as_a_generation(w: World) -> None:
    first = await w.client.apply(SERVICES, w.service("a"))
    labelled = await w.client.apply(SERVICES, w.service("a", labels={"x": "y"}))
    assert labelled.metadata.generation == 1
    assert int(labelled.metadata.resource_version) > int(first.metadata.resource_version)
    changed = await w.client.apply(SERVICES, w.service("a", {"model": "other"}))
    assert changed.metadata.generation == 2
    assert (changed.metadata.labels or {}) == {}


async def what_is_no_longer_applied_is_removed(w: World) -> None:
    full = {
        "model": "llama",
        "replicas": 3,
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "overrides": {"metric": "latency"},
        "imagePullSecrets": [{"name": "s"}],
    }
    await w.client.apply(SERVICES, w.service("a", full, labels={"x": "y", "z": "z"}, annotations={"n": "1"}))
    less = {"model": "llama", "env": [{"name": "B", "value": "2"}]}
    got = await w.client.apply(SERVICES, w.service("a", less, labels={"z": "z"}))
    assert got.spec == {"model": "llama", "replicas": 1, "env": [{"name": "B", "value": "2"}]}
    assert got.metadata.labels == {"z": "z"}
    assert (got.metadata.annotations or {}) == {}


async def another_managers_field_is_a_conflict_until_forced(w: World) -> None:
    await w.apply_as("someone", SERVICES, w.service("a", {"model": "llama", "replicas": 2}))
    manifest = w.service("a", {"model": "llama", "replicas": 3})
    message = await refusal(Conflict, w.client.apply(SERVICES, manifest))
    assert 'Apply failed with 1 conflict: conflict with "someone": .spec.replicas' in message
    assert (await w.get(SERVICES, "a")).spec["replicas"] == 2
    assert (await w.client.apply(SERVICES, manifest, force=True)).spec["replicas"] == 3
    # The other lost the field; what it applies no longer contains it, and that removes nothing.
    await w.apply_as("someone", SERVICES, w.service("a"))
    assert (await w.get(SERVICES, "a")).spec["replicas"] == 3


async def all_conflicts_are_listed(w: World) -> None:
    env = [{"name": "A", "value": "1"}]
    await w.apply_as("someone", SERVICES, w.service("a", {"model": "llama", "replicas": 2, "env": env}))
    manifest = w.service("a", {"model": "other", "replicas": 3, "env": [{"name": "A", "value": "2"}]})
    message = await refusal(Conflict, w.client.apply(SERVICES, manifest))
    assert 'Apply failed with 3 conflicts: conflicts with "someone":' in message
    for path in (".spec.model", ".spec.replicas", '.spec.env[name="A"].value'):
        assert f"- {path}" in message


async def a_field_that_two_managers_agree_on_is_owned_by_both(w: World) -> None:
    await w.apply_as("someone", SERVICES, w.service("a", {"model": "llama", "replicas": 2}))
    await w.client.apply(SERVICES, w.service("a", {"model": "llama", "replicas": 2}))
    await w.client.apply(SERVICES, w.service("a"))
    assert (await w.get(SERVICES, "a")).spec["replicas"] == 2
    await w.apply_as("someone", SERVICES, w.service("a"))
    assert (await w.get(SERVICES, "a")).spec["replicas"] == 1


async def items_of_two_managers_live_in_one_list(w: World) -> None:
    def env(*names: str) -> Manifest:
        return w.service("a", {"model": "llama", "env": [{"name": name, "value": "1"} for name in names]})

    await w.client.apply(SERVICES, env("A", "B"))
    await w.apply_as("someone", SERVICES, env("C"))
    got = await w.client.apply(SERVICES, env("B", "D"))
    names = [each["name"] for each in got.spec["env"]]
    assert sorted(names) == ["B", "C", "D"]
    assert names.index("B") < names.index("D")
    await w.apply_as("someone", SERVICES, w.service("a"))
    assert [each["name"] for each in (await w.get(SERVICES, "a")).spec["env"]] == ["B", "D"]


async def what_was_written_without_apply_is_a_conflict_too(w: World) -> None:
    await w.create(w.service("a", {"model": "llama", "replicas": 2}), SERVICES)
    message = await refusal(Conflict, w.client.apply(SERVICES, w.service("a", {"model": "other"})))
    assert '"aim-operator" using aim.silogen.ai/v1alpha1: .spec.model' in message
    got = await w.client.apply(SERVICES, w.service("a", {"model": "other"}), force=True)
    assert got.spec == {"model": "other", "replicas": 2}


async def a_change_without_apply_takes_the_field(w: World) -> None:
    await w.apply_as("someone", SERVICES, w.service("a", {"model": "llama", "replicas": 2}))
    await w.client.patch(SERVICES, "a", {"spec": {"replicas": 3}}, namespace=w.namespace)
    await w.apply_as("someone", SERVICES, w.service("a"))
    assert (await w.get(SERVICES, "a")).spec["replicas"] == 3


async def a_uid_in_an_apply_is_a_precondition(w: World) -> None:
    uid = "11111111-2222-3333-4444-555555555555"
    message = await refusal(Conflict, w.client.apply(SERVICES, w.service("a", uid=uid)))
    assert "uid mismatch" in message
    made = await w.client.apply(SERVICES, w.service("a"))
    await refusal(Conflict, w.client.apply(SERVICES, w.service("a", uid=uid)))
    got = await w.client.apply(SERVICES, w.service("a", {"model": "other"}, uid=made.metadata.uid))
    assert got.spec["model"] == "other"


async def a_resource_version_in_an_apply_is_a_precondition(w: World) -> None:
    first = await w.client.apply(SERVICES, w.service("a"))
    version = first.metadata.resource_version
    changed = await w.client.apply(SERVICES, w.service("a", {"model": "b"}, resourceVersion=version))
    assert changed.metadata.generation == 2
    stale = w.service("a", {"model": "c"}, resourceVersion=version)
    assert "the object has been modified" in await refusal(Conflict, w.client.apply(SERVICES, stale))


async def an_apply_with_a_resource_version_that_no_object_has_creates_or_conflicts(w: World) -> None:
    """docs/adr/0008 rests on it."""
    for resource, manifest in ((SERVICES, w.service("a")), (CONFIG_MAPS, w.config_map("a", {"b": "c"}))):
        manifest["metadata"]["resourceVersion"] = NO_VERSION
        made = await w.client.apply(resource, manifest)
        assert made.metadata.resource_version != NO_VERSION
        other = manifest | {"data": {"b": "d"}} if resource is CONFIG_MAPS else w.service("a", {"model": "b"})
        other["metadata"]["resourceVersion"] = NO_VERSION
        for force in (False, True):
            await refusal(Conflict, w.client.apply(resource, other, force=force))
        assert (await w.get(resource, "a")).metadata.resource_version == made.metadata.resource_version


async def status_cannot_be_applied_or_created_with_the_object(w: World) -> None:
    status = {"status": {"status": "Running"}}
    assert (await w.create(w.service("a") | status, SERVICES)).status == {}
    assert (await w.client.apply(SERVICES, w.service("b") | status)).status == {}
    assert (await w.client.apply(SERVICES, w.service("b") | status)).status == {}


# Status, merge patches, replacing


async def a_status_patch_writes_the_status_alone(w: World) -> None:
    await w.client.apply(SERVICES, w.service("a"))
    patch = {
        "metadata": {"labels": {"x": "y"}},
        "spec": {"replicas": 9},
        "status": {"status": "Running", "routing": {"path": "/a"}, "nonsense": 1},
    }
    got = await w.client.patch_status(SERVICES, "a", patch, namespace=w.namespace)
    assert got.status == {"status": "Running", "routing": {"path": "/a"}}
    assert got.spec["replicas"] == 1
    assert got.metadata.generation == 1
    assert (got.metadata.labels or {}) == {}
    applied = await w.client.apply(SERVICES, w.service("a", {"model": "other"}))
    assert applied.status == got.status


async def a_null_in_a_status_patch_removes_the_field(w: World) -> None:
    await w.client.apply(SERVICES, w.service("a"))
    full = {"status": {"status": "Running", "observedGeneration": 1, "routing": {"path": "/a"}}}
    await w.client.patch_status(SERVICES, "a", full, namespace=w.namespace)
    less = {"status": {"routing": None, "observedGeneration": 2}}
    got = await w.client.patch_status(SERVICES, "a", less, namespace=w.namespace)
    assert got.status == {"status": "Running", "observedGeneration": 2}
    again = await w.client.patch_status(SERVICES, "a", less, namespace=w.namespace)
    assert again.metadata.resource_version == got.metadata.resource_version


async def a_json_patch_of_a_status_sets_nulls_that_stay(w: World) -> None:
    made = await w.client.apply(TEMPLATES, w.manifest(TEMPLATES, "a", spec={"aimImageName": "llama"}))
    profile = {"engine_args": {"flag": None, "deep": [{"x": None}], "n": 1}, "metadata": None}
    version: Manifest = {
        "op": "add",
        "path": "/metadata/resourceVersion",
        "value": made.metadata.resource_version,
    }
    whole = {"op": "add", "path": "/status", "value": {}}
    patch = [version, whole, {"op": "add", "path": "/status/profile", "value": profile}]
    got = await w.client.patch_status(TEMPLATES, "a", patch, namespace=w.namespace)
    assert got.status == {"profile": profile}
    merged = {"status": {"status": "Available"}}
    again = await w.client.patch_status(TEMPLATES, "a", merged, namespace=w.namespace)
    assert again.status == {"status": "Available", "profile": profile}
    assert (await w.client.get(TEMPLATES, "a", namespace=w.namespace)).status == again.status
    less: list[Manifest] = [{"op": "remove", "path": "/status/profile"}]
    assert (await w.client.patch_status(TEMPLATES, "a", less, namespace=w.namespace)).status == merged[
        "status"
    ]
    message = await refusal(Conflict, w.client.patch_status(TEMPLATES, "a", patch, namespace=w.namespace))
    assert "the object has been modified" in message
    await refusal(Invalid, w.client.patch_status(TEMPLATES, "a", less, namespace=w.namespace))


async def a_null_in_an_applied_free_form_value_stays(w: World) -> None:
    args: Manifest = {"flag": None, "n": 1, "deep": {"x": None, "y": [{"z": None}]}}
    wanted = w.manifest(TEMPLATES, "a", spec={"aimImageName": "llama", "engineArgs": args})
    got = await w.client.apply(TEMPLATES, wanted)
    assert got.spec["engineArgs"] == args
    again = await w.client.apply(TEMPLATES, wanted)
    assert again.metadata.resource_version == got.metadata.resource_version
    wanted["spec"]["engineArgs"] = {"flag": None, "deep": {"x": 1}}
    changed = await w.client.apply(TEMPLATES, wanted)
    assert changed.spec["engineArgs"] == {"flag": None, "deep": {"x": 1}}


async def a_null_is_a_field_that_nobody_set_where_the_schema_knows_it(w: World) -> None:
    args: Manifest = {"flag": None, "large": 10**20, "list": [None, -(10**19)]}
    spec = {"aimImageName": "llama", "profileId": None, "serving": {"drainSeconds": None}, "engineArgs": args}
    made = await w.client.create(TEMPLATES, w.manifest(TEMPLATES, "a", spec=spec), namespace=w.namespace)
    kept = {"flag": None, "large": 1e20, "list": [None, -1e19]}
    assert made.spec == {"aimImageName": "llama", "serving": {}, "engineArgs": kept}
    message = await refusal(
        Invalid,
        w.client.create(
            TEMPLATES, w.manifest(TEMPLATES, "b", spec={"aimImageName": None}), namespace=w.namespace
        ),
    )
    assert "aimImageName" in message


async def a_resource_version_in_a_status_patch_is_a_precondition(w: World) -> None:
    made = await w.client.apply(SERVICES, w.service("a"))
    patch = {
        "metadata": {"resourceVersion": made.metadata.resource_version},
        "status": {"status": "Pending"},
    }
    await w.client.patch_status(SERVICES, "a", patch, namespace=w.namespace)
    message = await refusal(Conflict, w.client.patch_status(SERVICES, "a", patch, namespace=w.namespace))
    assert "the object has been modified" in message


async def a_bad_status_is_refused(w: World) -> None:
    await w.client.apply(SERVICES, w.service("a"))
    patch = {"status": {"status": "Sleeping"}}
    message = await refusal(Invalid, w.client.patch_status(SERVICES, "a", patch, namespace=w.namespace))
    assert 'status.status: Unsupported value: "Sleeping"' in message


async def a_merge_patch_changes_what_it_names(w: World) -> None:
    await w.create(w.service("a", {"model": "llama", "replicas": 2}, labels={"x": "1", "y": "2"}), SERVICES)
    patch = {"metadata": {"labels": {"x": None, "z": "3"}}, "spec": {"replicas": None}}
    got = await w.client.patch(SERVICES, "a", patch, namespace=w.namespace)
    assert got.metadata.labels == {"y": "2", "z": "3"}
    assert got.spec == {"model": "llama", "replicas": 1}
    assert got.metadata.generation == 2
    renamed = {"metadata": {"name": "b"}}
    message = await refusal(Invalid, w.client.patch(SERVICES, "a", renamed, namespace=w.namespace))
    assert "the name of the object (b) does not match the name on the URL (a)" in message


async def a_uid_in_a_merge_patch_is_a_precondition(w: World) -> None:
    made = await w.create(w.service("a"), SERVICES)

    def patched(uid: str) -> Awaitable[Any]:
        patch = {"metadata": {"uid": uid, "labels": {"x": "y"}}}
        return w.client.patch(SERVICES, "a", patch, namespace=w.namespace)

    other = "11111111-2222-3333-4444-555555555555"
    assert other in await refusal(Conflict, patched(other))
    assert (await patched(made.metadata.uid)).metadata.labels == {"x": "y"}


async def a_replacement_needs_the_version_it_read(w: World) -> None:
    lease = w.manifest(LEASES, "a", {"holderIdentity": "one", "leaseDurationSeconds": 15})
    made = await w.create(lease, LEASES)
    version = made.metadata.resource_version
    taken = w.manifest(LEASES, "a", {"holderIdentity": "two"}, resourceVersion=version)
    got = await w.client.replace(LEASES, taken)
    assert got.spec == {"holderIdentity": "two"}
    assert got.metadata.uid == made.metadata.uid
    message = await refusal(Conflict, w.client.replace(LEASES, taken))
    assert "the object has been modified" in message
    # Leases are among the few kinds that a replacement creates.
    assert (await w.client.replace(LEASES, w.manifest(LEASES, "b", {"holderIdentity": "one"}))).spec


# Deleting


async def deletion_has_preconditions(w: World) -> None:
    made = await w.create(w.service("a"), SERVICES)
    delete = w.client.delete
    await refusal(Conflict, delete(SERVICES, "a", namespace=w.namespace, uid="another"))
    await refusal(Conflict, delete(SERVICES, "a", namespace=w.namespace, resource_version="1"))
    uid, version = made.metadata.uid, made.metadata.resource_version
    await delete(SERVICES, "a", namespace=w.namespace, uid=uid, resource_version=version)
    assert await w.gone(SERVICES, "a")


async def a_finalizer_holds_an_object_until_it_is_removed(w: World) -> None:
    made = await w.create(w.service("a", finalizers=["example.com/hold"]), SERVICES)
    await w.client.delete(SERVICES, "a", namespace=w.namespace)
    held = await w.get(SERVICES, "a")
    assert held.metadata.deletion_timestamp
    assert held.metadata.generation == 2
    await w.client.delete(SERVICES, "a", namespace=w.namespace)
    assert await w.get(SERVICES, "a") == held
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    await refusal(Invalid, w.client.patch(SERVICES, "a", more, namespace=w.namespace))
    assert (await w.client.apply(SERVICES, w.service("a"), force=True)).metadata.uid == made.metadata.uid
    none = {"metadata": {"finalizers": None}}
    await w.client.patch(SERVICES, "a", none, namespace=w.namespace)
    assert await w.gone(SERVICES, "a")


def owned(w: World, name: str, owner: Anything, **more: Any) -> Manifest:
    reference = {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
    }
    return w.config_map(name, ownerReferences=[reference | more])


async def dependents_go_with_their_owner(w: World) -> None:
    owner = await w.create(w.service("owner"), SERVICES)
    await w.create(owned(w, "child", owner), CONFIG_MAPS)
    await w.create(w.config_map("other"), CONFIG_MAPS)
    await w.client.delete(SERVICES, "owner", namespace=w.namespace)

    async def collected() -> bool:
        return await w.gone(CONFIG_MAPS, "child")

    await w.until(collected, "the dependent is collected")
    assert not await w.gone(CONFIG_MAPS, "other")


async def a_dependent_of_two_owners_goes_with_the_last(w: World) -> None:
    one = await w.create(w.service("one"), SERVICES)
    two = await w.create(w.service("two"), SERVICES)
    child = owned(w, "child", one)
    child["metadata"]["ownerReferences"] += owned(w, "child", two)["metadata"]["ownerReferences"]
    await w.create(child, CONFIG_MAPS)
    await w.client.delete(SERVICES, "one", namespace=w.namespace)

    async def forgotten() -> bool:
        left = (await w.get(CONFIG_MAPS, "child")).metadata.owner_references
        return [owner.name for owner in left or ()] == ["two"]

    await w.until(forgotten, "the reference to the first owner is dropped")
    await w.client.delete(SERVICES, "two", namespace=w.namespace)
    await w.until(lambda: w.gone(CONFIG_MAPS, "child"), "the dependent is collected")


async def an_object_whose_owner_never_was_is_collected(w: World) -> None:
    owner = await w.create(w.service("owner"), SERVICES)
    await w.client.delete(SERVICES, "owner", namespace=w.namespace)
    await w.create(owned(w, "child", owner), CONFIG_MAPS)
    await w.until(lambda: w.gone(CONFIG_MAPS, "child"), "the dependent is collected")


async def a_foreground_deletion_waits_for_dependents(w: World) -> None:
    owner = await w.create(w.service("owner"), SERVICES)
    child = owned(w, "child", owner, blockOwnerDeletion=True)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    await w.create(child, CONFIG_MAPS)
    await w.client.delete(SERVICES, "owner", namespace=w.namespace, propagation="Foreground")

    async def marked() -> bool:
        return (await w.get(CONFIG_MAPS, "child")).metadata.deletion_timestamp is not None

    await w.until(marked, "the dependent is being deleted")
    assert ((await w.get(SERVICES, "owner")).metadata.finalizers or ()) == ("foregroundDeletion",)
    none = {"metadata": {"finalizers": None}}
    await w.client.patch(CONFIG_MAPS, "child", none, namespace=w.namespace)
    await w.until(lambda: w.gone(SERVICES, "owner"), "the owner is gone")


async def orphans_stay(w: World) -> None:
    owner = await w.create(w.service("owner"), SERVICES)
    await w.create(owned(w, "child", owner), CONFIG_MAPS)

    async def known() -> bool:
        await w.client.delete(SERVICES, "owner", namespace=w.namespace, propagation="Orphan")
        return True

    await known()
    await w.until(lambda: w.gone(SERVICES, "owner"), "the owner is gone")
    assert ((await w.get(CONFIG_MAPS, "child")).metadata.owner_references or ()) == ()


async def a_terminating_namespace_takes_nothing_new_and_is_emptied(w: World) -> None:
    name = f"{w.namespace}-end"
    await w.client.create(NAMESPACES, w.manifest(NAMESPACES, name))
    held = w.config_map("held", namespace=name, finalizers=["example.com/hold"])
    await w.client.create(CONFIG_MAPS, held, namespace=name)
    await w.client.create(SERVICES, w.service("a", namespace=name), namespace=name)
    await w.client.delete(NAMESPACES, name)
    late = w.client.create(SERVICES, w.service("b", namespace=name), namespace=name)
    assert "because it is being terminated" in await refusal(Forbidden, late)
    late_apply = w.client.apply(SERVICES, w.service("b", namespace=name))
    await refusal(Forbidden, late_apply)

    async def emptied() -> bool:
        return (await w.client.list(SERVICES, namespace=name)).items == ()

    await w.until(emptied, "the content is deleted")
    assert (await w.client.get(NAMESPACES, name)).status["phase"] == "Terminating"
    none = {"metadata": {"finalizers": None}}
    await w.client.patch(CONFIG_MAPS, "held", none, namespace=name)

    async def ended() -> bool:
        return not [each for each in (await w.client.list(NAMESPACES)).items if each.metadata.name == name]

    await w.until(ended, "the namespace is gone")


# Lists


async def lists_are_selected_by_labels(w: World) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "2", "y": "1"}), ("c", {})):
        await w.create(w.config_map(name, labels=labels, annotations={"mine": "true"}), CONFIG_MAPS)
    mine = "kube-root-ca.crt"
    for selector, want in (
        ("x", ["a", "b"]),
        ("!x", ["c"]),
        ("x=1", ["a"]),
        ("x==2", ["b"]),
        ("x!=1", ["b", "c"]),
        ("x in (1,2)", ["a", "b"]),
        ("x notin (1)", ["b", "c"]),
        ("x,y", ["b"]),
        ("x in (1,2),!y", ["a"]),
    ):
        found = await w.names(CONFIG_MAPS, label_selector=selector)
        assert [name for name in found if name != mine] == want, selector
    await refusal(Unavailable, w.client.list(CONFIG_MAPS, namespace=w.namespace, label_selector="x==="))


async def lists_are_selected_by_fields(w: World) -> None:
    for name in ("a", "b"):
        await w.create(w.service(name), SERVICES)
    assert await w.names(SERVICES, field_selector="metadata.name=a") == ["a"]
    assert await w.names(SERVICES, field_selector="metadata.name!=a") == ["b"]
    assert await w.names(SERVICES, field_selector=f"metadata.name=b,metadata.namespace={w.namespace}") == [
        "b"
    ]
    message = await refusal(
        Unavailable, w.client.list(SERVICES, namespace=w.namespace, field_selector="spec.model=llama")
    )
    assert "field label not supported: spec.model" in message


async def pages_show_one_moment(w: World) -> None:
    for name in "abcde":
        await w.create(w.service(name), SERVICES)
    first = await w.client.list(SERVICES, namespace=w.namespace, limit=2)
    assert [each.metadata.name for each in first.items] == ["a", "b"]
    assert first.continue_token
    await w.create(w.service("d0"), SERVICES)
    await w.client.delete(SERVICES, "e", namespace=w.namespace)
    found: list[str] = []
    token = first.continue_token
    while token:
        page = await w.client.list(SERVICES, namespace=w.namespace, limit=2, continue_token=token)
        found += [each.metadata.name for each in page.items]
        assert page.resource_version == first.resource_version
        token = page.continue_token
    assert found == ["c", "d", "e"]


async def a_token_that_is_none_is_refused(w: World) -> None:
    await refusal(Unavailable, w.client.list(SERVICES, namespace=w.namespace, continue_token="nonsense"))


# Watches


async def a_watch_tells_what_happened_since(w: World) -> None:
    since = await w.revision(SERVICES)
    made = await w.create(w.service("a"), SERVICES)
    changed = await w.client.apply(SERVICES, w.service("a", {"model": "b"}), force=True)
    await w.client.patch_status(SERVICES, "a", {"status": {"status": "Running"}}, namespace=w.namespace)
    await w.client.delete(SERVICES, "a", namespace=w.namespace)
    stream = w.client.watch(SERVICES, namespace=w.namespace, resource_version=since)
    got = await w.events(4, stream)
    assert [told(event) for event in got] == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]
    assert got[0].object == made
    assert got[1].object == changed
    last = got[3].object
    assert last is not None
    assert last.status == {"status": "Running"}
    assert last.metadata.resource_version == got[3].resource_version
    versions = [int(event.resource_version) for event in got]
    assert versions == sorted(set(versions))


async def a_watch_waits_for_what_comes(w: World) -> None:
    since = await w.revision(SERVICES)
    stream = w.client.watch(SERVICES, namespace=w.namespace, resource_version=since)
    pending = asyncio.ensure_future(w.events(1, stream))
    await w.sleep(0.05)
    assert not pending.done()
    await w.create(w.service("a"), SERVICES)
    assert [told(event) for event in await pending] == [("ADDED", "a")]


async def two_watches_tell_the_same(w: World) -> None:
    since = await w.revision(SERVICES)
    one = w.client.watch(SERVICES, namespace=w.namespace, resource_version=since)
    two = w.client.watch(SERVICES, namespace=w.namespace, resource_version=since)
    for name in ("a", "b"):
        await w.create(w.service(name), SERVICES)
    assert await w.events(2, one) == await w.events(2, two)


async def an_object_comes_and_goes_with_the_selector(w: World) -> None:
    await w.create(w.service("a"), SERVICES)
    since = await w.revision(SERVICES)
    for labels in ({"x": "1"}, {"x": "1", "y": "2"}, {"x": None}, {"x": "1"}):
        patch = {"metadata": {"labels": labels}}
        changed = await w.client.patch(SERVICES, "a", patch, namespace=w.namespace)
    stream = w.client.watch(SERVICES, namespace=w.namespace, label_selector="x=1", resource_version=since)
    got = await w.events(4, stream)
    assert [event.type for event in got] == ["ADDED", "MODIFIED", "DELETED", "ADDED"]
    left = got[2].object
    assert left is not None
    # The state before, under the version of the change.
    assert left.metadata.labels == {"x": "1", "y": "2"}
    assert left.metadata.resource_version == got[2].resource_version
    assert got[3].resource_version == changed.metadata.resource_version


async def a_watch_can_begin_with_what_is_there(w: World) -> None:
    for name in ("b", "a"):
        await w.create(w.service(name, labels={"x": "1"}), SERVICES)
    await w.create(w.service("c"), SERVICES)
    stream = w.client.watch(SERVICES, namespace=w.namespace, label_selector="x=1", send_initial_events=True)
    got = await w.events(3, stream)
    assert sorted(told(event) for event in got[:2]) == [("ADDED", "a"), ("ADDED", "b")]
    assert got[2].type == "BOOKMARK"
    assert got[2].initial_events_end
    assert int(got[2].resource_version) >= max(int(event.resource_version) for event in got[:2])
    await w.client.delete(SERVICES, "a", namespace=w.namespace)
    assert [told(event) for event in await w.events(1, stream)] == [("DELETED", "a")]


async def a_watch_ends_on_time_with_a_bookmark_before(w: World) -> None:
    """A real server sends one only if the resource changed meanwhile: here what the selector leaves out."""
    since = await w.revision(SERVICES)
    await w.create(w.service("a", labels={"watched": "yes"}), SERVICES)
    stream = w.client.watch(
        SERVICES,
        namespace=w.namespace,
        label_selector="watched=yes",
        resource_version=since,
        timeout_seconds=8,
    )
    assert [told(event) for event in await w.events(1, stream)] == [("ADDED", "a")]
    changed = await w.create(w.service("b"), SERVICES)
    got = [event async for event in stream]
    assert {event.type for event in got} == {"BOOKMARK"}
    assert int(got[-1].resource_version) >= int(changed.metadata.resource_version)
    assert not got[-1].initial_events_end


async def a_watch_from_what_is_forgotten_has_expired(w: World) -> None:
    await w.create(w.service("a"), SERVICES)
    w.forget_history()
    stream = w.client.watch(SERVICES, namespace=w.namespace, resource_version="1")
    await refusal(Expired, w.events(1, stream))


# Built-in kinds


def job(w: World, name: str) -> Manifest:
    container = {"name": "main", "image": "example.com/none:1", "args": ["dry-run"]}
    return w.manifest(
        ANY_JOBS,
        name,
        {
            "backoffLimit": 0,
            "suspend": True,
            "template": {
                "metadata": {"labels": {"x": "y"}},
                "spec": {"restartPolicy": "Never", "containers": [container]},
            },
        },
    )


async def a_job_has_the_defaults_and_labels_of_its_pod(w: World) -> None:
    made = await w.client.apply(ANY_JOBS, job(w, "a"))
    uid = made.metadata.uid
    assert made.metadata.generation == 1
    spec = made.spec
    assert spec["template"]["metadata"]["labels"] == {
        "x": "y",
        "job-name": "a",
        "controller-uid": uid,
        "batch.kubernetes.io/job-name": "a",
        "batch.kubernetes.io/controller-uid": uid,
    }
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    pod = spec["template"]["spec"]
    assert pod.pop("containers") == [
        {
            "name": "main",
            "image": "example.com/none:1",
            "args": ["dry-run"],
            "imagePullPolicy": "IfNotPresent",
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
    ]
    assert pod == {
        "restartPolicy": "Never",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }
    del spec["template"], spec["selector"]
    assert spec == {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 0,
        "completionMode": "NonIndexed",
        "suspend": True,
        "manualSelector": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    }


async def a_job_with_rules_for_failures_replaces_failed_pods_only_and_keeps_no_empty_list(w: World) -> None:
    manifest = job(w, "a")
    ignored = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    manifest["spec"]["podFailurePolicy"] = {"rules": [ignored]}
    manifest["spec"]["template"]["spec"]["containers"][0]["env"] = []
    made = await w.client.apply(ANY_JOBS, manifest)
    assert made.spec["podReplacementPolicy"] == "Failed"
    assert "env" not in made.spec["template"]["spec"]["containers"][0]


async def applying_a_job_again_writes_nothing(w: World) -> None:
    await w.client.apply(ANY_JOBS, job(w, "a"))

    async def noticed() -> bool:
        return bool((await w.get(ANY_JOBS, "a")).status.get("conditions"))

    await w.until(noticed, "the Job controller has seen the Job")
    seen = await w.get(ANY_JOBS, "a")
    assert await w.client.apply(ANY_JOBS, job(w, "a")) == seen


async def quantities_of_a_job_are_stored_in_their_shortest_form(w: World) -> None:
    manifest = job(w, "a")
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "1000m", "memory": "0.5Gi", "example.com/a": "2000"},
        "limits": {"cpu": "1500m", "memory": "1024Mi", "example.com/a": 2000, "ephemeral-storage": "1e3"},
    }
    made = await w.client.apply(ANY_JOBS, manifest)
    assert made.spec["template"]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1", "memory": "512Mi", "example.com/a": "2k"},
        "limits": {"cpu": "1500m", "memory": "1Gi", "example.com/a": "2k", "ephemeral-storage": "1e3"},
    }
    again = await w.client.apply(ANY_JOBS, manifest)
    assert again.metadata.generation == 1


async def a_jobs_template_is_immutable_and_its_ttl_is_not(w: World) -> None:
    await w.client.apply(ANY_JOBS, job(w, "a"))
    changed = job(w, "a")
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "example.com/none:2"
    message = await refusal(Invalid, w.client.apply(ANY_JOBS, changed))
    assert "spec.template: Invalid value" in message
    assert "field is immutable" in message
    lasting = job(w, "a")
    lasting["spec"]["ttlSecondsAfterFinished"] = 600
    assert (await w.client.apply(ANY_JOBS, lasting)).spec["ttlSecondsAfterFinished"] == 600


async def a_job_needs_containers_and_a_restart_policy(w: World) -> None:
    bare = w.manifest(ANY_JOBS, "a", {"template": {"spec": {"restartPolicy": "Never"}}})
    assert "spec.template.spec.containers: Required value" in await refusal(Invalid, w.create(bare, ANY_JOBS))
    always = job(w, "a")
    always["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    says = 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'
    assert says in await refusal(Invalid, w.create(always, ANY_JOBS))
    del always["spec"]["template"]["spec"]["containers"][0]["image"]
    says = "spec.template.spec.containers[0].image: Required value"
    assert says in await refusal(Invalid, w.create(always, ANY_JOBS))


async def an_event_is_the_same_in_both_groups(w: World) -> None:
    event = w.manifest(NEW_EVENTS, "a")
    del event["spec"]
    event |= {
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/test",
        "reportingInstance": "test-1",
        "action": "Testing",
        "reason": "FailedCreate",
        "type": "Warning",
        "note": "it is full",
        "regarding": {"kind": "Job", "namespace": w.namespace, "name": "a", "uid": "1"},
    }
    await w.create(event, NEW_EVENTS)
    other = event | {"metadata": {"name": "b", "namespace": w.namespace}, "reason": "Other"}
    await w.create(other, NEW_EVENTS)
    selector = "involvedObject.kind=Job,reason=FailedCreate"
    found = await w.client.list(EVENTS, namespace=w.namespace, field_selector=selector)
    [got] = found.items
    assert isinstance(got, Event)
    assert (got.metadata.name, got.message, got.type) == ("a", "it is full", "Warning")
    assert got.involved_object.name == "a"
    del event["action"]
    event["metadata"] = {"name": "c", "namespace": w.namespace}
    assert "action: Required value" in await refusal(Invalid, w.create(event, NEW_EVENTS))


async def the_log_of_a_missing_pod_is_not_found(w: World) -> None:
    message = await refusal(NotFound, anext(w.client.logs(w.namespace, "a", container="main")))
    assert 'pods "a" not found' in message


async def jobs_are_selected_by_few_fields(w: World) -> None:
    made = await w.client.apply(JOBS, job(w, "a"))
    assert await w.names(JOBS, field_selector="metadata.name=a") == [made.metadata.name]
    message = await refusal(
        Unavailable, w.client.list(JOBS, namespace=w.namespace, field_selector="spec.suspend=true")
    )
    assert 'field label "spec.suspend" not supported for Job' in message


async def a_claim_grows_once_it_is_bound_where_its_class_allows_and_never_shrinks(w: World) -> None:
    binding = {"grows": "Immediate", "fixed": "Immediate", "waits": "WaitForFirstConsumer"}
    for name, mode in binding.items():
        storage_class = w.manifest(CLASSES, f"{w.namespace}-{name}") | {
            "provisioner": "example.com/none",
            "volumeBindingMode": mode,
            "allowVolumeExpansion": name != "fixed",
        }
        del storage_class["spec"]
        await w.client.create(CLASSES, storage_class)
    try:
        for name in binding:
            await w.client.apply(CLAIMS, claim(w, name, "1Gi"))
        for name in ("grows", "fixed"):
            await bound(w, name)
        grown = await w.client.apply(CLAIMS, claim(w, "grows", "3Gi"))
        assert grown.spec["resources"]["requests"] == {"storage": "3Gi"}
        message = await refusal(Invalid, w.client.apply(CLAIMS, claim(w, "grows", "1Gi")))
        says = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
        assert says in message
        message = await refusal(Forbidden, w.client.apply(CLAIMS, claim(w, "fixed", "3Gi")))
        assert "only dynamically provisioned pvc can be resized and the storageclass" in message
        message = await refusal(Invalid, w.client.apply(CLAIMS, claim(w, "waits", "3Gi")))
        assert "spec is immutable after creation except resources.requests" in message
        assert "for bound claims" in message
    finally:
        for name in binding:
            await w.client.delete(CLASSES, f"{w.namespace}-{name}")


async def a_claim_without_a_class_has_the_newest_default_one_at_once(w: World) -> None:
    name = f"{w.namespace}-default"
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    default = w.manifest(CLASSES, name, annotations=annotations) | {"provisioner": "example.com/none"}
    del default["spec"]
    await w.client.create(CLASSES, default)
    try:
        applied = claim(w, "a", "1Gi")
        del applied["spec"]["storageClassName"]
        made = await w.client.apply(CLAIMS, applied)
        assert made.spec["storageClassName"] == name
        assert made.metadata.finalizers == ("kubernetes.io/pvc-protection",)
        assert (await w.client.apply(CLAIMS, applied)).spec["storageClassName"] == name
        applied["spec"]["storageClassName"] = ""
        applied["metadata"]["name"] = "none"
        assert (await w.client.apply(CLAIMS, applied)).spec["storageClassName"] == ""
    finally:
        await w.client.delete(CLASSES, name)


def claim(w: World, name: str, size: str) -> Manifest:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": f"{w.namespace}-{name}",
        "resources": {"requests": {"storage": size}},
    }
    return w.manifest(CLAIMS, name, spec)


async def bound(w: World, name: str) -> None:
    """Gives a claim its volume: by hand where nobody provisions any."""
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": f"{w.namespace}-{name}",
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": f"/nowhere/{name}"},
        "claimRef": {"namespace": w.namespace, "name": name},
    }
    with suppress(NotInstalled):
        await w.client.create(VOLUMES, w.manifest(VOLUMES, f"{w.namespace}-{name}", spec))

    async def is_bound() -> bool:
        return (await w.get(CLAIMS, name)).status.get("phase") == "Bound"

    await w.until(is_bound, f"claim {name} is bound")


SCENARIOS: tuple[Callable[[World], Awaitable[None]], ...] = (
    a_created_object_has_what_the_server_gives_it,
    a_name_is_taken_once,
    a_generated_name_begins_as_asked,
    nothing_is_created_in_a_namespace_that_is_not_there,
    a_missing_object_is_not_found,
    a_kind_that_is_not_there_is_not_installed,
    defaults_are_filled_in_and_owned_by_nobody,
    unknown_fields_are_dropped_from_a_created_object,
    a_bad_value_is_refused_with_its_field,
    a_bad_name_or_label_is_refused,
    an_immutable_field_may_be_repeated_and_not_changed,
    the_patterns_of_a_model_cache_can_be_neither_set_nor_changed_nor_removed_later,
    an_apply_that_fits_no_schema_is_refused,
    applying_the_same_again_writes_nothing,
    only_a_change_of_the_spec_counts_as_a_generation,
    what_is_no_longer_applied_is_removed,
    another_managers_field_is_a_conflict_until_forced,
    all_conflicts_are_listed,
    a_field_that_two_managers_agree_on_is_owned_by_both,
    items_of_two_managers_live_in_one_list,
    what_was_written_without_apply_is_a_conflict_too,
    a_change_without_apply_takes_the_field,
    a_uid_in_an_apply_is_a_precondition,
    a_resource_version_in_an_apply_is_a_precondition,
    an_apply_with_a_resource_version_that_no_object_has_creates_or_conflicts,
    status_cannot_be_applied_or_created_with_the_object,
    a_status_patch_writes_the_status_alone,
    a_null_in_a_status_patch_removes_the_field,
    a_json_patch_of_a_status_sets_nulls_that_stay,
    a_null_in_an_applied_free_form_value_stays,
    a_null_is_a_field_that_nobody_set_where_the_schema_knows_it,
    a_resource_version_in_a_status_patch_is_a_precondition,
    a_bad_status_is_refused,
    a_merge_patch_changes_what_it_names,
    a_uid_in_a_merge_patch_is_a_precondition,
    a_replacement_needs_the_version_it_read,
    deletion_has_preconditions,
    a_finalizer_holds_an_object_until_it_is_removed,
    dependents_go_with_their_owner,
    a_dependent_of_two_owners_goes_with_the_last,
    an_object_whose_owner_never_was_is_collected,
    a_foreground_deletion_waits_for_dependents,
    orphans_stay,
    a_terminating_namespace_takes_nothing_new_and_is_emptied,
    lists_are_selected_by_labels,
    lists_are_selected_by_fields,
    pages_show_one_moment,
    a_token_that_is_none_is_refused,
    a_watch_tells_what_happened_since,
    a_watch_waits_for_what_comes,
    two_watches_tell_the_same,
    an_object_comes_and_goes_with_the_selector,
    a_watch_can_begin_with_what_is_there,
    a_watch_ends_on_time_with_a_bookmark_before,
    a_watch_from_what_is_forgotten_has_expired,
    a_job_has_the_defaults_and_labels_of_its_pod,
    a_job_with_rules_for_failures_replaces_failed_pods_only_and_keeps_no_empty_list,
    applying_a_job_again_writes_nothing,
    quantities_of_a_job_are_stored_in_their_shortest_form,
    a_jobs_template_is_immutable_and_its_ttl_is_not,
    a_job_needs_containers_and_a_restart_policy,
    an_event_is_the_same_in_both_groups,
    the_log_of_a_missing_pod_is_not_found,
    jobs_are_selected_by_few_fields,
    a_claim_grows_once_it_is_bound_where_its_class_allows_and_never_shrinks,
    a_claim_without_a_class_has_the_newest_default_one_at_once,
)
