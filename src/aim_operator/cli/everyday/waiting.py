"""`aimctl wait`: until a service runs, saying meanwhile what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import say

if TYPE_CHECKING:
    from aim_operator.cli.objects import Named
    from aim_operator.kube.protocol import KubeClient
    from aim_operator.runtime.clock import Clock

NOT_READY = 1
LOOK_SECONDS = 1.0
MOST_SECONDS = 7 * 24 * 3600.0


@connect.with_cluster
def wait(
    obj: Annotated[
        str, typer.Argument(metavar="[KIND/]NAME", help="The object; a service if no kind is given.")
    ],
    *,
    timeout: Annotated[str, typer.Option(metavar="SECONDS", help="How long to wait.")] = "600",
    cluster: connect.Cluster,
) -> None:
    """Wait until a service runs, or a cache is available.

    \b
    aimctl wait chat -n team                  # ends with 1 as soon as it is Failed or Degraded
    aimctl wait cache/llama --timeout 7200    # a download

    Each change of what it waits for is a line.
    """
    from aim_operator.cli import flags, objects  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.runtime.clock import SystemClock  # noqa: PLC0415

    seconds = flags.seconds_of("--timeout", timeout, MOST_SECONDS)
    objects.find(obj, "default")
    named = objects.find(obj, cluster.namespace)
    ready = cluster.ask(lambda client: until_ready(client, SystemClock(), named, seconds, say))
    if not ready:
        raise typer.Exit(NOT_READY)


async def until_ready(
    client: KubeClient, clock: Clock, named: Named, seconds: float, say: Callable[[str], None]
) -> bool:
    """Return whether the object got ready in time; False also once it is Failed or Degraded."""
    from aim_operator.api.v1alpha1.conditions import State  # noqa: PLC0415
    from aim_operator.cli.why.look import explain  # noqa: PLC0415

    end, before = clock.monotonic() + seconds, ""
    while True:
        found = await explain(client, named, deep=False)
        hop = found.hops[0]
        message = " ".join(hop.message.split())
        line = ": ".join(part for part in (hop.state, hop.reason, message) if part)
        if line != before:
            say(f"{named}: {line}")
            before = line
        if found.good or hop.state in (State.FAILED, State.DEGRADED):
            return found.good
        if clock.monotonic() >= end:
            say(f"{named}: not ready after {seconds:g} s; aimctl why {named.resource.kind}/{named.name}")
            return False
        await clock.sleep(LOOK_SECONDS)
