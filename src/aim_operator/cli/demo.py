"""`aimctl demo`: a model catalog becomes a running service, in memory or, with --cluster, for real."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aim_operator.cli import flags

SANDBOX_SECONDS = 60.0
CLUSTER_SECONDS = 300.0


def demo(
    *,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="YAML files to apply instead of an example set."),
    ] = None,
    example: Annotated[
        str,
        typer.Option(metavar="NAME", help="Example set: quickstart, team-overrides or tenant-routes."),
    ] = "quickstart",
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            help=f"How long it may take; {SANDBOX_SECONDS:g}, and {CLUSTER_SECONDS:g} with --cluster.",
        ),
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="On a real cluster that has KServe and the Gateway API.")
    ] = False,
    gateway_url: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_GATEWAY_URL",
            show_envvar=False,
            metavar="URL",
            help="With --cluster: where the Gateway is reached, to send a request through it too.",
        ),
    ] = None,
    operator_namespace: flags.OperatorNamespace = None,
    kubeconfig: flags.Kubeconfig = None,
    context: flags.Context = None,
) -> None:
    """Show a model catalog turn into a running, routed service. Needs no cluster.

    Ends with exit code 0 only when every template is Available and every service Running; with --cluster,
    when each model server has answered HTTP 200 besides.
    """
    from rich.console import Console  # noqa: PLC0415 - 0.1 s that `aimctl --help` need not pay

    from aim_operator.cli import quickstart  # noqa: PLC0415

    source = quickstart.find(directory, example)
    examples = quickstart.load(source)
    console = Console()
    problems: list[str] = []
    if cluster:
        from aim_operator.cli.demo_cluster import run_on_cluster  # noqa: PLC0415
        from aim_operator.kube import credentials  # noqa: PLC0415

        last, problems = run_on_cluster(
            credentials.load(kubeconfig, context),
            examples,
            operator_namespace=flags.operator_namespace(operator_namespace),
            gateway_url=gateway_url,
            timeout_seconds=timeout or CLUSTER_SECONDS,
            console=console,
        )
    else:
        from aim_operator.cli.demo_sandbox import run_in_sandbox  # noqa: PLC0415

        last = run_in_sandbox(source, examples, timeout or SANDBOX_SECONDS, console)
    from aim_operator.cli.demo_next import next_steps  # noqa: PLC0415
    from aim_operator.cli.demo_show import explain  # noqa: PLC0415

    for line in (*explain(last), *problems):
        print(f"error: {line}", file=sys.stderr)  # noqa: T201
    if problems or not last.done:
        raise typer.Exit(1)
    console.print(next_steps(last, source, cluster=cluster, gateway_url=gateway_url), soft_wrap=True)
