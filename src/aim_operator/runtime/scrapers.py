"""Who may read metrics: asked of the API server, as other operators do.

A bearer token is looked at by a TokenReview, its user by a SubjectAccessReview for `get` on the URL /metrics:
what controller-runtime's WithAuthenticationAndAuthorization asks. Answers are remembered for a while; how
often strangers can make us ask is bounded. Used by runtime.probes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from http import HTTPStatus
from typing import Any

import structlog
from msgspec import Struct

from aim_operator.api.meta import KubeObject, Manifest, Wire
from aim_operator.api.resource import Resource
from aim_operator.errors import ApiError
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock

log = structlog.get_logger("aim_operator.probes")

PATH = "/metrics"
ALLOWED_SECONDS = 60.0
"""How long a token that may read is not looked at again."""
REFUSED_SECONDS = 10.0
REMEMBERED = 256
AT_ONCE = 4
"""Tokens that are being looked at."""
BURST = 10
REFILL_SECONDS = 0.2
"""Tokens that were never allowed are looked at so many at once, then one in so many seconds."""
LONGEST_TOKEN = 8192
COMPLAIN_SECONDS = 60.0


class UserInfo(Wire):
    username: str | None = None
    uid: str | None = None
    groups: tuple[str, ...] | None = None
    extra: dict[str, tuple[str, ...]] | None = None


class TokenReviewStatus(Wire):
    authenticated: bool | None = None
    user: UserInfo | None = None


class TokenReview(KubeObject):
    status: TokenReviewStatus | None = None


class AccessReviewStatus(Wire):
    allowed: bool | None = None


class SubjectAccessReview(KubeObject):
    status: AccessReviewStatus | None = None


TOKEN_REVIEWS = Resource(
    group="authentication.k8s.io",
    version="v1",
    plural="tokenreviews",
    kind="TokenReview",
    namespaced=False,
    type=TokenReview,
)
ACCESS_REVIEWS = Resource(
    group="authorization.k8s.io",
    version="v1",
    plural="subjectaccessreviews",
    kind="SubjectAccessReview",
    namespaced=False,
    type=SubjectAccessReview,
)


class _Answer(Struct, frozen=True):
    status: HTTPStatus
    until: float


class ScrapeAuthorizer:
    """For one event loop. Keeps hashes of tokens, never tokens."""

    def __init__(self, client: KubeClient, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[HTTPStatus]] = {}
        self._tokens, self._filled_at = float(BURST), clock.monotonic()
        self._complained_at = float("-inf")

    async def verdict(self, authorization: str) -> HTTPStatus:
        """Return OK, or how to refuse a request with this Authorization header ("" for none)."""
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
            return HTTPStatus.UNAUTHORIZED
        key = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        answer = self._answers.get(key)
        if answer is not None and self._clock.monotonic() < answer.until:
            return answer.status
        asking = self._asking.get(key)
        if asking is None:
            if not self._may_ask(trusted=answer is not None and answer.status is HTTPStatus.OK):
                return HTTPStatus.TOO_MANY_REQUESTS
            asking = self._asking[key] = asyncio.create_task(self._ask(key, token), name="review a token")
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        # Others may wait for the same answer; and it is remembered also if this client is gone.
        return await asyncio.shield(asking)

    async def close(self) -> None:
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _may_ask(self, *, trusted: bool) -> bool:
        """Whether a token may be looked at. One that was allowed before always may: there are few of them."""
        if trusted:
            return True
        now = self._clock.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) / REFILL_SECONDS)
        self._filled_at = now
        if self._tokens < 1 or len(self._asking) >= AT_ONCE:
            return False
        self._tokens -= 1
        return True

    async def _ask(self, key: bytes, token: str) -> HTTPStatus:
        try:
            status = await self._review(token)
        except ApiError as error:
            self._complain(error)
            return HTTPStatus.SERVICE_UNAVAILABLE
        seconds = ALLOWED_SECONDS if status is HTTPStatus.OK else REFUSED_SECONDS
        self._answers[key] = _Answer(status, self._clock.monotonic() + seconds)
        self._answers.move_to_end(key)
        self._forget_one()
        return status

    def _forget_one(self) -> None:
        """Make room, of those that were refused first: strangers don't push out the others."""
        if len(self._answers) <= REMEMBERED:
            return
        refused = (key for key, answer in self._answers.items() if answer.status is not HTTPStatus.OK)
        del self._answers[next(refused, next(iter(self._answers)))]

    async def _review(self, token: str) -> HTTPStatus:
        review = await self._client.create(TOKEN_REVIEWS, _manifest(TOKEN_REVIEWS, {"token": token}))
        status = review.status or TokenReviewStatus()
        if not status.authenticated or status.user is None:
            return HTTPStatus.UNAUTHORIZED
        user = status.user
        spec: Manifest = {
            "user": user.username or "",
            "uid": user.uid or "",
            "groups": list(user.groups or ()),
            "extra": {name: list(values) for name, values in (user.extra or {}).items()},
            "nonResourceAttributes": {"path": PATH, "verb": "get"},
        }
        access = await self._client.create(ACCESS_REVIEWS, _manifest(ACCESS_REVIEWS, spec))
        allowed = access.status is not None and access.status.allowed is True
        return HTTPStatus.OK if allowed else HTTPStatus.FORBIDDEN

    def _complain(self, error: ApiError) -> None:
        now = self._clock.monotonic()
        if now - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = now
            log.warning("who scrapes metrics can't be found out", error=f"{type(error).__name__}: {error}")


def _manifest(resource: Resource[Any], spec: Manifest) -> Manifest:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}, "spec": spec}
