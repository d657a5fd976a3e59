"""Faults of whatever writes: preconditions, fences, read-own-writes, force, ownership, the pipeline."""

from __future__ import annotations

from hack.mutants.mutant import Mutant, faults

_APPLY = ("tests/unit/runtime/test_apply.py", "tests/unit/runtime/test_repairs.py")
_RECONCILE = ("tests/unit/runtime/test_reconcile.py", "tests/simulation/test_lasting.py")
_OWNERSHIP = ("tests/unit/runtime/test_ownership.py",)

PRECONDITIONS: tuple[Mutant, ...] = faults(
    "Preconditions, fences and force",
    "runtime/apply.py",
    _APPLY,
    (
        "a status computed from an old object overwrites what came after it",
        "body = _status_patch(live.metadata.resource_version, old, status)",
        'body = _status_patch("", old, status)',
    ),
    ("a deletion takes the successor of what was to be deleted", "uid=metadata.uid,", 'uid="",'),
    (
        "what somebody took into use a moment ago is deleted all the same",
        'resource_version=metadata.resource_version if resource_version else "",',
        'resource_version="",',
    ),
    (
        "an apply goes to whatever object has the name by now",
        'else {"uid": live.metadata.uid}',
        "else {}",
    ),
    (
        "the creation of a child is merged into an object that is there",
        '{"resourceVersion": NO_VERSION} if live is None else',
        "{} if live is None else",
    ),
    (
        "a field of ours that another tool has taken over makes every later apply fail",
        "force=live is not None",
        "force=False",
    ),
    (
        "a leader whose Lease ran out still applies",
        "self._fence()\n        stamped",
        "stamped",
    ),
    (
        "a leader whose Lease ran out still deletes",
        "self._fence()\n        with suppress",
        "with suppress",
    ),
    (
        "a leader whose Lease ran out still writes statuses",
        "self._fence()\n        metadata",
        "metadata",
    ),
    (
        "what is gone already can't be deleted, for ever",
        "with suppress(NotFound), self._writing(key, resource.ref(live)):",
        "with self._writing(key, resource.ref(live)):",
    ),
)

WHEN_TO_WRITE: tuple[Mutant, ...] = faults(
    "When a write is needed",
    "runtime/apply.py",
    _APPLY,
    (
        "every reconcile applies every child again",
        "or (self._selected(resource, live) and self._settled(live, manifest, digest))",
        "or False",
    ),
    (
        "an object that is being deleted is applied to",
        "live.metadata.deletion_timestamp is not None\n            or (",
        "False\n            or (",
    ),
    (
        "what somebody edited by hand is not repaired",
        "== digest and object_covers(live, manifest)",
        "== digest",
    ),
    (
        "a field that is not wanted any more stays, since the others fit",
        "self._annotation) == digest and object_covers",
        "self._annotation) is not None and object_covers",
    ),
    (
        "what a webhook rewrote is applied again at each reconcile",
        "_remember(self._accepted, uid, _Accepted(digest, _content_hash(applied, manifest)))",
        "pass",
    ),
    (
        "after a webhook rewrote an object, edits by hand stay",
        "and accepted.content == _content_hash(live, manifest)",
        "and accepted.content",
    ),
    (
        "what was rewritten by a webhook is taken for what is wanted next",
        "and accepted.digest == digest\n            and accepted.content",
        "and accepted.content",
    ),
    (
        "an object that was right for the wish before is taken to be right for this one",
        "if verdict is not None and verdict.digest != digest:",
        "if verdict is not None and not verdict.digest:",
    ),
    (
        "a verdict about an object holds whatever somebody writes into it",
        "if verdict is not None and verdict.content == content:",
        "if verdict is not None:",
    ),
    (
        "a field of a status that was emptied on purpose comes back",
        "if not sets_null(old, new):",
        "if old is not None:",
    ),
    (
        "a child that somebody deletes at once is made again at full speed",
        "return Undone.DELETED if written else None",
        "return None",
    ),
    (
        "a child that somebody changes back at once is written at full speed",
        "return Undone.CHANGED if applied_before else None",
        "return None",
    ),
    (
        "a child whose labels are changed at admission is never looked at again",
        "retry_after_seconds=hold.seconds if hold is not None else FIRST_HOLD_SECONDS,",
        "retry_after_seconds=None,",
    ),
    (
        "what the operator deleted itself and makes again is held back",
        "self._repairs.forget(resource.ref(live))",
        "pass",
    ),
)

READ_OWN_WRITES: tuple[Mutant, ...] = (
    *faults(
        "Read your own writes",
        "runtime/apply.py",
        _APPLY,
        (
            "a key is reconciled before the cache shows the child it wrote",
            "self._expectations.written(key, resource, applied)",
            "pass",
        ),
        (
            "a key is reconciled before the cache shows what it deleted as going",
            "self._expectations.deleted(key, resource, live)",
            "pass",
        ),
        (
            "a key is reconciled before the cache shows the status it wrote",
            "self._expectations.written(key, resource, written)\n        return True",
            "return True",
        ),
    ),
    *faults(
        "Read your own writes",
        "runtime/expectations.py",
        (*_APPLY, "tests/simulation/test_operator.py"),
        (
            "a successor of a deleted object is taken for the deleted one",
            "return obj is None or obj.metadata.uid != uid or",
            "return obj is None or",
        ),
        (
            "of two writes the first one's return is enough",
            "return max(one, other, key=int)",
            "return min(one, other, key=int)",
        ),
        (
            "a watch that lost an event is not doubted",
            "self._doubt(key, again=steps > DOUBT_STEPS)",
            "pass",
        ),
        (
            "a key whose write never comes back is stuck for good",
            "if steps == GIVE_UP_STEPS:",
            "if steps == 10**9:",
        ),
        (
            "a process that stood still takes its own pause for a broken watch",
            "if self._clock.monotonic() - began < 2 * STEP_SECONDS:",
            "if self._clock.monotonic() >= began:",
        ),
    ),
    *faults(
        "Read your own writes",
        "runtime/controller.py",
        ("tests/unit/runtime/test_controller.py",),
        (
            "keys are handed out whether or not the cache has come so far",
            "if self._freshness.caught_up(ref):",
            "if self._freshness.caught_up(ref) or True:",
        ),
        (
            "a key that waited for the cache is forgotten",
            "self._parked.discard(ref)\n        self.queue.add(ref)",
            "self._parked.discard(ref)",
        ),
    ),
)

OWNERSHIP: tuple[Mutant, ...] = (
    *faults(
        "Ownership",
        "runtime/ownership.py",
        _OWNERSHIP,
        (
            "children of a deleted object are taken for those of its successor",
            'if controller.uid == owners[0]["uid"]:',
            'if controller.name == owners[0]["name"]:',
        ),
        (
            "labels that somebody copied make an object ours",
            "return Ownership.OURS if marked and _has_labels(live, manifest) else",
            "return Ownership.OURS if _has_labels(live, manifest) else",
        ),
        (
            "an annotation that somebody copied makes an object ours",
            "return Ownership.OURS if marked and _has_labels(live, manifest) else",
            "return Ownership.OURS if marked else",
        ),
        (
            "children of a former object of the name are a conflict for a person to solve",
            "return Ownership.GOING_AWAY if _is_former(controller, owners[0]) else Ownership.FOREIGN",
            "return Ownership.FOREIGN",
        ),
        (
            "what is being deleted counts as there",
            "if live.metadata.deletion_timestamp is not None:",
            'if live.metadata.deletion_timestamp == "":',
        ),
        (
            "what another controller owns is taken over by an object without owner",
            "if not owners:\n        return Ownership.FOREIGN",
            "if not owners:\n        return Ownership.OURS",
        ),
        (
            "an owner of another API group with the same kind and name is waited for",
            'controller.api_version.partition("/")[0] == owner["apiVersion"].partition("/")[0]',
            "controller.api_version",
        ),
    ),
    *faults(
        "Ownership",
        "core/manifests.py",
        ("tests/unit/core/test_manifests.py",),
        (
            "any controller is taken for the owner",
            "return reference is not None and reference.uid == owner.uid",
            "return reference is not None",
        ),
    ),
    *faults(
        "Ownership",
        "controllers/services.py",
        (
            "tests/simulation/test_ownership.py",
            "tests/simulation/test_paths.py",
            "tests/simulation/test_services.py",
        ),
        (
            "a stranger's InferenceService of the name counts as the service's",
            "inference_service=inference_service if owns_inference_service else None,",
            "inference_service=inference_service,",
        ),
        (
            "a stranger's HTTPRoute of the name counts as the service's",
            "http_route=http_route if owns_http_route else None,",
            "http_route=http_route,",
        ),
        (
            "a stranger's PodDisruptionBudget of the name is taken away",
            "budget if budget is not None and controlled_by(budget, mine) else None",
            "budget",
        ),
        (
            "a stranger's ScaledObject of the name is taken away",
            "return found if found is not None and controlled_by(found, service.metadata) else None",
            "return found",
        ),
    ),
    *faults(
        "Ownership",
        "controllers/templates.py",
        ("tests/simulation/test_discovery.py", "tests/simulation/test_tenants.py"),
        (
            "a Job in another namespace that names a template as its owner counts as its discovery",
            "jobs = tuple(job for job in owned if job.metadata.namespace == home)",
            "jobs = tuple(owned)",
        ),
        (
            "anybody's Pod with the label of a discovery Job is read as its output",
            "pods = tuple(pod for pod in cached if controlled_by(pod, job.metadata))",
            "pods = tuple(cached)",
        ),
    ),
    *faults(
        "Ownership",
        "controllers/model_caches.py",
        ("tests/simulation/test_caches.py", "tests/simulation/test_tenants.py"),
        (
            "a Job in another namespace that names a model cache as its owner counts as its download",
            "jobs = tuple(job for job in owned if job.metadata.namespace == ref.namespace)",
            "jobs = tuple(owned)",
        ),
        (
            "anybody's Pod with the label of a download Job tells how the download ended",
            "pods = tuple(pod for pod in cached if controlled_by(pod, job.metadata))",
            "pods = tuple(cached)",
        ),
    ),
    *faults(
        "Ownership",
        "core/catalog.py",
        ("tests/unit/core/test_catalog.py", "tests/unit/core/template/test_plan.py"),
        (
            "a template with copied labels goes as a derived one that nobody uses",
            "and is_derived_template_name(metadata.name)",
            "and metadata.name",
        ),
        (
            "a derived template that a user edited is deleted",
            "return is_derived(template) and is_derived_template_name(\n"
            "        template.metadata.name, short_hash(plain(template.spec))\n    )",
            "return is_derived(template)",
        ),
        (
            "variables of a cluster-wide template may refer to Secrets of any namespace",
            'return env if scope_of(template) == "Namespace" else literal_env(env)',
            "return env",
        ),
    ),
)

PIPELINE: tuple[Mutant, ...] = faults(
    "The pipeline",
    "runtime/reconcile.py",
    _RECONCILE,
    (
        "a child is written although the one that it comes after could not be",
        "if child.after in there:",
        "if child.after:",
    ),
    (
        "of a child that could not be written, the status says nothing",
        "outcomes, errors = await self._writer.apply_plan(ref, plan)",
        "outcomes, errors = await self._writer.apply_plan(ref, plan)\n"
        "        if outcomes.errors:\n            raise outcomes.errors[0]",
    ),
    (
        "of several errors the slowest decides when the object is tried again",
        "raise min(failures, key=_urgency)",
        "raise max(failures, key=_urgency)",
    ),
    (
        "a child that could not be written is not tried again",
        "[*outcomes.errors, *errors, *unread]",
        "[*errors, *unread]",
    ),
    (
        "a deletion that failed is not tried again",
        "[*outcomes.errors, *errors, *unread]",
        "[*outcomes.errors, *unread]",
    ),
    (
        "a log that could not be read is not read again",
        "[*outcomes.errors, *errors, *unread]",
        "[*outcomes.errors, *errors]",
    ),
    (
        "what is due in a while never comes",
        "due = [plan.requeue_after_seconds] if plan.requeue_after_seconds is not None else []",
        "due: list[float] = []",
    ),
    (
        "a child that was held back is never written again",
        "held = [o.retry_after_seconds for o in outcomes if o.retry_after_seconds is not None]",
        "held: list[float] = []",
    ),
    (
        "of two things that are due the later one decides",
        "min([*held, *due], default=None)",
        "max([*held, *due], default=None)",
    ),
    (
        "what was reserved for a child is never given back",
        "self._kind.settle(ref, plan, outcomes)",
        "pass",
    ),
    (
        "what is held in memory for an object stays after it is gone",
        "self._kind.forget(ref)\n            self._writer.forget(ref)\n            return",
        "self._writer.forget(ref)\n            return",
    ),
    (
        "a paused object keeps what it holds in memory",
        "self._kind.forget(ref)\n            self._writer.forget(ref)\n            await",
        "self._writer.forget(ref)\n            await",
    ),
    (
        "an object that can't be decoded counts as deleted",
        "if current is None and self._writer.is_undecodable(ref):",
        "if current is None and not ref:",
    ),
    (
        "the pause annotation pauses nothing",
        "if (report := self._kind.paused(obj, now)) is not None:",
        "if (report := self._kind.paused(obj, now)) is not None and not ref:",
    ),
    (
        "an object that is being deleted gets its children again",
        "if current is None or current[1].metadata.deletion_timestamp is not None:",
        "if current is None:",
    ),
    (
        "events are told again at each reconcile",
        "if await self._applier.patch_status(key, resource, obj, report.status):",
        "if await self._applier.patch_status(key, resource, obj, report.status) or True:",
    ),
    (
        "a namesake in the way is not watched until it goes",
        "self._foreign.ensure(key, name, lambda: self._wake(key))",
        "pass",
    ),
    (
        "names that are free again are watched for ever",
        "self._foreign.keep(key, taken)",
        "pass",
    ),
    (
        "a Job that another version rendered takes no TTL and stays for good",
        "if child.disposable and isinstance(error, Invalid):",
        "if child.disposable and not error:",
    ),
    (
        "a stranger's Job of the name is deleted as disposable",
        "if live is not None and self._ownership(live, child) is Ownership.OURS:",
        "if live is not None:",
    ),
    (
        "what a quota or a webhook refuses is told as a passing failure",
        "refused = isinstance(error, _REFUSALS) and not isinstance(error, NotInstalled)",
        "refused = False",
    ),
    (
        "a kind that is not installed counts as refused for good",
        "refused = isinstance(error, _REFUSALS) and not isinstance(error, NotInstalled)",
        "refused = isinstance(error, _REFUSALS)",
    ),
    (
        "a stranger's object counts as the child that could not be written",
        "object=live if ours else None,",
        "object=live,",
    ),
    (
        "what must be unchanged to be deleted is deleted anyway",
        "resource_version=removal.unchanged",
        "resource_version=False",
    ),
)

MUTANTS = (*PRECONDITIONS, *WHEN_TO_WRITE, *READ_OWN_WRITES, *OWNERSHIP, *PIPELINE)
