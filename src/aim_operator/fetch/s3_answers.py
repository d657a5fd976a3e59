"""What the library's errors mean: which pass, which don't, and what a user is to set. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from urllib3 import HTTPHeaderDict

from aim_operator.errors import FetchError
from aim_operator.fetch.answers import not_now
from aim_operator.fetch.listing import SourceChanged
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.retrying import Transient

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_UNKNOWN_EXTRA = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_IMPLEMENTED,
    HTTPStatus.PRECONDITION_FAILED,
)
_NO_EXTRA = ("RequestTimeout", "BadDigest", "AuthorizationHeaderMalformed", "InvalidAccessKeyId")
_PASSING_CODES = ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "InternalError")
_CLOCK = ("RequestTimeTooSkewed", "RequestExpired")
_REGION = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect")


class Unsupported(Exception):
    """The store refuses the question as it was put: without its extras it may answer."""

    def __init__(self, otherwise: Exception) -> None:
        super().__init__(str(otherwise))
        self.otherwise = otherwise
        """What it means where nothing can be left out any more."""


def code_of(error: ClientError) -> str:
    """The store's own word; "" where it only gave the status, which the library repeats for a word."""
    code = str(error.response.get("Error", {}).get("Code", ""))[:64]
    return "" if code.isdigit() else code


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def answered(error: ClientError, *, bucket: str, where: str, refusal: str) -> Exception:
    """Return what an error that the store answered means. `refusal` is what to do about a 403."""
    status, code = status_of(error), code_of(error)
    meaning = _meaning(error, status, code, bucket=bucket, where=where, refusal=refusal)
    is_extra = (
        status in _UNKNOWN_EXTRA and code not in (*_NO_EXTRA, *_REGION, *_CLOCK) and "Token" not in code
    )
    return Unsupported(meaning) if is_extra and isinstance(meaning, FetchError) else meaning


def _meaning(
    error: ClientError, status: int, code: str, *, bucket: str, where: str, refusal: str
) -> Exception:
    said = f"{where} answered {status}{f' {code}' if code else ''}"
    headers = HTTPHeaderDict(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
    if error.operation_name.startswith("Assume"):
        return _of_sts(said, status, code)
    if code == "NoSuchBucket" or (
        status == HTTPStatus.NOT_FOUND and error.operation_name.startswith("ListObjects")
    ):
        return FetchError(
            FetchReason.SOURCE_NOT_FOUND,
            f"there is no bucket {bucket} at {where}; check the URI, AWS_REGION and AWS_ENDPOINT_URL",
        )
    if status == HTTPStatus.NOT_FOUND:
        return SourceChanged("an object is gone that was listed")
    if code in _CLOCK:
        return FetchError(
            FetchReason.DOWNLOAD_FAILED,
            f"{said}: the clocks of this node and of the store differ by more than it accepts; set the clock",
        )
    if code in _REGION or 300 <= status < 400:
        return _elsewhere(error, said, headers, bucket)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or "Token" in code or code in _NO_EXTRA[3:]:
        return FetchError(FetchReason.AUTHENTICATION_FAILED, f"{where} answered {status}: {refusal}")
    if (
        (status >= 500 and status != HTTPStatus.NOT_IMPLEMENTED)
        or status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)
        or code in _PASSING_CODES
    ):
        return not_now(where, status, headers, code)
    return FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"{said} when asked about bucket {bucket} ({error.operation_name}); check AWS_ENDPOINT_URL,"
        " AWS_REGION and whether the store speaks this part of S3",
    )


def _of_sts(said: str, status: int, code: str) -> Exception:
    if status >= 500 or code in _PASSING_CODES:
        return Transient(said)
    return FetchError(
        FetchReason.AUTHENTICATION_FAILED,
        f"STS gives no credentials for the role in AWS_ROLE_ARN ({said}); does its trust policy name this"
        " service account, and is the token in AWS_WEB_IDENTITY_TOKEN_FILE for it?",
    )


def _elsewhere(error: ClientError, said: str, headers: Mapping[str, str], bucket: str) -> FetchError:
    """The bucket is somewhere else, where we don't follow: nobody else gets what is signed for this host."""
    other = str(error.response.get("Error", {}).get("Region", ""))[:63] or headers.get(
        "x-amz-bucket-region", ""
    )
    host = urlsplit(headers.get("location", "")).netloc.rpartition("@")[2][:255]
    place = (
        f"in region {other[:63]}"
        if other
        else f"at {host}"
        if host
        else "in another region or at another address"
    )
    return FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"{said}: bucket {bucket} is {place}, where requests are not sent on to; set AWS_REGION"
        " and AWS_ENDPOINT_URL to where it is",
    )


def unreadable(where: str) -> Transient:
    return Transient(
        f"{where} sent an answer that can't be read; is this the address of an S3 API, and not of a console"
        " or a proxy?"
    )
