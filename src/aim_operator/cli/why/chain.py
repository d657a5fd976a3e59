"""The shape of an explanation: hops from what was asked about to the root, and one remedy. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aim_operator.cli.program import named as called
from aim_operator.cli.why.remedies import remedy

ARROW = "→ "


class Hop(Struct, frozen=True, kw_only=True):
    """One object on the way. `remedy` overrides what the list of reasons says about `reason`."""

    kind: str
    namespace: str
    name: str
    state: str = ""
    reason: str = ""
    message: str = ""
    since: str | None = None
    remedy: str = ""

    @property
    def named(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


class Chain(Struct, frozen=True, kw_only=True, rename="camel"):
    """`good`: nothing is wrong with the first. `unseen` is what the user may not look at, on the way."""

    hops: tuple[Hop, ...]
    good: bool = False
    unseen: tuple[str, ...] = ()

    @property
    def root(self) -> Hop:
        """The last object that says why; hops after it that say nothing only show how far it was looked."""
        return next((hop for hop in reversed(self.hops) if hop.reason or hop.message), self.hops[-1])

    @property
    def remedy(self) -> str:
        """The one thing to do, by the root or else by whoever is before it and knows."""
        if self.good:
            return ""
        before = [hop for hop in reversed(self.hops) if hop.reason or hop.message]
        return next((words for hop in before if (words := hop.remedy or remedy(hop.reason))), "")


def structured(chain: Chain) -> object:
    """Return what `-o json` prints."""
    root = chain.root
    return {
        "ready": chain.good,
        "hops": [msgspec.to_builtins(hop) | {"root": hop is root and not chain.good} for hop in chain.hops],
        "unseen": list(chain.unseen),
        "remedy": chain.remedy,
    }


def draw(chain: Chain, ages: dict[str, str]) -> RenderableType:
    """Return the lines, each of which goes on below its own beginning where a screen is narrow."""
    return Group(*(_drawn(called(line), style) for line, style in lines(chain, ages)))


def _drawn(line: str, style: str) -> RenderableType:
    text = line.lstrip()
    indent = len(line) - len(text)
    if not text.startswith(ARROW):
        return Padding.indent(Text(text, style=style), indent)
    beside = Table.grid(padding=0)
    beside.add_column()
    # Names of Pods are there to be copied: longer ones than a line are not cut.
    beside.add_column(overflow="fold")
    beside.add_row(Text(" " * indent + ARROW, style=style), Text(text.removeprefix(ARROW), style=style))
    return beside


def lines(chain: Chain, ages: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each line with its style. `ages` has the words for the times of the hops."""
    for depth, hop in enumerate(chain.hops):
        is_root = hop is chain.root and not chain.good
        indent = "  " * depth
        arrow = ARROW if depth else ""
        age = f" for {ages[hop.since]}" if hop.since and ages.get(hop.since) else ""
        parts = [part for part in (hop.state, hop.reason if hop.reason != hop.state else "") if part]
        mark = "  ← the root" if is_root and len(chain.hops) > 1 else ""
        yield (
            f"{indent}{arrow}{hop.named}: {': '.join(parts) or 'there'}{age}{mark}",
            "red" if is_root else "",
        )
        if hop.message:
            yield f"{indent}{'  ' if depth else ''}  {' '.join(hop.message.split())}", ""
    for each in chain.unseen:
        yield f"not seen: {each}", "yellow"
    if chain.good:
        yield "Nothing is in its way.", "green"
    else:
        yield f"Do: {chain.remedy or 'see the message of the root'}", "bold"
