"""The questions of `aimctl init`: each with a default, and asked again with the reason if it will not do.

Asks on standard error, so that standard output is the YAML alone. Called by command.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer
from msgspec import Struct, structs

from aim_operator.cli.init.catalog import Wish, files
from aim_operator.errors import UserError

MOST_GPUS = 1024


class Question(Struct, frozen=True):
    """What is asked for a field of a Wish; `default` is what Enter means, "" for leaving it out."""

    field: str
    text: str
    default: Callable[[Wish], str]


QUESTIONS = (
    Question("image", "Container image of the model", lambda _: ""),
    Question("model", "Name of the model in the catalog", lambda wish: wish.model_name),
    Question("metric", "Optimise for latency or throughput (Enter: the image's choice)", lambda _: ""),
    Question("precision", "Precision, such as fp8 (Enter: the image's choice)", lambda _: ""),
    Question("gpu_model", "GPU, such as MI300X (Enter: the image's choice)", lambda _: ""),
    Question("gpus", "GPUs of each copy (Enter: the image's choice)", lambda _: ""),
    Question("service", "Name of the service", lambda wish: wish.service_name),
    Question("namespace", "Namespace of the service", lambda _: "default"),
    Question("gateway", "Gateway to reach it through, as NAMESPACE/NAME (Enter: none)", lambda _: ""),
)


def ask(given: Wish, asked: frozenset[str]) -> Wish:
    """Return the wish with the answers to what `asked` names; the rest is as it is given.

    Raises UserError for what was given by a flag and will not do: no answer could change it.
    """
    wish = given
    if "image" not in asked:
        files(wish)
    for question in QUESTIONS:
        if question.field in asked:
            wish = _answered(question, wish)
    return wish


def _answered(question: Question, wish: Wish) -> Wish:
    default = question.default(wish)
    shown = f"{question.text} [{default}]: " if default else f"{question.text}: "
    while True:
        # Not typer.prompt: it writes a space of each question to standard output.
        typer.echo(shown, nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            typer.echo(err=True)
            raise typer.Abort
        try:
            changed = structs.replace(
                wish, **{question.field: _value(question.field, line.strip() or default)}
            )
            files(changed)
        except UserError as error:
            typer.echo(f"  {error}", err=True)
            continue
        return changed


def _value(field: str, text: str) -> Any:
    from aim_operator.cli import flags  # noqa: PLC0415

    if field == "gpus":
        return flags.count_of("GPUs", text, MOST_GPUS) if text else None
    if field == "namespace":
        return flags.namespace("the namespace", text)
    return text or (None if field in {"metric", "precision", "gpu_model", "gateway"} else "")
