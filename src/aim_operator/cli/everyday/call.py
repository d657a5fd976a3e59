"""`aimctl call`: one question to a service, through its gateway, and the answer as it comes."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import without_controls
from aim_operator.errors import UserError

if TYPE_CHECKING:
    from aim_operator.cli.everyday.chat import Chat

MOST_TOKENS = 1_000_000
MOST_SECONDS = 24 * 3600.0
MOST_CHARACTERS = 1_000_000
KEY = "AIM_API_KEY"
STDIN = "-"


@connect.with_cluster
def call(
    service: Annotated[str, typer.Argument(metavar="NAME", help="The service.")],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to ask, or - for standard input.")],
    *,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="System prompt.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="ID", help="Model to ask for; the first one of the server if unset.")
    ] = None,
    max_tokens: Annotated[str | None, typer.Option(metavar="COUNT", help="Longest answer.")] = None,
    timeout: Annotated[
        str, typer.Option(metavar="SECONDS", help="How long it may be silent between two words.")
    ] = "300",
    gateway_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="AIM_GATEWAY_URL",
            show_envvar=False,
            help="Where the gateway is reached, if not at its address.",
        ),
    ] = None,
    cluster: connect.Cluster,
) -> None:
    """Ask a service something, through its gateway.

    \b
    aimctl call chat "What is a GPU?" -n team
    git diff | aimctl call chat - --system "Review this." --max-tokens 500

    $AIM_API_KEY is sent as a bearer token, for gateways that want one.
    """
    from aim_operator.api.v1alpha1 import SERVICES  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli import flags, objects  # noqa: PLC0415
    from aim_operator.cli.everyday.addresses import base_url  # noqa: PLC0415
    from aim_operator.cli.everyday.chat import Chat  # noqa: PLC0415
    from aim_operator.kube.protocol import KubeClient  # noqa: PLC0415

    seconds = flags.seconds_of("--timeout", timeout, MOST_SECONDS)
    tokens = flags.count_of("--max-tokens", max_tokens, MOST_TOKENS) if max_tokens is not None else None
    if gateway_url and not gateway_url.startswith(("http://", "https://")):
        raise UserError(f"--gateway-url is {gateway_url!r}: write http://HOST or https://HOST")
    name = objects.find_of(service, "default", (SERVICES,)).name
    question = _piped() if prompt == STDIN else prompt
    if not question.strip():
        raise UserError("there is no question: PROMPT is empty")
    if len(question) > MOST_CHARACTERS:
        raise UserError(f"PROMPT has more than {MOST_CHARACTERS} characters")
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})

    async def asked(client: KubeClient) -> None:
        base = await base_url(client, cluster.namespace, name, origin=gateway_url)
        chat = Chat(base, silence_seconds=seconds, key=os.environ.get(KEY, ""))
        await converse(chat, messages, model=model, max_tokens=tokens, to=sys.stdout)

    cluster.ask(asked)


def _piped() -> str:
    """Return what is on standard input, in which a diff may have bytes of any encoding."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return sys.stdin.read(MOST_CHARACTERS + 1)


async def converse(
    chat: Chat,
    messages: list[dict[str, str]],
    *,
    model: str | None = None,
    max_tokens: int | None = None,
    to: TextIO,
) -> None:
    """Write the answer to `to` as it comes, without what would control a terminal. Raises UserError."""
    request: dict[str, Any] = {"model": model or await chat.model(), "messages": messages}
    if max_tokens is not None:
        request["max_tokens"] = max_tokens
    written = False
    try:
        async for part in chat.answer(request):
            to.write(without_controls(part))
            to.flush()
            written = written or bool(part)
    finally:
        if written:
            # Also where it was cut: what is said about that begins a line of its own.
            to.write("\n")
            to.flush()
    if not written:
        raise UserError("the answer is empty; a model that reasons first may need more --max-tokens")
