"""A container registry that gives nobody an image: some are not there, others want credentials or patience.

As the distribution specification has it (opencontainers/distribution-spec, spec.md, Error Codes). Container
runtimes speak plain HTTP to a registry on localhost.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCKED = "locked"
"""The folder whose images want credentials."""
BUSY = "busy"
"""The folder of whose images too many have been asked for."""


class _Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if f"/{LOCKED}/" in self.path:
            self._refuse(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", "authentication required")
        elif f"/{BUSY}/" in self.path:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "pull rate limit exceeded")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown")

    do_HEAD = do_GET  # noqa: N815 - as http.server calls it

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.send_response(status)
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: kubelets ask again and again."""


@contextmanager
def registry() -> Iterator[str]:
    """Yield `localhost:PORT`, where it answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Registry) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"localhost:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()
