"""The kinds that the sandbox serves: from CRDs at run time, and the built-in ones from builtin.py.

A ServedKind is what the API server knows of a kind: its names, schema, subresource, selectable fields, and
hooks for what built-in kinds do in code. Called by server.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.sandbox.refusals import Cause, not_installed
from aim_operator.sandbox.schema import Node

Validate = Callable[[Manifest, Manifest | None], Iterator[Cause]]
Prepare = Callable[[Manifest], None]
_ALWAYS_SELECTABLE = frozenset({"metadata.name", "metadata.namespace"})


class KindId(NamedTuple):
    """What a collection in storage is called."""

    group: str
    kind: str


CRD = KindId("apiextensions.k8s.io", "CustomResourceDefinition")
NAMESPACE = KindId("", "Namespace")


class ServedKind:
    """One kind in one version. `id` names where its objects are stored: two served kinds may share that.

    `prepare` fills in what only code can; it may change the object that it gets. `validate` gets the new
    object and the old one, if any. `renamed` maps stored names of members to served ones.
    """

    def __init__(
        self,
        *,
        group: str,
        version: str,
        plural: str,
        kind: str,
        namespaced: bool,
        schema: Node,
        has_status: bool = False,
        has_generation: bool = False,
        builtin: bool = True,
        selectable: frozenset[str] = frozenset(),
        prepare: Prepare | None = None,
        validate: Validate | None = None,
        stored_in: KindId | None = None,
        renamed: dict[str, str] | None = None,
        created_by_replace: bool = False,
    ) -> None:
        self.group, self.version, self.plural, self.kind = group, version, plural, kind
        self.namespaced = namespaced
        self.schema = schema
        self.has_status, self.has_generation, self.builtin = has_status, has_generation, builtin
        self.selectable = _ALWAYS_SELECTABLE | selectable
        self.prepare, self.validate = prepare, validate
        self.id = stored_in or KindId(group, kind)
        self.renamed = renamed or {}
        self.created_by_replace = created_by_replace
        self.api_version = f"{group}/{version}" if group else version
        self.qualified = f"{plural}.{group}" if group else plural
        self.qualified_kind = f"{kind}.{group}" if group else kind

    def from_stored(self, obj: Manifest) -> Manifest:
        """A stored object as this kind and version shows it."""
        if not self.renamed:
            return obj
        out = {self.renamed.get(name, name): value for name, value in obj.items()}
        return out | {"apiVersion": self.api_version, "kind": self.kind}

    def to_stored(self, manifest: Manifest) -> Manifest:
        """An object or patch of this kind as it is stored."""
        if not self.renamed:
            return manifest
        stored = {served: name for name, served in self.renamed.items()}
        return {stored.get(name, name): value for name, value in manifest.items()}


def kinds_of_crd(manifest: Manifest) -> tuple[ServedKind, ...]:
    """The kinds that a CustomResourceDefinition serves, one a version. `manifest` is one that is stored."""
    spec = manifest["spec"]
    known = _BY_SPEC.get(id(spec))
    if known is None or known[0] is not spec:
        if len(_BY_SPEC) > _MOST_SPECS:
            _BY_SPEC.clear()
        known = _BY_SPEC[id(spec)] = spec, _compiled(msgspec.json.encode(spec))
    return known[1]


_MOST_SPECS = 256
_BY_SPEC: dict[int, tuple[Manifest, tuple[ServedKind, ...]]] = {}
"""By the identity of stored specs, which are never changed; held here, so that no other takes it."""


@lru_cache(maxsize=64)
def _compiled(raw_spec: bytes) -> tuple[ServedKind, ...]:
    """Cached across servers: a test run starts hundreds with the same kinds."""
    spec = msgspec.json.decode(raw_spec)
    names = spec["names"]
    return tuple(
        ServedKind(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            schema=_whole_object(version.get("schema", {}).get("openAPIV3Schema", {})),
            has_status="status" in version.get("subresources", {}),
            has_generation=True,
            builtin=False,
            selectable=frozenset(
                field["jsonPath"].removeprefix(".") for field in version.get("selectableFields", ())
            ),
        )
        for version in spec["versions"]
        if version["served"]
    )


METADATA_SCHEMA: Manifest = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "ownerReferences": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "items": {
                "type": "object",
                "required": ["apiVersion", "kind", "name", "uid"],
                "x-kubernetes-map-type": "atomic",
                "x-kubernetes-preserve-unknown-fields": True,
            },
        },
    },
}


def _whole_object(schema: Manifest) -> Node:
    properties = dict(schema.get("properties", {}))
    metadata = METADATA_SCHEMA["properties"] | properties.get("metadata", {}).get("properties", {})
    properties["metadata"] = METADATA_SCHEMA | {"properties": metadata}
    properties.setdefault("apiVersion", {"type": "string"})
    properties.setdefault("kind", {"type": "string"})
    return Node(schema | {"properties": properties})


def builtin_schema(properties: dict[str, Manifest]) -> Node:
    """The schema of a built-in kind: what is known of it, all else let through."""
    return Node(
        {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {"metadata": METADATA_SCHEMA, **properties},
        }
    )


class Registry:
    """Which kinds are served right now."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], ServedKind] = {}
        self._by_kind: dict[tuple[str, str], ServedKind] = {}

    def add(self, kind: ServedKind) -> None:
        self._by_path[kind.group, kind.version, kind.plural] = kind
        self._by_kind[kind.api_version, kind.kind] = kind

    def remove(self, kind: ServedKind) -> None:
        del self._by_path[kind.group, kind.version, kind.plural]
        del self._by_kind[kind.api_version, kind.kind]

    def served(self, resource: Resource[Any]) -> ServedKind:
        """Raises NotInstalled."""
        kind = self._by_path.get((resource.group, resource.version, resource.plural))
        if kind is None:
            raise not_installed()
        return kind

    def named(self, api_version: str, kind: str) -> ServedKind | None:
        """The kind of a manifest or an owner reference."""
        return self._by_kind.get((api_version, kind))

    def of(self, id_: KindId) -> ServedKind:
        """Some version of what is stored under `id_`, in the names of storage. Raises NotInstalled."""
        served = next((kind for kind in self._by_path.values() if kind.id == id_ and not kind.renamed), None)
        if served is None:
            raise not_installed()
        return served

    def __iter__(self) -> Iterator[ServedKind]:
        return iter(tuple(self._by_path.values()))
