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
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(demo)
app.command()(run)
app.command()(crds)
app.command()(fetch)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - most runs do not ask

        typer.echo(f"aimctl {version('aim-operator')}")
        raise typer.Exit


@app.callback()
def aimctl(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn a catalog of AI model images into running, routed inference services on Kubernetes.

    Start with `aimctl demo`: it needs no cluster.
    """
    del version
