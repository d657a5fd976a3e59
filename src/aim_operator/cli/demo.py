"""`aimctl demo`: a model catalog becomes a running service, in memory or, with --cluster, for real."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from aim_operator.cli import flags
from aim_operator.errors import UserError

SANDBOX_SECONDS = 60.0
CLUSTER_SECONDS = 300.0
CLUSTER_ONLY = ("gateway_url", "operator_namespace", "kubeconfig", "context")


def demo(
    ctx: typer.Context,
    *,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="DIR",
            help="YAML files to apply instead of an example set. What their images find in discovery is in "
            "DIR/profiles, JSON files as in examples/quickstart/profiles; else it is simulated.",
        ),
    ] = None,
    example: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Example set: quickstart, amd-catalog, cached-model, gated-model, team-overrides or "
            "tenant-routes.",
        ),
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
    _refuse_idle_flags(ctx, cluster=cluster)
    if timeout is not None and not math.isfinite(timeout):
        raise UserError(f"--timeout is {timeout}: write seconds, such as 60")
    from rich.console import Console  # noqa: PLC0415 - 0.1 s that `aimctl --help` need not pay

    from aim_operator.cli import quickstart  # noqa: PLC0415
    from aim_operator.cli.demo_ending import tell  # noqa: PLC0415
    from aim_operator.cli.demo_next import MOST_LINES, next_steps  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        # Its signs and frames are in no 8-bit encoding; a `?` in their place is better than a traceback.
        sys.stdout.reconfigure(errors="replace")
    source = quickstart.find(directory, example)
    examples = quickstart.load(source)
    console = Console()
    problems: list[str] = []
    simulated: list[str] = []
    if cluster:
        from aim_operator.cli.demo_cluster import run_on_cluster  # noqa: PLC0415
        from aim_operator.kube import credentials  # noqa: PLC0415

        ending, problems = run_on_cluster(
            credentials.load(kubeconfig, context),
            examples,
            operator_namespace=flags.operator_namespace(operator_namespace),
            gateway_url=gateway_url,
            timeout_seconds=timeout or CLUSTER_SECONDS,
            console=console,
            below=MOST_LINES,
        )
    else:
        from aim_operator.cli.demo_sandbox import run_in_memory  # noqa: PLC0415

        ending, simulated = run_in_memory(
            source, examples, timeout_seconds=timeout or SANDBOX_SECONDS, console=console, below=MOST_LINES
        )
    code = tell(ending, console, problems=problems, simulated=simulated)
    if code:
        raise typer.Exit(code)
    steps = next_steps(
        ending.last, source, examples, width=console.width, cluster=cluster, gateway_url=gateway_url
    )
    console.print(steps, soft_wrap=True)


def _refuse_idle_flags(ctx: typer.Context, *, cluster: bool) -> None:
    """Refuse flags on the command line that would do nothing; in the environment they may wait."""
    given = [name for name in ctx.params if _on_command_line(ctx, name)]
    if "directory" in given and "example" in given:
        raise UserError("--example does nothing beside --dir, which has the objects; leave one of them out")
    idle = [f"--{name.replace('_', '-')}" for name in CLUSTER_ONLY if name in given and not cluster]
    if idle:
        what = "needs" if len(idle) == 1 else "need"
        raise UserError(f"{' and '.join(idle)} {what} --cluster; without it the demo runs in memory")


def _on_command_line(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
