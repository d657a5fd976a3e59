"""The server of a stand-in image: the paths of vLLM's that its users and probes ask for.

It starts to listen once the model is "loaded", as vLLM does. Answers are made up from the question.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import commands, selection
from .commands import Chosen
from .metrics import Metrics
from .variables import Variables

BODY_BYTES = 16 * 1024 * 1024


def serve(variables: Variables, chosen: Chosen) -> None:
    """Serves until the process is ended."""
    arguments = chosen.entry["profile"].get("engine_args", {}) | variables.engine_args
    flags = " ".join(f"--{key}" if value is None else f"--{key} {value}" for key, value in arguments.items())
    sys.stderr.write(commands.line(variables, "INFO", f"stand-in for: vllm serve {chosen.model} {flags}"))
    names = dict.fromkeys(
        each for each in (variables.custom_model_name, chosen.model, variables.model) if each
    )
    profile = selection.profile_id(chosen.entry)
    with Server(variables.port, tuple(names), arguments.get("max-model-len"), profile) as server:
        sys.stderr.write(commands.line(variables, "INFO", f"serving {chosen.model} on port {variables.port}"))
        sys.stderr.flush()
        server.serve_forever()


class Server(ThreadingHTTPServer):
    """`models` are the names that it answers to: the model's, and the image's own.

    `profile` is the `system_fingerprint` of each completion: what the answer was made with.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, models: tuple[str, ...], max_model_len: int | None, profile: str) -> None:
        self.models, self.max_model_len, self.profile = models, max_model_len, profile
        self.started = int(time.time())
        self.metrics = Metrics(models[0])
        dual = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if dual else socket.AF_INET
        super().__init__(("::" if dual else "", port), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # HTTPServer's own would look up the machine's name, which takes seconds where nobody answers.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", self.server_address[1]


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Headers and body are two small writes: without this the second waits for the first's receipt.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/health" | "/ping":
                self._send(HTTPStatus.OK, b"")
            case "/v1/models":
                self._json(HTTPStatus.OK, {"object": "list", "data": [*map(self._model, self.server.models)]})
            case "/metrics":
                text = self.server.metrics.render().encode()
                self._send(HTTPStatus.OK, text, "text/plain; version=0.0.4; charset=utf-8")
            case "/v1/chat/completions":
                self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed")
            case _:
                self._refuse(HTTPStatus.NOT_FOUND, "Not Found")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {BODY_BYTES} bytes")
            return
        body = self.rfile.read(length)
        if self.path.partition("?")[0] != "/v1/chat/completions":
            self._refuse(HTTPStatus.NOT_FOUND, "Not Found")
            return
        try:
            request = json.loads(body)
            model, messages = str(request["model"]), list(request["messages"])
            question = _text(messages[-1]["content"])
        except (ValueError, LookupError, TypeError) as error:
            message = f"a request needs model and messages: {type(error).__name__} {error}"
            self._refuse(HTTPStatus.BAD_REQUEST, message)
            return
        if model not in self.server.models:
            self._refuse(HTTPStatus.NOT_FOUND, f"The model `{model}` does not exist.")
            return
        limit = request.get("max_completion_tokens") or request.get("max_tokens")
        with self.server.metrics.request() as numbers:
            words, finish = _answer(self.server.models[0], question, limit)
            usage = {"prompt_tokens": max(1, sum(len(_text(m.get("content")).split()) for m in messages))}
            usage["completion_tokens"] = len(words)
            usage["total_tokens"] = sum(usage.values())
            numbers.prompt, numbers.generated, numbers.finish = usage["prompt_tokens"], len(words), finish
            identity = {"id": f"chatcmpl-{time.time_ns():x}", "created": int(time.time()), "model": model}
            identity["system_fingerprint"] = self.server.profile
            if request.get("stream"):
                options = request.get("stream_options") or {}
                self._stream(identity, words, finish, usage if options.get("include_usage") else None)
            else:
                reply = {"role": "assistant", "content": "".join(words)}
                choice = {"index": 0, "message": reply, "finish_reason": finish}
                answer = {**identity, "object": "chat.completion", "choices": [choice], "usage": usage}
                self._json(HTTPStatus.OK, answer)

    def _stream(
        self, identity: dict[str, Any], words: list[str], finish: str, usage: dict[str, int] | None
    ) -> None:
        """Server-sent events, a word each, and [DONE]."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in _events(identity, words, finish, usage):
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _model(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self.server.started,
            "owned_by": "aim-stand-in",
            "max_model_len": self.server.max_model_len,
        }

    def _json(self, status: HTTPStatus, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        type_ = status.phrase.replace(" ", "") + "Error"
        error = {"message": message, "type": type_, "param": None, "code": status.value}
        self._json(status, {"object": "error", **error, "error": error})

    def _send(self, status: HTTPStatus, body: bytes, type_: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", type_)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: probes would fill the log."""


def _events(
    identity: dict[str, Any], words: list[str], finish: str, usage: dict[str, int] | None
) -> Iterator[str]:
    head = {**identity, "object": "chat.completion.chunk"}

    def chunk(delta: dict[str, str], reason: str | None = None) -> str:
        return json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    yield chunk({"role": "assistant", "content": ""})
    for word in words:
        yield chunk({"content": word})
    yield chunk({}, finish)
    if usage is not None:
        yield json.dumps({**head, "choices": [], "usage": usage})
    yield "[DONE]"


def _answer(model: str, question: str, limit: int | None) -> tuple[list[str], str]:
    """Words with the spaces before them, and why they end.

    The question comes back, so that a client sees its own request.
    """
    words = f"This is a stand-in for {model}, not a model. You asked: {question}".split(" ")
    spaced = [word if index == 0 else f" {word}" for index, word in enumerate(words)]
    if limit is not None and limit < len(spaced):
        return spaced[:limit], "length"
    return spaced, "stop"


def _text(content: Any) -> str:
    """A message's text; one of several parts has those of type text."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""
