"""What somebody who has just seen the demo would do next: commands to copy, and what each does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from aim_operator.cli.demo_snapshot import Snapshot
from aim_operator.cli.quickstart import in_source_tree

COMMAND_WIDTH = 46

Step = tuple[str, str]


def next_steps(last: Snapshot, source: Path, *, cluster: bool, gateway_url: str | None = None) -> Text:
    """Return the steps, a line each; a command too long for that gets its explanation above it."""
    text = Text("\n Look around\n" if cluster else "\n Next, on a cluster of yours\n", style="bold")
    text = Text.assemble(text)
    for command, does in _steps(last, source, cluster=cluster, gateway=gateway_url or "http://GATEWAY"):
        if len(command) > COMMAND_WIDTH:
            text.append(f"   # {does}\n", style="dim").append(f"   {command}\n", style="cyan")
        else:
            text.append(f"   {command:<{COMMAND_WIDTH}}", style="cyan").append(f" # {does}\n", style="dim")
    return text


def _steps(last: Snapshot, source: Path, *, cluster: bool, gateway: str) -> Iterator[Step]:
    if not cluster:
        yield "aimctl crds | kubectl apply -f -", "install the nine kinds"
        yield "aimctl run", "run the operator, from here"
        yield f"kubectl apply -f {_shortest(source)}", "these very objects"
    yield "kubectl get aim -A", "everything, with status"
    for service in last.services[:1]:
        yield f"kubectl describe aimsvc {service.name} -n {service.namespace}", "conditions, events"
        if service.path:
            path = f"{gateway.rstrip('/')}{service.path}/v1/models"
            yield f"curl {path}", "a request through the gateway"
    if not cluster and in_source_tree():
        yield "make demo-cluster", "this demo, for real"
        yield "less README.md ARCHITECTURE.md", "how it works"


def _shortest(path: Path) -> str:
    return min(os.path.relpath(path), str(path), key=len)
