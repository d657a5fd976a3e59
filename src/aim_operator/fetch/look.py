"""A source looked at without fetching: how many bytes, files, at which revision. `aimctl fetch --list`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from msgspec import Struct

from aim_operator.fetch.outcome import FetchReason, LeftOut, Outcome, outcome_of
from aim_operator.fetch.progress import size_text
from aim_operator.fetch.retrying import Policy
from aim_operator.fetch.selection import Chosen, Selection, choose
from aim_operator.fetch.sources import source_of
from aim_operator.fetch.threads import in_thread

_MOST_NAMED = 3


class Question(Struct, frozen=True, kw_only=True):
    """Of which source which files, and how patiently."""

    uri: str
    selection: Selection = Selection()
    stall_seconds: float = 120
    policy: Policy = Policy()


async def look(question: Question, environment: Mapping[str, str], say: Callable[[str], None]) -> Outcome:
    """List, and return what there is; `say` gets a line for each file. Never raises but for bugs."""

    async def ask() -> Outcome:
        source = await in_thread(
            lambda: source_of(
                question.uri,
                environment,
                policy=question.policy,
                # The same as while downloading, where half of the limit is for a second try.
                limit_seconds=question.stall_seconds / 2,
                retried=lambda cause: say(f"trying again after: {cause}"),
            )
        )
        with contextlib.closing(source):
            chosen = choose(await in_thread(lambda: source.list(None)), question.selection)
        listing = chosen.listing
        for file in listing.files:
            say(f"{file.size:>15} {file.path}")
        message = summary(chosen)
        say(f"revision {listing.revision}: {message}")
        return Outcome(
            reason=FetchReason.LISTED,
            message=message,
            total_bytes=listing.total_bytes,
            files=len(listing.files),
            revision=listing.revision,
            left_out=chosen.left_out,
        )

    return await outcome_of(ask, lambda reason, message: Outcome(reason=reason, message=message))


def summary(chosen: Chosen) -> str:
    """Say how much is chosen, and how much is left out and why."""
    listing = chosen.listing
    return f"{len(listing.files)} files, {size_text(listing.total_bytes)}{left_out_text(chosen.left_out)}"


def left_out_text(left_out: tuple[LeftOut, ...]) -> str:
    """Say what is left out, to go on with after what is not; "" for nothing."""
    if not left_out:
        return ""
    patterns = ", ".join(one.pattern for one in left_out[:_MOST_NAMED])
    more = ", …" if len(left_out) > _MOST_NAMED else ""
    files, size = sum(one.files for one in left_out), sum(one.total_bytes for one in left_out)
    return f"; left out: {files} files, {size_text(size)} ({patterns}{more})"
