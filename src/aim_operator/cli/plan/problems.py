"""What is wrong with objects in files, found as the API server finds it, with file, line and what is meant.

Schemas and CEL rules are the server's own, on the sandbox; here refusals get their places. Called by
command.py.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.meta import Manifest
from aim_operator.cli.plan.documents import Document, Unreadable
from aim_operator.errors import ApiError, Invalid, UserError
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.apply import untyped
from aim_operator.sandbox.kinds import ServedKind
from aim_operator.sandbox.schema import Node

Severity = Literal["error", "warning"]
OURS = {resource.kind: resource for resource in aim.ALL_KINDS}
AROUND = frozenset(
    {
        "Namespace",
        "Secret",
        "ConfigMap",
        "ServiceAccount",
        "PersistentVolumeClaim",
        "StorageClass",
        "Node",
        "Gateway",
        "GatewayClass",
        "HTTPRoute",
        "ServingRuntime",
        "ClusterServingRuntime",
        "InferenceService",
    }
)
"""Kinds that matter to ours, and are put into the sandbox with them; others are left out."""
_UNKNOWN = re.compile(r"(?P<path>.*): field not declared in schema")
_STEP = re.compile(r"\[[^\]]*\]")


class Problem(Struct, frozen=True, kw_only=True):
    """`subject` is the object, as `AIMService team/chat`; `hint` what may be meant, or what to do."""

    severity: Severity
    file: str
    line: int
    subject: str
    message: str
    hint: str = ""

    @property
    def text(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        subject = f"{self.subject}: " if self.subject else ""
        return f"{subject}{self.message}{hint}"


class Loaded(Struct, frozen=True, kw_only=True):
    """What is in the sandbox now, and what is not because of `problems`; `skipped` are kinds left out."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    skipped: tuple[str, ...]


def unreadable(found: Iterable[Unreadable]) -> Iterator[Problem]:
    for each in found:
        yield Problem(severity="error", file=each.file, line=each.line, subject="", message=each.message)


def load(sandbox: Sandbox, documents: Sequence[Document], namespace: str) -> Loaded:
    """Put the objects into the sandbox, each as far as its API server takes it.

    Objects without a namespace are of `namespace`.
    """
    accepted: dict[tuple[str, str, str], Document] = {}
    problems: list[Problem] = []
    skipped: list[str] = []
    for document in documents:
        refusal = _unfit(document)
        if refusal is not None:
            problems.append(refusal)
            continue
        kind = sandbox.server.kinds.named(document.api_version, document.kind)
        if kind is None or kind.kind not in (*OURS, *AROUND):
            problem = _unknown_kind(document)
            if problem is None:
                skipped.append(document.kind)
            else:
                problems.append(problem)
            continue
        found = list(_refusals(sandbox, kind, document, namespace))
        problems += found
        if any(problem.severity == "error" for problem in found):
            continue
        key = (document.kind, document.namespace or namespace if kind.namespaced else "", document.name)
        before = accepted.get(key)
        if before is not None and before.manifest != document.manifest:
            where = f"{before.file}:{before.line}"
            problems.append(_problem(document, "metadata.name", f"is in {where} too, otherwise", "warning"))
        accepted[key] = document
    return Loaded(
        documents=tuple(accepted.values()),
        problems=tuple(problems),
        skipped=tuple(dict.fromkeys(skipped)),
    )


def named(document: Document) -> str:
    where = f"{document.namespace}/" if document.namespace else ""
    return f"{document.kind} {where}{document.name}".strip()


def _problem(
    document: Document, path: str, message: str, severity: Severity = "error", hint: str = ""
) -> Problem:
    return Problem(
        severity=severity,
        file=document.file,
        line=document.line_of(path),
        subject=named(document),
        message=message,
        hint=hint,
    )


def _unfit(document: Document) -> Problem | None:
    """Return what keeps a document from being an object at all."""
    for field in ("apiVersion", "kind"):
        if not isinstance(document.manifest.get(field), str) or not document.manifest[field]:
            return _problem(document, "", f"has no {field}")
    if not isinstance(document.manifest.get("metadata"), dict):
        return _problem(document, "", "has no metadata")
    for field in ("name", "namespace"):
        given = document.manifest["metadata"].get(field)
        if given is not None and not isinstance(given, str):
            # Also `true`, and a `y`, which is one.
            hint = "write it in quotes" if isinstance(given, int | float) else ""
            return _problem(document, f"metadata.{field}", f"metadata.{field} is no text", hint=hint)
    if not document.name:
        return _problem(document, "metadata", "has no metadata.name")
    return None


def _unknown_kind(document: Document) -> Problem | None:
    """Return what is wrong with a kind that nobody serves; None where it is only somebody else's."""
    group, _, _ = document.api_version.rpartition("/")
    known = OURS.get(document.kind)
    if group == aim.GROUP and known is None:
        close = difflib.get_close_matches(document.kind, OURS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(OURS)}"
        return _problem(document, "kind", f"{aim.GROUP} has no kind {document.kind}", hint=hint)
    if known is not None:
        message = f"{document.kind} is not in {document.api_version}"
        return _problem(document, "apiVersion", message, hint=f"write apiVersion: {known.api_version}")
    return None


def _refusals(sandbox: Sandbox, kind: ServedKind, document: Document, namespace: str) -> Iterator[Problem]:
    """Yield what the API server has against an object, each violation by itself; else it is stored."""
    manifest: Manifest = document.manifest
    if kind.namespaced and not document.namespace:
        manifest = manifest | {"metadata": manifest["metadata"] | {"namespace": namespace}}
    misfits = [] if kind.builtin else list(untyped(kind.schema, manifest))
    for misfit in misfits:
        yield _misfit(document, kind.schema, misfit)
    if misfits:
        return
    try:
        sandbox.load([manifest])
    except (ApiError, UserError) as error:
        causes = error.causes if isinstance(error, Invalid) else ()
        for field, message in causes:
            yield _problem(document, field, f"{field}: {message}".removeprefix(": "))
        if not causes:
            yield _problem(document, "", " ".join(str(error).split()))


def _misfit(document: Document, schema: Node, misfit: str) -> Problem:
    unknown = _UNKNOWN.fullmatch(misfit)
    if unknown is None:
        path, _, message = misfit.partition(": ")
        return _problem(document, path, f"{path.lstrip('.')}: {message}")
    path = unknown["path"].lstrip(".")
    parents, _, name = path.rpartition(".")
    close = difflib.get_close_matches(name, _fields(schema, parents), n=1)
    hint = f"did you mean {close[0]}?" if close else ""
    return _problem(document, path, f"has no field {path}", hint=hint)


def _fields(schema: Node, path: str) -> list[str]:
    """Return the fields that the schema has at `path`."""
    node = schema
    for part in filter(None, path.split(".")):
        node = node.child(_STEP.sub("", part))
        for _ in _STEP.findall(part):
            node = node.item()
    return list(node.properties)
