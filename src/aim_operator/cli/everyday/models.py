"""`aimctl models`: what can be served. Parses; catalog.py says what of the catalog that is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aim_operator.cli import connect

FORMS = ("table", "wide", "json", "yaml")


@connect.with_cluster
def models(
    *,
    all_namespaces: connect.AllNamespaces = False,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="|".join(FORMS), help="How to print it.")
    ] = "table",
    cluster: connect.Cluster,
) -> None:
    """Show which models can be served, and on which GPUs.

    \b
    aimctl models -n team        # those that a service of this namespace can name
    aimctl models -A -o wide     # everyone's, with images and all profiles
    aimctl serve MODEL -n team   # then

    A model of the namespace hides one of the cluster with the same name, as it does for services.
    """
    from aim_operator.cli import flags  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli.everyday import catalog  # noqa: PLC0415
    from aim_operator.cli.printing import STRUCTURED, console, structured  # noqa: PLC0415
    from aim_operator.cli.status.gather import read  # noqa: PLC0415

    flags.one_of("--output", output, FORMS)
    where = cluster.one_or_all(all_namespaces=all_namespaces)
    found = catalog.models(cluster.ask(lambda client: read(client, where)), where)
    if output in STRUCTURED:
        sys.stdout.write(structured(found, output))
        return
    console().print(catalog.draw(found, namespace=where, wide=output == "wide"))
