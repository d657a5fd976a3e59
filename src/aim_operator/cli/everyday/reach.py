"""`aimctl url`: where a service is reached through its gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import say


@connect.with_cluster
def url(
    service: Annotated[str, typer.Argument(metavar="NAME", help="The service.")],
    *,
    cluster: connect.Cluster,
) -> None:
    """Print the base URL of a service, for OpenAI's clients.

    \b
    export OPENAI_BASE_URL=$(aimctl url chat -n team)
    curl $(aimctl url chat -n team)/models
    """
    from aim_operator.api.v1alpha1 import SERVICES  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli.everyday.addresses import base_url  # noqa: PLC0415
    from aim_operator.cli.objects import find_of  # noqa: PLC0415

    name = find_of(service, "default", (SERVICES,)).name
    where = cluster.namespace
    say(cluster.ask(lambda client: base_url(client, where, name)))
