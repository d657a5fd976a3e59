"""`aimctl call`: an answer as it comes, and every way in which there is none."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from aim_operator.cli import main
from aim_operator.cli.everyday.call import converse
from aim_operator.cli.everyday.chat import MOST_BYTES, Chat
from aim_operator.errors import UserError
from tests.support.http_serving import Serving

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUESTION = [{"role": "user", "content": "What is a GPU?"}]
MODELS = {"data": [{"id": "llama"}]}


def chunk(words: str) -> bytes:
    return b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % words.encode()


def sends(*parts: bytes, content_type: str = "text/event-stream", status: int = 200) -> Handler:
    async def answered(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": content_type})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        return response

    return answered


@asynccontextmanager
async def served(answer: Handler, models: Handler | None = None) -> AsyncIterator[Chat]:
    async def listed(_: web.Request) -> web.StreamResponse:
        return web.json_response(MODELS)

    application = web.Application()
    application.router.add_get("/chat/v1/models", models or listed)
    application.router.add_post("/chat/v1/chat/completions", answer)
    serving = await Serving.start(application)
    try:
        yield Chat(f"http://127.0.0.1:{serving.port}/chat/v1/", silence_seconds=5, key="secret")
    finally:
        await serving.close()


async def test_words_are_written_as_they_come() -> None:
    seen: list[tuple[str | None, object]] = []

    async def answered(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers.get("Authorization"), await request.json()))
        # Comments keep a connection open; an event may be cut anywhere, also within a letter.
        whole = (
            b": ping\n\n" + chunk("A ch\u00efp").replace(b"\n", b"\r\n") + chunk(" with \\u001b[31mcores.")
        )
        usage = b'data: {"choices": [], "usage": {"total_tokens": 9}}\n\n'
        parts = [whole[i : i + 1] for i in range(len(whole))]
        return await sends(*parts, usage, b"data:[DONE]\n\n")(request)

    written = io.StringIO()
    async with served(answered) as chat:
        await converse(chat, QUESTION, max_tokens=5, to=written)
    assert written.getvalue() == "A ch\u00efp with cores.\n"
    want = {"model": "llama", "messages": QUESTION, "max_tokens": 5, "stream": True}
    assert seen == [("Bearer secret", want)]


async def test_an_answer_that_is_not_streamed_is_an_answer() -> None:
    async def answered(_: web.Request) -> web.StreamResponse:
        return web.json_response({"choices": [{"message": {"content": "A chip."}}]})

    written = io.StringIO()
    async with served(answered) as chat:
        await converse(chat, QUESTION, model="other", to=written)
    assert written.getvalue() == "A chip.\n"


HTML = b"<html><title>Login</title></html>"
ERROR = b'{"error": {"message": "The model does not exist."}}'


@pytest.mark.parametrize(
    ("answer", "want", "so_far"),
    [
        pytest.param(sends(chunk("A")), "the stream ended before the answer did", "A\n", id="a cut stream"),
        pytest.param(
            sends(b"data: " + b"[" * 100_000 + b"\n\n"), "this is no chat completion", "", id="lists for ever"
        ),
        pytest.param(
            sends(b"data:\n" * MOST_BYTES * 2),
            "sends an event of more than",
            "",
            id="an event of empty lines",
        ),
        pytest.param(
            sends(chunk("A"), b'data: {"error": {"message": "CUDA out of memory"}}\n\n'),
            "the model server says: CUDA out of memory",
            "A\n",
            id="an error in the midst",
        ),
        pytest.param(sends(b"data: [DONE]\n\n"), "the answer is empty", "", id="no words"),
        pytest.param(sends(b"data: hello\n\n"), "no chat completion: hello", "", id="no JSON"),
        pytest.param(sends(b"data: [1]\n\n"), "no chat completion", "", id="other JSON"),
        pytest.param(sends(b"data: " + b"x" * (MOST_BYTES + 1)), "event of more than", "", id="no end"),
        pytest.param(sends(HTML, content_type="text/html"), "Login", "", id="a web page"),
        pytest.param(
            sends(ERROR, status=404), "404 Not Found: The model does not exist.; no route", "", id="404"
        ),
        pytest.param(sends(status=503), "503 Service Unavailable; the gateway reaches no", "", id="503"),
        pytest.param(sends(status=401), "set AIM_API_KEY", "", id="401"),
        pytest.param(sends(status=418), "answered with 418", "", id="another status"),
        pytest.param(sends(status=301), "to None: name that with --gateway-url", "", id="a redirect"),
    ],
)
async def test_an_answer_that_fails_says_how_and_leaves_what_came(
    answer: Handler, want: str, so_far: str
) -> None:
    written = io.StringIO()
    async with served(answer) as chat:
        with pytest.raises(UserError) as raised:
            await converse(chat, QUESTION, to=written)
    assert want in str(raised.value)
    assert written.getvalue() == so_far


async def test_a_server_without_a_model_and_one_that_is_not_there() -> None:
    async with served(sends(), sends(b"{}", content_type="application/json")) as chat:
        with pytest.raises(UserError, match=r"lists no model: \{\}; name one with --model"):
            await converse(chat, QUESTION, to=io.StringIO())
    with socket.socket() as taken:
        # Bound, but nobody listens.
        taken.bind(("127.0.0.1", 0))
        nobody = Chat(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", silence_seconds=5)
        with pytest.raises(UserError, match=r"can't be reached: .*--gateway-url"):
            await converse(nobody, QUESTION, to=io.StringIO())


async def test_a_server_that_stays_silent_is_not_waited_for_for_ever() -> None:
    over = asyncio.Event()

    async def answered(request: web.Request) -> web.StreamResponse:
        response = await sends(chunk("A"))(request)
        await over.wait()
        return response

    written = io.StringIO()
    async with served(answered) as chat:
        hasty = Chat(chat.base_url, silence_seconds=1)
        with pytest.raises(UserError, match=r"was silent for 1 s; see --timeout"):
            await converse(hasty, QUESTION, to=written)
        over.set()
    assert written.getvalue() == "A\n"


@pytest.mark.parametrize(
    ("flags", "want"),
    [
        (["chat", " "], "PROMPT is empty"),
        (["chat", "x", "--max-tokens", "0"], "--max-tokens"),
        (["chat", "x", "--timeout", "nan"], "--timeout"),
        (["chat", "x", "--gateway-url", "gateway"], "write http://HOST or https://HOST"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_user_can_correct(flags: list[str], want: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", *flags]) == 2
    assert want in capsys.readouterr().err
