"""What is said of a child that can't be written, and of what can't be deleted."""

from __future__ import annotations

from aim_operator.api.external import JOBS, Job
from aim_operator.api.meta import ObjectMeta, ObjectRef
from aim_operator.api.plan import Outcomes, Removal, Undeleted
from aim_operator.core.outcomes import beside, undeleted
from aim_operator.errors import ApiError, Conflict, Forbidden

LIVE = Job(metadata=ObjectMeta(name="download", namespace="team"))


def kept(error: ApiError) -> Outcomes:
    return Outcomes(undeleted=(Undeleted(removal=Removal(resource=JOBS, live=LIVE), error=error),))


def test_what_can_not_be_deleted_is_named_with_the_cause() -> None:
    got = undeleted(kept(Forbidden("denied by\npolicy")), JOBS.kind)
    assert got is not None
    assert got.blocker == ObjectRef("Job", "team", "download")
    assert got.message == "Job 'download' can't be deleted, the operator tries again: denied by policy"


def test_what_changed_just_now_is_deleted_at_the_next_attempt_and_nothing_is_told() -> None:
    assert undeleted(kept(Conflict("the object has been modified")), JOBS.kind) is None


def test_what_can_not_be_deleted_hides_nothing_that_is_told_without_it() -> None:
    hindrance = undeleted(kept(Forbidden("denied")), JOBS.kind)
    assert hindrance is not None
    both = beside(hindrance, "the hub refuses the token")
    assert both.message == f"{hindrance.message}; the hub refuses the token"
    assert both.blocker == hindrance.blocker
