"""`aimctl fit`: whether a service has somewhere to run. Parses and prints.

gather.py reads, judge.py judges.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import error_line
from aim_operator.errors import NoAnswer, UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from aim_operator.cli.fit.gather import Asked
    from aim_operator.cli.fit.judge import Fit, Surroundings
    from aim_operator.kube.protocol import KubeClient

FORMS = ("text", "json", "yaml")
FITS, DOES_NOT, UNKNOWN, BAD_INPUT = 0, 1, 2, 3
_ENDINGS = (".yaml", ".yml", ".json")


@connect.with_cluster
def fit(
    what: Annotated[
        str,
        typer.Argument(metavar="SERVICE|FILE", help="A service, or a file or folder with some; - for input."),
    ],
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="|".join(FORMS), help="How to print it.")
    ] = "text",
    cluster: connect.Cluster,
) -> None:
    """Say whether a service has somewhere to run, and where.

    \b
    aimctl fit chat -n team            # a service of the cluster
    aimctl fit chat.yaml               # one that is not there yet
    aimctl serve llama | aimctl fit -  # from standard input

    Counts what is free on each node, for the Pods that have none yet: GPUs and everything else that is asked
    for, taints, selectors and affinity, and the namespace's quotas and claims; and the model's files against
    the memory of the GPUs. Nothing is written. The scheduler decides in the end.

    The exit code is for scripts: 0 it fits, 1 it does not, 2 that is not known, as where the API server
    can't be reached, 3 the call or the file is not right.
    """
    from aim_operator.cli import flags  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli.printing import STRUCTURED, console, structured  # noqa: PLC0415

    try:
        flags.one_of("--output", output, FORMS)
        found = _found(what, cluster)
    except UserError as error:
        print(error_line(error), file=sys.stderr)  # noqa: T201
        raise typer.Exit(UNKNOWN if isinstance(error, NoAnswer) else BAD_INPUT) from error
    if output in STRUCTURED:
        sys.stdout.write(structured(found, output))
    else:
        console().print(draw(found))
    code = exit_code(found)
    if code != FITS:
        raise typer.Exit(code)


def exit_code(found: Sequence[Fit]) -> int:
    from aim_operator.cli.fit.judge import Verdict  # noqa: PLC0415 - `--help` need not import it

    verdicts = {each.verdict for each in found}
    if Verdict.NO in verdicts:
        return DOES_NOT
    return UNKNOWN if Verdict.UNKNOWN in verdicts else FITS


def _found(what: str, cluster: connect.Cluster) -> list[Fit]:
    """Read and judge. Raises UserError."""
    from datetime import UTC, datetime  # noqa: PLC0415 - `--help` need not import what follows

    from aim_operator.api.v1alpha1 import SERVICES  # noqa: PLC0415
    from aim_operator.cli import objects  # noqa: PLC0415
    from aim_operator.cli.fit import gather  # noqa: PLC0415
    from aim_operator.cli.plan import documents, snapshot  # noqa: PLC0415

    # Before a cluster is looked for: what is not right is so without one.
    is_file = what == "-" or what.endswith(_ENDINGS) or documents.exists(Path(what))
    read, unreadable = documents.read([what]) if is_file else ([], [])
    if unreadable:
        raise UserError("; ".join(f"{each.file}:{each.line}: {each.message}" for each in unreadable))
    name = "" if is_file else objects.find_of(what, "default", (SERVICES,)).name
    server, now, own = cluster.connection.server, datetime.now(UTC), cluster.namespace
    if not is_file:
        return cluster.ask(lambda client: judged(client, gather.of_service(client, own, name, server, now)))

    async def of_file(client: KubeClient) -> list[Fit]:
        seen = await snapshot.take(client, server, now)
        return await judged(client, gather.of_documents(seen, read, own))

    return cluster.ask(of_file)


async def judged(client: KubeClient, asked: Awaitable[tuple[Asked, ...]]) -> list[Fit]:
    """Judge services one after the other: each leaves less room to the next."""
    from msgspec import structs  # noqa: PLC0415 - `--help` need not import what follows

    from aim_operator.cli.fit import gather, judge  # noqa: PLC0415

    found: list[Fit] = []
    around: dict[str, Surroundings] = {}
    room = None
    for each in await asked:
        if each.demand is None:
            found.append(judge.unknown(each.namespace, each.name, each.words))
            continue
        if each.namespace not in around:
            around[each.namespace] = await gather.around(client, each.namespace)
        there = around[each.namespace]
        room = there.room if room is None else room
        found.append(judge.fit(each.demand, structs.replace(there, room=room)))
    return found


def draw(found: Sequence[Fit]) -> RenderableType:
    """Return a service after the other: the verdict, what it needs, its nodes, and what to do."""
    from rich.console import Group  # noqa: PLC0415 - `--help` need not import it
    from rich.text import Text  # noqa: PLC0415

    from aim_operator.cli.fit.judge import Verdict  # noqa: PLC0415
    from aim_operator.cli.printing import Column, table  # noqa: PLC0415

    parts: list[RenderableType] = []
    for each in found:
        if parts:
            parts.append(Text())
        style = {Verdict.FITS: "green", Verdict.NO: "red", Verdict.UNKNOWN: "yellow"}[each.verdict]
        parts.append(Text(f"AIMService {each.namespace}/{each.name}: {each.verdict}", style=style))
        if each.needs:
            running = f"; on a node already: {each.running}" if each.running else ""
            copies = "1 Pod with" if each.replicas == 1 else f"{each.replicas} Pods, each with"
            parts.append(Text(f"needs {copies} {each.needs}{running}"))
        parts += [Text(f"{one.check}: {one.verdict}: {one.message}") for one in each.findings]
        if each.nodes:
            columns = (Column("NODE"), Column("GPUS FREE"), Column("FOR A POD OF IT", wraps=True))
            rows = [[node.node, node.free, node.why or "fits"] for node in each.nodes]
            parts += [Text(), table(columns, rows, wide=False)]
        remedy = next((one.remedy for one in each.findings if one.verdict is Verdict.NO and one.remedy), "")
        if remedy:
            parts += [Text(), Text(f"Do: {remedy}", style="bold")]
    return Group(*parts)
