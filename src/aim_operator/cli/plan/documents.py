"""The objects in files, with the line of every field. Knows YAML and folders, not what the objects mean.

YAML is read as kubectl reads it (cli/kubernetes_yaml.py); duplicate keys are a mistake. Called by command.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from aim_operator.api.meta import Manifest
from aim_operator.cli.kubernetes_yaml import Loader
from aim_operator.cli.quickstart import not_yaml
from aim_operator.errors import UserError

STDIN = "-"
SUFFIXES = (".yaml", ".yml")
MOST_BYTES = 256 * 1024 * 1024
"""Of one file; a larger one is no manifest."""
MOST_NODES = 5_000_000
"""Of one object or list with its aliases written out: a few lines of them may stand for billions."""
MOST_DEPTH = 200
"""Of lists and mappings in each other: deeper ones end what calls itself to read them."""
NOT_OBJECTS = ("kustomization.yaml", "kustomization.yml", "Chart.yaml", "values.yaml")
"""Files that folders of manifests have beside them."""
_INDEX = re.compile(r"\[(\d+)\]")


class Document(Struct, frozen=True, kw_only=True):
    """One object, the file that it is from, and its YAML node, by which its fields have lines."""

    file: str
    manifest: Manifest
    node: Any

    @property
    def line(self) -> int:
        """The object's first line, from 1."""
        return int(self.node.start_mark.line) + 1

    def line_of(self, path: str) -> int:
        """Return the line of a field such as `spec.env[0].name`; of what it is in, where it is missing."""
        return _line(self.node, path.lstrip("."), self.line)

    @property
    def kind(self) -> str:
        return str(self.manifest.get("kind") or "")

    @property
    def api_version(self) -> str:
        return str(self.manifest.get("apiVersion") or "")

    @property
    def name(self) -> str:
        metadata = self.manifest.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return name if isinstance(name, str) else ""

    @property
    def namespace(self) -> str:
        metadata = self.manifest.get("metadata")
        namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
        return namespace if isinstance(namespace, str) else ""


class Unreadable(Struct, frozen=True, kw_only=True):
    """What is no object: where, and why."""

    file: str
    line: int
    message: str


def read(paths: Iterable[str]) -> tuple[list[Document], list[Unreadable]]:
    """Return the objects in files, folders with all below them, and on standard input for `-`.

    Raises UserError for a path that can't be read.
    """
    documents: list[Document] = []
    problems: list[Unreadable] = []
    for name, text in _texts(paths):
        for entry in parsed(name, text):
            (documents if isinstance(entry, Document) else problems).append(entry)  # type: ignore[arg-type]
    return documents, problems


def profile_folders(paths: Iterable[str]) -> list[Path]:
    """Return the folders called `profiles` in the given ones: what discovery found, as for the demo."""
    folders = [Path(path) for path in paths if path != STDIN and Path(path).is_dir()]
    return sorted({found for folder in folders for found in folder.rglob("profiles") if found.is_dir()})


def _texts(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    seen: set[Path] = set()
    for given in paths:
        if given == STDIN:
            yield "standard input", _piped()
            continue
        path = Path(given)
        if not exists(path):
            raise UserError(f"{given} does not exist")
        for file in _files(path) if path.is_dir() else [path]:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield _shown(file), _text(file)


def _piped() -> str:
    """Return standard input. Raises UserError where there is nothing: what writes to it has failed."""
    text = _decoded("standard input", sys.stdin.buffer.read(MOST_BYTES + 1))
    if not text.strip():
        raise UserError("there is nothing on standard input: did the command before the pipe fail?")
    return text


def _shown(path: Path) -> str:
    """Return a path as text: names of files are any bytes."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def exists(path: Path) -> bool:
    """Whether something is there. Raises UserError where that can't be seen, or no file has such a name."""
    try:
        return path.exists()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES and path.name not in NOT_OBJECTS and path.is_file()
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decoded(str(path), file.read(MOST_BYTES + 1))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _decoded(name: str, content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise UserError(f"{name} has more than {MOST_BYTES // 1024**2} MiB; no manifest does")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8: {error}") from error


def parsed(file: str, text: str) -> Iterator[Document | Unreadable]:
    """Yield the objects of a file's text, and what in it is none."""
    if line := _too_deep(text):
        yield Unreadable(file=file, line=line, message=f"nested more than {MOST_DEPTH} deep; no manifest is")
        return
    loader = Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if "*" in text:
                _check_size(node)
            yield from _duplicates(file, node)
            value = loader.construct_document(node)
            if value is not None:
                yield from _objects(file, node, value)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        _, _, why = not_yaml(Path(file), error).partition(": ")
        yield Unreadable(file=file, line=mark.line + 1 if mark is not None else 1, message=why)
    except (ValueError, RecursionError) as error:
        yield Unreadable(file=file, line=1, message=f"not YAML: {error}")
    finally:
        loader.dispose()


def _too_deep(text: str) -> int:
    """Return the line in which YAML is nested too deep; 0 if it is not.

    Looked at event by event: libyaml's composer calls itself, and took the process with it at 30,000.
    """
    loader, depth = Loader(text), 0
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MOST_DEPTH:
                return int(event.start_mark.line) + 1
    except (yaml.YAMLError, ValueError):
        # Whoever composes it meets that, too.
        return 0
    finally:
        loader.dispose()
    return 0


def _objects(file: str, node: Any, value: Any) -> Iterator[Document | Unreadable]:
    if not isinstance(value, dict):
        line = node.start_mark.line + 1
        yield Unreadable(file=file, line=line, message="not an object with apiVersion, kind and metadata")
        return
    if str(value.get("kind")).endswith("List") and isinstance(value.get("items"), list | None):
        # Also an AIMServiceList, as the API server answers; kubectl applies the objects in it all the same.
        items = next((below.value for key, below in node.value if key.value == "items"), ())
        for inner, item in zip(items, value.get("items") or (), strict=False):
            yield from _objects(file, inner, item)
        return
    yield Document(file=file, manifest=value, node=node)


def _duplicates(file: str, node: Any) -> Iterator[Unreadable]:
    """Yield keys that a mapping has twice: kubectl refuses them, and PyYAML would take the last."""
    pending, visited = [node], set()
    while pending:
        current = pending.pop()
        if id(current) in visited:
            continue
        visited.add(id(current))
        if isinstance(current, yaml.SequenceNode):
            pending += current.value
        if not isinstance(current, yaml.MappingNode):
            continue
        keys = set()
        for key, below in current.value:
            pending.append(below)
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in keys:
                    line = key.start_mark.line + 1
                    yield Unreadable(file=file, line=line, message=f"{key.value!r} is here twice")
                keys.add(key.value)


def _check_size(node: Any) -> None:
    """Raise ValueError for what aliases make too large, before it is built."""
    if _size(node, {}) > MOST_NODES:
        raise ValueError(f"its aliases make more than {MOST_NODES} fields of it; no manifest does")


def _size(node: Any, sizes: dict[int, int]) -> int:
    """Return how many nodes there are with every alias written out. Raises ValueError for endlessly many."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    known = sizes.setdefault(id(node), -1)
    if known > 0:
        return known
    below = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
    # Itself, while what is below it is counted.
    sizes[id(node)] = 0
    if known == 0:
        raise ValueError("an anchor's value contains itself")
    sizes[id(node)] = 1 + sum(_size(each, sizes) for each in below)
    return sizes[id(node)]


def _line(node: Any, path: str, line: int) -> int:
    """Return the line of what `path` leads to from `node`, which is on `line`.

    Keys may have dots, as in labels: the longest that fits is taken.
    """
    path = path.lstrip(".")
    if not path:
        return line
    if isinstance(node, yaml.SequenceNode):
        index = _INDEX.match(path)
        if index is None or int(index[1]) >= len(node.value):
            return line
        below = node.value[int(index[1])]
        return _line(below, path[index.end() :], below.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, below in sorted(node.value, key=lambda pair: -len(str(pair[0].value))):
            name = str(key.value)
            for written in (name, f"[{name}]"):
                rest = path.removeprefix(written)
                if rest != path and rest[:1] in ("", ".", "["):
                    return _line(below, rest, key.start_mark.line + 1)
    return line
