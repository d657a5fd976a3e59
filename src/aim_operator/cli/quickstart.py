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
SOURCE_TREE = Path(__file__).parents[3]
"""The checkout, if this runs from one; see in_source_tree."""
_IN_SOURCE_TREE = SOURCE_TREE / "examples"
DEFAULT = "quickstart"
PLACEHOLDERS = ("ghcr.io/example/", "ghcr.io/ml-team/")
"""Images under these names exist in no registry; hack/cluster has stand-ins for them."""
_IMAGES = (aim.IMAGES, aim.CLUSTER_IMAGES)


class Example(Struct, frozen=True, kw_only=True):
    """One object of a quickstart, the kind it is of, and the file it is from."""

    path: Path
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
    directories = shipped()
    if example not in directories:
        raise UserError(
            f"--example {example}: there is none of that name; write {', '.join(sorted(directories))}"
        )
    return directories[example]


def shipped() -> dict[str, Path]:
    """Return the example sets that come with the operator, by name."""
    home = _IN_SOURCE_TREE if in_source_tree() else _SHIPPED
    # Beside them is what they need, such as an image to build.
    return {path.name: path for path in home.iterdir() if any(path.glob("*.yaml"))}


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
        raise UserError(not_yaml(path, error)) from error


def _example(path: Path, manifest: Any) -> Example:
    if not isinstance(manifest, dict):
        raise UserError(f"{path}: {manifest!r} is not an object with apiVersion, kind and metadata")
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise UserError(f"{path}: an object has no metadata.name; the demo needs one of each")
    api_version, kind, name = manifest.get("apiVersion"), manifest.get("kind"), metadata["name"]
    resource = _KINDS.get((str(api_version), str(kind)))
    if resource is None:
        raise UserError(f"{path}: {kind} {name} of {api_version}: {_supported(str(kind))}")
    if resource.namespaced and not metadata.get("namespace"):
        raise UserError(f"{path}: {kind} {name} needs metadata.namespace")
    return Example(path=path, resource=resource, manifest=manifest)


def _supported(kind: str) -> str:
    """Return what to write instead of an apiVersion and a kind that the demo does not support."""
    versions = [api_version for api_version, known_kind in _KINDS if known_kind == kind]
    if versions:
        return f"write apiVersion: {versions[0]}"
    return f"the demo knows {', '.join(sorted(known_kind for _, known_kind in _KINDS))}"


def not_yaml(path: Path, error: yaml.YAMLError) -> str:
    """Return `FILE:LINE:COLUMN: not YAML: …`, as far as the parser says where."""
    mark = getattr(error, "problem_mark", None)
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
    problem = getattr(error, "problem", None) or str(error)
    return f"{where}: not YAML: {problem}"


def images(examples: Iterable[Example]) -> list[str]:
    """Return the container images of a catalog, each once, in order."""
    specs = [example.manifest.get("spec", {}) for example in examples if example.resource in _IMAGES]
    return list(dict.fromkeys(spec["image"] for spec in specs if "image" in spec))


def placeholders(examples: Iterable[Example]) -> list[str]:
    """Return the container images that stand for real ones: no registry has them."""
    return [image for image in images(examples) if image.startswith(PLACEHOLDERS)]


def gateways(examples: Iterable[Example]) -> list[tuple[str, str]]:
    """Return namespace and name of the Gateways that the examples route through, each once, in order."""
    refs = []
    for example in examples:
        ref = example.manifest.get("spec", {}).get("routing", {}).get("gatewayRef")
        if ref:
            here = example.manifest["metadata"].get("namespace", "")
            refs.append((ref.get("namespace") or here or "default", ref["name"]))
    return list(dict.fromkeys(refs))
