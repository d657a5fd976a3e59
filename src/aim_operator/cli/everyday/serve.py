"""`aimctl serve`: an AIMService without writing YAML. Parses; new_service.py makes and applies it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import say
from aim_operator.errors import UserError

MOST_REPLICAS = 1000
MOST_GPUS = 1024


@connect.with_cluster
def serve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of an AIMImage or AIMClusterImage.")],
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Apply it, instead of printing it.")] = False,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of the service; the model's, with - for each dot, if unset.")
    ] = "",
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="Template to run with; else the best one.")
    ] = None,
    replicas: Annotated[str | None, typer.Option(metavar="COUNT", help="Copies of the server.")] = None,
    gpus: Annotated[str | None, typer.Option(metavar="COUNT", help="GPUs of each copy.")] = None,
    gpu_model: Annotated[str | None, typer.Option(metavar="MODEL", help="GPU, such as MI300X.")] = None,
    metric: Annotated[str | None, typer.Option(metavar="METRIC", help="latency or throughput.")] = None,
    precision: Annotated[str | None, typer.Option(metavar="PRECISION", help="Such as fp8.")] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Download the model to a volume before it starts.")
    ] = False,
    route: Annotated[
        bool | None,
        typer.Option(
            "--route/--no-route", help="Through the gateway or not; else as the configuration has it."
        ),
    ] = None,
    path: Annotated[
        str | None, typer.Option(metavar="/PATH", help="Path on the gateway; it is routed then.")
    ] = None,
    cluster: connect.Cluster,
) -> None:
    """Write an AIMService for a model, or apply it.

    \b
    aimctl serve llama-3-8b > chat.yaml             # to read, to keep and to plan with
    aimctl serve llama-3-8b --name chat -n team --cache --path /team/chat --apply
    aimctl wait chat -n team                        # then

    Without --apply no cluster is asked. With it the model must be in the catalog; what was applied so before
    is changed to what is given now.
    """
    from aim_operator.cli import flags  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli.everyday import new_service  # noqa: PLC0415
    from aim_operator.cli.printing import structured  # noqa: PLC0415

    if path is not None and route is False:
        raise UserError("--path and --no-route: choose one")
    reach = {"--context": "context", "--as": "as_user", "--as-group": "as_groups"}
    if not apply and (unused := [flag for flag, field in reach.items() if field in cluster.typed]):
        raise UserError(f"{unused[0]} is for --apply; without it no cluster is asked")
    wish = new_service.Wish(
        model=model,
        name=name,
        template=template,
        replicas=flags.count_of("--replicas", replicas, MOST_REPLICAS) if replicas is not None else None,
        gpus=flags.count_of("--gpus", gpus, MOST_GPUS) if gpus is not None else None,
        gpu_model=gpu_model,
        metric=metric,
        precision=precision,
        cache=cache,
        route=route,
        path=path,
    )
    if not apply:
        if cluster.given_namespace:
            flags.namespace("--namespace", cluster.given_namespace)
        sys.stdout.write(structured(new_service.manifest(wish, cluster.given_namespace), "yaml"))
        return
    wanted = new_service.manifest(wish, cluster.namespace)
    new = cluster.ask(lambda client: new_service.apply(client, wanted))
    named = wanted["metadata"]["name"]
    say("\n".join(new_service.applied(cluster.namespace, named, new=new)))
