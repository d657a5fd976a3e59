"""Every way a call can fail ends as the right error, with a message that helps."""

from __future__ import annotations

import inspect
import ssl
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp.client_reqrep import ConnectionKey

from aim_operator import errors
from aim_operator.kube.translate import Call, failure, maybe_written, translated

CALL = Call("patch", "jobs.batch", "team", "discover-x")
GENERIC_404 = {
    "kind": "Status",
    "message": "the server could not find the requested resource",
    "reason": "NotFound",
    "details": {},
}
NAMED = {"name": "discover-x", "kind": "jobs"}
UID_CAUSE = {"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid"}], "name": "discover-x"}


def make_status(message: str = "no", reason: str = "", **fields: Any) -> dict[str, Any]:
    return {"kind": "Status", "message": message, "reason": reason, **fields}


ANSWERS: list[tuple[str, int, Any, type[errors.ApiError]]] = [
    ("a malformed object is invalid", 400, make_status(reason="BadRequest"), errors.Invalid),
    ("unaccepted credentials are unauthorized", 401, make_status(), errors.Unauthorized),
    ("what a role lacks is forbidden", 403, make_status(reason="Forbidden"), errors.Forbidden),
    ("a named object that is not there is not found", 404, make_status(details=NAMED), errors.NotFound),
    ("a generic 404 means that the kind is not installed", 404, GENERIC_404, errors.NotInstalled),
    (
        "a plain-text 404 means that the group is not installed",
        404,
        "404 page not found",
        errors.NotInstalled,
    ),
    (
        "a load balancer's 404 does not mean that the kind is not installed",
        404,
        "<html><head><title>404 Not Found</title></head><body>nginx</body></html>",
        errors.Unavailable,
    ),
    ("nor does that of an ingress without a backend", 404, "default backend - 404", errors.Unavailable),
    ("nor does one in JSON that is no Status", 404, {"message": "no Route matched"}, errors.Unavailable),
    ("nor does one without a word", 404, "", errors.Unavailable),
    ("nor does one that is nested without an end", 404, '{"x":' + "[" * 50_000, errors.Unavailable),
    ("a method that is not allowed is invalid", 405, make_status(), errors.Invalid),
    ("a request timeout is unavailable", 408, make_status(), errors.Unavailable),
    ("a taken name exists already", 409, make_status(reason="AlreadyExists"), errors.AlreadyExists),
    ("a stale resourceVersion is a conflict", 409, make_status(reason="Conflict"), errors.Conflict),
    ("an old resourceVersion is expired", 410, make_status(reason="Expired"), errors.Expired),
    ("an object that is too large is invalid", 413, make_status(), errors.Invalid),
    ("an object that breaks its schema is invalid", 422, make_status(reason="Invalid"), errors.Invalid),
    (
        "so is one of which the server names the field",
        422,
        make_status(details={"causes": [{"field": "spec.replicas"}], "name": "discover-x"}),
        errors.Invalid,
    ),
    (
        "an apply to a namesake of another uid is a conflict",
        422,
        make_status(details=UID_CAUSE),
        errors.Conflict,
    ),
    ("too many requests are just that", 429, make_status(), errors.TooManyRequests),
    ("a failing webhook makes the server unavailable", 500, make_status(), errors.Unavailable),
    ("a proxy that finds no server is unavailable", 503, "upstream connect error", errors.Unavailable),
    ("a redirect is no API server", 302, "", errors.Unavailable),
]


@pytest.mark.parametrize(
    ("code", "body", "want"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS]
)
def test_answers(code: int, body: Any, want: type[errors.ApiError]) -> None:
    """One row per status that an API server answers with."""
    encoded = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    got = failure(CALL, code, encoded)
    assert type(got) is want
    assert got.code == code


@pytest.mark.parametrize("page", [b"x" * 1_000_000, b"\xff\xfe" * 500_000], ids=["text", "no text"])
def test_a_page_of_a_proxy_is_quoted_in_part(page: bytes) -> None:
    """It goes into logs and conditions."""
    assert 1000 < len(str(failure(CALL, 502, page))) < 3000


def test_every_error_class_has_an_answer() -> None:
    """A class nobody raises would be a promise not kept; a new one must be mapped."""
    want = {
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.ApiError) and value is not errors.ApiError
    }
    # No server says it: the client does, of what it reads (test_client.py).
    assert {row[3] for row in ANSWERS} == want - {errors.TooLarge}


@pytest.mark.parametrize(
    ("said", "want"),
    [
        pytest.param(
            'jobs.batch is forbidden: User "x" cannot create resource "jobs" in API group "batch" '
            'in the namespace "team"',
            'the operator may not "create" jobs.batch in namespace team: add it to its role',
            id="the verb that the server names is named, not ours",
        ),
        pytest.param(
            'nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope',
            'the operator may not "list" nodes in the whole cluster: add it to its role',
            id="core kinds have no group, cluster kinds no namespace",
        ),
        pytest.param(
            'x is forbidden: User "x" cannot patch resource "aimservices/status" in API group '
            '"aim.silogen.ai" in the namespace "team"',
            'the operator may not "patch" aimservices.aim.silogen.ai/status in namespace team: '
            "add it to its role",
            id="a subresource is spelled as RBAC does",
        ),
        pytest.param(
            'pods "x" is forbidden: exceeded quota: q, requested: cpu=1',
            'patch jobs.batch discover-x in namespace team: pods "x" is forbidden: '
            "exceeded quota: q, requested: cpu=1",
            id="a quota speaks for itself",
        ),
    ],
)
def test_forbidden_messages(said: str, want: str) -> None:
    """RBAC refusals say what to add; other refusals keep their own words."""
    got = failure(CALL, 403, msgspec.json.encode(make_status(said, "Forbidden")))
    assert str(got) == want


@pytest.mark.parametrize(
    ("headers", "status", "want"),
    [
        pytest.param({"Retry-After": "7"}, make_status(), 7.0, id="the header counts"),
        pytest.param({}, make_status(details={"retryAfterSeconds": 3}), 3.0, id="else the Status"),
        pytest.param({"Retry-After": "tomorrow"}, make_status(), 1.0, id="else a second"),
        pytest.param({"Retry-After": "0"}, make_status(), 1.0, id="never at once: lists would go round"),
        pytest.param({}, make_status(details={"retryAfterSeconds": -9}), 1.0, id="nor before now"),
        pytest.param({"Retry-After": "86400"}, make_status(), 300.0, id="nor a day, nor deaf for as long"),
        pytest.param({}, make_status(details={"retryAfterSeconds": 86400}), 300.0, id="whoever says so"),
        pytest.param({"Retry-After": "9" * 400}, make_status(), 300.0, id="nor for ever"),
    ],
)
def test_retry_after(headers: dict[str, str], status: dict[str, Any], want: float) -> None:
    """How long to stay away is what the server asked for."""
    got = failure(CALL, 429, msgspec.json.encode(status), headers)
    assert isinstance(got, errors.TooManyRequests)
    assert got.retry_after_seconds == want


KEY = ConnectionKey(
    host="api", port=6443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)
RAISED: list[tuple[str, Exception, str]] = [
    (
        "refused",
        aiohttp.ClientConnectorError(KEY, OSError(111, "Connection refused")),
        "api:6443: Connection refused",
    ),
    (
        "untrusted",
        aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLError("self-signed")),
        "is not trusted",
    ),
    ("disconnected", aiohttp.ServerDisconnectedError(), "disconnected"),
    ("truncated", aiohttp.ClientPayloadError("incomplete"), "incomplete"),
    ("reset", ConnectionResetError(104, "Connection reset by peer"), "reset by peer"),
    ("timeout", TimeoutError(), "no answer in time"),
    ("silence", aiohttp.SocketTimeoutError("Timeout on reading"), "no answer in time"),
    ("bad URL", aiohttp.InvalidURL("http://"), "http://"),
]


@pytest.mark.parametrize(("raised", "want"), [row[1:] for row in RAISED], ids=[row[0] for row in RAISED])
def test_network_failures(raised: Exception, want: str) -> None:
    """Whatever aiohttp raises is Unavailable, and says why."""
    with pytest.raises(errors.Unavailable, match=r"patch jobs\.batch discover-x") as got, translated(CALL):
        raise raised
    assert want in str(got.value)


def test_every_client_error_of_aiohttp_is_translated() -> None:
    """aiohttp may grow exceptions: those its client exports descend from the one that is caught."""
    exported = {getattr(aiohttp.client_exceptions, name) for name in aiohttp.client_exceptions.__all__}
    exported.discard(aiohttp.WSMessageTypeError)  # we open no web sockets
    assert [error for error in exported if not issubclass(error, aiohttp.ClientError)] == []


@pytest.mark.parametrize(
    ("cause", "want"),
    [
        pytest.param(TimeoutError(), True, id="without an answer it may have been done"),
        pytest.param(RAISED[0][1], False, id="without a connection it was not"),
    ],
)
def test_maybe_written(cause: Exception, want: bool) -> None:  # noqa: FBT001
    """Creates are sent again only when they certainly did not arrive."""
    with pytest.raises(errors.Unavailable) as raised, translated(CALL):
        raise cause
    assert maybe_written(raised.value) is want


@pytest.mark.parametrize("code", [400, 405, 422])
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(Call("get", "pods/log", "team", "discover-x-1"), id="a log"),
        pytest.param(Call("get", "jobs.batch", "team", "discover-x"), id="an object"),
        pytest.param(Call("list", "jobs.batch", "team"), id="a list"),
    ],
)
def test_a_read_that_is_refused_may_succeed_later(call: Call, code: int) -> None:
    """A kubelet whose runtime restarts answers 400 "container not found"."""
    status = make_status('container "discovery" in pod "discover-x-1" is not available', reason="BadRequest")
    got = failure(call, code, msgspec.json.encode(status))
    assert type(got) is errors.Unavailable
    assert "is not available" in str(got)
    assert got.code == code


def test_a_server_without_streamed_lists_is_told_apart() -> None:
    """A watch is no such read: the watcher then pages instead."""
    got = failure(Call("watch", "jobs.batch"), 422, msgspec.json.encode(make_status()))
    assert type(got) is errors.Invalid
