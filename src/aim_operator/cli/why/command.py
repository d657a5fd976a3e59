"""`aimctl why`: why an object is not ready. Parses; look.py finds the chain, chain.py words it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aim_operator.cli import connect

FORMS = ("text", "json", "yaml")
NOT_READY = 1


@connect.with_cluster
def why(
    obj: Annotated[
        str, typer.Argument(metavar="[KIND/]NAME", help="The object; a service if no kind is given.")
    ],
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="|".join(FORMS), help="How to print it.")
    ] = "text",
    cluster: connect.Cluster,
) -> None:
    """Say why an object is not ready, and what to do.

    \b
    aimctl why chat                    # a service
    aimctl why clustertemplate/fast    # a template of the cluster
    aimctl why cache/llama -n team     # a model cache

    From cause to cause to the root, it looks at the object, its template, caches, Jobs, Pods, claims and
    routes, with your rights; what you may not see is named. Ends with 0 if nothing is in
    the way, else with 1.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - `--help` need not import what follows

    from aim_operator.cli import flags, objects  # noqa: PLC0415
    from aim_operator.cli.printing import STRUCTURED, age, console, structured  # noqa: PLC0415
    from aim_operator.cli.why import chain  # noqa: PLC0415
    from aim_operator.cli.why.look import explain  # noqa: PLC0415

    flags.one_of("--output", output, FORMS)
    objects.find(obj, "default")
    named = objects.find(obj, cluster.namespace)
    found = cluster.ask(lambda client: explain(client, named))
    if output in STRUCTURED:
        sys.stdout.write(structured(chain.structured(found), output))
    else:
        now = datetime.now(UTC)
        ages = {hop.since: age(hop.since, now) for hop in found.hops if hop.since}
        console().print(chain.draw(found, ages))
    if not found.good:
        raise typer.Exit(NOT_READY)
