"""What went wrong with a call, in the words of errors.py; the only place that knows HTTP statuses.

Pure but for `translated`, which turns aiohttp's exceptions. Called by kube.transport and kube.client.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

import msgspec
from msgspec import Struct

from aim_operator import errors
from aim_operator.api.meta import UNREADABLE

_DENIED = re.compile(
    r'cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_QUOTE_LIMIT = 2048
SHORTEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 300.0
"""Whatever is asked for: nothing is to go round at full speed, and no watch to be deaf for a day."""
_STATUS, _NO_SUCH_GROUP = "Status", "404 page not found"
# What can't be read now may be read later: a kubelet answers 400 for a log while its runtime is down. A watch
# is no read here: that a server knows no streamed lists is for good.
_READS = frozenset({"get", "list"})


class StatusCause(Struct):
    field: str = ""


class StatusDetails(Struct):
    name: str = ""
    causes: tuple[StatusCause, ...] | None = None
    retry_after_seconds: int = msgspec.field(name="retryAfterSeconds", default=0)


class Status(Struct):
    """metav1.Status, as far as it is read."""

    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None


class Call(Struct, frozen=True):
    """One call, as people and RBAC name it."""

    verb: str
    """RBAC's: get, list, watch, create, patch, update, delete."""
    resource: str
    """plural.group, with the subresource: `jobs.batch`, `aimservices.aim.silogen.ai/status`."""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.resource} {self.name}".rstrip()
        return f"{self.verb} {what}" + (f" in namespace {self.namespace}" if self.namespace else "")


def failure(call: Call, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> errors.ApiError:
    """Return the error that an answer with status `code` means."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except (*UNREADABLE, UnicodeDecodeError):
        status = Status(message=body[:_QUOTE_LIMIT].decode(errors="replace").strip(), code=code)
    return status_failure(call, code, status, headers or {})


def status_failure(call: Call, code: int, status: Status, headers: Mapping[str, str]) -> errors.ApiError:
    """Return the error that a Status means, whether it came as an answer or inside a watch."""
    answer = status.message or status.reason or f"HTTP {code}"
    message = f"{call}: {answer}"
    reason = status.reason
    match code:
        case 401:
            return errors.Unauthorized(
                f"the API server does not accept the credentials: {answer}", code=code, reason=reason
            )
        case 403:
            return errors.Forbidden(_forbidden(call, answer), code=code, reason=reason)
        case 404 if not _is_of_api_server(status):
            return errors.Unavailable(
                f"{call}: something in between answers 404, not the API server: {answer}",
                code=code,
                reason=reason,
            )
        case 404 if status.details is None or not status.details.name:
            return errors.NotInstalled(
                f"{call.resource} is not installed: {answer}", code=code, reason=reason
            )
        case 404:
            return errors.NotFound(message, code=code, reason=reason)
        case 409 if reason == "AlreadyExists":
            return errors.AlreadyExists(message, code=code, reason=reason)
        case 409:
            return errors.Conflict(message, code=code, reason=reason)
        case 422 if _is_uid_precondition(status):
            return errors.Conflict(message, code=code, reason=reason)
        case 410:
            return errors.Expired(message, code=code, reason=reason)
        case 429:
            return errors.TooManyRequests(message, retry_after_seconds=_retry_after(status, headers))
        case 408:
            return errors.Unavailable(message, code=code, reason=reason)
        case _ if 400 <= code < 500 and call.verb not in _READS:
            return errors.Invalid(message, code=code, reason=reason)
        case _:
            return errors.Unavailable(message, code=code, reason=reason)


def _is_of_api_server(status: Status) -> bool:
    """Whether a 404 says that there is no such kind: those of proxies say nothing of kinds.

    An API server answers with a Status, or with the plain text of Go's http.NotFound for a group it lacks.
    """
    return status.kind == _STATUS or status.message == _NO_SUCH_GROUP


def _is_uid_precondition(status: Status) -> bool:
    """Whether an apply met another object of that name: the server says "immutable", and means a conflict."""
    causes = (status.details.causes if status.details else None) or ()
    return any(cause.field == "metadata.uid" for cause in causes)


def _forbidden(call: Call, answer: str) -> str:
    denied = _DENIED.search(answer)
    if denied is None:
        # Not RBAC: a quota, Pod Security or a webhook, whose own words say what to do.
        return f"{call}: {answer}"
    resource = f"{denied['resource']}.{denied['group']}".rstrip(".")
    plural, _, subresource = denied["resource"].partition("/")
    if subresource:
        resource = f"{plural}.{denied['group']}".rstrip(".") + f"/{subresource}"
    where = f"in namespace {denied['namespace']}" if denied["namespace"] else "in the whole cluster"
    return f'the operator may not "{denied["verb"]}" {resource} {where}: add it to its role'


def _retry_after(status: Status, headers: Mapping[str, str]) -> float:
    header = headers.get("Retry-After", "")
    stated = status.details.retry_after_seconds if status.details else 0
    seconds = float(header) if header.isdecimal() else float(stated)
    return min(max(seconds, SHORTEST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Turn whatever aiohttp and the network raise into Unavailable, with the cause in its message."""
    # Here, for it takes a tenth of the time of `aimctl plan`, which asks no server.
    import aiohttp  # noqa: PLC0415

    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError) as error:
        _raise_unreachable(call, error)


def _raise_unreachable(call: Call, error: Exception) -> NoReturn:
    import aiohttp  # noqa: PLC0415 - as above

    if isinstance(error, TimeoutError):
        cause = "no answer in time"
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = f"the server's certificate is not trusted: {error.certificate_error}"
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    else:
        cause = str(error) or type(error).__name__
    raise errors.Unavailable(f"{call}: {cause}") from error


def maybe_written(error: errors.ApiError) -> bool:
    """Whether a call that failed so may still have been carried out."""
    cause = error.__cause__
    if isinstance(error, errors.TooManyRequests):
        return False
    if cause is not None:
        import aiohttp  # noqa: PLC0415 - as above

        if isinstance(cause, aiohttp.ClientConnectorError):
            return False
    return isinstance(error, errors.Unavailable)
