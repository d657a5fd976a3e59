"""Faults of what runs the controllers: queue, backoff, watches, leadership, events."""

from __future__ import annotations

from hack.mutants.mutant import Mutant, faults

_QUEUE = ("tests/unit/runtime/test_workqueue.py",)
_CONTROLLER = ("tests/unit/runtime/test_controller.py", "tests/simulation/test_lasting.py")
_LEADER = ("tests/unit/runtime/test_leader.py",)
_STORE = ("tests/unit/runtime/test_store.py", "tests/unit/runtime/test_watcher.py")
_EVENTS = ("tests/unit/runtime/test_events.py",)
_FOREIGN = ("tests/unit/runtime/test_foreign.py",)
_NODES = ("tests/unit/controllers/test_gpu_models.py", "tests/simulation/test_nodes.py")

BACKOFF: tuple[Mutant, ...] = (
    *faults(
        "Backoff and requeue",
        "runtime/workqueue.py",
        _QUEUE,
        ("what fails is tried again without growing pauses", "= failures + 1", "= failures"),
        (
            "a change that comes while its object is reconciled is lost",
            "self._again.setdefault(ref, self._clock.monotonic())",
            "pass",
        ),
        (
            "what is due soon is lost behind what is due later",
            "if scheduled[0] <= due:",
            "if scheduled[0]:",
        ),
        ("Retry-After is not kept", "wait = max(wait, at_least_seconds)", "pass"),
        (
            "an object's own status write ends its backoff",
            "elif ref not in self._failures:\n            self.add(ref)",
            "else:\n            self.add(ref)",
        ),
    ),
    *faults(
        "Backoff and requeue",
        "runtime/controller.py",
        _CONTROLLER,
        (
            "an object that failed once is slow for ever",
            "self.queue.forget(ref)\n        self._complaints",
            "self._complaints",
        ),
        (
            "a reconcile that was cancelled with the Lease is lost",
            'if outcome == "cancelled":',
            'if outcome == "":',
        ),
        (
            "what a webhook refused is not tried again until its object changes",
            'self._refused(ref, error)\n            return "invalid"',
            'return "invalid"',
        ),
        (
            "what a reconcile wants to do later is forgotten",
            "self.queue.add_after(ref, result.requeue_after_seconds)",
            "pass",
        ),
        (
            "a bug that raises once leaves its object as it is for good",
            'self._log.exception("reconcile failed", key=str(ref))\n            self.queue.add_rate_limited(ref)',
            'self._log.exception("reconcile failed", key=str(ref))',
        ),
        (
            "a withdrawn permission is asked for many times a second",
            "self.queue.add_rate_limited(ref, at_least_seconds=DENIED_SECONDS)\n            self._complain",
            "self.queue.add_rate_limited(ref)\n            self._complain",
        ),
        (
            "what could not be written without the Lease is not tried by the next leader",
            "except NotLeader:\n            self.queue.add_rate_limited(ref)",
            "except NotLeader:",
        ),
        (
            "a refusal that is only remembered doubles the backoff's pause each time it is remembered",
            "at_least_seconds=max(known, at_least_seconds)",
            "at_least_seconds=at_least_seconds",
        ),
        (
            "one namespace may have all workers",
            "return self._pace.allows(namespace, at_work) and may_have_more(\n"
            "            at_work, self._limit - len(self._running)\n        )",
            "return self._pace.allows(namespace, at_work)",
        ),
    ),
    *faults(
        "Backoff and requeue",
        "runtime/repairs.py",
        ("tests/unit/runtime/test_repairs.py",),
        (
            "a child that is undone each time is written each second for ever",
            "wait = exponential(FIRST_HOLD_SECONDS, LONGEST_HOLD_SECONDS, last.repairs - FREE_REPAIRS)",
            "wait = FIRST_HOLD_SECONDS",
        ),
        (
            "one that was repaired now and then over months is held back",
            "return self._clock.monotonic() - last.at > (CALM_SECONDS if last.repairs else FRESH_SECONDS)",
            "return not last.digest",
        ),
    ),
    *faults(
        "Backoff and requeue",
        "runtime/triggers.py",
        (
            "tests/unit/runtime/test_controller.py",
            "tests/simulation/test_stories.py",
            "tests/simulation/test_lasting.py",
        ),
        (
            "an object that changes owners wakes only the new one",
            "for obj in (old, new):",
            "for obj in (new or old,):",
        ),
        (
            "a failing object is woken by the message of its own failure",
            "wake = enqueue_unless_failing if self._own and _only_status_changed(old, new) else enqueue",
            "wake = enqueue",
        ),
        (
            "the annotations for retry and rediscovery wait for the backoff to end",
            "return structs.replace(old.metadata, resource_version=version) == new.metadata",
            "return bool(version)",
        ),
    ),
    *faults(
        "Backoff and requeue",
        "controllers/wakes.py",
        ("tests/simulation/test_stories.py", "tests/simulation/test_services.py"),
        (
            "edits of what objects depend on reach nobody",
            "or old.metadata.generation != new.metadata.generation",
            "",
        ),
        (
            "what came back is not heard of, only what went",
            "def came_or_went(old: KubeObject | None, new: KubeObject | None) -> bool:\n    return old is None or",
            "def came_or_went(old: KubeObject | None, new: KubeObject | None) -> bool:\n    return",
        ),
    ),
)

WATCHES: tuple[Mutant, ...] = (
    *faults(
        "Watches and caches",
        "runtime/store.py",
        _STORE,
        (
            "an object deleted and made again while the watch was away passes for changed",
            "if old is not None and old.metadata.uid != obj.metadata.uid:\n                # Deleted",
            "if old is not None and not obj.metadata.uid:\n                # Deleted",
        ),
        (
            "an object is still found by what it no longer says",
            "if old is not None:\n            self._unfile(name)\n        self._objects",
            "self._objects",
        ),
        (
            "a change that only a new list shows is missed",
            "return one.uid == other.uid and one.resource_version == other.resource_version",
            "return one.uid == other.uid",
        ),
        (
            "an object that can't be decoded counts as gone when everything is listed again",
            "and kept.get(name) != obj.metadata.uid",
            "",
        ),
        (
            "a namespace with an object that can't be decoded counts as complete",
            "return any(of == namespace for of, _ in self._undecodable)",
            "return False",
        ),
    ),
    *faults(
        "Watches and caches",
        "runtime/informer.py",
        _STORE,
        (
            "a successor of the same name passes for a change of the one before",
            "if old is not None and old.metadata.uid != kept.metadata.uid:",
            "if old is not None and not kept.metadata.uid:",
        ),
        (
            "an API server restored from a backup is waited for until it has counted as far as before",
            "self._seen = number",
            "self._seen = max(self._seen, number)",
        ),
        (
            "who waits for a kind does not hear that it was installed",
            "for callback in self._on_installed:\n                callback(installed)",
            "pass",
        ),
        (
            "who comes late does not hear of what is there",
            "for obj in self.store.all():\n            self._call(handler, None, obj)",
            "pass",
        ),
    ),
    *faults(
        "Watches and caches",
        "runtime/foreign.py",
        _FOREIGN,
        (
            "a name that was freed between the look and the watch stays in conflict",
            "await informer.wait_synced()\n            wake()",
            "await informer.wait_synced()",
        ),
        (
            "beyond the limit of watches a name in conflict is never looked at again",
            "await self._clock.sleep(POLL_SECONDS)\n            wake()",
            "await self._clock.sleep(POLL_SECONDS)",
        ),
        (
            "one namespace has all watches of names in conflict",
            "watched = may_have_more(self._streams[key.namespace], self._limit - self._streams.total())",
            "watched = self._limit > self._streams.total()",
        ),
    ),
    *faults(
        "Watches and caches",
        "controllers/gpu_models.py",
        _NODES,
        (
            "nobody hears that nodes bring other GPUs",
            "for listener in self._listeners:\n                listener()",
            "pass",
        ),
        (
            "the GPUs of a node that went still count",
            "if not self._counts[before]:\n                del self._counts[before]",
            "pass",
        ),
        (
            "each node of a labeller's round wakes everybody",
            "if kinds != self._reported:",
            "if kinds or not kinds:",
        ),
    ),
    *faults(
        "Watches and caches",
        "controllers/kserve_version.py",
        ("tests/unit/controllers/test_kserve_version.py",),
        (
            "an upgrade of KServe is noticed by nobody who waits for it",
            "            self._on_change()\n",
            "            pass\n",
        ),
        (
            "KServe's CRD is read once, and never again after it failed",
            "await self._clock.sleep(pause.next())\n                continue",
            "return",
        ),
    ),
    *faults(
        "Watches and caches",
        "app.py",
        (
            "tests/simulation/test_nodes.py",
            "tests/simulation/test_operator.py",
            "tests/simulation/test_paths.py",
        ),
        (
            "new GPU nodes wake no service",
            "self._wake_all(depend.services_by_choice())",
            "pass",
        ),
        (
            "new GPU nodes wake no template",
            "self._wake_all(depend.all_templates())\n            self._wake_all(depend.services",
            "self._wake_all(depend.services",
        ),
        (
            "an upgrade of KServe wakes no service",
            "self._wake_all(self._dependents.all_services())",
            "pass",
        ),
        (
            "after a start, whoever is reconciled first has the path",
            "self._services.want_path(service)",
            "pass",
        ),
        (
            "work begins before the caches are full",
            "for informer in self.watched.all:\n            await informer.wait_synced()\n        await self._kserve",
            "await self._kserve",
        ),
        (
            "replicas write without looking at the Lease",
            "fence=self._elector.fence if settings.leader_elect else _unfenced,",
            "fence=_unfenced,",
        ),
        (
            "an operator of some namespaces does its own cluster templates, as well as the cluster's",
            "settings, cluster = self._settings, not self._settings.namespaces",
            "settings, cluster = self._settings, True",
        ),
    ),
)

LEADERSHIP: tuple[Mutant, ...] = faults(
    "Leadership",
    "runtime/leader.py",
    _LEADER,
    (
        "a slow renewal counts from its answer, and two lead",
        "self._valid_until = start + self._renew_seconds if held",
        "self._valid_until = self._clock.monotonic() + self._renew_seconds if held",
    ),
    (
        "whoever makes a deleted Lease again works beside its former holder",
        "self._works_from = self._clock.monotonic() + self._lease_seconds",
        "self._works_from = self._clock.monotonic()",
    ),
    (
        "a Lease is taken while its holder renews it",
        "return now >= observed.since + seconds",
        "return True",
    ),
    (
        "the fence lets every write pass",
        "if not self.is_leader:\n            raise NotLeader",
        "if not self._name:\n            raise NotLeader",
    ),
    (
        "a stopped replica keeps the Lease, and a roll-out takes as long as that lasts",
        "if not self.is_leader or self._lease is None:",
        "if self._name:",
    ),
    (
        "two replicas take one Lease at the same moment",
        'not in {"generation", "creationTimestamp", "deletionTimestamp"}',
        'not in {"generation", "creationTimestamp", "deletionTimestamp", "resourceVersion"}',
    ),
    (
        "who finds the Lease taken goes on leading until it runs out by itself",
        'if held else float("-inf")',
        "if held else self._valid_until",
    ),
    (
        "a Lease that was merely erased is taken at once",
        "(not holder and spec.lease_duration_seconds == RELEASED_SECONDS)",
        "not holder",
    ),
    (
        "work goes on after the Lease is lost",
        "await _cancelled(working)\n",
        "pass\n",
    ),
    (
        "the holder whose Lease somebody deleted stops working although it can make it again",
        "led = self.is_leader",
        "led = False",
    ),
)

EVENTS: tuple[Mutant, ...] = faults(
    "Events",
    "runtime/events.py",
    _EVENTS,
    (
        "each repetition is an Event of its own",
        "if series is not None and now - series.seen_at < SERIES_SECONDS:",
        "if series is not None and not note.name:",
    ),
    ("one object may write any number of Events", "if bucket.tokens < 1:", "if bucket.tokens < -(10**9):"),
    (
        "a namespace whose Events can't be written holds up those of all others",
        "self._aside[note.namespace] = self._clock.monotonic() + ASIDE_SECONDS",
        "pass",
    ),
    (
        "one namespace's Events fill the queue of all",
        "if not may_have_more(self._queue.length_of(namespace), QUEUE_LIMIT - len(self._queue)):",
        "if len(self._queue) >= QUEUE_LIMIT:",
    ),
    (
        "an Event that expired is counted up for ever, and nobody sees it",
        "self._series.pop(note.namespace, hash(note))\n            self._metrics",
        "self._metrics",
    ),
    (
        "a message of two kilobytes is no Event",
        "if len(encoded) <= NOTE_BYTES:",
        "if encoded or not encoded:",
    ),
)

MUTANTS = (*BACKOFF, *WATCHES, *LEADERSHIP, *EVENTS)
