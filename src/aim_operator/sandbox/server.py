"""SandboxServer: the API server's verbs on plain objects, synchronous and without a network.

Owns admission (schema, metadata, namespaces), preconditions, status separation, generations, finalizers
and installing CRDs. Storage is storage.py's, merging apply.py's. Called by client.py and the stand-ins.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from aim_operator.api.meta import Manifest, Patch
from aim_operator.sandbox import rules
from aim_operator.sandbox.apply import applied, refuse_untyped
from aim_operator.sandbox.audit import AuditEntry
from aim_operator.sandbox.builtin import builtin_kinds
from aim_operator.sandbox.clock import Clock, timestamp
from aim_operator.sandbox.kinds import CRD, NAMESPACE, KindId, Registry, ServedKind, kinds_of_crd
from aim_operator.sandbox.metadata import metadata_violations
from aim_operator.sandbox.ownership import Fields, Manager, after_update
from aim_operator.sandbox.refusals import (
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    internal,
    invalid,
    modified,
    not_found,
)
from aim_operator.sandbox.schema import admitted, copied, without_nulls
from aim_operator.sandbox.storage import Change, Key, Storage, Stored
from aim_operator.sandbox.updates import (
    SERVERS_OWN,
    confined,
    counted,
    holds_content,
    json_patched,
    merge_patched,
    not_owned,
)
from aim_operator.sandbox.validation import violations

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
Propagation = Literal["Background", "Foreground", "Orphan"]
_CREATED_CRDS: dict[bytes, Stored] = {}
"""CRDs as they were admitted first, by what was sent: most of the time that a new sandbox takes."""


class SandboxServer:
    """The state of one cluster. All times are `clock`'s, all randomness comes from `seed`."""

    def __init__(
        self,
        clock: Clock,
        *,
        crds: Iterable[Manifest] = (),
        seed: int = 0,
        evaluate_rules: bool = True,
        streaming_lists: bool = True,
        bookmark_seconds: float = 60.0,
    ) -> None:
        self.clock = clock
        self.storage = Storage()
        self.kinds = Registry()
        self.audit: list[AuditEntry] = []
        self.logs: dict[tuple[str, str, str], bytes | Callable[[], bytes]] = {}
        """Logs of containers by namespace, Pod and container; a stand-in fills it."""
        self.mutating: dict[KindId, Callable[[Manifest], Manifest]] = {}
        """Mutating webhooks: what they return for an object is what is admitted."""
        self.validating: dict[KindId, Callable[[Manifest], None]] = {}
        """Validating webhooks: called with what is created or applied, they raise to refuse it."""
        self.admission: dict[KindId, Callable[[Manifest, Manifest | None], None]] = {}
        """Admission plugins: called with what is written and what was there, they raise to refuse it."""
        self.creation: dict[KindId, Callable[[Manifest], Manifest]] = {}
        """Admission plugins: what they return for an object that is created is what is admitted."""
        self.streaming_lists = streaming_lists
        self.bookmark_seconds = bookmark_seconds
        self._rules = evaluate_rules and rules.AVAILABLE
        self._random = random.Random(seed)  # noqa: S311 - runs must repeat
        for kind in builtin_kinds():
            self.kinds.add(kind)
        self.storage.listen(self._serve)
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            self.create(self.kinds.of(NAMESPACE), {"metadata": {"name": name}})
        self.install(crds)

    # Reading

    def read(self, kind: ServedKind, name: str, namespace: str = "") -> Stored:
        """Raises NotFound."""
        stored = self.storage.get(self._key(kind, name, namespace))
        if stored is None:
            raise not_found(kind.qualified, name)
        return stored

    def log(self, place: tuple[str, str, str]) -> bytes:
        """The log of (namespace, Pod, container) so far."""
        log = self.logs.get(place, b"")
        return log() if callable(log) else log

    # Writing

    def install(self, crds: Iterable[Manifest]) -> None:
        """Installs or updates CustomResourceDefinitions; what they serve is there at once."""
        for crd in crds:
            installed = self.storage.get(Key(CRD, "", crd["metadata"]["name"]))
            if installed is None:
                self._create_crd(crd)
            else:
                self.patch(self.kinds.of(CRD), crd["metadata"]["name"], {"spec": crd["spec"]})

    def uninstall(self, name: str) -> None:
        """Deletes a CustomResourceDefinition with all objects of its kind; their watches end."""
        self.delete(self.kinds.of(CRD), name)

    def create(
        self, kind: ServedKind, manifest: Manifest, *, namespace: str = "", manager: str = "sandbox"
    ) -> Stored:
        obj, key = self._new(kind, manifest, namespace)
        if self.storage.get(key) is not None:
            raise already_exists(kind.qualified, key.name)
        owner = Manager(manager, "Update", kind.api_version)
        empty: Manifest = {"metadata": {}}
        managers = after_update({}, kind.schema, empty, obj, owner, without=not_owned(kind))
        self._check(kind, obj, None)
        return self.storage.put(key, obj, managers, kind.schema)

    def apply(
        self, kind: ServedKind, manifest: Manifest, *, manager: str = "sandbox", force: bool = False
    ) -> Stored:
        """Server-side apply. A uid or resourceVersion in the manifest is a precondition."""
        manifest = kind.to_stored(manifest)
        metadata = manifest.get("metadata", {})
        if "managedFields" in metadata:
            raise bad_request("metadata.managedFields must be nil")
        if kind.builtin:
            manifest = without_nulls(manifest)
        refuse_untyped(kind.schema, manifest, kind.api_version, kind.kind)
        key = self._key(kind, metadata["name"], metadata.get("namespace", ""))
        owner = Manager(manager, "Apply", kind.api_version)
        old = self.storage.get(key)
        without = ("status",) if kind.has_status else ()
        if old is None:
            if metadata.get("uid"):
                message = (
                    f"uid mismatch: the provided object specified uid {metadata['uid']}, "
                    "and no existing object was found"
                )
                raise conflict(kind.qualified, key.name, message)
            _, managers = applied(
                kind.schema, {"metadata": {}}, {}, manifest, owner, force=force, without=without
            )
            # A resourceVersion is a precondition for what exists, and none for what does not.
            unbound = {k: v for k, v in metadata.items() if k != "resourceVersion"}
            obj, key = self._new(kind, manifest | {"metadata": unbound}, key.namespace)
            self._check(kind, obj, None)
            return self.storage.put(key, obj, managers, kind.schema)
        obj, managers = applied(
            kind.schema, old.obj, old.managers, manifest, owner, force=force, without=without
        )
        self._validate(kind, obj)
        return self._update(kind, old, obj, managers=managers)

    def replace(
        self, kind: ServedKind, manifest: Manifest, *, namespace: str = "", manager: str = "sandbox"
    ) -> Stored:
        """PUT of a whole object."""
        manifest = kind.to_stored(manifest)
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", namespace)
        if kind.created_by_replace and self.storage.get(self._key(kind, metadata["name"], namespace)) is None:
            return self.create(kind, manifest, namespace=namespace, manager=manager)
        old = self.read(kind, metadata["name"], namespace)
        if not kind.builtin and not metadata.get("resourceVersion"):
            message = "Invalid value: 0: must be specified for an update"
            raise invalid(kind.qualified, old.key.name, [Cause("metadata.resourceVersion", message)])
        return self._update(kind, old, manifest, manager=manager)

    def patch(
        self,
        kind: ServedKind,
        name: str,
        patch: Patch,
        *,
        namespace: str = "",
        subresource: str = "",
        manager: str = "sandbox",
    ) -> Stored:
        """Merge patch (RFC 7386), or JSON patch (RFC 6902). A resourceVersion in it is a precondition."""
        old = self.read(kind, name, namespace)
        if subresource and not kind.has_status:
            raise not_found(kind.qualified, name)
        if isinstance(patch, list):
            obj = json_patched(old.obj, patch)
            return self._update(kind, old, obj, manager=manager, subresource=subresource)
        patch_name = patch.get("metadata", {}).get("name", name)
        if patch_name != name:
            raise bad_request(
                f"the name of the object ({patch_name}) does not match the name on the URL ({name})"
            )
        obj = merge_patched(old.obj, kind.to_stored(patch))
        if obj == old.obj and old.schema is kind.schema and kind.id not in self.mutating:
            # Nothing changes, and so nobody owns more: most of what controllers send at each look.
            self._check_preconditions(kind, old, obj["metadata"], subresource)
            return old
        return self._update(kind, old, obj, manager=manager, subresource=subresource)

    def delete(
        self,
        kind: ServedKind,
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
    ) -> None:
        """Deletes, or marks as being deleted where finalizers hold the object."""
        stored = self.read(kind, name, namespace)
        self._check_deletion(kind, stored, uid, resource_version)
        metadata = stored.obj["metadata"]
        finalizers = list(metadata.get("finalizers") or ())
        added = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(propagation)
        if added and added not in finalizers and (added == FOREGROUND or self.storage.dependents(stored.uid)):
            finalizers.append(added)
        if not finalizers and not holds_content(kind, stored.obj):
            self.storage.drop(stored)
            return
        if metadata.get("deletionTimestamp") and finalizers == list(metadata.get("finalizers") or ()):
            return
        marked = metadata | {"deletionTimestamp": timestamp(self.clock), "deletionGracePeriodSeconds": 0}
        if finalizers:
            marked["finalizers"] = finalizers
        if "generation" in metadata:
            marked["generation"] = metadata["generation"] + 1
        obj = stored.obj | {"metadata": marked}
        if kind.id == NAMESPACE:
            obj["status"] = {"phase": "Terminating"}
        self.storage.put(stored.key, obj, stored.managers, stored.schema)

    # How

    def _create_crd(self, crd: Manifest) -> None:
        """As `create`, but for what is the same in all the servers that a process makes of one CRD."""
        kind = self.kinds.of(CRD)
        content = msgspec.json.encode(crd)
        known = _CREATED_CRDS.get(content)
        if known is None:
            stored = self.create(kind, crd)
            _CREATED_CRDS[content] = stored
            return
        metadata = {"uid": self._uid(), "creationTimestamp": timestamp(self.clock)}
        obj = known.obj | {"metadata": known.obj["metadata"] | metadata}
        self.storage.put(known.key, obj, known.managers, kind.schema)

    def _key(self, kind: ServedKind, name: str, namespace: str) -> Key:
        return Key(kind.id, namespace if kind.namespaced else "", name)

    def _new(self, kind: ServedKind, manifest: Manifest, namespace: str) -> tuple[Manifest, Key]:
        """An admitted object that is not stored yet, and its key."""
        manifest = kind.to_stored(manifest)
        given = manifest.get("metadata") or {}
        if given.get("resourceVersion"):
            raise internal("resourceVersion should not be set on objects to be created")
        namespace = namespace or given.get("namespace", "")
        if kind.namespaced and given.get("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        name = given.get("name") or self._generated(given.get("generateName", ""))
        if not name:
            causes = [Cause("metadata.name", "Required value: name or generateName is required")]
            raise invalid(kind.qualified_kind, "", causes)
        key = self._key(kind, name, namespace)
        if kind.namespaced:
            self._check_namespace(kind, key)
        metadata = {field: value for field, value in given.items() if field not in SERVERS_OWN}
        metadata |= {"name": name, "uid": self._uid(), "creationTimestamp": timestamp(self.clock)}
        if kind.namespaced:
            metadata["namespace"] = namespace
        if kind.has_generation:
            metadata["generation"] = 1
        body = {field: value for field, value in manifest.items() if field != "status" or not kind.has_status}
        new = body | {"metadata": metadata}
        if kind.id in self.creation:
            new = self.creation[kind.id](copied(new))
        obj = self._admitted(kind, new, None)
        self._validate(kind, obj)
        return obj, key

    def _validate(self, kind: ServedKind, obj: Manifest) -> None:
        if kind.id in self.validating:
            self.validating[kind.id](copied(obj))

    def _admitted(
        self, kind: ServedKind, obj: Manifest, stored: Stored | None, subresource: str = ""
    ) -> Manifest:
        """A copy without unknown fields and with defaults. Raises Invalid if it breaks its schema.

        What changes objects at admission is asked about objects, not about their statuses. What an update
        leaves alone is not copied: most of all written are statuses.
        """
        old = stored.obj if stored is not None else None
        # What code fills in, it fills in in place.
        shareable = stored is not None and stored.schema is kind.schema and (subresource or not kind.prepare)
        before = old if shareable else None
        named = {"apiVersion": kind.api_version, "kind": kind.kind}
        if kind.renamed:
            named = {"apiVersion": "v1", "kind": kind.id.kind}
        if kind.builtin:
            obj = without_nulls(obj, before)
        if kind.id in self.mutating and not subresource:
            obj = self.mutating[kind.id](copied(obj))
        out: Manifest = admitted(kind.schema, named | obj | named, before)
        metadata = out["metadata"] = dict(out["metadata"])
        for field in ("labels", "annotations", "finalizers", "ownerReferences"):
            if not metadata.get(field, True):
                del metadata[field]
        causes = list(metadata_violations(kind.kind, metadata, old["metadata"] if old else None))
        causes += violations(kind.schema, out, old=old)
        if causes:
            raise invalid(kind.qualified_kind, metadata["name"], causes)
        if kind.prepare is not None:
            kind.prepare(out)
        return out

    def _update(
        self,
        kind: ServedKind,
        old: Stored,
        obj: Manifest,
        *,
        managers: dict[Manager, Fields] | None = None,
        manager: str = "",
        subresource: str = "",
    ) -> Stored:
        """Stores `obj` for `old`, as far as this endpoint may change it; nothing if nothing changes."""
        self._check_preconditions(kind, old, obj["metadata"], subresource)
        obj = self._admitted(kind, confined(kind, old.obj, obj, subresource), old, subresource)
        metadata, before = obj["metadata"], old.obj["metadata"]
        if managers is None:
            owner = Manager(manager, "Update", kind.api_version, subresource)
            skipped = () if subresource else not_owned(kind)
            managers = after_update(old.managers, kind.schema, old.obj, obj, owner, without=skipped)
        metadata["resourceVersion"] = before["resourceVersion"]
        if "generation" in before:
            changed = counted(kind, obj) != counted(kind, old.obj)
            metadata["generation"] = before["generation"] + changed
        if obj == old.obj and managers == old.managers:
            return old
        if obj != old.obj:
            self._check(kind, obj, old.obj)
        if (
            metadata.get("deletionTimestamp")
            and not metadata.get("finalizers")
            and not holds_content(kind, obj)
        ):
            last = Stored(old.key, obj, managers, old.revision)
            self.storage.drop(last)
            return last
        return self.storage.put(old.key, obj, managers, kind.schema)

    def _check_preconditions(
        self, kind: ServedKind, old: Stored, metadata: Manifest, subresource: str
    ) -> None:
        uid, version = metadata.get("uid"), metadata.get("resourceVersion")
        if uid and uid != old.uid and not subresource:
            message = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.uid}"
            raise conflict(kind.qualified, old.key.name, message)
        if version and version != old.obj["metadata"]["resourceVersion"]:
            raise modified(kind.qualified, old.key.name)

    def _check_deletion(self, kind: ServedKind, stored: Stored, uid: str, version: str) -> None:
        if uid and uid != stored.uid:
            message = (
                f"the UID in the precondition ({uid}) does not match the UID in record ({stored.uid}). "
                "The object might have been deleted and then recreated"
            )
            raise conflict(kind.qualified_kind, stored.key.name, message)
        live = stored.obj["metadata"]["resourceVersion"]
        if version and version != live:
            message = (
                f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in "
                f"record ({live}). The object might have been modified"
            )
            raise conflict(kind.qualified_kind, stored.key.name, message)

    def _check_namespace(self, kind: ServedKind, key: Key) -> None:
        namespace = self.storage.get(Key(NAMESPACE, "", key.namespace))
        if namespace is None:
            raise not_found("namespaces", key.namespace)
        if namespace.obj["metadata"].get("deletionTimestamp"):
            message = (
                f"unable to create new content in namespace {key.namespace} because it is being terminated"
            )
            raise forbidden(kind.qualified, key.name, message)

    def _check(self, kind: ServedKind, obj: Manifest, old: Manifest | None) -> None:
        """Raises Invalid where an admitted object breaks what schemas can't say."""
        causes = list(kind.validate(obj, old)) if kind.validate is not None else []
        if self._rules and not kind.builtin:
            causes += rules.broken_rules(kind.schema, obj, rules.UNSET if old is None else old)
        if causes:
            raise invalid(kind.qualified_kind, obj["metadata"]["name"], causes)
        if kind.id in self.admission:
            self.admission[kind.id](obj, old)

    def _serve(self, change: Change) -> None:
        """Starts and stops serving kinds as their CustomResourceDefinitions come and go."""
        if change.new.key.id != CRD:
            return
        for old in kinds_of_crd(change.old.obj) if change.old else ():
            self.kinds.remove(old)
            if change.type == "DELETED":
                for stored in list(self.storage.collection(old.id).objects.values()):
                    self.storage.drop(stored)
                self.storage.end_streams(old.id)
        if change.type != "DELETED":
            for kind in kinds_of_crd(change.new.obj):
                self.kinds.add(kind)

    def _uid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _generated(self, prefix: str) -> str:
        if not prefix:
            return ""
        return prefix + "".join(self._random.choice(_SUFFIX_LETTERS) for _ in range(5))
