"""TLS that takes many records from the kernel at once.

Python's own sockets have OpenSSL ask the kernel for each record's five bytes of header, then for its 16 KiB
of content: two calls of recv(2), and locks of the connection, for every 16 KiB. Here one recv(2) brings what
has arrived, and the records are decrypted out of memory: a third less CPU to receive a GiB.

The rest is as of Python's: who is trusted, names, versions, ciphers, errors, and how long a read may take.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from urllib3.util.ssltransport import SSLTransport

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")

_RECEIVED_BYTES = 256 * 1024
"""More at once falls out of a core's cache before it is decrypted; less costs more calls."""


class Context(ssl.SSLContext):
    """As the base class, of a client; what it makes of a socket is `Secured`."""

    def wrap_socket(  # noqa: PLR0917 - the base class's
        self,
        sock: socket.socket,
        server_side: bool = False,  # noqa: FBT001, FBT002
        do_handshake_on_connect: bool = True,  # noqa: FBT001, FBT002
        suppress_ragged_eofs: bool = True,  # noqa: FBT001, FBT002
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """With the handshake at once, and nothing else that can be chosen: as urllib3 asks for it."""
        if server_side or not (do_handshake_on_connect and suppress_ragged_eofs):
            raise ValueError("a client's, with the handshake at once")
        if self.check_hostname and not server_hostname:
            # Python's sockets refuse this; without them OpenSSL would compare no name at all.
            raise ValueError("check_hostname requires server_hostname")
        return cast("ssl.SSLSocket", Secured(sock, self, server_hostname, session))


class _Received(threading.local):
    """One buffer to a thread: nothing stays in it between two calls."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_RECEIVED_BYTES))


_RECEIVED = _Received()


def holds_more(sock: object) -> bool:
    """Whether bytes came over a connection that nobody has read, and which poll(2) does not see.

    `SSLTransport` is urllib3's TLS inside of a proxy's.
    """
    if isinstance(sock, SSLTransport):
        return bool(sock.incoming.pending or sock.sslobj.pending()) or holds_more(sock.socket)
    return isinstance(sock, Secured) and sock.holds_more


class Secured(socket.socket):
    """A socket whose bytes are encrypted. Takes over the one that it is made of, and shakes hands.

    One thread at a time uses it. Raises what `ssl.SSLSocket` does: ssl.SSLError, OSError, and TimeoutError
    once nothing could be decrypted for the socket's timeout, however many bytes of a record came.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_hostname: str | bytes | None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        limit_seconds = sock.gettimeout()
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.settimeout(limit_seconds)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._failure: ssl.SSLError | None = None
        self._is_dry = True
        try:
            self._tls = context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=server_hostname, session=session
            )
            self._until_done(self._tls.do_handshake)
        except BaseException:
            self.close()
            raise

    @property
    def holds_more(self) -> bool:
        """Whether bytes came that nobody has read."""
        return bool(self._incoming.pending or self._tls.pending())

    def getpeercert(self, binary_form: bool = False) -> ssl._PeerCertRetType:  # noqa: FBT001, FBT002
        return self._tls.getpeercert(binary_form)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Decrypt into the buffer what has arrived, a byte at least; 0 at any end."""
        if flags:
            raise ValueError("TLS has no flags")
        view = memoryview(buffer).cast("B")
        view = view[:nbytes] if nbytes else view
        if not view:
            return 0
        if self._failure is not None:
            raise self._failure
        began = time.monotonic()
        while True:
            # Where all that came was decrypted the last time there is nothing to try.
            count = None if self._is_dry else self._decrypted(view)
            if self._outgoing.pending:
                self._flush()
            if count is not None:
                return count
            self._receive(began)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        view = memoryview(bytearray(bufsize))
        return bytes(view[: self.recv_into(view, flags=flags)])

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        if flags:
            raise ValueError("TLS has no flags")
        return self._until_done(lambda: self._tls.write(data))

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        view = memoryview(data).cast("B")
        while view:
            view = view[self.send(view, flags) :]

    def _decrypted(self, view: memoryview) -> int | None:
        """How much of the view is filled, of all records that came; None if none came, 0 at any end.

        Raises the first one's error; a later one's is kept, to be told after the bytes that came before it.
        """
        # It gives one record at a time, and typeshed knows neither buffers nor numbers.
        read = cast("Callable[[int, memoryview], int]", self._tls.read)
        count, size = 0, len(view)
        try:
            while count < size and (got := read(size - count, view[count:])):
                count += got
        except ssl.SSLWantReadError:
            self._is_dry = True
            return count or None
        except ssl.SSLEOFError:
            self._say_last()
        except ssl.SSLError as error:
            self._failure = error
            self._say_last()
            if not count:
                raise
        return count

    def _until_done(self, step: Callable[[], T]) -> T:
        """What the step returns, once what it waits for has come; what it has to say is sent."""
        began = time.monotonic()
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError:
                self._say_last()
                raise
            else:
                self._flush()
                return done
            self._receive(began)

    def _receive(self, began: float) -> None:
        """Take what has come, or wait for it; TimeoutError once it is too long ago that the wait began."""
        limit_seconds = self.gettimeout()
        if limit_seconds is not None and time.monotonic() - began > limit_seconds:
            raise TimeoutError("TLS records came too slowly")
        received = _RECEIVED.view
        if count := super().recv_into(received):
            self._incoming.write(received[:count])
        else:
            self._incoming.write_eof()
        self._is_dry = False

    def _say_last(self) -> None:
        """Tell the other side why this ends, if it is still there."""
        with contextlib.suppress(OSError):
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            super().sendall(self._outgoing.read())
