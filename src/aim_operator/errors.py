"""Every error this package raises on purpose.

AimError
├── NotLeader                 the Lease was lost: nothing may be written any more
├── UserError                 what the person at the terminal can fix: one line, exit code 2
│   └── NoAnswer              the API server refuses or can't be reached, said to that person
├── ApiError                  the API server answered, or could not be reached
│   ├── Unavailable           network, timeout, 5xx: try again later
│   │   └── TooManyRequests   429, with the server's Retry-After
│   ├── NotFound              404 for one object
│   │   └── NotInstalled      404 for a whole kind: its CRD is not there (yet)
│   ├── Conflict              409: our view was stale, or another field manager owns a field
│   │   └── AlreadyExists     409 on create
│   ├── Expired               410: a resourceVersion that is compacted away
│   ├── Invalid               400, 413, 422 for a write: the object is refused as it is
│   ├── TooLarge              an answer of more bytes than are read
│   ├── Unauthorized          401
│   └── Forbidden             403: the message names the missing RBAC verb
├── SpecError                 core: an input that can't be served; carries a condition reason
└── FetchError                fetch: a model can't be downloaded; carries a condition reason
"""

from __future__ import annotations

import re

_NO_ANSWER_OF_ETCD = re.compile(r"etcdserver: (?:request timed out|leader changed)")
"""The words of etcd's ErrTimeout, its kin, and ErrLeaderChanged (server/etcdserver/errors/errors.go)."""


class AimError(Exception):
    """Base of all errors raised on purpose by this package."""


class NotLeader(AimError):
    """Another process may hold the Lease by now: whatever was about to be written must not be."""


class UserError(AimError):
    """Something the person at the terminal can fix; printed as one line, exit code 2."""


class NoAnswer(UserError):
    """The cluster does not answer, or refuses: what was asked of it is not known."""


class ApiError(AimError):
    """An API call failed.

    `code` is the HTTP status (0 when no answer came), `reason` the machine-readable
    reason of the Kubernetes Status object ("" when there was none). `wrote` is the kind, namespace and name
    of the object whose write failed, where runtime.apply made it; None for a read. `known_for_seconds` is how
    long yet whoever remembers the error answers with it instead of asking again; 0 for a new one.
    """

    wrote: tuple[str, str, str] | None = None
    known_for_seconds: float = 0.0

    def __init__(self, message: str, *, code: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason

    @property
    def is_unanswered(self) -> bool:
        """Whether a write may have taken effect all the same, and be seen by a watch later."""
        return False


class Unavailable(ApiError):
    """No usable answer: network, timeout or a 5xx. Retryable."""

    @property
    def is_unanswered(self) -> bool:
        """See ApiError. 502 and 504 are those of proxies; that etcd gave no answer is passed on as a 500."""
        of_etcd = self.code == 500 and _NO_ANSWER_OF_ETCD.search(str(self)) is not None
        return of_etcd or self.code in {0, 502, 504}


class TooManyRequests(Unavailable):
    """429; `retry_after_seconds` is what the server asked for (1.0 when it did not say)."""

    def __init__(self, message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message, code=429, reason="TooManyRequests")
        self.retry_after_seconds = retry_after_seconds


class NotFound(ApiError):
    """404 for one object."""


class NotInstalled(NotFound):
    """404 for a whole kind: the CRD is not installed, or not served in this version."""


class Conflict(ApiError):
    """409: a stale resourceVersion or uid, or fields owned by another manager."""


class AlreadyExists(Conflict):
    """409 on create: the name is taken."""


class Expired(ApiError):
    """410 Gone: the resourceVersion or continue token is too old; list again."""


class Invalid(ApiError):
    """400, 413 or 422 for a write, or a watch that the server can't serve: it will not take this as it is.

    `causes` are fields and what is wrong with each, where the server says so one by one.
    """

    causes: tuple[tuple[str, str], ...] = ()


class TooLarge(ApiError):
    """The answer has more bytes than are read of one: ask for less at once."""


class Unauthorized(ApiError):
    """401: the credentials are not accepted."""


class Forbidden(ApiError):
    """403: RBAC or admission said no; the message names verb and resource."""


class SpecError(AimError):
    """An input that can't be served. `reason` is the condition reason to report it under."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class FetchError(AimError):
    """A model can't be downloaded. `reason` is the condition reason to report it under."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
