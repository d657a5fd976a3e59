"""`aimctl version`: of this program, and of the operator and the CRDs in a cluster."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import TYPE_CHECKING, Annotated

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import say
from aim_operator.errors import UserError

if TYPE_CHECKING:
    from aim_operator.cli.versions import Versions

FORMS = ("text", "json", "yaml")


def client() -> str:
    """Return the version of this program."""
    return metadata.version("aim-operator")


@connect.with_cluster
def version(
    *,
    client_only: Annotated[
        bool, typer.Option("--client", help="Of this program alone; asks no cluster.")
    ] = False,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="|".join(FORMS), help="How to print it.")
    ] = "text",
    cluster: connect.Cluster,
) -> None:
    """Print the versions of aimctl, operator and CRDs.

    \b
    aimctl version                 # and whether the cluster's CRDs are this version's
    aimctl version --client        # without a cluster

    Without a kubeconfig it is the version of aimctl alone.
    """
    from aim_operator.cli import flags  # noqa: PLC0415 - `--help` need not import what follows

    flags.one_of("--output", output, FORMS)
    asked = None
    if not client_only:
        try:
            # There is always one, once the kubeconfig is read.
            asked = cluster if cluster.namespace else None
        except UserError:
            # Nobody said which cluster: there is none to ask.
            if cluster != connect.Cluster():
                raise
    # First of all: it holds also where the cluster does not answer.
    if output == "text":
        typer.echo(f"aimctl    {client()}")
    found = _ask(asked)
    if output != "text":
        from aim_operator.cli.printing import structured  # noqa: PLC0415

        sys.stdout.write(structured(found, output))
        return
    for line in found.lines:
        say(line)


def _ask(cluster: connect.Cluster | None) -> Versions:
    from aim_operator.cli.versions import Versions, read  # noqa: PLC0415

    if cluster is None:
        return Versions(client=client())
    return cluster.ask(lambda server: read(server, client()))
