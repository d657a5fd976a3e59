"""A Difference in words: sections of lines, for terminals and merge requests. Pure. Called by view.py."""

from __future__ import annotations

from collections.abc import Iterator

from aim_operator.cli.plan.difference import Difference, Discovery, Download, Moved, Restart, Scaled, Worse
from aim_operator.cli.printing import size


def sections(found: Difference) -> Iterator[tuple[str, list[str]]]:
    """Yield what the change does, each kind of it under its heading; the worst comes last."""
    parts = (
        ("Changed", list(found.changed)),
        ("Restarts", [restarted(each) for each in found.restarts]),
        ("Replicas", [_scaled(each) for each in found.scaled]),
        ("Routes", [_moved(each) for each in found.moved]),
        ("Discoveries", [_discovered(each) for each in found.discoveries]),
        ("Downloads", [_downloaded(each) for each in found.downloads]),
        (
            "GPUs, if Pods go where most are taken",
            [
                f"{each.node}: {each.before} → {each.after} of {each.allocatable} {each.resource}"
                for each in found.nodes
            ],
        ),
        ("No node has the GPUs", list(found.unplaced)),
        ("Waits for what nobody knows yet", [_worse(each) for each in found.waiting]),
        ("Not seen", list(found.unseen)),
        ("Would be Degraded or Failed", [_worse(each) for each in found.worse]),
    )
    yield from ((title, lines) for title, lines in parts if lines)


def summary(found: Difference) -> list[str]:
    """Return the numbers that matter."""
    downloads = sum(each.size_bytes or 0 for each in found.downloads)
    unknown = any(each.size_bytes is None for each in found.downloads)
    counts = (
        ("changed", len(found.changed), ""),
        ("to restart", len(found.restarts), ""),
        ("with other replicas", len(found.scaled), ""),
        ("with another route", len(found.moved), ""),
        ("to discover", len(found.discoveries), ""),
        ("to download", len(found.downloads), f" ({'at least ' * unknown}{size(downloads)})"),
        ("waiting", len(found.waiting), ""),
        ("would be Degraded or Failed", len(found.worse), ""),
    )
    said = [f"{number} {words}{more}" for words, number, more in counts if number]
    return said or ["nothing changes in the cluster"]


def restarted(each: Restart) -> str:
    """Return which service is restarted, and from what to what."""
    if each.old_image != each.new_image:
        others = [name for name in each.changes if name != "image"]
        more = f"; also {', '.join(others)}" if others else ""
        return f"{each.namespace}/{each.name}: {each.old_image} → {each.new_image}{more}"
    return f"{each.namespace}/{each.name}: {', '.join(each.changes)}"


def _scaled(each: Scaled) -> str:
    return f"{each.namespace}/{each.name}: {each.old} → {each.new}"


def _moved(each: Moved) -> str:
    return f"{each.namespace}/{each.name}: {each.old or 'no route'} → {each.new or 'no route'}"


def _discovered(each: Discovery) -> str:
    where = f"{each.namespace}/" if each.namespace else ""
    return f"{each.kind} {where}{each.name}: {each.image}, its answer is {each.answer}"


def _downloaded(each: Download) -> str:
    known = "its size is not known yet" if each.size_bytes is None else size(each.size_bytes)
    return f"{each.namespace}/{each.name}: {each.source}, {known}"


def _worse(each: Worse) -> str:
    where = f"{each.namespace}/" if each.namespace else ""
    return f"{each.kind} {where}{each.name}: {each.status}: {each.reason}: {each.message}"
