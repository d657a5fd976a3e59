"""`aimctl events`: what happened to an object and to what was made for it, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from aim_operator.cli import connect

if TYPE_CHECKING:
    from rich.console import RenderableType

    from aim_operator.cli.everyday.event_list import Happening

BESIDE_COLUMNS = 100
"""Of a screen that has room for messages beside the rest."""


@connect.with_cluster
def events(
    obj: Annotated[
        str, typer.Argument(metavar="[KIND/]NAME", help="The object; a service if no kind is given.")
    ],
    *,
    cluster: connect.Cluster,
) -> None:
    """Print the events of an object, and of KServe's for it.

    \b
    aimctl events chat -n team
    aimctl events clustertemplate/fast
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - `--help` need not import what follows

    from aim_operator.cli import objects  # noqa: PLC0415
    from aim_operator.cli.everyday.event_list import read  # noqa: PLC0415
    from aim_operator.cli.printing import console  # noqa: PLC0415

    objects.find(obj, "default")
    named = objects.find(obj, cluster.namespace)
    found = cluster.ask(lambda client: read(client, named))
    if not found:
        typer.echo(f"no events of {named}; the API server forgets them after an hour", err=True)
        return
    screen = console()
    screen.print(draw(found, datetime.now(UTC), screen.width))


def draw(found: Sequence[Happening], now: datetime, width: int) -> RenderableType:
    """Return a table; on a screen with no room for the messages each is below its event."""
    from rich.console import Group  # noqa: PLC0415 - `--help` need not import what follows
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from aim_operator.cli.printing import Column, age, table  # noqa: PLC0415

    columns = [Column("AGE"), Column("TYPE"), Column("REASON"), Column("OBJECT")]
    rows = [[age(each.when, now), each.type, each.reason, each.about] for each in found]
    if width >= BESIDE_COLUMNS:
        beside = [[*row, each.message] for row, each in zip(rows, found, strict=True)]
        return table([*columns, Column("MESSAGE", wraps=True)], beside, wide=True)
    parts: list[RenderableType] = []
    for row, each in zip(rows, found, strict=True):
        parts += [Text("  ".join(cell or "-" for cell in row)), Padding.indent(Text(each.message), 2)]
    return Group(*parts)
