"""The objects of a quickstart: numbered YAML files, read in order, and the kinds they may have.

Owns where the shipped ones are found. Called by the demo commands; nothing here talks to a server.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.meta import KubeObject, Manifest, ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.errors import UserError

NAMESPACES = Resource(
    group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False, type=KubeObject
)
SURROUNDINGS = (
    NAMESPACES,
    *(
        Resource(
            group="", version="v1", plural=f"{kind.lower()}s", kind=kind, namespaced=True, type=KubeObject
        )
        for kind in ("Secret", "ConfigMap", "ServiceAccount")
    ),
)
"""What the catalog's objects may need around them."""

_ALL: tuple[Resource[Any], ...] = (*aim.ALL_KINDS, *SURROUNDINGS)
_KINDS = {(resource.api_version, resource.kind): resource for resource in _ALL}
_SHIPPED = Path(__file__).parent / "examples"
_IN_SOURCE_TREE = Path(__file__).parents[3] / "examples"
DEFAULT = "quickstart"


class Example(Struct, frozen=True, kw_only=True):
    """One object of a quickstart, and the kind it is of."""

    resource: Resource[Any]
    manifest: Manifest

    @property
    def ref(self) -> ObjectRef:
        metadata = self.manifest["metadata"]
        return ObjectRef(self.resource.kind, metadata.get("namespace", ""), metadata["name"])

    @property
    def is_ours(self) -> bool:
        """Whether it is of one of the nine kinds, rather than of their surroundings."""
        return self.resource.group == aim.GROUP


def find(directory: Path | None, example: str = DEFAULT) -> Path:
    """Return the directory of a quickstart: the given one, else the shipped one of that name."""
    if directory is not None:
        if not directory.is_dir():
            raise UserError(f"--dir {directory} is not a directory")
        return directory
    known = shipped()
    if example not in known:
        raise UserError(f"--example {example}: there is none of that name; write {', '.join(sorted(known))}")
    return known[example]


def shipped() -> dict[str, Path]:
    """Return the example sets that come with the operator, by name."""
    home = _IN_SOURCE_TREE if in_source_tree() else _SHIPPED
    return {path.name: path for path in home.iterdir() if path.is_dir()}


def in_source_tree() -> bool:
    """Whether this runs from a checkout, with its Makefile and documents, rather than from a wheel."""
    return _IN_SOURCE_TREE.is_dir()


def load(directory: Path) -> tuple[Example, ...]:
    """Return the objects in the YAML files of `directory`, in order. Raises UserError naming a bad one."""
    paths = sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")])
    examples = tuple(_example(path, manifest) for path in paths for manifest in _documents(path))
    if not examples:
        raise UserError(f"{directory} holds no objects; write them to *.yaml files there")
    return examples


def _documents(path: Path) -> Iterable[Any]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    try:
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {error}") from error


def _example(path: Path, manifest: Any) -> Example:
    if not isinstance(manifest, dict):
        raise UserError(f"{path}: {manifest!r} is not an object with apiVersion, kind and metadata")
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise UserError(f"{path}: an object has no metadata.name; the demo needs one of each")
    api_version, kind, name = manifest.get("apiVersion"), manifest.get("kind"), metadata["name"]
    resource = _KINDS.get((str(api_version), str(kind)))
    if resource is None:
        known = ", ".join(sorted(known_kind for _, known_kind in _KINDS))
        raise UserError(f"{path}: {kind} {name} of {api_version}: the demo knows {known}")
    if resource.namespaced and not metadata.get("namespace"):
        raise UserError(f"{path}: {kind} {name} needs metadata.namespace")
    return Example(resource=resource, manifest=manifest)
