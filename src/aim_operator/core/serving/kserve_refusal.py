"""Why KServe makes nothing of an InferenceService: its Warning events and, from 0.17 on, its condition.

0.16 leaves the status as it was and says it in an event only (InferenceServiceReconciler.Reconcile in its
controller.go). Events stay for an hour, so that an old one is told from one that counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from aim_operator.api.external import Event, Pod
from aim_operator.api.meta import Condition
from aim_operator.core import conditions
from aim_operator.core.messages import last_seen, one_line, quote
from aim_operator.core.pods import youngest

RECONCILE_FAILED = "ReconcileFailed"
_QUOTED = 600
FAILURES = frozenset({"InternalError", "ServerlessModeRejected"})
"""Reasons of its events when a reconcile ends. Others, such as its note that Istio's CRD is not there, come
with services that run."""
_PASSING = re.compile(
    r"object has been modified|already exists|being deleted|deadline exceeded|timed? ?out|connection refused"
    r"|connection reset|EOF$|try again|too many requests|failed calling webhook|etcdserver"
    r"|UID in precondition",
    re.IGNORECASE,
)
"""What the next attempt, a moment later, may not meet again."""
_SECRET = re.compile(r"(?<=://)[^/@\s]{1,512}(?=@)|(?<=\?)[^\s'\"]+|\bhf_[A-Za-z0-9]{8,}")
"""Users and queries of addresses, and tokens: its errors quote what it was given."""
_HOST_NAME = re.compile(r"invalid domain name|must be no more than 63 characters", re.IGNORECASE)
_SHORTEN = (
    "KServe makes a host name of the service's name, -predictor and the namespace, of 63 characters at most: "
    "use a shorter name, or change ingress.domainTemplate in KServe's configuration"
)


def refusal(events: Iterable[Event], pods: Iterable[Pod], current: Iterable[Condition]) -> str:
    """Return why KServe makes no Pod of the InferenceService as it is now, with what to do; "" if it may.

    `pods` are all that are there: what was said before the youngest was made is old news. `current` are the
    InferenceService's conditions. Its words are quoted, on one line of bounded length.
    """
    last = youngest(pods)
    since = (last.metadata.creation_timestamp or "") if last is not None else ""
    told = [e for e in events if e.reason in FAILURES and last_seen(e) >= since and not passes(e.message)]
    words = max(told, key=last_seen).message if told else None
    predictor = conditions.find(current, "PredictorReady")
    if predictor is not None and predictor.status == "False" and predictor.reason == RECONCILE_FAILED:
        words = words or (None if passes(predictor.message) else predictor.message)
    if not words:
        return ""
    remedy = f"; {_SHORTEN}" if _HOST_NAME.search(words) else ""
    return f"KServe says {quote(_SECRET.sub('…', one_line(words)), _QUOTED)}{remedy}"


def passes(words: str | None) -> bool:
    """Whether KServe's next attempt, a moment later, may not meet again what these words say."""
    return _PASSING.search(words or "") is not None
