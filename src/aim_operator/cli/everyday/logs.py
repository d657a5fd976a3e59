"""`aimctl logs`: what discovery, a download or the model server of a service writes."""

from __future__ import annotations

import codecs
import sys
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import without_controls
from aim_operator.errors import UserError

if TYPE_CHECKING:
    from aim_operator.cli.everyday.log_source import Part
    from aim_operator.kube.protocol import KubeClient

MOST_LINES = 1_000_000
_LONGEST = 64 * 1024
"""Characters of a line that are held back for its end."""


@connect.with_cluster
def logs(
    service: Annotated[str, typer.Argument(metavar="NAME", help="The service.")],
    *,
    discovery: Annotated[bool, typer.Option("--discovery", help="Of the image's discovery.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Of the model's download.")] = False,
    server: Annotated[
        bool, typer.Option("--server", help="Of the model server; so also without any of the three.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow it until its end.")] = False,
    tail: Annotated[
        str | None, typer.Option(metavar="LINES", help="So many lines of its end; else all.")
    ] = None,
    cluster: connect.Cluster,
) -> None:
    """Print what a server, download or discovery writes.

    \b
    aimctl logs chat -n team -f             # of the model server, until Ctrl-C
    aimctl logs chat -n team --download -f
    aimctl logs chat -n team --discovery

    Jobs that are done are deleted, and their logs with them. The discovery of a cluster template runs in the
    operator's namespace: reading it needs rights there.
    """
    from aim_operator.api.v1alpha1 import SERVICES  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli import flags, objects  # noqa: PLC0415
    from aim_operator.cli.everyday.log_source import Part  # noqa: PLC0415

    asked = {Part.DISCOVERY: discovery, Part.DOWNLOAD: download, Part.SERVER: server}
    parts = [part for part, is_asked in asked.items() if is_asked]
    if len(parts) > 1:
        raise UserError(f"{' and '.join(f'--{part}' for part in parts)}: choose one")
    lines = flags.count_of("--tail", tail, MOST_LINES) if tail is not None else None
    name = objects.find_of(service, "default", (SERVICES,)).name
    where, part = cluster.namespace, parts[0] if parts else Part.SERVER
    cluster.ask(lambda client: show(client, where, name, part, follow=follow, tail=lines, to=sys.stdout))


async def show(
    client: KubeClient,
    namespace: str,
    name: str,
    part: Part,
    *,
    follow: bool = False,
    tail: int | None = None,
    to: TextIO,
) -> None:
    """Write the log to `to`, without what would control a terminal. Raises UserError where there is none."""
    from aim_operator.cli.everyday import log_source  # noqa: PLC0415 - `--help` need not import it

    source = await log_source.find(client, namespace, name, part)
    decoder, rest = codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
    async for chunk in log_source.read(client, source, follow=follow, tail=tail):
        # Progress bars begin their line anew; each state of them is a line here.
        text = rest + decoder.decode(chunk).replace("\r", "\n")
        whole, _, rest = text.rpartition("\n") if "\n" in text else ("", "", text)
        if "\n" in text:
            to.write(without_controls(whole) + "\n")
        if len(rest) > _LONGEST:
            to.write(without_controls(rest))
            rest = ""
        to.flush()
    to.write(without_controls(rest + decoder.decode(b"", final=True)))
