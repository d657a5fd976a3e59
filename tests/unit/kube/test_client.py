"""What goes over the wire, and what is tried again: against a scripted server on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trustme
from aiohttp import web

from aim_operator import errors
from aim_operator.api.external import JOBS, NODES
from aim_operator.kube.authorization import Anonymous, Fixed
from aim_operator.kube.client import MOST_PAGE_BYTES, Client
from aim_operator.kube.credentials import Connection, impersonating
from aim_operator.kube.protocol import KubeClient
from aim_operator.kube.retries import ATTEMPTS
from aim_operator.kube.translate import Call
from aim_operator.kube.transport import Request, SilentObserver, Transport
from aim_operator.kube.transport import _socket as make_socket
from tests.support.http_serving import Serving

JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "j", "namespace": "team", "resourceVersion": "5"},
}
METADATA = "application/json;as={};g=meta.k8s.io;v=v1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ClientCall = Callable[[Client], Awaitable[Any]]


class Server:
    """Answers with what it is given, in turn; the last answer repeats. Keeps the requests."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path, dict(request.query), dict(request.headers), body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if callable(answer):
            streamed: web.StreamResponse = await answer(request)
            return streamed
        status, content, headers = answer
        return web.Response(status=status, body=msgspec.json.encode(content), headers=headers)


class Counting(SilentObserver):
    def __init__(self) -> None:
        self.codes: list[int] = []
        self.warnings: list[str] = []

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        self.codes.append(code)

    def warned(self, resource: str, text: str) -> None:
        self.warnings.append(text)


class Renewing:
    """Credentials that get better when rejected."""

    def __init__(self) -> None:
        self.token = "old"

    async def header(self, *, rejected: bool = False) -> str:
        if rejected:
            self.token = "new"
        return f"Bearer {self.token}"

    def can_renew(self) -> bool:
        return True


def ok(content: Any = JOB, **headers: str) -> tuple[int, Any, dict[str, str]]:
    return 200, content, headers


def failed(status: int, reason: str = "", **headers: str) -> tuple[int, Any, dict[str, str]]:
    return status, {"kind": "Status", "message": "no", "reason": reason, "details": {"name": "j"}}, headers


async def drop(request: web.Request) -> web.StreamResponse:
    """Closes the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def streaming(*chunks: bytes, breaks: bool = False) -> Handler:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if breaks:
            assert request.transport is not None
            request.transport.close()
        return response

    return stream


@asynccontextmanager
async def serving(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Serving]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    at = await Serving.start(app, tls=tls)
    try:
        yield at
    finally:
        await at.close()


@asynccontextmanager
async def connected(
    server: Server,
    *,
    authorization: Any = None,
    timeout_seconds: float = 30,
    observer: Any = None,
    as_user: str = "",
    as_groups: tuple[str, ...] = (),
    tls: ssl.SSLContext | None = None,
    **fields: Any,
) -> AsyncIterator[Client]:
    """A client of this server; `fields` are those of its Connection."""
    async with serving(server, tls) as at:
        connection = Connection(
            server=f"http{'s' if tls else ''}://127.0.0.1:{at.port}",
            authorization=authorization or Anonymous(),
            **fields,
        )
        if as_user:
            connection = impersonating(connection, as_user, as_groups)
        client = Client(connection, timeout_seconds=timeout_seconds, observer=observer)
        try:
            yield client
        finally:
            await client.close()


def event(kind: str, name: str = "j", version: str = "6") -> bytes:
    obj = {"kind": "Job", "metadata": {"name": name, "namespace": "team", "resourceVersion": version}}
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"


async def test_apply_is_an_apply_patch_by_our_field_manager() -> None:
    """Forced only when asked to."""
    server = Server(ok())
    async with connected(server) as client:
        await client.apply(JOBS, JOB)
        await client.apply(JOBS, JOB, force=True)
    (method, path, query, headers, body), forced = server.requests
    assert (method, path) == ("PATCH", "/apis/batch/v1/namespaces/team/jobs/j")
    assert query == {"fieldManager": "aim-operator", "fieldValidation": "Warn", "force": "false"}
    assert forced[2]["force"] == "true"
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert headers["User-Agent"].startswith("aim-operator/")
    assert msgspec.json.decode(body) == JOB


async def test_a_status_patch_goes_to_its_subresource() -> None:
    """As a merge patch."""
    server = Server(ok())
    async with connected(server) as client:
        await client.patch_status(JOBS, "j", {"status": {"active": None}}, namespace="team")
    method, path, _, headers, body = server.requests[0]
    assert (method, path) == ("PATCH", "/apis/batch/v1/namespaces/team/jobs/j/status")
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert msgspec.json.decode(body) == {"status": {"active": None}}


async def test_a_patch_goes_to_the_object_itself() -> None:
    """Not to its status, where the server would leave all else as it was."""
    server = Server(ok())
    async with connected(server) as client:
        await client.patch(JOBS, "j", {"spec": {"suspend": True}}, namespace="team")
    method, path, query, headers, body = server.requests[0]
    assert (method, path) == ("PATCH", "/apis/batch/v1/namespaces/team/jobs/j")
    assert query["fieldManager"] == "aim-operator"
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert msgspec.json.decode(body) == {"spec": {"suspend": True}}


async def test_a_status_patch_that_is_a_list_is_a_json_patch() -> None:
    """Only there a null is a value."""
    server = Server(ok())
    patch = [{"op": "add", "path": "/status/active", "value": {"a": None}}]
    async with connected(server) as client:
        await client.patch_status(JOBS, "j", patch, namespace="team")
    *_, headers, body = server.requests[0]
    assert headers["Content-Type"] == "application/json-patch+json"
    assert msgspec.json.decode(body) == patch


async def test_a_delete_carries_its_preconditions() -> None:
    """In the body."""
    server = Server(ok())
    async with connected(server) as client:
        await client.delete(JOBS, "j", namespace="team", uid="u", resource_version="5")
    assert msgspec.json.decode(server.requests[0][4]) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u", "resourceVersion": "5"},
    }


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
async def test_a_deletion_says_what_becomes_of_the_children(propagation: Any) -> None:
    """Without preconditions there are none in it, not empty ones."""
    server = Server(ok())
    async with connected(server) as client:
        await client.delete(JOBS, "j", namespace="team", propagation=propagation)
    assert msgspec.json.decode(server.requests[0][4]) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
    }


SELECTED: dict[str, Any] = {
    "label_selector": "ours=yes",
    "field_selector": "metadata.name=j",
    "resource_version": "7",
}
SELECTED_QUERY = {"labelSelector": "ours=yes", "fieldSelector": "metadata.name=j", "resourceVersion": "7"}


async def test_a_list_and_its_watch_are_of_the_same_objects() -> None:
    """Of one namespace, with these labels and fields, and the watch from where the list was."""
    server = Server(ok({"metadata": {}, "items": []}), streaming())
    async with connected(server) as client:
        await client.list(JOBS, namespace="team", limit=3, **SELECTED)
        _ = [e async for e in client.watch(JOBS, namespace="team", timeout_seconds=60, **SELECTED)]
    listed, watched = server.requests
    assert listed[1] == watched[1] == "/apis/batch/v1/namespaces/team/jobs"
    assert listed[2] == {"limit": "3", **SELECTED_QUERY}
    times = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "60"}
    assert watched[2] == times | SELECTED_QUERY


async def test_two_pages_are_read_at_a_time() -> None:
    """Decoded, one may take twenty times its bytes, and twenty kinds are listed when the operator starts."""
    reading, most = 0, 0

    async def slow(_request: web.Request) -> web.StreamResponse:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0.02)
        reading -= 1
        return web.json_response({"metadata": {}, "items": []})

    async with connected(Server(slow)) as client:
        await asyncio.gather(*(client.list(JOBS) for _ in range(6)))
    assert most == 2


async def test_metadata_only_kinds_ask_for_metadata() -> None:
    """And come back under their own kind."""
    node = {"kind": "PartialObjectMetadata", "metadata": {"name": "n"}}
    server = Server(ok({"metadata": {"resourceVersion": "7", "continue": "t"}, "items": [node]}))
    async with connected(server) as client:
        page = await client.list(NODES, limit=1)
        await client.list(NODES, continue_token=page.continue_token, resource_version="7")
    assert page.items[0].kind == "Node"
    assert server.requests[0][3]["Accept"] == METADATA.format("PartialObjectMetadataList")
    assert server.requests[1][2] == {"limit": "500", "continue": "t"}


async def test_one_object_of_a_metadata_only_kind_is_no_list() -> None:
    """Nor is what a watch sends."""
    server = Server(ok({"metadata": {"name": "n"}}), streaming())
    async with connected(server) as client:
        assert (await client.get(NODES, "n")).kind == "Node"
        _ = [e async for e in client.watch(NODES)]
    assert [request[3]["Accept"] for request in server.requests] == [
        METADATA.format("PartialObjectMetadata")
    ] * 2


async def test_a_page_of_large_objects_is_given_up_before_it_fills_the_memory() -> None:
    """500 services of 1.4 MB are 700 MB in one answer: fewer are to be asked for."""
    read = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal read
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" " * MOST_PAGE_BYTES)
            read += 1
        return response

    server = Server(endless)
    async with connected(server) as client:
        with pytest.raises(errors.TooLarge):
            await client.list(JOBS)
    assert read < 10
    assert len(server.requests) == 1


async def test_a_single_object_may_be_larger_than_a_page() -> None:
    job = JOB | {"status": {"conditions": [{"type": "a", "status": "b", "message": "x" * MOST_PAGE_BYTES}]}}
    async with connected(Server(ok({"metadata": {}, "items": [job]}))) as client:
        assert len((await client.list(JOBS, limit=1)).items) == 1


async def test_answers_are_not_compressed() -> None:
    """A megabyte of one letter takes a kilobyte: what is read would not bound what it becomes."""
    server = Server(ok())
    async with connected(server) as client:
        await client.get(JOBS, "j", namespace="team")
    assert server.requests[0][3]["Accept-Encoding"] == "identity"


async def test_a_watch_asks_for_bookmarks_and_an_initial_list() -> None:
    """In the spelling of KEP-3157; the stream's end is the iterator's."""
    server = Server(
        streaming(event("ADDED")[:20], event("ADDED")[20:] + event("DELETED"), event("ADDED")[:9])
    )
    async with connected(server) as client:
        got = [e.type async for e in client.watch(JOBS, send_initial_events=True, timeout_seconds=60)]
    assert got == ["ADDED", "DELETED"]
    assert server.requests[0][2] == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "60",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }


async def test_a_watch_that_breaks_says_so() -> None:
    """After the events that came."""
    async with connected(Server(streaming(event("ADDED"), breaks=True))) as client:
        events = client.watch(JOBS, resource_version="1")
        assert (await anext(events)).type == "ADDED"
        with pytest.raises(errors.Unavailable):
            await anext(events)


async def test_a_watch_refused_is_not_retried() -> None:
    """The watcher decides."""
    server = Server(failed(410, "Expired"))
    async with connected(server) as client:
        with pytest.raises(errors.Expired):
            _ = [e async for e in client.watch(JOBS, resource_version="1")]
    assert len(server.requests) == 1


async def test_logs_come_in_chunks() -> None:
    """From the container that is named."""
    server = Server(streaming(b"one\n", b"two\n"))
    async with connected(server) as client:
        got = b"".join([chunk async for chunk in client.logs("team", "p", container="c")])
    assert got == b"one\ntwo\n"
    assert server.requests[0][1:3] == ("/api/v1/namespaces/team/pods/p/log", {"container": "c"})


async def test_a_log_is_followed_from_near_its_end() -> None:
    server = Server(streaming(b"one\n"))
    async with connected(server) as client:
        _ = [chunk async for chunk in client.logs("team", "p", container="c", follow=True, tail_lines=0)]
    assert server.requests[0][2] == {"container": "c", "follow": "true", "tailLines": "0"}


async def test_a_log_that_does_not_end_is_given_up() -> None:
    """After what came of it: a container may write for ever."""
    silent = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await silent.wait()
        return response

    async with connected(Server(hang)) as client:
        chunks = client.logs("team", "p", container="c", limit_seconds=0.2)
        assert await anext(chunks) == b"one\n"
        with pytest.raises(errors.Unavailable, match="no answer in time"):
            await asyncio.wait_for(anext(chunks), 30)
        silent.set()


RETRIED: list[tuple[str, Any, int]] = [
    ("a 503", failed(503), 2),
    ("a 500", failed(500), 2),
    ("a 429", failed(429, **{"Retry-After": "0"}), 2),
    ("a closed connection", drop, 2),
]


@pytest.mark.parametrize(("first", "want"), [row[1:] for row in RETRIED], ids=[row[0] for row in RETRIED])
async def test_what_is_idempotent_is_tried_again(first: Any, want: int) -> None:
    """Reads, applies, patches, deletions of one very object."""
    calls: list[ClientCall] = [
        lambda client: client.get(JOBS, "j", namespace="team"),
        lambda client: client.apply(JOBS, JOB),
        lambda client: client.delete(JOBS, "j", namespace="team", uid="u"),
    ]
    for call in calls:
        server = Server(first, ok())
        async with connected(server) as client:
            await call(client)
        assert len(server.requests) == want


@pytest.mark.parametrize(
    ("first", "again"),
    [
        pytest.param(failed(503), False, id="not after a 503, which may have been carried out"),
        pytest.param(drop, False, id="not after a closed connection"),
        pytest.param(failed(429, **{"Retry-After": "0"}), True, id="after a 429, which was not"),
    ],
)
async def test_a_create_is_never_sent_twice_in_doubt(first: Any, again: bool) -> None:  # noqa: FBT001
    """Nor is a deletion by name alone."""
    calls: list[ClientCall] = [
        lambda client: client.create(JOBS, JOB, namespace="team"),
        lambda client: client.delete(JOBS, "j", namespace="team"),
    ]
    for call in calls:
        server = Server(first, ok())
        async with connected(server) as client:
            if again:
                await call(client)
            else:
                with pytest.raises(errors.Unavailable):
                    await call(client)
        assert len(server.requests) == (2 if again else 1)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422])
async def test_what_will_not_get_better_is_not_tried_again(status: int) -> None:
    """The caller decides what to do about it."""
    server = Server(failed(status))
    async with connected(server) as client:
        with pytest.raises(errors.ApiError):
            await client.get(JOBS, "j", namespace="team")
    assert len(server.requests) == 1


async def test_retries_end() -> None:
    """After a few, and every answer is counted."""
    observer = Counting()
    async with connected(Server(failed(429, **{"Retry-After": "0"})), observer=observer) as client:
        with pytest.raises(errors.TooManyRequests):
            await client.get(JOBS, "j", namespace="team")
    assert observer.codes == [429] * ATTEMPTS


async def test_a_call_without_an_answer_is_counted_too() -> None:
    """As code 0: else an API server that drops all calls looks like one that nobody calls."""
    observer = Counting()
    async with connected(Server(drop, ok()), observer=observer) as client:
        await client.get(JOBS, "j", namespace="team")
    assert observer.codes == [0, 200]


async def test_a_name_stays_in_its_place_of_the_path() -> None:
    """Commands take names from people; `?` would begin the query."""
    server = Server(ok())
    async with connected(server) as client:
        await client.get(JOBS, "a?b c%2F", namespace="team")
    assert server.requests[0][1:3] == ("/apis/batch/v1/namespaces/team/jobs/a?b c%2F", {})


async def test_a_long_retry_after_is_left_to_the_caller() -> None:
    """Waiting beyond the deadline helps nobody; the queue knows better."""
    server = Server(failed(429, **{"Retry-After": "240"}))
    async with connected(server) as client:
        with pytest.raises(errors.TooManyRequests) as got:
            await client.get(JOBS, "j", namespace="team")
    assert got.value.retry_after_seconds == 240
    assert len(server.requests) == 1


async def test_no_answer_in_time() -> None:
    """Every call has a deadline."""
    silent = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await silent.wait()
        return web.Response()

    async with connected(Server(hang), timeout_seconds=0.05) as client:
        with pytest.raises(errors.Unavailable, match="no answer in time"):
            await client.get(JOBS, "j", namespace="team")
        silent.set()


async def test_a_server_that_takes_no_connection_is_given_up_for_a_stream_too() -> None:
    """Its address is a machine that is gone: nothing refuses, and a watch has no deadline of its own."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    address: tuple[str, int] = full.getsockname()
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(address)
    connection = Connection(server=f"http://{address[0]}:{address[1]}", authorization=Anonymous())
    transport = Transport(connection, SilentObserver(), 1, connect_seconds=0.2)
    request = Request(method="GET", path="/", call=Call("watch", "jobs.batch"))
    async with asyncio.timeout(30):
        with pytest.raises(errors.Unavailable):
            await transport.stream(request).__aenter__()
    await transport.close()
    for each in (full, *waiting):
        each.close()


async def test_nobody_listens() -> None:
    """The message says where it was tried."""
    connection = Connection(server="http://127.0.0.1:9", authorization=Anonymous())
    client: KubeClient = Client(connection, timeout_seconds=0.1)  # which it is, says the type checker
    with pytest.raises(errors.Unavailable, match=r"cannot connect to 127\.0\.0\.1:9"):
        await client.get(JOBS, "j", namespace="team")
    await client.close()


async def test_a_server_is_known_by_the_name_and_the_authority_of_the_kubeconfig() -> None:
    """At an address that its certificate does not have, as behind a tunnel."""
    authority, theirs = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("kubernetes.default.svc").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    server = Server(ok())
    trusted: dict[str, Any] = {"tls": theirs, "ssl_context": ours}
    async with connected(server, server_hostname="kubernetes.default.svc", **trusted) as client:
        await client.get(JOBS, "j", namespace="team")
    async with connected(server, timeout_seconds=0.5, **trusted) as client:
        with pytest.raises(errors.Unavailable, match="certificate is not trusted"):
            await client.get(JOBS, "j", namespace="team")
    assert len(server.requests) == 1


async def test_a_server_behind_a_proxy_is_asked_by_way_of_it() -> None:
    """This one is the proxy, which is told the whole URL. Cookies, which pin to one server, are not kept."""
    asked: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((str(request.url), request.headers.get("Cookie")))
        return web.json_response(JOB, headers={"Set-Cookie": "server=1"})

    async with serving(Server(answer)) as proxy:
        connection = Connection(
            server="http://api.invalid", authorization=Anonymous(), proxy=f"http://127.0.0.1:{proxy.port}"
        )
        client = Client(connection, timeout_seconds=1)
        for _ in range(2):
            await client.get(JOBS, "j", namespace="team")
        await client.close()
    assert asked == [("http://api.invalid/apis/batch/v1/namespaces/team/jobs/j", None)] * 2


async def test_a_redirect_is_not_followed() -> None:
    """It would have the token sent to whoever it names."""
    server = Server((302, {}, {"Location": "/elsewhere"}))
    async with connected(server, timeout_seconds=0.05) as client:
        with pytest.raises(errors.Unavailable):
            await client.get(JOBS, "j", namespace="team")
    assert {request[1] for request in server.requests} == {"/apis/batch/v1/namespaces/team/jobs/j"}


async def test_whom_a_user_acts_as_is_said_with_every_request() -> None:
    """Several groups are several headers of one name."""
    seen: list[tuple[str | None, list[str]]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(
            (request.headers.get("Impersonate-User"), request.headers.getall("Impersonate-Group", []))
        )
        return web.json_response(JOB)

    server = Server(answer)
    async with connected(server) as client:
        await client.get(JOBS, "j", namespace="team")
    async with connected(server, as_user="jane", as_groups=("ml", "dev")) as client:
        await client.get(JOBS, "j", namespace="team")
    assert seen == [(None, []), ("jane", ["ml", "dev"])]


async def test_rejected_credentials_are_renewed_once() -> None:
    """A rotated token costs one answer of 401."""
    server = Server(failed(401), ok())
    async with connected(server, authorization=Renewing()) as client:
        await client.get(JOBS, "j", namespace="team")
    assert [request[3]["Authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]

    server = Server(failed(401))
    async with connected(server, authorization=Renewing()) as client:
        with pytest.raises(errors.Unauthorized):
            await client.get(JOBS, "j", namespace="team")
    assert len(server.requests) == 2


async def test_credentials_that_can_not_be_renewed_are_rejected_once() -> None:
    """The same again would be the same answer."""
    server = Server(failed(401))
    async with connected(server, authorization=Fixed.bearer("x")) as client:
        with pytest.raises(errors.Unauthorized):
            await client.get(JOBS, "j", namespace="team")
    assert len(server.requests) == 1


class Broken(Fixed):
    """A plugin that was there when the process started."""

    async def header(self, *, rejected: bool = False) -> str:
        raise errors.UserError("credential plugin x cannot be run")


async def test_a_plugin_that_fails_later_is_an_answer_like_401() -> None:
    """A running operator waits until it is mended; a UserError would end it."""
    async with connected(Server(ok()), authorization=Broken("")) as client:
        with pytest.raises(errors.Unauthorized, match="cannot be run"):
            await client.get(JOBS, "j", namespace="team")


async def test_a_hundred_watches_leave_a_connection_for_the_next() -> None:
    """Each namespace that is watched has one of each kind."""
    open_watches, enough = 0, asyncio.Event()

    async def watch(request: web.Request) -> web.StreamResponse:
        nonlocal open_watches
        response = web.StreamResponse()
        await response.prepare(request)
        open_watches += 1
        if open_watches == 110:
            enough.set()
        await enough.wait()
        return response

    async with connected(Server(watch)) as client:

        async def follow() -> None:
            _ = [e async for e in client.watch(JOBS, resource_version="1")]

        await asyncio.wait_for(asyncio.gather(*(follow() for _ in range(110))), 30)
    assert open_watches == 110


def test_a_connection_whose_other_end_is_gone_is_noticed() -> None:
    """No packet says so when a node dies; a watch would be silent until its own end, minutes later."""
    with make_socket((socket.AF_INET, socket.SOCK_STREAM, 0)) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if sys.platform == "linux":
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, interval, count = (made.getsockopt(socket.IPPROTO_TCP, option) for option in options)
            assert idle + interval * count <= 60
            assert 0 < made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000


async def test_a_server_that_makes_up_warnings_is_heard_for_a_while() -> None:
    """Each is remembered, to be told once."""
    observer, numbers = Counting(), iter(range(1000))

    async def warn(_request: web.Request) -> web.StreamResponse:
        return web.json_response(JOB, headers={"Warning": f'299 - "{next(numbers)}"'})

    async with connected(Server(warn), observer=observer) as client:
        for _ in range(300):
            await client.get(JOBS, "j", namespace="team")
    assert 100 < len(observer.warnings) < 300


async def test_warnings_of_the_server_are_told_once() -> None:
    """Deprecated versions, unknown fields."""
    observer = Counting()
    async with connected(Server(ok(Warning='299 - "unknown field"')), observer=observer) as client:
        for _ in range(3):
            await client.apply(JOBS, JOB)
    assert observer.warnings == ['299 - "unknown field"']


async def test_an_answer_that_does_not_fit_is_unavailable() -> None:
    """Our schema and the server's differ; that is for people to see, not for a crash."""
    async with connected(Server(ok({"metadata": 3}))) as client:
        with pytest.raises(errors.Unavailable, match="cannot be decoded"):
            await client.get(JOBS, "j", namespace="team")
