"""`aimctl status`: everything at a glance. Parses; gather.py reads, view.py draws."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from aim_operator.cli import connect
from aim_operator.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from aim_operator.cli.status.rows import Status

FORMS = ("table", "wide", "json", "yaml")
WATCH_SECONDS = 2.0


@connect.with_cluster
def status(
    *,
    all_namespaces: connect.AllNamespaces = False,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="|".join(FORMS), help="How to print it.")
    ] = "table",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")
    ] = False,
    cluster: connect.Cluster,
) -> None:
    """Show what there is, how it is, and why something is not ready.

    \b
    aimctl status                   # the namespace of your context, and the cluster's catalog
    aimctl status -A --watch        # everything, live
    aimctl status -n team -o wide   # with models, templates and claims
    aimctl status -o json | jq '.services[] | select(.status != "Running")'

    What you may not read is named, and left out.
    """
    from aim_operator.cli import flags  # noqa: PLC0415 - `--help` need not import what follows

    flags.one_of("--output", output, FORMS)
    if watch and output in ("json", "yaml"):
        raise UserError(f"--watch shows tables; leave it out for -o {output}")
    where = cluster.one_or_all(all_namespaces=all_namespaces)
    if watch:
        _watched(cluster, where, wide=output == "wide")
        return
    from aim_operator.cli.printing import STRUCTURED, structured  # noqa: PLC0415
    from aim_operator.cli.status.gather import read  # noqa: PLC0415

    found = cluster.ask(lambda client: read(client, where))
    if output in STRUCTURED:
        sys.stdout.write(structured(found, output))
        return
    _print(found, where, wide=output == "wide")


def _print(found: Status, where: str, *, wide: bool) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    from aim_operator.cli.printing import console  # noqa: PLC0415
    from aim_operator.cli.status.view import BAR_COLUMNS, draw  # noqa: PLC0415

    screen = console()
    bars = screen.is_terminal and screen.width >= BAR_COLUMNS
    drawn = draw(found, namespace=where, now=datetime.now(UTC), wide=wide, bars=bars)
    screen.print(drawn)


def _watched(cluster: connect.Cluster, where: str, *, wide: bool) -> None:
    """Show it until Ctrl-C."""
    from aim_operator.cli.printing import console  # noqa: PLC0415
    from aim_operator.cli.status.gather import read  # noqa: PLC0415

    screen = console()
    cluster.ask(lambda client: follow(lambda: read(client, where), screen, where, wide=wide))


async def follow(
    look: Callable[[], Awaitable[Status]],
    screen: Console,
    where: str,
    *,
    wide: bool,
    seconds: float = WATCH_SECONDS,
) -> None:
    """Show what `look` returns, for ever: on a terminal in one place, else anew each time that it changed."""
    import asyncio  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from rich.live import Live  # noqa: PLC0415

    from aim_operator.cli.status.view import BAR_COLUMNS, draw  # noqa: PLC0415

    # A dumb terminal, as Emacs has one and some screen readers, can't go back to a line.
    moves = screen.is_terminal and not screen.is_dumb_terminal
    before = None
    with (
        Live(console=screen, auto_refresh=False, vertical_overflow="visible")
        if moves
        else nullcontext() as live
    ):
        while True:
            found = await look()
            bars = moves and screen.width >= BAR_COLUMNS
            drawn = draw(found, namespace=where, now=datetime.now(UTC), wide=wide, bars=bars)
            if live is not None:
                live.update(drawn, refresh=True)
            elif found != before:
                screen.print(drawn)
            before = found
            await asyncio.sleep(seconds)
