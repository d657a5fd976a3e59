"""What somebody who has just seen the demo would do next: commands to copy, and what each does."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from rich.text import Text

from aim_operator.cli import program as called
from aim_operator.cli.demo_snapshot import Snapshot
from aim_operator.cli.quickstart import SOURCE_TREE, Example, gateways, in_source_tree, placeholders

MOST_LINES = 21
"""What the verdict and the steps take on a screen of 80 columns, with the prompt after them."""
MOST_COLUMNS = 100
"""Of prose; wider terminals do not make it easier to read."""


STAND_INS = "examples/stand-in-image"
"""Where the checkout tells how to build images that take the place of those of the examples."""


class Step(Struct, frozen=True):
    """Commands that belong together, and what is said above them."""

    about: str
    commands: tuple[str, ...]


def next_steps(
    last: Snapshot,
    source: Path,
    examples: tuple[Example, ...],
    *,
    width: int,
    cluster: bool = False,
    gateway_url: str | None = None,
) -> Text:
    """Return the steps, for a terminal of `width` columns. No command is broken: they are to be copied."""
    look = "kubectl get aim -A"
    if cluster:
        title = "Look around"
        describe = [f"kubectl describe aimsvc {row.name} -n {row.namespace}" for row in last.services[:1]]
        steps = [Step("what there is; why it is so", (look, *describe))]
    else:
        title = "Next, on a cluster with KServe and the Gateway API"
        aimctl = program()
        install = f"{aimctl} crds | kubectl apply --server-side -f -"
        apply = f"kubectl apply --server-side -f {shlex.quote(_shortest(source))}"
        steps = [
            Step("install the nine kinds; run the operator, until Ctrl-C", (install, f"{aimctl} run")),
            Step("in a second terminal: " + _objects(examples), (apply, look)),
        ]
    steps += _request(last, examples, gateway_url)
    text = Text.assemble("\n", (f" {title}\n", "bold"))
    for step in steps:
        for line in textwrap.wrap(step.about, min(width, MOST_COLUMNS) - 6, break_on_hyphens=False):
            text.append(f"   # {line}\n", style="dim")
        for command in step.commands:
            text.append(f"   {command}\n", style="cyan")
    if not cluster and in_source_tree():
        text.append("\n No cluster? As root on Debian or Ubuntu: ").append(
            _make("demo-cluster"), style="cyan"
        )
        text.append("\n")
    return text


def _objects(examples: tuple[Example, ...]) -> str:
    """Say what has to be put into the objects before they work elsewhere."""
    changes = []
    if images := sorted({f"{image.rpartition('/')[0]}/…" for image in placeholders(examples)}):
        are = "a placeholder" if len(images) == 1 else "placeholders"
        stand_ins = f"; stand-ins: {_shortest(SOURCE_TREE / STAND_INS)}" if in_source_tree() else ""
        changes.append(f"your images instead of {' and '.join(images)} ({are}{stand_ins})")
    if refs := [f"{namespace}/{name}" for namespace, name in gateways(examples)]:
        changes.append(f"your Gateway instead of {' and '.join(refs)}")
    return f"these objects, with {' and '.join(changes)}" if changes else "these objects"


def _request(last: Snapshot, examples: tuple[Example, ...], gateway_url: str | None) -> Iterator[Step]:
    if gateway_url is None and not gateways(examples):
        return
    for row in [row for row in last.services if row.path][:1]:
        where = f" --gateway-url {shlex.quote(gateway_url)}" if gateway_url is not None else ""
        ask = f'{program()} call {row.name} "What is a GPU?" -n {row.namespace}{where}'
        yield Step("ask it, through the gateway", (ask,))


def program(search_path: str | None = None) -> str:
    """Return how to call this aimctl: by its name where $PATH has it, or kubectl, else by its path."""
    if called.name() == called.KUBECTL_AIM:
        return called.KUBECTL_AIM
    here = Path(sys.executable).with_name("aimctl")
    on_path = shutil.which(here.name, path=search_path)
    if on_path is not None and Path(on_path).resolve() == here.resolve():
        return here.name
    return shlex.quote(_shortest(here))


def _make(target: str) -> str:
    root = _shortest(SOURCE_TREE)
    return f"make {target}" if root == "." else f"make -C {shlex.quote(root)} {target}"


def _shortest(path: Path) -> str:
    return min(os.path.relpath(path), str(path), key=len)
