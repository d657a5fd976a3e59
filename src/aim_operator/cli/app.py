"""The command line: which subcommands there are. Each has its module; nothing heavy is imported here.

`aimctl --help` answers at once: aiohttp, rich and the sandbox are imported by the commands that need them.
"""

from __future__ import annotations

from typing import Annotated

import typer

from aim_operator.cli import version as versions
from aim_operator.cli.completion import completion
from aim_operator.cli.crds import crds
from aim_operator.cli.demo import demo
from aim_operator.cli.doctor.command import doctor
from aim_operator.cli.everyday.call import call
from aim_operator.cli.everyday.happenings import events
from aim_operator.cli.everyday.logs import logs
from aim_operator.cli.everyday.models import models
from aim_operator.cli.everyday.reach import url
from aim_operator.cli.everyday.serve import serve
from aim_operator.cli.everyday.switches import pause, rediscover, restart, resume, retry
from aim_operator.cli.everyday.waiting import wait
from aim_operator.cli.fetch import fetch
from aim_operator.cli.fit.command import fit
from aim_operator.cli.init.command import init
from aim_operator.cli.plan.command import PlanCommand, plan
from aim_operator.cli.plan.snapshot_command import snapshot
from aim_operator.cli.program import Command, Group
from aim_operator.cli.run import run
from aim_operator.cli.status.command import status
from aim_operator.cli.version import version
from aim_operator.cli.why.command import why

# Without markup, help is plain text and typer leaves rich alone.
app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
# By what most people look for first.
app.command(cls=Command)(demo)
app.command(cls=Command)(init)
app.command(cls=PlanCommand)(plan)
app.command(cls=Command)(snapshot)
USE = (status, why, fit, doctor, models, serve, call, url, logs, events, wait)
CHANGE = (restart, rediscover, retry, pause, resume)
SERVE = (run, crds, fetch)
for command in (*USE, *CHANGE, *SERVE, version, completion):
    app.command(cls=Command)(command)


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer calls it
    if requested:
        typer.echo(f"aimctl {versions.client()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def aimctl(
    ctx: typer.Context,
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Turn a catalog of AI model images into running, routed inference services on Kubernetes.

    \b
    aimctl demo            # see it work; needs no cluster
    aimctl init            # write your first image, template and service
    aimctl plan catalog/   # what would come of these files; needs no cluster
    aimctl status -A       # what runs in your cluster, and what does not
    aimctl why chat        # why a service is not ready, and what to do
    """
    del show_version
    # With no command at all it says what there is, and that is no error: as kubectl and helm do.
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
