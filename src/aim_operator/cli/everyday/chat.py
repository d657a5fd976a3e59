"""A chat completion, streamed, of a server that speaks OpenAI's API; knows no Kubernetes. Called by call.py.

Events are read as the HTML standard has server-sent events, the answer as OpenAI's API has its chunks:
`data: [DONE]` ends it, and a stream that ends without was cut.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from aim_operator.core.messages import one_line
from aim_operator.errors import UserError

CONNECT_SECONDS = 10.0
MOST_BYTES = 1024 * 1024
"""Of one event, or of one answer that is no stream."""
DONE = "[DONE]"
_WORDS = 200
_NOT_IT = (msgspec.DecodeError, RecursionError, AttributeError, LookupError, TypeError)
"""What reading an answer raises that has not the form of one; the second is lists in lists without an end."""
_REMEDIES = {
    401: "the gateway wants a key: set AIM_API_KEY",
    403: "the gateway does not let you: ask who runs it",
    404: "no route leads there yet, or the model has another name; see aimctl why",
    429: "it has too much to do: try again later",
    502: "the gateway reaches no model server; see aimctl why",
    503: "the gateway reaches no model server; see aimctl why",
    504: "the gateway waited too long for the model server; see aimctl why",
}


class Chat:
    """One base URL, and how long it may be silent between two parts of an answer."""

    def __init__(self, base_url: str, *, silence_seconds: float, key: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._limits = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds
        )
        self._silence_seconds = silence_seconds

    async def model(self) -> str:
        """Return what requests call the model: the first that is listed. Raises UserError."""
        async with self._opened("GET", "/models") as response:
            body = await _bounded(response)
            try:
                return str(msgspec.json.decode(body)["data"][0]["id"])
            except _NOT_IT as error:
                raise UserError(
                    f"{response.url} lists no model: {_words(body)}; name one with --model"
                ) from error

    async def answer(self, request: Mapping[str, Any]) -> AsyncIterator[str]:
        """Yield the answer in parts, and raise UserError where it ends before its end."""
        ended = False
        async with self._opened("POST", "/chat/completions", {**request, "stream": True}) as response:
            if response.content_type != "text/event-stream":
                # Some servers stream nothing, and gateways have web pages of their own.
                yield _whole(await _bounded(response), str(response.url))
                return
            async for event in _events(response):
                if event == DONE:
                    ended = True
                    break
                yield _part(event)
        if not ended:
            raise UserError("the stream ended before the answer did: the model server or the gateway went")

    @asynccontextmanager
    async def _opened(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = f"{self.base_url}{path}"
        try:
            async with (
                aiohttp.ClientSession(timeout=self._limits, headers=self._headers, trust_env=True) as session,
                session.request(method, url, json=body, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise UserError(await _refusal(response))
                yield response
        except aiohttp.ConnectionTimeoutError as error:
            raise UserError(
                f"{url} can't be reached within {CONNECT_SECONDS:g} s; if the gateway's address is not "
                "reachable from here, name one that is with --gateway-url"
            ) from error
        except TimeoutError as error:
            raise UserError(f"{url} was silent for {self._silence_seconds:g} s; see --timeout") from error
        except aiohttp.ClientConnectorError as error:
            raise UserError(
                f"{url} can't be reached: {error}; if the gateway's address is not reachable from here, "
                "name one that is with --gateway-url"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UserError(f"{url}: {str(error) or type(error).__name__}") from error


async def _refusal(response: aiohttp.ClientResponse) -> str:
    where = f"{response.method} {response.url} is answered with {response.status} {response.reason}"
    if 300 <= response.status < 400:
        return f"{where}, to {response.headers.get('Location')}: name that with --gateway-url"
    said = _words(await _bounded(response))
    remedy = _REMEDIES.get(response.status, "")
    return f"{where}{f': {said}' if said else ''}{f'; {remedy}' if remedy else ''}"


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            raise UserError(f"{response.url} answers with more than {MOST_BYTES} bytes at once")
    return body


def _words(body: bytes) -> str:
    """Return what an error says: OpenAI's message where it has one, else its first words."""
    text = body.decode(errors="replace")
    try:
        decoded = msgspec.json.decode(body)
        error = decoded.get("error") or decoded
        text = str(error["message"] if isinstance(error, dict) else error)
    except _NOT_IT:
        pass
    return one_line(text)[:_WORDS]


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Yield the data of each event; an event that its blank line is missing of is none."""
    rest, data = b"", list[str]()
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if not line:
                if data:
                    yield "\n".join(data)
                data = []
            elif line.startswith(b"data:"):
                data.append(line.removeprefix(b"data:").decode(errors="replace").removeprefix(" "))
        # One byte at least for each line, however many have nothing in them.
        if len(rest) + len(data) + sum(map(len, data)) > MOST_BYTES:
            raise UserError(f"{response.url} sends an event of more than {MOST_BYTES} bytes")


def _part(event: str) -> str:
    """Return the words in a chunk. Raises UserError for an error, as servers send it in the midst of one."""
    try:
        chunk = msgspec.json.decode(event)
        if chunk.get("error"):
            raise UserError(f"the model server says: {_words(event.encode())}")
        # The last one has the usage alone.
        return "".join(each["delta"].get("content") or "" for each in chunk.get("choices") or ())
    except _NOT_IT as error:
        raise UserError(f"this is no chat completion: {one_line(event)[:_WORDS]}") from error


def _whole(body: bytes, url: str) -> str:
    try:
        return str(msgspec.json.decode(body)["choices"][0]["message"]["content"] or "")
    except _NOT_IT as error:
        raise UserError(
            f"{url} answers, but with no chat completion: {_words(body)}; is this the service's path?"
        ) from error
