"""Validation of metadata, the same for every kind, with the API server's messages.

Called by server.py before anything is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.refusals import Cause
from aim_operator.sandbox.schema import shown

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_ANNOTATIONS_LIMIT = 256 * 1024


def metadata_violations(kind: str, metadata: Manifest, old: Manifest | None) -> Iterator[Cause]:
    """What is wrong with the metadata of an object of this kind."""
    if old is None:
        yield from _name(kind, metadata["name"])
    was = old or {}
    labels = metadata.get("labels") or {}
    # What an update leaves alone has been looked at before.
    for key, value in labels.items() if labels != was.get("labels") else ():
        yield from _qualified(key, "metadata.labels")
        if not isinstance(value, str):
            continue
        if len(value) > 63:
            yield Cause(
                "metadata.labels", f"Invalid value: {shown(value)}: must be no more than 63 characters"
            )
        elif not _LABEL_VALUE.fullmatch(value):
            yield Cause(
                "metadata.labels",
                f"Invalid value: {shown(value)}: a valid label must be an empty string or consist of "
                "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
                "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
                f"'{_LABEL_VALUE.pattern}')",
            )
    annotations = metadata.get("annotations") or {}
    changed = annotations != was.get("annotations")
    for key in annotations if changed else ():
        yield from _qualified(key.lower(), "metadata.annotations")
    if changed and sum(len(key) + len(str(value)) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        yield Cause("metadata.annotations", f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes")
    if metadata.get("ownerReferences") != was.get("ownerReferences"):
        yield from _owners(metadata)
    if old is not None and old.get("deletionTimestamp"):
        added = sorted({*(metadata.get("finalizers") or ())} - {*(old.get("finalizers") or ())})
        if added:
            names = ", ".join(shown(name) for name in added)
            message = (
                "Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers [{names}]"
            )
            yield Cause("metadata.finalizers", message)


def _name(kind: str, name: str) -> Iterator[Cause]:
    if kind == "Namespace":
        if len(name) > 63 or not _LABEL.fullmatch(name):
            yield Cause(
                "metadata.name",
                f"Invalid value: {shown(name)}: a lowercase RFC 1123 label must consist of lower case "
                "alphanumeric characters or '-', and must start and end with an alphanumeric character "
                f"(e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL.pattern}')",
            )
    elif not _SUBDOMAIN.fullmatch(name):
        yield Cause(
            "metadata.name",
            f"Invalid value: {shown(name)}: a lowercase RFC 1123 subdomain must consist of lower case "
            "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character "
            f"(e.g. 'example.com', regex used for validation is '{_SUBDOMAIN.pattern}')",
        )
    elif len(name) > 253:
        yield Cause("metadata.name", f"Invalid value: {shown(name)}: must be no more than 253 characters")


def _qualified(key: str, path: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not _SUBDOMAIN.fullmatch(prefix):
        yield Cause(path, f"Invalid value: {shown(key)}: prefix part must be a DNS subdomain")
    if len(name) > 63 or not _QUALIFIED_NAME.fullmatch(name):
        yield Cause(
            path,
            f"Invalid value: {shown(key)}: name part must consist of alphanumeric characters, '-', '_' or "
            "'.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  "
            f"or '123-abc', regex used for validation is '{_QUALIFIED_NAME.pattern}')",
        )


def _owners(metadata: Manifest) -> Iterator[Cause]:
    controllers = 0
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                message = f'Invalid value: "": {field} must not be empty'
                yield Cause(f"metadata.ownerReferences[{index}].{field}", message)
        controllers += bool(owner.get("controller"))
    if controllers > 1:
        yield Cause(
            "metadata.ownerReferences",
            "Invalid value: Only one reference can have Controller set to true. Found more than one",
        )
