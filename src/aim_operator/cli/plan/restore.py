"""Puts the objects of a snapshot into the sandbox as they were: with their uids, ages and statuses.

What the operator made is the operator's, everything else is of whoever applies files. Called by world.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from aim_operator.api.meta import Manifest
from aim_operator.core import labels
from aim_operator.errors import UserError
from aim_operator.kube.protocol import FIELD_MANAGER
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.ownership import Manager, fields_of
from aim_operator.sandbox.storage import Key
from aim_operator.sandbox.validation import violations

USER = "kubectl"
"""As whom `Sandbox.load` applies files."""
_GIB = 1024**3
_TEMPLATES = ("AIMServiceTemplate", "AIMClusterServiceTemplate")


def restore(sandbox: Sandbox, objects: Iterable[Manifest]) -> None:
    """Store the objects, as a server has taken them. Kinds that nobody serves are left out.

    Only types are looked at: what another version of a schema let in is there all the same. Raises UserError
    for a field of another type than its schema's, as somebody has it who edited the file.

    An image that is not known is taken to answer the discovery of a template as the one before did: what that
    was is in the template's status.
    """
    server = sandbox.server
    for manifest in objects:
        kind = server.kinds.named(manifest["apiVersion"], manifest["kind"])
        if kind is None or manifest["kind"] == "Pod":
            # Pods count for their GPUs alone; what made them is not here, and they would be collected.
            continue
        metadata = manifest["metadata"]
        obj = kind.to_stored(manifest | {"metadata": {"generation": 1} | metadata})
        for cause in violations(kind.schema, obj):
            if cause.message.startswith("Required") or "must be of type" in cause.message:
                named = f"{manifest['kind']} {metadata.get('namespace') or ''}/{metadata['name']}"
                raise UserError(
                    f"the snapshot has {named.replace(' /', ' ')} as no server does: take it again: "
                    f"{cause.field}: {cause.message}"
                )
        own = labels.APPLIED in (metadata.get("annotations") or {})
        manager = Manager(FIELD_MANAGER if own else USER, "Apply", kind.api_version)
        fields = frozenset(fields_of(kind.schema, obj, without=("status",)))
        key = Key(kind.id, metadata.get("namespace", "") if kind.namespaced else "", metadata["name"])
        server.storage.put(key, obj, {manager: fields} if fields else {})
        if kind.kind in _TEMPLATES and (answer := _answer(obj.get("status") or {})):
            sandbox.jobs.answers[metadata["uid"]] = answer


def _answer(status: Manifest) -> bytes:
    """Return what an image printed that led to this status of a template; b"" if it has none."""
    profile = status.get("profile")
    if not isinstance(profile, dict):
        return b""
    entry: Manifest = {
        "profile": {name: value for name, value in profile.items() if name != "filename"},
        "models": list(_models(status)),
    }
    named = {"filename": profile["filename"]} if "filename" in profile else {}
    return msgspec.json.encode([entry | named])


def _models(status: Manifest) -> Iterator[Manifest]:
    for source in status.get("modelSources") or ():
        size = source.get("size") or ""
        gib = {"size_gb": int(size) / _GIB} if size.isdecimal() else {}
        yield {"name": source["name"], "source": source["sourceUri"], **gib}
