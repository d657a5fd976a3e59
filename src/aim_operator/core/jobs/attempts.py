"""The record of attempts that a status keeps: what came of the last one, and when the next is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar

from aim_operator.api.external import Job
from aim_operator.api.v1alpha1 import Attempts
from aim_operator.backoff import exponential
from aim_operator.core.conditions import as_recorded, parse_time, timestamp
from aim_operator.core.messages import cut

FIRST_RETRY_SECONDS = 10
LONGEST_RETRY_SECONDS = 3600

A = TypeVar("A", bound=Attempts)


def succeeded(record: Attempts | None, digest: str) -> bool:
    """Whether the recorded result is that of the inputs with this digest."""
    return record is not None and record.spec_hash == digest and (record.attempts or 0) == 0


def failed_attempts(record: Attempts | None, digest: str) -> int:
    if record is None or record.spec_hash != digest:
        return 0
    return record.attempts or 0


def is_recorded(record: Attempts | None, digest: str, job: Job, ended_at: str | None) -> bool:
    """Whether the failure of this Job is counted already. `ended_at` (RFC 3339) is None while it runs.

    Statuses of older versions have no UID of the Job: then it is the times that tell.
    """
    if record is None or failed_attempts(record, digest) == 0:
        return False
    if record.job_uid is not None:
        return record.job_uid == job.metadata.uid
    last, since = record.last_attempt_time, ended_at or job.metadata.creation_timestamp
    return last is not None and since is not None and parse_time(last) >= parse_time(since)


def failure(
    type_: type[A],
    previous: Attempts | None,
    digest: str,
    job: Job,
    *,
    now: datetime,
    message: str,
    **more: Any,
) -> A:
    """Return the record of one more failed attempt; `more` is what this type keeps besides.

    It ended now: the Job's end is of another clock, and where that is an hour behind ours, the pause after it
    would always be over.
    """
    fields = {"attempts": failed_attempts(previous, digest) + 1, **more}
    return type_(
        spec_hash=digest,
        last_attempt_time=timestamp(now),
        message=cut(message),
        job_uid=job.metadata.uid,
        **fields,
    )


def retry_at(record: Attempts | None, digest: str) -> datetime | None:
    """When the next attempt is due: 10 s after the first failure, doubling up to 1 h. None: now."""
    attempts = failed_attempts(record, digest)
    if record is None or attempts == 0:
        return None
    last = record.last_attempt_time
    if last is None:
        return None
    delay = exponential(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, attempts - 1)
    return parse_time(last) + timedelta(seconds=delay)


def seconds_to_retry(record: Attempts | None, digest: str, now: datetime) -> float:
    """Return how long the next attempt has to wait; 0 if it is due.

    None is recorded of a time to come. One that lies minutes ahead was recorded by a clock of ours that was
    wrong, and has been set since: it says nothing about now.
    """
    due, last = retry_at(record, digest), record.last_attempt_time if record is not None else None
    if due is None or as_recorded(last, timestamp(now)) is None:
        return 0.0
    return max(0.0, (due - now).total_seconds())
