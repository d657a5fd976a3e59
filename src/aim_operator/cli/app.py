"""The command line: which subcommands there are. Each has its module; nothing heavy is imported here.

`aimctl --help` answers at once: aiohttp, rich and the sandbox are imported by the commands that need them.
"""

from __future__ import annotations

from typing import Annotated

import typer

from aim_operator.cli.crds import crds
from aim_operator.cli.demo import demo
from aim_operator.cli.fetch import fetch
from aim_operator.cli.run import run

# Without markup, help is plain text and typer leaves rich alone.
app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(demo)
app.command()(run)
app.command()(crds)
app.command()(fetch)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib import metadata  # noqa: PLC0415 - most runs do not ask

    typer.echo(f"aimctl {metadata.version('aim-operator')}")


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer calls it
    if requested:
        version()
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

    Start with `aimctl demo`: it needs no cluster.
    """
    del show_version
    # With no command at all it says what there is, and that is no error: as kubectl and helm do.
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
