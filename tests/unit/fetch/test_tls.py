"""TLS as Python's own sockets have it, though many records are taken from the kernel at once."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
import urllib3

from aim_operator.fetch.connections import Connections
from aim_operator.fetch.tls import Context, Secured

CONTENT = random.Random(5).randbytes(3_000_000)
PATIENT_SECONDS = 60
RECORD_BYTES = 16 * 1024


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def contexts(ca: trustme.CA, request: pytest.FixtureRequest) -> tuple[Context, ssl.SSLContext]:
    """Ours and the server's, which is localhost."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server)
    server.minimum_version = server.maximum_version = request.param
    client = Context(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(client)
    return client, server


class Wire:
    """The server's side of a connection, whose bytes it can hold back or spoil."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._outgoing.read())
                self._incoming.write(self.sock.recv(65536))
            else:
                self.sock.sendall(self._outgoing.read())
                return

    def encrypted(self, content: bytes) -> bytes:
        self._tls.write(content)
        return self._outgoing.read()

    def trickle(self, content: bytes, ended: threading.Event) -> None:
        for number in range(len(content)):
            if ended.wait(0.02):
                return
            self.sock.sendall(content[number : number + 1])


@contextlib.contextmanager
def talking(
    behaviour: Callable[[socket.socket], None], limit_seconds: float = PATIENT_SECONDS
) -> Iterator[socket.socket]:
    """Our end of a connection to a server that behaves so, in a thread; it is over once ours is closed."""
    ours, theirs = socket.socketpair()
    ours.settimeout(limit_seconds)

    def serve() -> None:
        with theirs, contextlib.suppress(OSError):
            behaviour(theirs)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours:
            yield ours
    finally:
        thread.join(PATIENT_SECONDS)


def received(secured: Secured) -> bytes:
    content, buffer = bytearray(), memoryview(bytearray(1_000_000))
    while count := secured.recv_into(buffer):
        content += buffer[:count]
    return bytes(content)


def test_what_is_sent_arrives_both_ways(contexts: tuple[Context, ssl.SSLContext]) -> None:
    client, server = contexts

    def echo(sock: socket.socket) -> None:
        with server.wrap_socket(sock, server_side=True) as theirs:
            content = bytearray()
            while len(content) < len(CONTENT):
                content += theirs.recv(65536)
            theirs.sendall(content)
            theirs.unwrap()

    with talking(echo) as sock, Secured(sock, client, "localhost") as secured:
        assert secured.getpeercert()
        secured.sendall(CONTENT)
        assert received(secured) == CONTENT


@pytest.mark.parametrize("name", ["elsewhere", "127.0.0.1"])
def test_a_server_with_another_name_is_refused(name: str, contexts: tuple[Context, ssl.SSLContext]) -> None:
    client, server = contexts
    told: list[ssl.SSLError] = []

    def shake_hands(sock: socket.socket) -> None:
        try:
            with server.wrap_socket(sock, server_side=True) as theirs:
                theirs.recv(1)
        except ssl.SSLError as error:
            told.append(error)

    with talking(shake_hands) as sock, pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        Secured(sock, client, name)
    assert "alert" in str(told[0]), "the server is told why"


@pytest.mark.parametrize("name", [None, ""])
def test_without_a_name_nobody_is_trusted(name: str | None, ca: trustme.CA) -> None:
    client = Context(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(client)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.close()
        with pytest.raises(ValueError, match="server_hostname"):
            client.wrap_socket(ours, server_hostname=name)


def test_a_handshake_that_comes_byte_by_byte_ends_at_the_limit(
    contexts: tuple[Context, ssl.SSLContext],
) -> None:
    """Each byte comes within the limit, and all of them would take hours."""
    ended = threading.Event()

    def trickle(sock: socket.socket) -> None:
        sock.recv(65536)
        # The header of a record, and some of its content.
        Wire(sock, contexts[1]).trickle(b"\x16\x03\x03\x40\x00" + bytes(RECORD_BYTES), ended)

    with talking(trickle, 0.3) as sock:
        with pytest.raises(TimeoutError, match="too slowly"):
            Secured(sock, contexts[0], "localhost")
        ended.set()


def test_a_record_that_comes_byte_by_byte_ends_at_the_limit(contexts: tuple[Context, ssl.SSLContext]) -> None:
    ended = threading.Event()

    def trickle(sock: socket.socket) -> None:
        wire = Wire(sock, contexts[1])
        wire.shake_hands()
        wire.trickle(wire.encrypted(CONTENT[:RECORD_BYTES]), ended)

    with talking(trickle) as sock, Secured(sock, contexts[0], "localhost") as secured:
        secured.settimeout(0.3)
        with pytest.raises(TimeoutError, match="too slowly"):
            secured.recv(RECORD_BYTES)
        ended.set()


@pytest.mark.parametrize("records_at_once", [2, 8])
def test_what_came_before_a_spoilt_record_is_handed_out_and_then_the_error(
    records_at_once: int, contexts: tuple[Context, ssl.SSLContext]
) -> None:
    def spoil(sock: socket.socket) -> None:
        wire = Wire(sock, contexts[1])
        wire.shake_hands()
        good = wire.encrypted(CONTENT[: 2 * RECORD_BYTES])
        bad = bytearray(wire.encrypted(CONTENT[:RECORD_BYTES]))
        bad[-1] ^= 1
        sock.sendall(good + bytes(bad))
        sock.recv(65536)

    with talking(spoil) as sock, Secured(sock, contexts[0], "localhost") as secured:
        content, buffer = b"", memoryview(bytearray(records_at_once * RECORD_BYTES))
        while len(content) < 2 * RECORD_BYTES:
            content += buffer[: secured.recv_into(buffer)]
        assert content == CONTENT[: 2 * RECORD_BYTES]
        for _ in range(2):
            with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
                secured.recv(RECORD_BYTES)


@pytest.mark.parametrize("good_bytes", [0, 2 * RECORD_BYTES])
def test_a_server_that_spoils_a_record_is_sent_an_alert(
    good_bytes: int, contexts: tuple[Context, ssl.SSLContext]
) -> None:
    alerts: list[bytes] = []

    def spoil(sock: socket.socket) -> None:
        wire = Wire(sock, contexts[1])
        wire.shake_hands()
        good = wire.encrypted(CONTENT[:good_bytes]) if good_bytes else b""
        bad = bytearray(wire.encrypted(CONTENT[:RECORD_BYTES]))
        bad[-1] ^= 1
        sock.sendall(good + bytes(bad))
        alerts.append(sock.recv(65536))

    with talking(spoil) as sock:
        secured = Secured(sock, contexts[0], "localhost")
        buffer = memoryview(bytearray(good_bytes))
        while buffer:
            buffer = buffer[secured.recv_into(buffer) :]
        with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
            secured.recv(RECORD_BYTES)
        secured.close()
    assert [bool(alert) for alert in alerts] == [True]


def test_what_came_before_a_spoilt_record_is_handed_out_where_the_server_has_gone(
    contexts: tuple[Context, ssl.SSLContext],
) -> None:
    """No alert can be sent then."""
    gone = threading.Event()

    def spoil(sock: socket.socket) -> None:
        wire = Wire(sock, contexts[1])
        wire.shake_hands()
        bad = bytearray(wire.encrypted(CONTENT[: 2 * RECORD_BYTES]))
        bad[-1] ^= 1
        sock.sendall(bytes(bad))
        sock.close()
        gone.set()

    with talking(spoil) as sock, Secured(sock, contexts[0], "localhost") as secured:
        assert gone.wait(PATIENT_SECONDS)
        buffer = memoryview(bytearray(4 * RECORD_BYTES))
        assert secured.recv_into(buffer) == RECORD_BYTES
        assert buffer[:RECORD_BYTES] == CONTENT[:RECORD_BYTES]
        with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
            secured.recv(RECORD_BYTES)


@pytest.mark.parametrize("how", ["announced", "not announced"])
def test_the_end_is_an_end_announced_or_not(how: str, contexts: tuple[Context, ssl.SSLContext]) -> None:
    """A body that is shorter than it was to be is found by its length."""

    def end(sock: socket.socket) -> None:
        with contexts[1].wrap_socket(sock, server_side=True) as theirs:
            theirs.sendall(CONTENT)
            if how == "announced":
                theirs.unwrap()

    with talking(end) as sock, Secured(sock, contexts[0], "localhost") as secured:
        assert received(secured) == CONTENT
        assert secured.recv(1) == b""


def test_a_server_that_goes_in_the_handshake_is_an_error(contexts: tuple[Context, ssl.SSLContext]) -> None:
    with talking(lambda sock: sock.close()) as sock, pytest.raises((ssl.SSLEOFError, ConnectionError)):
        Secured(sock, contexts[0], "localhost")


def test_bytes_after_an_answer_are_not_taken_for_the_next_one(
    contexts: tuple[Context, ssl.SSLContext], ca: trustme.CA, tmp_path: Path
) -> None:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    connections = Connections(
        count=1, idle_seconds=PATIENT_SECONDS, environment={"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=say_too_much, args=(contexts[1], listener))
        serving.start()
        url = f"https://localhost:{listener.getsockname()[1]}/"
        got = [whole(connections.get(url, {})) for _ in range(2)]
        connections.close()
        serving.join(PATIENT_SECONDS)
    assert got == [CONTENT[:1_000_000], b"asked for"]


def test_a_hub_behind_a_proxy_that_is_spoken_to_over_tls_too(
    contexts: tuple[Context, ssl.SSLContext], ca: trustme.CA, tmp_path: Path
) -> None:
    asked: list[bytes] = []

    def serve_hub(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with contexts[1].wrap_socket(sock, server_side=True) as theirs:
            asked.append(theirs.recv(65536))
            theirs.sendall(answer(CONTENT))

    def serve_proxy(listener: socket.socket, hub_port: int) -> None:
        sock, _ = listener.accept()
        with (
            contexts[1].wrap_socket(sock, server_side=True) as client,
            socket.create_connection(("127.0.0.1", hub_port)) as hub,
        ):
            asked.append(client.recv(65536))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            relay(client, hub)

    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with (
        socket.create_server(("127.0.0.1", 0)) as hub,
        socket.create_server(("127.0.0.1", 0)) as proxy,
    ):
        environment = {
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
            "HTTPS_PROXY": f"https://localhost:{proxy.getsockname()[1]}",
        }
        serving = [
            threading.Thread(target=serve_hub, args=(hub,)),
            threading.Thread(target=serve_proxy, args=(proxy, hub.getsockname()[1])),
        ]
        for one in serving:
            one.start()
        connections = Connections(count=1, idle_seconds=PATIENT_SECONDS, environment=environment)
        port = hub.getsockname()[1]
        assert whole(connections.get(f"https://localhost:{port}/model", {})) == CONTENT
        connections.close()
        for one in serving:
            one.join(PATIENT_SECONDS)
    assert [line.partition(b" HTTP")[0] for line in asked] == [
        f"CONNECT localhost:{port}".encode(),
        b"GET /model",
    ]


def test_bytes_after_an_answer_through_a_proxy_over_tls_are_not_taken_for_the_next_one(
    contexts: tuple[Context, ssl.SSLContext], ca: trustme.CA, tmp_path: Path
) -> None:
    """The end of the answer and the beginning of what nobody asked for are in one record: no poll tells."""

    def serve_proxy(listener: socket.socket, hub_port: int) -> None:
        for _ in range(2):
            sock, _ = listener.accept()
            with (
                contexts[1].wrap_socket(sock, server_side=True) as client,
                socket.create_connection(("127.0.0.1", hub_port)) as hub,
                contextlib.suppress(OSError),
            ):
                client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                relay(client, hub)

    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with (
        socket.create_server(("127.0.0.1", 0)) as hub,
        socket.create_server(("127.0.0.1", 0)) as proxy,
    ):
        environment = {
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
            "HTTPS_PROXY": f"https://localhost:{proxy.getsockname()[1]}",
        }
        serving = [
            threading.Thread(target=say_too_much, args=(contexts[1], hub), daemon=True),
            threading.Thread(target=serve_proxy, args=(proxy, hub.getsockname()[1]), daemon=True),
        ]
        for one in serving:
            one.start()
        connections = Connections(count=1, idle_seconds=PATIENT_SECONDS, environment=environment)
        url = f"https://localhost:{hub.getsockname()[1]}/"
        got = [whole(connections.get(url, {})) for _ in range(2)]
        connections.close()
        assert got == [CONTENT[:1_000_000], b"asked for"]
        for one in serving:
            one.join(PATIENT_SECONDS)


def say_too_much(context: ssl.SSLContext, listener: socket.socket) -> None:
    """Answer with more than was announced, which nobody asked for; then, on another connection, as asked."""
    for body in (CONTENT[:1_000_000] + answer(b"not asked for"), b"asked for"):
        sock, _ = listener.accept()
        with context.wrap_socket(sock, server_side=True) as theirs, contextlib.suppress(OSError):
            theirs.recv(65536)
            theirs.sendall(answer(body, min(len(body), 1_000_000)))
            theirs.recv(65536)


def relay(client: ssl.SSLSocket, hub: socket.socket) -> None:
    """Until one side closes. In one thread: OpenSSL takes no two at once."""
    others: dict[object, socket.socket] = {client: hub, hub: client}
    with selectors.DefaultSelector() as selector:
        for each in (client, hub):
            selector.register(each, selectors.EVENT_READ, each)
        while True:
            waiting = [] if client.pending() else selector.select(PATIENT_SECONDS)
            for source in [key.data for key, _ in waiting] or [client]:
                content = source.recv(65536)
                if not content:
                    return
                others[source].sendall(content)


def answer(body: bytes, length: int | None = None) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length or len(body)}\r\n\r\n".encode() + body


def whole(response: urllib3.BaseHTTPResponse) -> bytes:
    content = b""
    while piece := response.read1(1 << 20, decode_content=False):
        content += piece
    response.close()
    return content
