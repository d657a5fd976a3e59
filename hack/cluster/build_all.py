"""Builds several components at once.

One `go build` uses all cores while it compiles, one while it links, and none while it downloads: two of them
fill each other's gaps. What an interrupted build has finished stays: whole components in our cache, single
packages and downloads in Go's.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from hack.cluster.build import ensure, is_built
from hack.cluster.commands import Commands
from hack.cluster.components import BY_LENGTH, Component, ModuleManifests
from hack.cluster.progress import Progress

AT_ONCE = 2


def ensure_all(components: Iterable[Component], progress: Progress) -> None:
    """Build what is not built yet. The first failure ends the rest, and is raised; so is Ctrl-C."""
    missing = [component for component in dict.fromkeys(components) if not is_built(component)]
    # The longest first, so that none is left alone with one core at the end.
    programs = sorted((c for c in missing if not isinstance(c, ModuleManifests)), key=_rank)
    commands = Commands()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        building = [pool.submit(ensure, component, progress, commands) for component in programs]
        try:
            for done in wait(building, return_when=FIRST_EXCEPTION).done:
                done.result()
        except BaseException:
            for future in building:
                future.cancel()
            commands.stop()
            raise
    for component in missing:
        ensure(component, progress)  # the manifests, in seconds; the control plane converts them


def _rank(component: Component) -> int:
    return BY_LENGTH.index(component) if component in BY_LENGTH else len(BY_LENGTH)
