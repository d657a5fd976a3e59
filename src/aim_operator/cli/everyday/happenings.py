"""`aimctl events`: what happened to an object and to what was made for it, oldest first."""

from __future__ import annotations

from typing import Annotated

import typer

from aim_operator.cli import connect


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
    from aim_operator.cli.printing import Column, age, console, table  # noqa: PLC0415

    objects.find(obj, "default")
    named = objects.find(obj, cluster.namespace)
    found = cluster.ask(lambda client: read(client, named))
    if not found:
        typer.echo(f"no events of {named}; the API server forgets them after an hour", err=True)
        return
    now = datetime.now(UTC)
    columns = [
        Column("AGE"),
        Column("TYPE"),
        Column("REASON"),
        Column("OBJECT"),
        Column("MESSAGE", grows=True),
    ]
    rows = [[age(each.when, now), each.type, each.reason, each.about, each.message] for each in found]
    console().print(table(columns, rows, wide=True))
