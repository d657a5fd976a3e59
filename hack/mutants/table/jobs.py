"""Faults of discoveries and downloads: slots, attempts, digests, claims, what is believed of an output."""

from __future__ import annotations

from hack.mutants.mutant import Mutant, faults

_SLOTS = (
    "tests/unit/controllers/test_slots.py",
    "tests/unit/core/template/test_slots.py",
    "tests/simulation/test_slots.py",
    "tests/simulation/test_download_slots.py",
)
_MACHINE = ("tests/unit/core/jobs", "tests/unit/core/template", "tests/unit/core/model_cache")
_DISCOVERY = ("tests/unit/core/template", "tests/simulation/test_discovery.py")
_OUTPUT = ("tests/unit/core/test_discovery_output.py",)
_DOWNLOAD = ("tests/unit/core/model_cache", "tests/simulation/test_caches.py")
_BUDGET = ("tests/unit/core/model_cache/test_allowance.py", "tests/simulation/test_budget.py")
_CACHES = (
    "tests/unit/core/template_cache",
    "tests/unit/core/test_caching.py",
    "tests/simulation/test_caches.py",
    "tests/simulation/test_stories.py",
)

SLOTS: tuple[Mutant, ...] = (
    *faults(
        "Slots",
        "core/template/slots.py",
        _SLOTS,
        (
            "a namespace takes the slots that are kept for others",
            "return left > (reserved(limit) if uses else 0)",
            "return left > 0",
        ),
        (
            "who asks first has the slot, whoever waited before",
            "left = limit - sum(held.values()) - templates_ahead(own, waiting, held)",
            "left = limit - sum(held.values())",
        ),
        (
            "a Job that somebody gave a template for an owner holds its slot, whatever its name",
            "metadata.name == discovery_job_name(template.metadata.name, digest)\n        and",
            "metadata.name\n        and",
        ),
        (
            "a discovery that has ended still holds its slot",
            "and not finished(job)\n",
            "\n",
        ),
        (
            "a Job that is being deleted holds a slot for as long as that lasts",
            "and metadata.deletion_timestamp is None\n",
            "\n",
        ),
        (
            "a Job that a queue suspended holds a slot for days",
            "and not is_suspended(job)\n",
            "\n",
        ),
        (
            "a Job whose result is written already holds a slot",
            "and not _has_result(template, digest)\n",
            "\n",
        ),
        (
            "a former template's Job holds its successor's slot",
            "owner.uid != template.metadata.uid or",
            "owner.name != template.metadata.name or",
        ),
    ),
    *faults(
        "Slots",
        "controllers/slot_table.py",
        _SLOTS,
        (
            "any number of Jobs at once",
            "if not gets_slot(own, self._waiting, self._held, self._limit):",
            "if not gets_slot(own, self._waiting, {}, 10**6):",
        ),
        (
            "slots that were granted a moment ago are granted again",
            "self._held[ref.namespace] += 1\n        self._granted[ref] = job_name",
            "self._granted[ref] = job_name",
        ),
        (
            "two Jobs that are refused hand a slot to each other for ever",
            "if error is not None:\n            self._refused[ref]",
            "if error is not None and not job_name:\n            self._refused[ref]",
        ),
        (
            "nobody hears that a grant was given up",
            "self._ungrant(ref)\n        self.wake_next()",
            "self._ungrant(ref)",
        ),
        (
            "nobody hears that one who waited or held needs its slot no more",
            "if waited or held:\n            self.wake_next()",
            "pass",
        ),
        (
            "nobody hears that a Job has ended",
            "self._free_one(ref)\n        self.wake_next()",
            "self._free_one(ref)",
        ),
        (
            "a grant stays beside the Job that came of it: each takes two slots",
            "if self._granted.get(ref) == job_name:\n            self._ungrant(ref)",
            "pass",
        ),
        (
            "a template whose age changed keeps its old place",
            "if self._places.get(ref) == own:",
            "if ref in self._places:",
        ),
    ),
    *faults(
        "Slots",
        "controllers/slots.py",
        _SLOTS,
        (
            "templates that go or are paused while they wait stop discovery for all",
            "if (new is None or not _wants_discovery(new)) and self._table.leave(ref):",
            "if new is None and self._table.leave(ref):",
        ),
        (
            "templates held by a finalizer are granted slots and make no Job",
            "return template.metadata.deletion_timestamp is None and not is_paused(template)",
            "return not is_paused(template)",
        ),
        (
            "paused templates are granted slots and make no Job",
            "return template.metadata.deletion_timestamp is None and not is_paused(template)",
            "return template.metadata.deletion_timestamp is None",
        ),
        (
            "after a start, Jobs that came before their template do not count",
            "job_names = [job.metadata.name for job in self._jobs.by_index(BY_OWNER, new.metadata.uid)]",
            "pass",
        ),
        (
            "a Job that never ends holds a slot for good",
            "LONGEST_HOLD_SECONDS = DEADLINE_SECONDS + 60.0",
            "LONGEST_HOLD_SECONDS = 1e9",
        ),
        (
            "after a start, the slots go to whoever is reconciled first",
            "self._table.wait(ref, waiting_template(new))",
            "pass",
        ),
    ),
    *faults(
        "Slots",
        "controllers/templates.py",
        _SLOTS,
        (
            "a derived template that goes asks for a slot",
            "if not due or not observed.writable or not observed.in_use:",
            "if not due or not observed.writable:",
        ),
        (
            "a slot is asked for long before its Job can be made",
            "if not due or not observed.writable or not observed.in_use:",
            "if not observed.writable or not observed.in_use:",
        ),
        (
            "a Job that is refused each time is given the slot each time",
            "self._slots.ungrant(ref, next((o.error for o in jobs if o.error is not None), None))",
            "self._slots.ungrant(ref)",
        ),
        (
            "a template that goes keeps its slot",
            "def forget(self, ref: ObjectRef) -> None:\n        self._slots.withdraw(ref)",
            "def forget(self, ref: ObjectRef) -> None:\n        pass",
        ),
    ),
    *faults(
        "Slots",
        "core/model_cache/slots.py",
        _SLOTS,
        (
            "a download whose Pod can't start holds up all others",
            "not in (State.DEGRADED, State.AVAILABLE)",
            "not in (State.AVAILABLE,)",
        ),
        (
            "a Job in another namespace holds a cache's slot",
            "and metadata.namespace == cache.metadata.namespace\n",
            "\n",
        ),
        (
            "a download that a queue suspended holds a slot",
            "and not is_suspended(job)\n",
            "\n",
        ),
    ),
    *faults(
        "Slots",
        "controllers/download_slots.py",
        _SLOTS,
        (
            "after a start, downloads that came before their cache do not count",
            "names |= {job.metadata.name for job in self._jobs.by_index(BY_OWNER, new.metadata.uid)}",
            "pass",
        ),
        (
            "after a start, download slots go to whoever is reconciled first",
            "self._table.wait(ref, _place(new))",
            "pass",
        ),
        (
            "a cache that was deleted while it waited keeps its place",
            "if new is None:\n            self.withdraw(ref)",
            "pass",
        ),
    ),
    *faults(
        "Slots",
        "controllers/model_caches.py",
        _SLOTS,
        (
            "a download that is refused each time is given the slot each time",
            "self._slots.ungrant(ref, refused.error if refused is not None else None)",
            "self._slots.ungrant(ref)",
        ),
        (
            "a cache that goes keeps its download slot",
            "self._slots.withdraw(ref)\n        self._downloads.follow(ref, None)",
            "self._downloads.follow(ref, None)",
        ),
    ),
)

ATTEMPTS: tuple[Mutant, ...] = (
    *faults(
        "Jobs and their attempts",
        "core/jobs/machine.py",
        _MACHINE,
        (
            "Jobs of earlier inputs stay",
            "for job in (*_own_removal(view, state), *view.stale)",
            "for job in (*_own_removal(view, state),)",
        ),
        (
            "two downloads write to one volume",
            "view.job is None and view.attempt.alone and bool(view.stale)",
            "view.job is None and view.attempt.alone and not view.attempt.digest",
        ),
        (
            "what failed is tried again at once",
            "(JobState.ABSENT_NOT_DUE, lambda view: view.job is None and view.waits)",
            "(JobState.ABSENT_NOT_DUE, lambda view: view.job is None and view.recorded)",
        ),
        (
            "a Job whose failure is recorded is looked at as if it had just failed",
            "(JobState.RECORDED_FAILURE, lambda view: view.recorded and view.waits)",
            "(JobState.RECORDED_FAILURE, lambda view: view.recorded and not view.waits)",
        ),
        (
            "a failed Job stays in the way of the next attempt",
            "(JobState.RETRY_DUE, lambda view: view.recorded)",
            "(JobState.RETRY_DUE, lambda view: view.recorded and view.waits)",
        ),
        (
            "a Job without end is waited for without end",
            "return self.deadline is not None and self.deadline <= self.attempt.now",
            "return False",
        ),
        (
            "a log that can't be read is asked for for ever",
            "return _seconds_since(self.end.at, self.attempt.now) < LOG_PATIENCE_SECONDS",
            "return True",
        ),
        (
            "a Job that waits in a queue fails by its deadline",
            "if self.obstacle is not None and self.obstacle.reason == Reason.SUSPENDED:",
            "if self.obstacle is not None and not self.obstacle.reason:",
        ),
        (
            "an image without a fitting profile is asked again and again",
            "if attempt.final and attempts.failed_attempts(attempt.record, attempt.digest):",
            "if attempt.final and not attempt.digest:",
        ),
        (
            "a Job that a sidecar keeps running stays for good",
            "outlived = state is JobState.KEPT and _sidecar_seconds_left(view) == 0",
            "outlived = False",
        ),
        (
            "a Job that took too long goes on running",
            "lingers = state is JobState.RECORDED_FAILURE and not readings.finished(job)",
            "lingers = False",
        ),
        (
            "nobody comes back when the next attempt is due",
            "return view.seconds_to_retry\n        case JobState.RUNNING",
            "return None\n        case JobState.RUNNING",
        ),
        (
            "nobody comes back when a deadline passes",
            "return (view.deadline - attempt.now).total_seconds()",
            "return None",
        ),
        (
            "a Pod that is evicted counts as a failure of the download",
            'or pod.status.phase != "Running" or pods.is_disrupted(pod):',
            'or pod.status.phase != "Running":',
        ),
    ),
    *faults(
        "Jobs and their attempts",
        "core/jobs/attempts.py",
        _MACHINE,
        (
            "the failure of a former Job counts as that of the one that runs",
            "return record.job_uid == job.metadata.uid",
            "return True",
        ),
        (
            "failures with earlier inputs delay the first attempt with others",
            "if record is None or record.spec_hash != digest:\n        return 0",
            "if record is None:\n        return 0",
        ),
        (
            "what was found with earlier inputs is kept for others",
            "record.spec_hash == digest and (record.attempts or 0) == 0",
            "(record.attempts or 0) == 0",
        ),
        (
            "an attempt that failed counts as one that succeeded",
            "record.spec_hash == digest and (record.attempts or 0) == 0",
            "record.spec_hash == digest",
        ),
        (
            "attempts follow each other every ten seconds for ever",
            "delay = exponential(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, attempts - 1)",
            "delay = FIRST_RETRY_SECONDS",
        ),
        (
            "each failure is the first one",
            '"attempts": failed_attempts(previous, digest) + 1',
            '"attempts": 1',
        ),
    ),
    *faults(
        "Jobs and their attempts",
        "controllers/templates.py",
        _DISCOVERY,
        (
            "a log that can't be read leaves the status as it was",
            "return structs.replace(observed, unread=error)",
            "raise",
        ),
    ),
)

DIGESTS: tuple[Mutant, ...] = (
    *faults(
        "Digests: what a result depends on",
        "core/template/discovery.py",
        _DISCOVERY,
        ("a new image is not discovered", '"image": image.spec.image,', ""),
        ("another metric is not discovered", '"metric": template.spec.metric,', ""),
        ("another precision is not discovered", '"precision": template.spec.precision,', ""),
        ("other GPUs are not discovered", '"gpuSelector": selected,', ""),
        ("another environment is not discovered", '"env": env,', ""),
        (
            "another service account is not discovered",
            '"serviceAccountName": config.service_account_name,',
            "",
        ),
        ("other pull secrets are not discovered", '"imagePullSecrets": secrets,', ""),
        (
            "the annotation for rediscovery does nothing",
            '"rediscover": template.metadata.annotation(labels.REDISCOVER),',
            "",
        ),
        (
            "a template that is made again finds the result of the one before it",
            '"uid": template.metadata.uid,',
            "",
        ),
        (
            "another profile or model is not discovered",
            "**_named(profileId=template.spec.profile_id, model=template.spec.model),",
            "",
        ),
        (
            "an upgrade discovers everything again",
            "if recorded == by_text:",
            "if recorded is None:",
        ),
        (
            "another order of pull secrets is discovered again",
            "secrets=canonical.secret_names(secrets),",
            "secrets=[secret.name for secret in secrets],",
        ),
    ),
    *faults(
        "Digests: what a result depends on",
        "core/model_cache/desired.py",
        _DOWNLOAD,
        (
            "a new claim counts as the one whose download failed",
            '"claim": claim.metadata.uid,',
            "",
        ),
        (
            "after a claim grew, the download that had no room waits for its pause",
            '"capacity": str((claim.spec.resources.requests or {}).get("storage")),',
            "",
        ),
        (
            "an upgrade downloads everything again",
            "recorded.spec_hash == (by_text := short_hash(as_written))",
            "(by_text := short_hash(as_written)) == str(recorded)",
        ),
    ),
)

OUTPUT: tuple[Mutant, ...] = faults(
    "What discovery prints",
    "core/discovery_output.py",
    _OUTPUT,
    (
        "a log without end fills the operator's memory",
        "if len(self._kept) > 2 * TAIL_BYTES:",
        "if len(self._kept) < 0:",
    ),
    (
        "one chunk of a log is kept whole, however large",
        "self._kept += chunk[-TAIL_BYTES:]",
        "self._kept += chunk",
    ),
    (
        "a profile of megabytes gets into a status",
        "if (problem := free_form.problem(profile, PROFILE_BOUNDS)) is not None:",
        "if (problem := free_form.problem(profile, PROFILE_BOUNDS)) == '':",
    ),
    (
        "a profile has KServe expand a template",
        'if value is not None and "{{" in value:',
        'if value is not None and "{{" == value:',
    ),
    (
        "a model's name leads out of its folder",
        "if not _MODEL_NAME.fullmatch(model.name) or _has_dot_segment(model.name):",
        "if not _MODEL_NAME.fullmatch(model.name):",
    ),
    (
        "a source is fetched from any address",
        "if not _SOURCE.fullmatch(model.source) or _has_dot_segment(model.source):",
        "if _has_dot_segment(model.source):",
    ),
    (
        "two models of one name are mounted on each other",
        "if model.name in names:",
        "if model.name in sources:",
    ),
    (
        "a model of a million terabytes asks for a claim",
        "0 <= size_gb <= MAX_SIZE_GB",
        "0 <= size_gb",
    ),
    (
        "a number that no API server stores is applied for ever",
        "elif isinstance(value, int) and not -(2**63) <= value < 2**63:",
        "elif isinstance(value, int) and value is None:",
    ),
    (
        "the first of several arrays in a log is taken for the result",
        "last = first\n",
        "last = last or first\n",
    ),
)

TEMPLATES: tuple[Mutant, ...] = (
    *faults(
        "Templates",
        "core/template/plan.py",
        _DISCOVERY,
        (
            "a derived template goes although a service took it into use a moment ago",
            "Removal(resource=TEMPLATES, live=template, unchanged=True)",
            "Removal(resource=TEMPLATES, live=template)",
        ),
        (
            "a derived template that a user edited goes with its last service",
            "if is_unchanged_derived(template) and not observed.in_use:",
            "if not observed.in_use:",
        ),
        (
            "a derived template stays when nobody uses it",
            "if is_unchanged_derived(template) and not observed.in_use:",
            "if is_unchanged_derived(template) and not template:",
        ),
        (
            "a template that is available says that its Job could not be made",
            "if job is not None and step.state != State.AVAILABLE:",
            "if job is not None:",
        ),
        (
            "an operator of one namespace writes cluster templates",
            "if not observed.writable:\n        return Plan()",
            "if not template:\n        return Plan()",
        ),
        (
            "the operator makes a cache beside the one that a user made for the template",
            "if cache is not None and not is_own_template_cache(cache):\n        return step",
            "if cache is not None and not cache:\n        return step",
        ),
        (
            "sources that the template names itself are discovered",
            "if desired.is_given(template):\n        return _given(observed)",
            "if not template:\n        return _given(observed)",
        ),
        (
            "what was discovered is gone once its configuration is missing",
            "return Step(state=State.DEGRADED, reason=reason, message=message, discovery=old.discovery)",
            "return Step(state=State.DEGRADED, reason=reason, message=message)",
        ),
    ),
    *faults(
        "Templates",
        "core/template/attempt.py",
        _DISCOVERY,
        (
            "a discovery Job stays for good after its result is kept",
            "return structs.replace(kept, children=(job_with_ttl,))",
            "return kept",
        ),
        (
            "a Job is made without a slot",
            "if not observed.slot.granted:",
            "if not observed.slot.granted and not observed.slot.limit:",
        ),
    ),
    *faults(
        "Templates",
        "core/template/status.py",
        _DISCOVERY,
        (
            "a status says that it is about a spec that it never saw",
            "observed_generation=generation,\n        status=step.state,",
            "observed_generation=generation + 1,\n        status=step.state,",
        ),
        (
            "what was discovered before is told as lost while an input is missing",
            'if before is not None and (before.status == "True" or before.reason in discovery.FAILURES):',
            "if before is not None and before.reason in discovery.FAILURES:",
        ),
    ),
    *faults(
        "Templates",
        "controllers/templates.py",
        (
            "tests/simulation/test_services.py",
            "tests/simulation/test_odd_histories.py",
            "tests/simulation/test_stories.py",
        ),
        (
            "a derived template in use is ignored",
            "in_use=not is_derived(template) or self._in_use(template),",
            "in_use=not is_derived(template),",
        ),
        (
            "a derived template goes while a service that can't be decoded may use it",
            "if services.has_undecodable(namespace):\n            return True",
            "if not namespace:\n            return True",
        ),
        (
            "a derived template goes while an InferenceService runs on it",
            "if self._watched.inference_services.store.by_index(BY_RUNTIME_IN, (namespace, name)):",
            "if not namespace:",
        ),
        (
            "a derived template goes while a service's status says that it uses it",
            "if services.by_index(BY_TEMPLATE_IN, (namespace, name)):",
            "if not namespace:",
        ),
        (
            "a derived template goes before the service that derived it has said so",
            "resolve(service, self._catalog).template_name == name\n",
            "not name\n",
        ),
        (
            "a service that is being deleted keeps its derived template",
            "if service.metadata.deletion_timestamp is None\n        )",
            ")",
        ),
    ),
)

MODEL_CACHES: tuple[Mutant, ...] = (
    *faults(
        "Model caches",
        "core/model_cache/plan.py",
        _DOWNLOAD,
        (
            "a finished download is believed for another claim",
            "other = claim is not None and record is not None and",
            "other = claim is None and record is not None and",
        ),
        (
            "files on a claim that is being deleted count as there",
            "gone = claim is None or claim.metadata.deletion_timestamp is not None",
            "gone = claim is None",
        ),
        (
            "the size of a source is never asked again, also for a new claim",
            "if claim is None and old.persistent_volume_claim is not None:",
            "if claim is None and not old:",
        ),
        (
            "a claim is made before its size is in the status: after a crash nobody knows it",
            "if not listing.is_done(old, digest):",
            "if not listing.is_done(step, digest):",
        ),
        (
            "a claim is made although the budget has no room for it",
            "if observed.allowance is not None and not observed.allowance.granted:",
            "if observed.allowance is not None and not observed.cache:",
        ),
        (
            "an unused cache goes although somebody took it into use a moment ago",
            "Removal(resource=MODEL_CACHES, live=cache, unchanged=True)",
            "Removal(resource=MODEL_CACHES, live=cache)",
        ),
        (
            "a claim that came back from a backup is left, and everything downloaded again",
            "if (restored := observed.left_behind) is not None:",
            "if (restored := observed.left_behind) is not None and not old:",
        ),
        (
            "a cache whose files are there is not available while its configuration is missing",
            "if observed.claim is not None and claim.usable and attempt.is_complete(old.download, observed.claim):",
            "if observed.claim is None and claim.usable:",
        ),
        (
            "files are lost in the status because their claim could not be enlarged",
            "if problem is not None and observed.claim is not None and growth is not None:",
            "if problem is not None and observed.claim is None and growth is not None:",
        ),
    ),
    *faults(
        "Model caches",
        "core/model_cache/attempt.py",
        _DOWNLOAD,
        (
            "files count as there by a download onto a former claim of the cache",
            "and download.claim_uid == claim.metadata.uid\n",
            "\n",
        ),
        (
            "a failed download counts as complete",
            "and (download.attempts or 0) == 0\n        and download.last",
            "and download.last",
        ),
        (
            "the progress of a download falls back",
            "percentage = max(before.percentage or 0, min(share, 99))",
            "percentage = min(share, 99)",
        ),
        (
            "a download is told as whole before it is verified",
            "percentage = max(before.percentage or 0, min(share, 99))",
            "percentage = max(before.percentage or 0, share)",
        ),
        (
            "a download that gets further with each attempt waits an hour between two",
            "return downloaded > before",
            "return False",
        ),
        (
            "a download that gets nowhere is tried again every ten seconds",
            "return downloaded > before",
            "return True",
        ),
        (
            "a download begins without a slot",
            "if not slot.granted:",
            "if not slot.granted and not slot.limit:",
        ),
    ),
    *faults(
        "Model caches",
        "core/model_cache/usage.py",
        ("tests/unit/core/model_cache/test_usage.py",),
        (
            "a cache in use is announced as unused, and goes",
            "if observed.in_use or observed.claim is None:",
            "if observed.claim is None:",
        ),
        (
            "a cache goes the moment it is found unused, unannounced",
            "remove=left <= 0 and old.removal_time is not None,",
            "remove=old.removal_time is None,",
        ),
        (
            "a cache whose notice was never written goes after the operator was away",
            "removal_time = old.removal_time or timestamp(max(announced_at, now) + NOTICE)",
            "removal_time = old.removal_time or timestamp(announced_at + NOTICE)",
        ),
        (
            "a user's own cache goes by the policy",
            "or not is_own_model_cache(cache) or cache.spec.retain:",
            "or cache.spec.retain:",
        ),
        (
            "a cache that is to be retained goes by the policy",
            "or not is_own_model_cache(cache) or cache.spec.retain:",
            "or not is_own_model_cache(cache):",
        ),
        (
            "caches go although no policy says so",
            "return settings if settings is not None and settings.policy == DELETE else None",
            "return settings",
        ),
        (
            "nobody comes back on the day when a cache is due",
            "requeue_after_seconds=left if left > 0 else None,",
            "requeue_after_seconds=None,",
        ),
    ),
    *faults(
        "Model caches",
        "core/model_cache/storage.py",
        _DOWNLOAD,
        (
            "a service starts on a claim that is being deleted",
            "return claim is not None and claim.metadata.deletion_timestamp is None and",
            "return claim is not None and",
        ),
        (
            "a service starts on a claim whose volume is lost",
            "deletion_timestamp is None and claim.status.phase == BOUND",
            "deletion_timestamp is None",
        ),
    ),
    *faults(
        "Model caches",
        "core/model_cache/allowance.py",
        _BUDGET,
        (
            "small models keep a large one without room for ever",
            "if used + sum(other.size for other in ahead) + own.size <= budget.limit:",
            "if used + own.size <= budget.limit:",
        ),
        (
            "what is used counts for nothing in the budget",
            "if used + sum(other.size for other in ahead) + own.size <= budget.limit:",
            "if sum(other.size for other in ahead) + own.size <= budget.limit:",
        ),
        (
            "a model larger than the budget holds up all that are younger",
            "other < own and other.size <= budget.limit",
            "other < own",
        ),
        (
            "a namespace raises the budget that its cluster sets",
            "return min(budgets, key=lambda budget: budget.limit, default=None)",
            "return max(budgets, key=lambda budget: budget.limit, default=None)",
        ),
    ),
    *faults(
        "Model caches",
        "controllers/storage_budget.py",
        _BUDGET,
        (
            "two claims that are granted at the same moment exceed the budget",
            "self._granted[ref] = _Grant(name, size)",
            "pass",
        ),
        (
            "a claim that can't be created holds up the others for good",
            "if not made or outcomes.problem(PERSISTENT_VOLUME_CLAIMS.kind) is not None:",
            "if not outcomes:",
        ),
        (
            "a paused cache keeps its place before all others",
            "if is_paused(cache):\n        return False",
            "if not cache:\n        return False",
        ),
        (
            "a cache that has a claim and asks for nothing is waited for",
            "if has_claim or MODEL_CACHES.ref(cache) in self._granted:",
            "if MODEL_CACHES.ref(cache) in self._granted:",
        ),
        (
            "a cache that can have no claim is waited for",
            "return ready is None or ready.reason not in _STUCK",
            "return True",
        ),
        (
            "a claim that was enlarged by hand counts as what was asked for",
            "return max(_bytes(asked), _bytes(has))",
            "return _bytes(asked)",
        ),
    ),
    *faults(
        "Model caches",
        "controllers/cache_claims.py",
        (
            "tests/simulation/test_caches.py",
            "tests/simulation/test_claim_growth.py",
            "tests/simulation/test_odd_histories.py",
        ),
        (
            "a stranger's claim of the name is taken for the cache's",
            "if own is not None and controlled_by(own, metadata):",
            "if own is not None:",
        ),
        (
            "a claim that is being deleted is taken back from a backup",
            "if _is_of(each, cache) and each.metadata.deletion_timestamp is None)",
            "if _is_of(each, cache))",
        ),
        (
            "a claim that a user made and gave the cache as its owner is downloaded to",
            "if _is_of(claim, cache) and claim.metadata.annotation(labels.APPLIED) is not None",
            "if _is_of(claim, cache)",
        ),
    ),
    *faults(
        "Model caches",
        "controllers/model_caches.py",
        (
            "tests/simulation/test_budget.py",
            "tests/simulation/test_caches.py",
            "tests/simulation/test_stories.py",
        ),
        (
            "a cache that a template cache lists counts as unused",
            "template_caches.by_index(BY_MODEL_CACHE_IN, (namespace, cache.metadata.name))\n            or",
            "False\n            or",
        ),
        (
            "a cache whose source is looked for counts as unused",
            "serves_others(cache)\n                and",
            "not namespace\n                and",
        ),
        (
            "a cache that only its model server still mounts counts as unused",
            "or self._watched.services.store.by_index(BY_MOUNTED_CLAIM_IN, (namespace, claim))",
            "",
        ),
        (
            "a cache goes while a service that can't be decoded may mount it",
            "or self._watched.services.store.has_undecodable(namespace)",
            "",
        ),
        (
            "a cache goes while a template cache that can't be decoded may list it",
            "or template_caches.has_undecodable(namespace)",
            "",
        ),
        (
            "the log of a download is followed after its cache is gone",
            "self._slots.withdraw(ref)\n        self._downloads.follow(ref, None)",
            "self._slots.withdraw(ref)",
        ),
        (
            "a claim of the user's own that comes, or goes, is not noticed",
            "self._foreign.ensure(\n"
            "            ref, Name(PERSISTENT_VOLUME_CLAIMS, ref.namespace, name), lambda: self._wake(ref)\n        )",
            "pass",
        ),
    ),
)

TEMPLATE_CACHES: tuple[Mutant, ...] = (
    *faults(
        "Template caches",
        "core/caching.py",
        _CACHES,
        (
            "a copied label makes a user's template cache the operator's",
            "return _has_our_label(cache) and cache.metadata.name == cache.spec.template_ref",
            "return _has_our_label(cache)",
        ),
        (
            "a copied label makes a user's model cache the operator's",
            "return _has_our_label(cache) and is_model_cache_name(cache.metadata.name, cache.spec.source_uri)",
            "return _has_our_label(cache)",
        ),
        (
            "files are served from caches that their makers do not share",
            "return own or (cache.spec.shared or False)",
            "return own or cache.spec.shared is not False",
        ),
        (
            "a template cache that is being deleted is chosen",
            "if cache.metadata.deletion_timestamp is None\n        and means",
            "if means",
        ),
        (
            "the cache of a namesake in the other scope is chosen",
            "return spec.template_scope == scope_of(template)",
            "return True",
        ),
        (
            "the operator's cache is preferred to the one that a user shares",
            "return is_own_template_cache(cache), *seniority(cache)",
            "return not is_own_template_cache(cache), *seniority(cache)",
        ),
        (
            "files from another endpoint are taken for these",
            "return cache.spec.existing_claim is not None or origin_of(cache, catalog) == origin",
            "return cache.spec.existing_claim is not None or bool(origin_of(cache, catalog) or True)",
        ),
        (
            "files that other patterns chose are taken for these",
            "and file_patterns.of_model_cache(cache.spec) == required.patterns",
            "",
        ),
        (
            "a new default class downloads everything again",
            "(of_class if required.explicit_class else same_files)",
            "of_class",
        ),
        (
            "a cache that is being deleted is used",
            "and cache.metadata.deletion_timestamp is None\n        and _is_where",
            "and _is_where",
        ),
        (
            "a volume where no node has the GPU is mounted",
            "and _is_where(cache, required.gpu_model)",
            "",
        ),
        (
            "a service that is to be served from elsewhere waits for a cache that nobody fills",
            "moved = [c for c in usable if not is_filled(c) and redirected(c)]",
            "moved: list[AIMModelCache] = []",
        ),
    ),
    *faults(
        "Template caches",
        "core/template_cache/plan.py",
        _CACHES,
        (
            "a template cache goes although a service asked for it a moment ago",
            "Removal(resource=TEMPLATE_CACHES, live=cache, unchanged=True)",
            "Removal(resource=TEMPLATE_CACHES, live=cache)",
        ),
        (
            "two template caches write their tokens into one model cache in turn",
            "is_own_model_cache(live) and source.senior):",
            "is_own_model_cache(live)):",
        ),
        (
            "a user's model cache is written over",
            "(live is not None and is_own_model_cache(live) and source.senior)",
            "(live is not None and source.senior)",
        ),
        (
            "model caches that are there are forgotten while the template is missing",
            "model_caches=(models or None) if observed.template is not None else old.model_caches,",
            "model_caches=models or None,",
        ),
        (
            "one warm cache hides that another failed",
            "worst = min(parts, key=lambda part: _WORST_FIRST.index(part.state))",
            "worst = max(parts, key=lambda part: _WORST_FIRST.index(part.state))",
        ),
        (
            "the operator's template cache stays when nobody asks for it",
            "if is_own_template_cache(cache) and not observed.requested:",
            "if is_own_template_cache(cache) and not cache:",
        ),
        (
            "an event is told at each reconcile of a cache",
            "if ready is None or old.status == new.status:",
            "if ready is None:",
        ),
    ),
    *faults(
        "Template caches",
        "controllers/template_caches.py",
        _CACHES,
        (
            "the junior of two template caches writes as the senior does",
            "return seniority(cache) <= seniority(min(users, key=seniority, default=cache))",
            "return True",
        ),
        (
            "a template cache goes while a service that can't be decoded may want it",
            "yield self._watched.services.store.has_undecodable(cache.metadata.namespace)",
            "yield False",
        ),
        (
            "a service that is being deleted keeps a template cache",
            "(service.spec.cache_model or False) and service.metadata.deletion_timestamp is None",
            "service.spec.cache_model or False",
        ),
        (
            "a template cache goes while the service that uses it resolves to nothing",
            "yield _caches(service) and used is not None and used.scope == cache.spec.template_scope",
            "yield False",
        ),
        (
            "the operator's template cache stays beside the one that a user shares",
            "if choose(template, siblings, self._catalog) is not cache:",
            "if not siblings:",
        ),
        (
            "a model cache that is going is a conflict for a person to solve",
            "taken=taken is not None and taken.metadata.deletion_timestamp is None,",
            "taken=taken is not None,",
        ),
    ),
)

MUTANTS = (*SLOTS, *ATTEMPTS, *DIGESTS, *OUTPUT, *TEMPLATES, *MODEL_CACHES, *TEMPLATE_CACHES)
