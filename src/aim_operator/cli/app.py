"""The command line: which subcommands there are. Each has its module, which is imported when it is called.

`aimctl --help` answers at once: aiohttp, rich and the sandbox are imported by the commands that need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from aim_operator.cli.program import Command, Group

COMMANDS = {
    "demo": "demo",
    "init": "init.command",
    "plan": "plan.command",
    "snapshot": "plan.snapshot_command",
    # To use a cluster.
    "status": "status.command",
    "why": "why.command",
    "fit": "fit.command",
    "doctor": "doctor.command",
    "models": "everyday.models",
    "serve": "everyday.serve",
    "call": "everyday.call",
    "url": "everyday.reach",
    "logs": "everyday.logs",
    "events": "everyday.happenings",
    "wait": "everyday.waiting",
    # To change what is there.
    "restart": "everyday.switches",
    "rediscover": "everyday.switches",
    "retry": "everyday.switches",
    "pause": "everyday.switches",
    "resume": "everyday.switches",
    # What runs in containers.
    "run": "run",
    "crds": "crds",
    "fetch": "fetch",
    "version": "version",
    "completion": "completion",
}
"""Where each is, by what most people look for first: a function of that name, in a module of this package."""


def app(*names: str) -> typer.Typer:
    """Return the program with these commands, or with all of them."""
    # Without markup, help is plain text and typer leaves rich alone.
    made = typer.Typer(
        cls=Group,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    made.callback(invoke_without_command=True)(aimctl)
    for name in names or COMMANDS:
        module = import_module(f"aim_operator.cli.{COMMANDS[name]}")
        made.command(cls=getattr(module, "COMMAND_CLASS", Command))(getattr(module, name))
    return made


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer calls it
    if requested:
        from aim_operator.cli import version  # noqa: PLC0415 - reads the installed packages

        typer.echo(f"aimctl {version.client()}")
        raise typer.Exit


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
