"""`aimctl snapshot`: a cluster in a file, for `aimctl plan` where none may be asked. Parses and writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import say
from aim_operator.errors import UserError


@connect.with_cluster
def snapshot(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to; standard output if left out.")
    ] = None,
    *,
    cluster: connect.Cluster,
) -> None:
    """Write down a cluster for aimctl plan. Holds no Secret.

    \b
    aimctl snapshot prod.json --context prod       # every night, by whoever may read the cluster
    aimctl plan catalog/ --snapshot prod.json      # in every pipeline, without access to it

    It has our objects of all namespaces, KServe's and the gateways' that belong to them, claims, nodes, and
    where Pods run. Secrets and ConfigMaps are never asked for; what is written in plain into `env` of an
    object is in it.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - `--help` need not import what follows

    from aim_operator.cli.plan.snapshot import take, written  # noqa: PLC0415

    if cluster.given_namespace:
        raise UserError("--namespace: a snapshot has all namespaces, for paths are compared between them")
    server, now = cluster.connection.server, datetime.now(UTC)
    found = cluster.ask(lambda client: take(client, server, now))
    for kind, why in found.unseen.items():
        say(f"not in it: {kind}: {why}", err=True)
    if file is None:
        sys.stdout.write(written(found))
        return
    try:
        file.write_text(written(found), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file} can't be written: {error.strerror}") from error
    typer.echo(f"{file}: {len(found.objects)} objects of {server}")
