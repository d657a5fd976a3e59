"""AWS Signature Version 4 as a store checks it, written from its description: header and query alike.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_SKEW = timedelta(minutes=15)


@dataclass(frozen=True)
class Refusal:
    status: int
    code: str
    more: str = ""


def refusal(
    method: str,
    raw_path: str,
    headers: Mapping[str, str],
    *,
    key: str,
    secret: str,
    token: str | None,
    region: str,
) -> Refusal | None:
    """Return why a store refuses the request; None where it is signed as it must be."""
    path, _, query_text = raw_path.partition("?")
    query = [
        (unquote(name), unquote(value))
        for name, _, value in (part.partition("=") for part in query_text.split("&") if part)
    ]
    parameters = dict(query)
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    by_query = "X-Amz-Signature" in parameters
    if by_query:
        scope = parameters["X-Amz-Credential"].split("/")
        found = (
            scope[0],
            scope[1],
            scope[2],
            parameters["X-Amz-SignedHeaders"],
            parameters["X-Amz-Signature"],
        )
        date, payload = parameters["X-Amz-Date"], "UNSIGNED-PAYLOAD"
        sent_token = parameters.get("X-Amz-Security-Token")
    else:
        match = _AUTHORIZATION.fullmatch(lower.get("authorization", ""))
        if match is None:
            return Refusal(403, "AccessDenied")
        found = (match[1], match[2], match[3], match[4], match[5])
        date, payload = lower["x-amz-date"], lower["x-amz-content-sha256"]
        sent_token = lower.get("x-amz-security-token")
    given_key, day, given_region, signed, signature = found
    if given_key != key:
        return Refusal(403, "InvalidAccessKeyId")
    if sent_token != token:
        return Refusal(400 if sent_token else 403, "InvalidToken" if sent_token else "AccessDenied")
    if given_region != region:
        code = "AuthorizationQueryParametersError" if by_query else "AuthorizationHeaderMalformed"
        return Refusal(400, code, f"<Region>{region}</Region>")
    moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    age = datetime.now(UTC) - moment
    if by_query and age > timedelta(seconds=int(parameters["X-Amz-Expires"])):
        return Refusal(403, "AccessDenied")
    if not by_query and abs(age) > _SKEW:
        return Refusal(403, "RequestTimeTooSkewed")
    unsigned = [name for name in lower if name.startswith("x-amz-") and name not in signed.split(";")]
    if unsigned:
        return Refusal(403, "AccessDenied", "<Message>headers present which were not signed</Message>")
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(
                f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
                for name, value in sorted(query)
                if name != "X-Amz-Signature"
            ),
            "".join(f"{name}:{lower.get(name, '')}\n" for name in signed.split(";")),
            signed,
            payload,
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{day}/{region}/s3/aws4_request\n{digest}"
    step = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        step = hmac.digest(step, part.encode(), "sha256")
    want = hmac.new(step, to_sign.encode(), "sha256").hexdigest()
    return None if hmac.compare_digest(want, signature) else Refusal(403, "SignatureDoesNotMatch")
