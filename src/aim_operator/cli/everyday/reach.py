"""`aimctl url`: where a service is reached through its gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from aim_operator.cli import connect


def url(
    service: Annotated[str, typer.Argument(metavar="NAME", help="The service.")],
    *,
    namespace: connect.Namespace = None,
    kubeconfig: connect.Kubeconfig = None,
    context: connect.Context = None,
    as_user: connect.AsUser = None,
    as_groups: connect.AsGroups = None,
) -> None:
    """Print the base URL of a service, for OpenAI's clients.

    \b
    export OPENAI_BASE_URL=$(aimctl url chat -n team)
    curl $(aimctl url chat -n team)/models
    """
    from aim_operator.cli.everyday.addresses import base_url  # noqa: PLC0415 - `--help` need not import it

    connection = connect.connect(
        kubeconfig, context, namespace=namespace, as_user=as_user, as_groups=as_groups
    )
    where = connection.namespace
    typer.echo(connect.ask(connection, lambda client: base_url(client, where, service)))
