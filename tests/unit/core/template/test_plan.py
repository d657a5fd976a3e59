"""What is planned for a template in every situation it can be in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as with_examples
from hypothesis import strategies as st
from msgspec import structs

from aim_operator.api.external import JOBS, Job, JobCondition, Pod
from aim_operator.api.plan import OutcomeType, Plan, Removal
from aim_operator.api.v1alpha1 import TEMPLATES, AIMServiceTemplateStatus, Discovery
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.catalog import MissingRuntimeConfig, Template
from aim_operator.core.naming import discovery_job_name
from aim_operator.core.template.observed import OutputUnreadable, Slot, TemplateObserved
from aim_operator.core.template.plan import decide
from aim_operator.errors import Unavailable
from tests.support.cache_builders import make_template_cache
from tests.support.outcomes import Trouble, report_of
from tests.support.status import assert_status_well_formed
from tests.support.template_builders import (
    DERIVED,
    NOW,
    OPTIONS,
    container,
    digest_of,
    make_cluster_template,
    make_derived_template,
    make_discovered_status,
    make_discovery,
    make_image,
    make_job,
    make_pod,
    make_result,
    make_template,
    make_template_observed,
    with_status,
)

ENDED = "2026-01-31T11:59:55Z"


def planned(observed: TemplateObserved) -> Plan[AIMServiceTemplateStatus]:
    plan = decide(observed, now=NOW, options=OPTIONS)
    if plan.status is not None:
        assert_status_well_formed(plan.status)
    return plan


def status_of(observed: TemplateObserved) -> AIMServiceTemplateStatus:
    status = planned(observed).status
    assert status is not None
    return status


def after(observed: TemplateObserved) -> TemplateObserved:
    """The same world, once the status that it leads to was written."""
    return with_status(observed, status_of(observed))


def said(status: AIMServiceTemplateStatus, type_: str) -> str:
    """A condition as `status/reason`."""
    condition = conditions.find(status.conditions or (), type_)
    assert condition is not None, f"no condition {type_}"
    return f"{condition.status}/{condition.reason}"


def message(status: AIMServiceTemplateStatus) -> str:
    condition = conditions.find(status.conditions or (), c.READY)
    assert condition is not None
    return condition.message


def children(plan: Plan[AIMServiceTemplateStatus]) -> list[str]:
    return [child.resource.kind for child in plan.children]


def discovered(template: Template | None = None, **fields: Any) -> TemplateObserved:
    """A template whose current inputs were discovered before."""
    template = template or make_template()
    observed = make_template_observed(template, **fields)
    status = make_discovered_status(observed.digest or digest_of(template))
    return with_status(observed, status)


def failing(attempts: int = 1, last: str = ENDED, **fields: Any) -> TemplateObserved:
    """A template whose current inputs failed `attempts` times, the last time at `last`."""
    first = make_template_observed(
        job=make_job(failed=last), pods=(make_pod(phase="Failed", exit_code=3, message="boom"),)
    )
    written = status_of(first)
    bookkeeping = structs.replace(written.discovery or Discovery(), attempts=attempts, last_attempt_time=last)
    status = structs.replace(written, discovery=bookkeeping)
    return with_status(make_template_observed(**fields), status)


WAITING = make_job()
LONG_AGO = "2026-01-31T11:30:00Z"
PULL = make_pod(waiting=("ErrImagePull", "manifest unknown"))
HANGING = container("discovery", started=LONG_AGO)
SITUATIONS = {
    "nothing has happened yet": (
        make_template_observed(),
        (State.PROGRESSING, "False/JobPending", ["Job"]),
    ),
    "the image is missing": (
        make_template_observed(image_missing=True),
        (State.DEGRADED, "False/ImageNotFound", []),
    ),
    "a cluster template's image is missing": (
        make_template_observed(make_cluster_template(), image_missing=True),
        (State.DEGRADED, "False/ImageNotFound", []),
    ),
    "the configuration is missing": (
        make_template_observed(runtime_config=MissingRuntimeConfig("gone")),
        (State.DEGRADED, "False/RuntimeConfigMissing", []),
    ),
    "all slots are taken": (
        make_template_observed(slot=Slot(granted=False, limit=10)),
        (State.PENDING, "False/AwaitingDiscoverySlot", []),
    ),
    "the Job's Pod is not there yet": (
        make_template_observed(job=WAITING),
        (State.PROGRESSING, "False/JobPending", []),
    ),
    "the Job's Pod is refused": (
        make_template_observed(job=WAITING, refusal='pods "x" is forbidden: violates PodSecurity'),
        (State.PROGRESSING, "False/JobRefused", []),
    ),
    "the image can't be pulled": (
        make_template_observed(job=WAITING, pods=(make_pod(waiting=("ErrImagePull", "manifest unknown")),)),
        (State.DEGRADED, "False/ImagePullFailed", []),
    ),
    "the registry wants credentials": (
        make_template_observed(
            job=WAITING, pods=(make_pod(waiting=("ImagePullBackOff", "401 Unauthorized")),)
        ),
        (State.DEGRADED, "False/ImagePullAuthFailed", []),
    ),
    "no node takes the Pod": (
        make_template_observed(job=WAITING, pods=(make_pod(unschedulable="0/1 nodes are available"),)),
        (State.PROGRESSING, "False/Unschedulable", []),
    ),
    "the dry run is running": (
        make_template_observed(job=WAITING, pods=(make_pod(phase="Running"),)),
        (State.PROGRESSING, "False/DiscoveryRunning", []),
    ),
    "the log can't be read yet": (
        make_template_observed(job=make_job(complete=ENDED), unread=Unavailable("the node is gone")),
        (State.PROGRESSING, "False/DiscoveryRunning", []),
    ),
    "the log can't be read for too long": (
        make_template_observed(job=make_job(complete=LONG_AGO), unread=Unavailable("the node is gone")),
        (State.FAILED, "False/DiscoveryFailed", []),
    ),
    "the dry run takes too long": (
        make_template_observed(
            job=make_job(started=LONG_AGO), pods=(make_pod(phase="Running", containers=(HANGING,)),)
        ),
        (State.FAILED, "False/JobFailed", []),
    ),
    "the pull takes too long": (
        make_template_observed(job=make_job(started="2026-01-31T09:00:00Z"), pods=(make_pod(),)),
        (State.FAILED, "False/JobFailed", []),
    ),
    "the image can't be pulled for too long": (
        make_template_observed(job=make_job(started=LONG_AGO), pods=(PULL,)),
        (State.DEGRADED, "False/ImagePullFailed", []),
    ),
    "no node takes the Pod for too long": (
        make_template_observed(
            job=make_job(started=LONG_AGO), pods=(make_pod(unschedulable="0/1 nodes are available"),)
        ),
        (State.FAILED, "False/Unschedulable", []),
    ),
    "the Job of these inputs is being deleted": (
        make_template_observed(job=make_job(failed=ENDED, deleted=True)),
        (State.PENDING, "False/JobPending", []),
    ),
    "the dry run failed": (
        make_template_observed(
            job=make_job(failed=ENDED), pods=(make_pod(phase="Failed", exit_code=3, message="boom"),)
        ),
        (State.FAILED, "False/DiscoveryFailed", []),
    ),
    "the Job failed without a word of its Pod": (
        make_template_observed(job=make_job(failed=ENDED)),
        (State.FAILED, "False/JobFailed", []),
    ),
    "the output is garbage": (
        make_template_observed(
            job=make_job(complete=ENDED),
            output=OutputUnreadable(Reason.DISCOVERY_PARSE_FAILED, "has no JSON array"),
        ),
        (State.FAILED, "False/DiscoveryParseFailed", []),
    ),
    "the image has no profile for it": (
        make_template_observed(
            job=make_job(complete=ENDED), output=OutputUnreadable(Reason.NO_MATCHING_PROFILE, "")
        ),
        (State.DEGRADED, "False/NoMatchingProfile", []),
    ),
    "the dry run succeeded": (
        make_template_observed(job=make_job(complete=ENDED), output=make_result()),
        (State.AVAILABLE, "True/Discovered", ["ServingRuntime"]),
    ),
    "a cluster template's dry run succeeded": (
        make_template_observed(make_cluster_template(), job=make_job(complete=ENDED), output=make_result()),
        (State.AVAILABLE, "True/Discovered", ["ClusterServingRuntime"]),
    ),
    "its result is in status and its Job still there": (
        discovered(job=make_job(complete=ENDED)),
        (State.AVAILABLE, "True/Discovered", ["Job", "ServingRuntime"]),
    ),
    "its result is in status and its Job gone": (
        discovered(),
        (State.AVAILABLE, "True/Discovered", ["ServingRuntime"]),
    ),
    "KServe is not installed": (
        discovered(kserve_installed=False),
        (State.DEGRADED, "True/Discovered", []),
    ),
    "a failure is known and its retry not due": (
        failing(job=make_job(failed=ENDED)),
        (State.FAILED, "False/DiscoveryFailed", []),
    ),
    "a failure's Job was deleted by hand before the retry is due": (
        failing(),
        (State.FAILED, "False/DiscoveryFailed", []),
    ),
    "a template caches": (
        discovered(make_template(caching={"enabled": True})),
        (State.AVAILABLE, "True/Discovered", ["ServingRuntime", "AIMTemplateCache"]),
    ),
    "a user has seen to the cache of a caching template": (
        discovered(make_template(caching={"enabled": True}), template_cache=make_template_cache("by-hand")),
        (State.AVAILABLE, "True/Discovered", ["ServingRuntime"]),
    ),
    "a template cache of another template has the name": (
        discovered(make_template(caching={"enabled": True}), template_cache_taken=True),
        (State.AVAILABLE, "True/Discovered", ["ServingRuntime"]),
    ),
}
CACHING = discovered(make_template(caching={"enabled": True}))
CLUSTER = discovered(make_cluster_template())
TO_THE_JOB = "delete it, or set the annotation aim.silogen.ai/rediscover for another name"
TO_THE_RUNTIME = "rename this template or delete that object"
JOB_NAME = discovery_job_name("fast", make_template_observed().digest)
PROBLEMS = {
    # name: snapshot, what goes wrong, (state, Discovered, Ready's reason, Ready's message)
    "the API server refuses the Job": (
        make_template_observed(),
        Trouble("Job", OutcomeType.REFUSED, "jobs.batch is forbidden: exceeded\nquota"),
        (
            State.FAILED,
            "False/JobRefused",
            "JobRefused",
            "the Job was refused: jobs.batch is forbidden: exceeded quota",
        ),
    ),
    "the Job's name is taken": (
        make_template_observed(),
        Trouble("Job", OutcomeType.FOREIGN),
        (
            State.DEGRADED,
            "False/NameConflict",
            "NameConflict",
            f"Job {JOB_NAME!r} exists and is not managed by the operator; {TO_THE_JOB}",
        ),
    ),
    "the API server does not answer about the Job": (
        make_template_observed(),
        Trouble("Job", OutcomeType.FAILED, "no answer\nwithin 30 s"),
        (
            State.DEGRADED,
            "False/WriteFailed",
            "WriteFailed",
            "the Job can't be written, the operator tries again: no answer within 30 s",
        ),
    ),
    "a Job of a former template of its name goes away": (
        make_template_observed(),
        Trouble("Job", OutcomeType.GOING_AWAY),
        (
            State.PENDING,
            "False/WaitingForDeletion",
            "WaitingForDeletion",
            f"waiting for the previous Job {JOB_NAME!r} to be deleted",
        ),
    ),
    "the runtime is refused": (
        discovered(),
        Trouble("ServingRuntime", OutcomeType.REFUSED, "denied\nby webhook"),
        (
            State.DEGRADED,
            "True/Discovered",
            "RuntimeFailed",
            "the ServingRuntime was refused: denied by webhook",
        ),
    ),
    "the runtime's name is taken": (
        discovered(),
        Trouble("ServingRuntime", OutcomeType.FOREIGN),
        (
            State.DEGRADED,
            "True/Discovered",
            "NameConflict",
            f"ServingRuntime 'fast' exists and is not managed by the operator; {TO_THE_RUNTIME}",
        ),
    ),
    "a cluster template's runtime's name is taken": (
        CLUSTER,
        Trouble("ClusterServingRuntime", OutcomeType.FOREIGN),
        (
            State.DEGRADED,
            "True/Discovered",
            "NameConflict",
            f"ClusterServingRuntime 'fast' exists and is not managed by the operator; {TO_THE_RUNTIME}",
        ),
    ),
    "the API server does not answer about the runtime": (
        discovered(),
        Trouble("ServingRuntime", OutcomeType.FAILED, "no answer"),
        (
            State.DEGRADED,
            "True/Discovered",
            "WriteFailed",
            "the ServingRuntime can't be written, the operator tries again: no answer",
        ),
    ),
    "the runtime of a former template of its name goes away": (
        discovered(),
        Trouble("ServingRuntime", OutcomeType.GOING_AWAY),
        (
            State.PENDING,
            "True/Discovered",
            "WaitingForDeletion",
            "waiting for the previous ServingRuntime 'fast' to be deleted",
        ),
    ),
    "somebody changes the runtime back each time": (
        discovered(),
        Trouble("ServingRuntime", OutcomeType.HELD, "manager 'other' owns spec"),
        (
            State.DEGRADED,
            "True/Discovered",
            "ChangedByOthers",
            (
                "ServingRuntime 'fast' does not stay as the operator writes it: manager 'other' owns spec; "
                "find what does"
            ),
        ),
    ),
}
CASES = [pytest.param(observed, want, id=name) for name, (observed, want) in SITUATIONS.items()]


@pytest.mark.parametrize(("observed", "want"), CASES)
def test_where_a_template_stands(observed: TemplateObserved, want: tuple[str, str, list[str]]) -> None:
    plan = planned(observed)
    assert plan.status is not None
    assert (plan.status.status, said(plan.status, c.DISCOVERED), children(plan)) == want
    assert not plan.removals


@pytest.mark.parametrize(("observed", "want"), CASES)
def test_at_its_own_result_nothing_is_planned(
    observed: TemplateObserved, want: tuple[str, str, list[str]]
) -> None:
    first = planned(observed)
    assert first.status is not None
    again = planned(with_status(observed, first.status))
    assert again.status == first.status
    assert again.events == ()


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_child_that_could_not_be_written_is_in_the_status(name: str) -> None:
    observed, trouble, want = PROBLEMS[name]
    status = report_of(planned(observed), trouble).status
    assert_status_well_formed(status)
    reason = said(status, c.READY).partition("/")[2]
    assert (status.status, said(status, c.DISCOVERED), reason, message(status)) == want


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_that_stays_is_told_once(name: str) -> None:
    observed, trouble, _ = PROBLEMS[name]
    first = report_of(planned(observed), trouble)
    again = report_of(planned(with_status(observed, first.status)), trouble)
    assert (again.status, again.events) == (first.status, ())


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_that_is_over_leaves_nothing_in_the_status(name: str) -> None:
    observed, trouble, _ = PROBLEMS[name]
    hindered = report_of(planned(observed), trouble).status
    got, want = status_of(with_status(observed, hindered)), status_of(observed)
    assert got == want


@pytest.mark.parametrize(
    ("trouble", "want"),
    [
        pytest.param(
            Trouble("AIMTemplateCache", OutcomeType.REFUSED, "exceeded\nquota"),
            "False/DownloadFailed: the AIMTemplateCache was refused: exceeded quota",
            id="it is refused",
        ),
        pytest.param(
            Trouble("AIMTemplateCache", OutcomeType.FOREIGN),
            f"False/NameConflict: AIMTemplateCache 'fast' exists and is not managed by the operator; "
            f"{TO_THE_RUNTIME}",
            id="its name is taken",
        ),
        pytest.param(
            Trouble("AIMTemplateCache", OutcomeType.FAILED, "no answer"),
            "False/WriteFailed: the AIMTemplateCache can't be written, the operator tries again: no answer",
            id="the API server does not answer",
        ),
        pytest.param(
            Trouble("AIMTemplateCache", OutcomeType.GOING_AWAY),
            "False/WaitingForDeletion: waiting for the previous AIMTemplateCache 'fast' to be deleted",
            id="that of a former template goes away",
        ),
    ],
)
def test_a_template_is_available_while_its_cache_can_not_be_written(trouble: Trouble, want: str) -> None:
    status = report_of(planned(CACHING), trouble).status
    assert_status_well_formed(status)
    warm = conditions.find(status.conditions or (), c.CACHE_WARM)
    assert warm is not None
    assert (status.status, f"{warm.status}/{warm.reason}: {warm.message}") == (State.AVAILABLE, want)


@with_examples(
    before=st.sampled_from(list(SITUATIONS)),
    now=st.sampled_from(list(SITUATIONS)),
    generation=st.integers(1, 3),
)
def test_whatever_came_before_the_second_decision_changes_nothing(
    before: str, now: str, generation: int
) -> None:
    came, there = SITUATIONS[before][0], SITUATIONS[now][0]
    metadata = structs.replace(there.template.metadata, generation=generation)
    there = structs.replace(there, template=structs.replace(there.template, metadata=metadata))
    first = planned(with_status(there, status_of(came)))
    assert first.status is not None
    again = planned(with_status(there, first.status))
    # A success that was just written down gets its Job a TTL; statuses and events are at rest.
    assert again.status == first.status
    assert again.events == ()


@pytest.mark.parametrize(
    "observed",
    [
        pytest.param(
            make_template_observed(make_cluster_template(), writable=False),
            id="a cluster template seen by a limited instance",
        ),
        pytest.param(
            make_template_observed(make_derived_template(), writable=False, in_use=False),
            id="an unused derived one that can't be written",
        ),
    ],
)
def test_left_alone(observed: TemplateObserved) -> None:
    assert planned(observed) == Plan()


def test_a_derived_template_without_services_goes_unless_it_changes_meanwhile() -> None:
    template = make_derived_template()
    got = planned(make_template_observed(template, in_use=False))
    assert got == Plan(removals=(Removal(resource=TEMPLATES, live=template, unchanged=True),))


@pytest.mark.parametrize(
    "observed",
    [
        pytest.param(make_template_observed(make_derived_template()), id="a derived one in use"),
        pytest.param(
            make_template_observed(make_template("fast-ovr-0123abcd", metadata=DERIVED), in_use=False),
            id="a derived one that a user edited",
        ),
        pytest.param(
            make_template_observed(make_template(metadata=DERIVED), in_use=False),
            id="a copy of a derived one under a name of its own",
        ),
        pytest.param(make_template_observed(in_use=False), id="one that a user made"),
        pytest.param(
            make_template_observed(make_cluster_template(metadata=DERIVED), in_use=False),
            id="a cluster template, whatever its labels",
        ),
    ],
)
def test_a_template_that_stays(observed: TemplateObserved) -> None:
    assert children(planned(observed)) == ["Job"]


@pytest.mark.parametrize(
    ("observed", "want"),
    [
        pytest.param(
            make_template_observed(image_missing=True),
            "spec.aimImageName: no AIMImage or AIMClusterImage is named 'llama'; create it",
            id="which image is missing",
        ),
        pytest.param(
            make_template_observed(make_cluster_template(), image_missing=True),
            "spec.aimImageName: no AIMClusterImage is named 'llama'; create it",
            id="that a cluster template sees cluster images only",
        ),
        pytest.param(
            make_template_observed(runtime_config=MissingRuntimeConfig("gone")),
            "spec.runtimeConfigName: no AIMRuntimeConfig 'gone' in namespace 'ml' and no "
            "AIMClusterRuntimeConfig 'gone'; create one",
            id="which configuration is missing, and where it was looked for",
        ),
        pytest.param(
            make_template_observed(slot=Slot(granted=False, limit=1)),
            "waiting for one of 1 discovery slots, which namespaces get in turn",
            id="that it waits for its turn",
        ),
        pytest.param(
            make_template_observed(job=WAITING, refusal="exceeded quota: pods=0"),
            "the discovery Pod was refused: exceeded quota: pods=0",
            id="why the Pod was refused",
        ),
        pytest.param(discovered(), "discovered with image ghcr.io/example/llama:v1", id="what was run"),
    ],
)
def test_the_message_says(observed: TemplateObserved, want: str) -> None:
    assert message(status_of(observed)) == want


@pytest.mark.parametrize(
    ("observed", "trouble", "want"),
    [
        pytest.param(discovered(kserve_installed=False), None, "KServeNotInstalled", id="without KServe"),
        pytest.param(
            discovered(),
            Trouble("ServingRuntime", OutcomeType.FOREIGN),
            "NameConflict",
            id="under a foreign name",
        ),
        pytest.param(
            discovered(),
            Trouble("ServingRuntime", OutcomeType.REFUSED, "no"),
            "RuntimeFailed",
            id="with a refused runtime",
        ),
    ],
)
def test_a_discovered_template_without_a_runtime_is_degraded(
    observed: TemplateObserved, trouble: Trouble | None, want: str
) -> None:
    status = report_of(planned(observed), trouble).status
    assert (said(status, c.READY), said(status, c.FAILURE)) == (f"False/{want}", f"True/{want}")


def test_a_job_gets_its_ttl_only_once_its_result_is_in_status() -> None:
    observed = make_template_observed(job=make_job(complete=ENDED), output=make_result())
    assert children(planned(observed)) == ["ServingRuntime"]
    (job, _) = planned(after(observed)).children
    assert job.manifest["spec"] == {"ttlSecondsAfterFinished": OPTIONS.ttl_seconds}


def test_a_finished_job_that_will_not_take_its_ttl_may_be_deleted() -> None:
    """A policy of the cluster may refuse any change of a Job."""
    plan = planned(discovered(job=make_job(complete=ENDED)))
    assert [child.kind for child in plan.children if child.disposable] == ["Job"]
    assert report_of(plan, Trouble("Job", OutcomeType.FAILED, "timeout")).status == plan.status
    assert not [child for child in planned(make_template_observed()).children if child.disposable]


def test_the_result_is_what_was_printed() -> None:
    result = make_result("a/one", "b/two")
    status = status_of(make_template_observed(job=make_job(complete=ENDED), output=result))
    assert status.model_sources == result.model_sources
    assert status.profile == result.profile
    assert status.resolved_image is not None
    assert (status.resolved_image.kind, status.resolved_image.scope) == ("AIMImage", "Namespace")


def test_a_first_failure_is_written_down_and_retried_ten_seconds_later() -> None:
    observed, _ = SITUATIONS["the dry run failed"]
    plan = planned(observed)
    assert plan.status is not None
    want = make_discovery(
        observed.digest,
        attempts=1,
        last=conditions.timestamp(NOW),
        message="the image's dry run exited with code 3: boom",
    )
    assert plan.status.discovery == structs.replace(want, job_uid=observed.jobs[0].metadata.uid)
    assert plan.requeue_after_seconds == 10


def test_a_failure_that_is_written_down_is_not_counted_again() -> None:
    observed, _ = SITUATIONS["the dry run failed"]
    again = status_of(after(observed))
    assert (again.discovery or Discovery()).attempts == 1


def test_a_second_failure_counts_two() -> None:
    observed = failing(
        last="2026-01-31T11:59:00Z",
        job=make_job(failed=ENDED, uid="uid-of-the-second"),
        pods=(make_pod(phase="Failed", exit_code=3),),
    )
    assert (status_of(observed).discovery or Discovery()).attempts == 2


def test_a_failed_job_is_deleted_when_its_retry_is_due() -> None:
    observed = failing(last="2026-01-31T11:59:50Z", job=make_job(failed="2026-01-31T11:59:50Z"))
    plan = planned(observed)
    assert plan.removals == (Removal(resource=JOBS, live=observed.jobs[0]),)
    assert plan.requeue_after_seconds is None


def test_a_retry_that_is_due_gets_a_new_job() -> None:
    assert children(planned(failing(last="2026-01-31T11:59:50Z"))) == ["Job"]


OVERDUE = [
    pytest.param(name, message, id=name)
    for name, message in {
        "the dry run takes too long": "the image's dry run did not end within 600 s",
        "the pull takes too long": "the discovery Pod did not start within 7200 s",
        "the image can't be pulled for too long": "manifest unknown",
        "no node takes the Pod for too long": "0/1 nodes are available",
    }.items()
]


@pytest.mark.parametrize(("name", "want"), OVERDUE)
def test_a_job_that_is_overdue_is_deleted_once_its_failure_is_recorded(name: str, want: str) -> None:
    observed, _ = SITUATIONS[name]
    status = status_of(observed)
    record = status.discovery or Discovery()
    said = message(status).partition("; ")[0]
    assert (said, record.attempts, record.job_uid) == (want, 1, observed.jobs[0].metadata.uid)
    assert record.last_attempt_time == "2026-01-31T12:00:00Z", "the pause begins now"
    plan = planned(after(observed))
    assert plan.removals == (Removal(resource=JOBS, live=observed.jobs[0]),)
    assert (plan.status, plan.requeue_after_seconds) == (status, 10)


def test_an_unreadable_log_brings_the_template_back_with_backoff() -> None:
    observed, _ = SITUATIONS["the log can't be read yet"]
    assert planned(observed).unread is observed.unread
    assert message(status_of(observed)) == (
        "the dry run has ended; its log can't be read yet: the node is gone"
    )
    given_up, _ = SITUATIONS["the log can't be read for too long"]
    assert planned(given_up).unread is None


def test_a_result_beside_a_sidecar_is_kept_and_then_the_job_goes() -> None:
    sidecar = container("istio-proxy", running=True)
    ended = container("discovery", exit_code=0, finished="2026-01-31T11:58:00Z")
    observed = make_template_observed(
        job=WAITING, pods=(make_pod(phase="Running", containers=(sidecar, ended)),), output=make_result()
    )
    plan = planned(observed)
    assert plan.status is not None
    assert (plan.status.status, plan.removals) == (State.AVAILABLE, ())
    assert (plan.status.discovery or Discovery()).last_attempt_time == "2026-01-31T11:58:00Z"
    assert planned(after(observed)).removals == (Removal(resource=JOBS, live=observed.jobs[0]),)


def test_changed_inputs_are_tried_at_once() -> None:
    observed = failing()
    changed = structs.replace(observed, image=make_image(image="ghcr.io/example/llama:v2"), digest="changed1")
    assert children(planned(changed)) == ["Job"]


TIMED_OUT = make_job(failed=ENDED, reason="DeadlineExceeded", message="active longer than deadline")


@pytest.mark.parametrize(
    ("pods", "refusal", "want"),
    [
        pytest.param((PULL,), "", (Reason.IMAGE_PULL_FAILED, "manifest unknown"), id="a pull error"),
        pytest.param(
            (make_pod(unschedulable="0/1 nodes"),), "", (Reason.UNSCHEDULABLE, "0/1 nodes"), id="no node"
        ),
        pytest.param(
            (),
            "exceeded quota",
            (Reason.JOB_REFUSED, "the discovery Pod was refused: exceeded quota"),
            id="a quota",
        ),
    ],
)
def test_the_deadline_takes_the_pod_along_but_not_the_cause(
    pods: tuple[Pod, ...], refusal: str, want: tuple[str, str]
) -> None:
    waited = status_of(make_template_observed(job=WAITING, pods=pods, refusal=refusal))
    status = status_of(with_status(make_template_observed(job=TIMED_OUT), waited))
    assert (said(status, c.FAILURE), message(status)) == (f"True/{want[0]}", want[1])


@pytest.mark.parametrize(
    ("job", "before"),
    [
        pytest.param(
            make_job(failed=ENDED, reason="BackoffLimitExceeded", message="no Pod"),
            make_template_observed(job=WAITING, pods=(PULL,)),
            id="the Job did not time out",
        ),
        pytest.param(
            TIMED_OUT, make_template_observed(job=WAITING, pods=(make_pod(phase="Running"),)), id="it ran"
        ),
        pytest.param(
            make_job(failed="2026-01-31T11:59:59Z", reason="DeadlineExceeded", uid="uid-of-the-second"),
            with_status(
                make_template_observed(job=TIMED_OUT),
                status_of(make_template_observed(job=WAITING, pods=(make_pod(unschedulable="0/1 nodes"),))),
            ),
            id="it is that of the attempt before",
        ),
    ],
)
def test_what_a_pod_waited_for_is_not_the_cause_where(job: Job, before: TemplateObserved) -> None:
    status = status_of(with_status(make_template_observed(job=job), status_of(before)))
    assert said(status, c.FAILURE) == "True/JobFailed"


@pytest.mark.parametrize(
    ("first", "second", "want"),
    [
        pytest.param("ErrImagePull", "ImagePullBackOff", "False/ImagePullAuthFailed", id="after a pull"),
        pytest.param("", "ImagePullBackOff", "False/ImagePullFailed", id="where nothing else was seen"),
    ],
)
def test_a_pause_between_two_pulls_is_no_news(first: str, second: str, want: str) -> None:
    pause = make_template_observed(
        job=WAITING, pods=(make_pod(waiting=(second, 'Back-off pulling image "ghcr.io/example/llama:v1"')),)
    )
    if first:
        pulled = make_template_observed(job=WAITING, pods=(make_pod(waiting=(first, "401 Unauthorized")),))
        pause = with_status(pause, status_of(pulled))
    status = status_of(pause)
    assert said(status, c.DISCOVERED) == want
    assert ("401" in message(status)) == bool(first)


def test_jobs_of_earlier_inputs_are_deleted_once() -> None:
    stale = make_job("discover-fast-11111111")
    going = make_job("discover-fast-22222222", deleted=True)
    plan = planned(make_template_observed(job=WAITING, jobs=(stale, going)))
    assert plan.removals == (Removal(resource=JOBS, live=stale),)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="it starts"),
        pytest.param({"job": WAITING}, id="it runs"),
        pytest.param({"job": make_job(failed=ENDED)}, id="it fails"),
        pytest.param({"image_missing": True}, id="the image goes"),
        pytest.param({"runtime_config": MissingRuntimeConfig("gone")}, id="the configuration goes"),
    ],
)
def test_the_last_result_stays_while_a_new_discovery(fields: dict[str, Any]) -> None:
    old = make_discovered_status("earlier0")
    status = status_of(with_status(make_template_observed(**fields), old))
    assert (status.model_sources, status.profile) == (old.model_sources, old.profile)


def test_a_known_failure_keeps_its_reason_when_a_prerequisite_was_gone_for_a_while() -> None:
    failed = failing(job=make_job(failed=ENDED))
    gone = structs.replace(failed, image=None, digest="")
    back = with_status(failed, status_of(with_status(gone, status_of(failed))))
    got = status_of(back)
    assert said(got, c.FAILURE) == "True/DiscoveryFailed"
    assert message(got) == "the image's dry run exited with code 3: boom"


@pytest.mark.parametrize(
    "job",
    [pytest.param(make_job(complete=ENDED), id="its Job is there"), pytest.param(None, id="it is gone")],
)
def test_where_no_profile_fits_nothing_is_tried_again_until_an_input_changes(job: Job | None) -> None:
    unmatched = OutputUnreadable(Reason.NO_MATCHING_PROFILE, "")
    first = status_of(make_template_observed(job=make_job(complete=ENDED), output=unmatched))
    again = make_template_observed(job=job, output=unmatched if job else None)
    plan = decide(with_status(again, first), now=NOW + timedelta(days=1), options=OPTIONS)
    assert plan.status == first
    assert (plan.children, plan.removals, plan.requeue_after_seconds) == ((), (), None)
    changed = structs.replace(with_status(again, first), digest="changed1")
    plan = decide(changed, now=NOW, options=OPTIONS)
    assert [child.manifest["kind"] for child in plan.children] == ["Job"]


@pytest.mark.parametrize(
    ("before", "want"),
    [
        pytest.param(discovered(), "True/Discovered", id="what was discovered is still discovered"),
        pytest.param(
            make_template_observed(slot=Slot(granted=False, limit=10)),
            "False/ImageNotFound",
            id="nobody waits for a slot any more",
        ),
        pytest.param(make_template_observed(), "False/ImageNotFound", id="no Job is starting any more"),
    ],
)
def test_when_the_image_goes(before: TemplateObserved, want: str) -> None:
    gone = structs.replace(after(before), image=None, digest="")
    assert said(status_of(gone), c.DISCOVERED) == want


SOURCES = [
    {"name": "org/model", "sourceUri": "hf://org/model:main", "size": "16Gi"},
    {"name": "org/draft", "sourceUri": "s3://bucket/draft"},
]


def test_given_model_sources_need_no_discovery() -> None:
    template = make_template(modelSources=SOURCES, profileId="p", caching={"enabled": True})
    leftover = make_job()
    plan = planned(structs.replace(make_template_observed(template), digest="", jobs=(leftover,)))
    assert children(plan) == ["ServingRuntime", "AIMTemplateCache"]
    assert plan.removals == (Removal(resource=JOBS, live=leftover),)
    status = plan.status
    assert status is not None
    assert status.status == State.AVAILABLE
    assert said(status, c.DISCOVERED) == "True/ModelSourcesGiven"
    assert said(status, c.READY) == "True/Available"
    assert [(s.name, s.source_uri, s.size) for s in status.model_sources or ()] == [
        ("org/model", "hf://org/model:main", "16Gi"),
        ("org/draft", "s3://bucket/draft", None),
    ]
    assert (status.profile_id, status.profile, status.discovery) == ("p", None, None)


def test_given_model_sources_replace_what_was_discovered_and_the_other_way_round() -> None:
    before = make_discovered_status(digest_of(make_template()))
    told = with_status(make_template_observed(make_template(modelSources=SOURCES)), before)
    status = status_of(structs.replace(told, digest=""))
    assert (len(status.model_sources or ()), status.profile) == (2, None)
    again = with_status(make_template_observed(), status)
    plan = planned(again)
    assert children(plan) == ["Job"]
    assert plan.status is not None
    assert len(plan.status.model_sources or ()) == 2, "the last result stays meanwhile"


def test_given_model_sources_do_not_need_kserve_to_be_known() -> None:
    observed = make_template_observed(make_template(modelSources=SOURCES), kserve_installed=False)
    status = status_of(structs.replace(observed, digest=""))
    assert said(status, c.DISCOVERED) == "True/ModelSourcesGiven"
    assert said(status, c.FAILURE) == "True/KServeNotInstalled"


def test_engine_arguments_that_no_server_can_have_degrade_the_template() -> None:
    template = make_template(engineArgs={"chat-template": "{{ messages }}"})
    plan = planned(make_template_observed(template))
    assert children(plan) == []
    assert plan.status is not None
    assert said(plan.status, c.FAILURE) == "True/EngineArgsInvalid"
    assert "KServe would expand it" in message(plan.status)


def test_an_image_whose_name_is_a_go_template_gets_no_runtime() -> None:
    """As a catalog has it from before the API server refused it."""
    template = make_template(modelSources=SOURCES)
    image = make_image(image="example/model:{{.Name}}")
    plan = planned(structs.replace(make_template_observed(template, image=image), digest=""))
    assert children(plan) == []
    assert plan.status is not None
    assert said(plan.status, c.FAILURE) == "True/GoTemplateRefused"
    assert 'image of the ServingRuntime has "{{.Name}}"' in message(plan.status)


def test_a_pull_is_shown_with_its_start_which_does_not_move() -> None:
    waiting = make_pod(waiting=("ContainerCreating", ""))
    met = tuple(
        JobCondition(type=type_, status="True") for type_ in ("PodReadyToStartContainers", "Initialized")
    )
    pod = structs.replace(
        waiting, status=structs.replace(waiting.status, conditions=met, start_time="2026-01-31T11:59:00Z")
    )
    observed = make_template_observed(job=make_job(), pods=(pod,))
    status = status_of(observed)
    assert status.status == State.PROGRESSING
    assert said(status, c.DISCOVERED) == "False/Pulling"
    assert message(status) == "Pulling since 2026-01-31T11:59:00Z: ghcr.io/example/llama:v1"
    later = decide(after(observed), now=NOW + timedelta(minutes=5), options=OPTIONS)
    assert later.status == status
