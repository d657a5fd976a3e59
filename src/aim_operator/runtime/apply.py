"""The one place that writes: children by server-side apply, status by merge patch, deletions.

Owns when a write is not needed, and remembers what was written until the caches have it. Does not decide
what is wanted, nor whose an object is: controllers do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, Literal

import msgspec
from msgspec import Struct

from aim_operator.api.meta import KubeObject, Manifest, ObjectRef, Patch
from aim_operator.api.resource import K, Resource
from aim_operator.errors import AlreadyExists, ApiError, Conflict, NotFound
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.coverage import ENVELOPE, fingerprint, object_covers, visible_content
from aim_operator.runtime.expectations import Expectations, kind_of
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.merge_patch import document, json_patch, merge_patch, sets_null
from aim_operator.runtime.pace import Pace
from aim_operator.runtime.repairs import FIRST_HOLD_SECONDS, Repairs, Undone

REMEMBERED = 100_000
NO_VERSION = "1"
"""A resourceVersion that no object has: an apply with it creates, or conflicts (docs/adr/0004)."""


Action = Literal["unchanged", "created", "updated", "found"]


class ApplyOutcome(Struct, Generic[K], frozen=True, kw_only=True):
    """`retry_after_seconds` is set where somebody keeps undoing what is written, and `message` says what.

    Then the object may be another than wanted, or None where it was deleted each time.
    """

    object: K | None
    action: Action
    retry_after_seconds: float | None = None
    message: str = ""


class _Verdict(Struct, frozen=True):
    """Whether one version of an object was found to be as one manifest wants it."""

    resource_version: str
    content: int
    """Its fingerprint: most later versions differ in status only."""
    digest: str
    settled: bool


class _Accepted(Struct, frozen=True):
    """What the server made of our own apply, where that was not quite what we sent."""

    digest: str
    content: bytes


class Applier:
    """`fence` raises where nothing may be written (any more); it is asked before every write.

    `pace` learns how long each took.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        informers: Sequence[Informer[Any]],
        clock: Clock,
        applied_annotation: str,
        fence: Callable[[], None],
        pace: Pace,
    ) -> None:
        self._client = client
        self._clock = clock
        self._annotation = applied_annotation
        self._fence = fence
        self._pace = pace
        self._informers = by_kind = {kind_of(informer.resource): informer for informer in informers}
        self._expectations = Expectations(by_kind, clock)
        self._verdicts: dict[str, _Verdict] = {}
        self._accepted: dict[str, _Accepted] = {}
        self._repairs = Repairs(clock)
        for informer in by_kind.values():
            informer.add_handler(self._forget_deleted)

    def caught_up(self, key: ObjectRef) -> bool:
        """Whether the caches have seen everything that was written for `key`."""
        return self._expectations.met(key)

    def on_caught_up(self, key: ObjectRef, callback: Callable[[], None]) -> None:
        """Call back once caught_up(key); at the latest when waiting any longer is pointless."""
        self._expectations.on_met(key, callback)

    async def probe(self, resource: Resource[K], namespace: str, name: str) -> K | None:
        """Return the object of that name from the server itself, None if there is none.

        For a name that turned out to be taken: caches see our labels only.
        """
        try:
            return await self._client.get(resource, name, namespace=namespace)
        except NotFound:
            return None

    async def apply(
        self, key: ObjectRef, resource: Resource[K], manifest: Manifest, *, live: K | None
    ) -> ApplyOutcome[K]:
        """Make the object as `manifest` says; idempotent, and free where it is so already.

        `live` is the object as known and ours: then the apply is forced, and bound to its uid (Conflict
        if another one took the name). Without it the object is created, never merged into one that is
        there: that raises AlreadyExists. Fields that a former manifest had and this has not are removed
        by the server. A webhook that rewrites our fields is accepted: repaired is only what changes after
        our own apply. An object that is being deleted is left alone. One that somebody changes, deletes or
        takes out of sight as soon as it is written is written ever less often; the outcome says so.

        One that is out of sight only gets its labels back, and is found: whoever made the manifest did not
        know that it is there, and what it asks for may be refused, or be no more than for a new one.
        """
        digest = digest_of(manifest)
        metadata = manifest["metadata"]
        name = ObjectRef(resource.kind, metadata.get("namespace", ""), metadata["name"])
        if live is not None and (
            live.metadata.deletion_timestamp is not None
            or (self._selected(resource, live) and self._settled(live, manifest, digest))
        ):
            return ApplyOutcome(object=live, action="unchanged")
        undone = self._undone(name, resource, live, digest)
        if undone is not None and (hold := self._repairs.held(name, digest)) is not None:
            return ApplyOutcome(
                object=live,
                action="unchanged",
                retry_after_seconds=hold.seconds,
                message=hold.undone.value,
            )
        self._fence()
        applied, action = await self._write(key, resource, manifest, digest, live)
        self._repairs.written(name, digest, undone)
        if self._selected(resource, applied):
            return ApplyOutcome(object=applied, action=action)
        # Changed at admission: no watch will ever show it, so nothing but the clock brings the key back.
        hold = self._repairs.held(name, digest)
        return ApplyOutcome(
            object=applied,
            action=action,
            retry_after_seconds=hold.seconds if hold is not None else FIRST_HOLD_SECONDS,
            message=Undone.HIDDEN.value,
        )

    async def _write(
        self, key: ObjectRef, resource: Resource[K], manifest: Manifest, digest: str, live: K | None
    ) -> tuple[K, Action]:
        metadata = manifest["metadata"]
        name = ObjectRef(resource.kind, metadata.get("namespace", ""), metadata["name"])
        if live is not None and not self._selected(resource, live):
            patch: Manifest = {"metadata": {"uid": live.metadata.uid, "labels": metadata["labels"]}}
            with self._writing(key, name):
                found = await self._client.patch(resource, name.name, patch, namespace=name.namespace)
            self._expectations.written(key, resource, found)
            return found, "found"
        stamped = self._stamped(manifest, digest, live)
        try:
            with self._writing(key, name):
                applied = await self._client.apply(resource, stamped, force=live is not None)
        except Conflict as error:
            if live is not None:
                raise
            raise AlreadyExists(str(error), code=error.code, reason="AlreadyExists") from error
        self._expectations.written(key, resource, applied)
        self._accept(applied, manifest, digest)
        if live is None:
            return applied, "created"
        same = applied.metadata.resource_version == live.metadata.resource_version
        return applied, "unchanged" if same else "updated"

    async def amend(
        self, key: ObjectRef, resource: Resource[K], manifest: Manifest, *, live: K
    ) -> ApplyOutcome[K]:
        """Write the fields that `manifest` has beside its metadata into `live`, and leave all others.

        For what can't be applied any more, since another version of the operator applied it otherwise and it
        can't be changed. Fine if it is gone; raises Conflict if its name has a successor. As `apply` it gives
        up for a while where somebody undoes it each time.
        """
        digest = digest_of(manifest)
        name = resource.ref(live)
        if live.metadata.deletion_timestamp is not None or object_covers(live, manifest):
            return ApplyOutcome(object=live, action="unchanged")
        undone = Undone.CHANGED if self._repairs.knows(name, digest) else None
        if undone is not None and (hold := self._repairs.held(name, digest)) is not None:
            return ApplyOutcome(
                object=live,
                action="unchanged",
                retry_after_seconds=hold.seconds,
                message=hold.undone.value,
            )
        self._fence()
        patch = {section: fields for section, fields in manifest.items() if section not in ENVELOPE}
        patch["metadata"] = {"uid": live.metadata.uid}
        try:
            with self._writing(key, name):
                amended = await self._client.patch(resource, name.name, patch, namespace=name.namespace)
        except NotFound:
            return ApplyOutcome(object=None, action="unchanged")
        self._expectations.written(key, resource, amended)
        self._repairs.written(name, digest, undone)
        return ApplyOutcome(object=amended, action="updated")

    async def delete(
        self,
        key: ObjectRef,
        resource: Resource[K],
        live: K,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        resource_version: bool = False,
    ) -> None:
        """Delete exactly this object; fine if it is gone. Raises Conflict if its name has a successor.

        `resource_version` deletes it only if it is unchanged as well.
        """
        metadata = live.metadata
        if metadata.deletion_timestamp is not None:
            return
        self._fence()
        with suppress(NotFound), self._writing(key, resource.ref(live)):
            await self._client.delete(
                resource,
                metadata.name,
                namespace=metadata.namespace,
                uid=metadata.uid,
                resource_version=metadata.resource_version if resource_version else "",
                propagation=propagation,
            )
        self._expectations.deleted(key, resource, live)
        self._repairs.forget(resource.ref(live))

    async def patch_status(self, key: ObjectRef, resource: Resource[K], live: K, status: Struct) -> bool:
        """Make the status of `live` be `status`, in one write or none; whether one was needed.

        Raises Conflict if the object changed since: its resourceVersion is the precondition.
        """
        old = getattr(live, "status", None)
        # Mostly nothing changed: Structs tell that a thousand times faster than documents do.
        if old == status:
            return False
        body = _status_patch(live.metadata.resource_version, old, status)
        if not body:
            return False
        self._fence()
        metadata = live.metadata
        with self._writing(key, resource.ref(live)):
            written = await self._client.patch_status(
                resource, metadata.name, body, namespace=metadata.namespace
            )
        self._expectations.written(key, resource, written)
        return True

    @contextmanager
    def _writing(self, key: ObjectRef, ref: ObjectRef) -> Iterator[None]:
        """Have errors say which object was written, and the namespace's pace follow what succeeds."""
        start = self._clock.monotonic()
        try:
            yield
        except ApiError as error:
            error.wrote = ref
            raise
        self._pace.answered(key.namespace, self._clock.monotonic() - start)

    def _settled(self, live: KubeObject, manifest: Manifest, digest: str) -> bool:
        """Whether `live` needs nothing. Judged once per content of it."""
        uid, version = live.metadata.uid, live.metadata.resource_version
        verdict = self._verdicts.get(uid)
        if verdict is not None and verdict.digest != digest:
            verdict = None
        if verdict is not None and verdict.resource_version == version:
            return verdict.settled
        content = fingerprint(live)
        if verdict is not None and verdict.content == content:
            settled = verdict.settled
        else:
            settled = self._is_accepted(live, manifest, digest) or self._is_covered(live, manifest, digest)
        _remember(self._verdicts, uid, _Verdict(version, content, digest, settled))
        return settled

    def _is_covered(self, live: KubeObject, manifest: Manifest, digest: str) -> bool:
        return live.metadata.annotation(self._annotation) == digest and object_covers(live, manifest)

    def _is_accepted(self, live: KubeObject, manifest: Manifest, digest: str) -> bool:
        accepted = self._accepted.get(live.metadata.uid)
        return (
            accepted is not None
            and accepted.digest == digest
            and accepted.content == _content_hash(live, manifest)
        )

    def _accept(self, applied: KubeObject, manifest: Manifest, digest: str) -> None:
        """Remember what came back of our own apply, if it differs from what was sent."""
        uid, version = applied.metadata.uid, applied.metadata.resource_version
        self._verdicts.pop(uid, None)
        if self._is_covered(applied, manifest, digest):
            self._accepted.pop(uid, None)
            _remember(self._verdicts, uid, _Verdict(version, fingerprint(applied), digest, settled=True))
        else:
            _remember(self._accepted, uid, _Accepted(digest, _content_hash(applied, manifest)))

    def _undone(
        self, name: ObjectRef, resource: Resource[Any], live: KubeObject | None, digest: str
    ) -> Undone | None:
        """Return what happened to an object that was as wanted before; None where the wish is a new one."""
        written = self._repairs.knows(name, digest)
        if live is None:
            return Undone.DELETED if written else None
        if not self._selected(resource, live):
            return Undone.HIDDEN
        accepted = self._accepted.get(live.metadata.uid)
        applied_before = (
            written
            or live.metadata.annotation(self._annotation) == digest
            or (accepted is not None and accepted.digest == digest)
        )
        return Undone.CHANGED if applied_before else None

    def _selected(self, resource: Resource[Any], obj: KubeObject) -> bool:
        """Whether our cache shows an object, by its labels."""
        informer = self._informers.get(kind_of(resource))
        return informer is None or informer.selects(obj)

    def _stamped(self, manifest: Manifest, digest: str, live: KubeObject | None) -> Manifest:
        metadata = dict(manifest["metadata"])
        metadata["annotations"] = {**(metadata.get("annotations") or {}), self._annotation: digest}
        metadata |= {"resourceVersion": NO_VERSION} if live is None else {"uid": live.metadata.uid}
        return {**manifest, "metadata": metadata}

    def _forget_deleted(self, old: KubeObject | None, new: KubeObject | None) -> None:
        if old is not None and new is None:
            for memory in (self._verdicts, self._accepted):
                memory.pop(old.metadata.uid, None)


def _content_hash(live: KubeObject, manifest: Manifest) -> bytes:
    """Return the hash of what `live` has of a manifest: its specs may have hundreds of KB."""
    return hashlib.sha256(visible_content(live, manifest)).digest()


def _remember(memory: dict[str, Any], uid: str, value: Any) -> None:
    """Remember, and forget the oldest where that is too much: it costs one apply, no harm."""
    memory.pop(uid, None)
    memory[uid] = value
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]


def digest_of(manifest: Manifest) -> str:
    """Return the hash that an applied object carries."""
    encoded = msgspec.json.encode(manifest, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:16]


def _status_patch(resource_version: str, before: Any, status: Struct) -> Patch:
    """Return the patch from the status before to the new one; empty where they are equal."""
    old, new = document(before, unlike=status), document(status, unlike=before)
    if not sets_null(old, new):
        patch = merge_patch(old, new)
        return {"metadata": {"resourceVersion": resource_version}, "status": patch} if patch else {}
    operations = json_patch("/status", old, new)
    made = [{"op": "add", "path": "/status", "value": {}}] if before is None else []
    precondition = {"op": "add", "path": "/metadata/resourceVersion", "value": resource_version}
    return [precondition, *made, *operations]
