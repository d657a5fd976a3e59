"""What a test run did not run, and the command that changes that: kept by skipped tests, named at the end.

A skipped test's report carries what was missing as user properties, so it crosses from pytest-xdist's workers
to the main process; tests.support.plugin prints the lines.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pytest

from hack.cluster.errors import Missing

PROPERTY = "aim_missing_part"
# A file with more of them is named once, with their number.
NAMED_ONE_BY_ONE = 3


class Why(NamedTuple):
    """What kept a test from being run. `remedy` is "" where the test itself gave no more than a reason."""

    reason: str
    remedy: str


class NotRun(NamedTuple):
    """Tests with the same reason and remedy."""

    why: Why
    parts: list[str]
    tests: list[str]


def keep(item: pytest.Item, missing: Sequence[Missing]) -> None:
    """Attach what is missing to the reports of a test that is about to be skipped."""
    for entry in missing:
        text = json.dumps([entry.part, entry.reason, entry.remedy])
        item.user_properties.append((PROPERTY, text))


def not_run(skipped: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[NotRun]:
    """Return the skipped tests by reason, sorted; whatever skipped them, none is left out."""
    groups: dict[Why, tuple[set[str], set[str]]] = {}
    for report in skipped:
        for part, why in _missing(report):
            parts, tests = groups.setdefault(why, (set(), set()))
            parts.update([part] if part else [])
            tests.add(report.nodeid)
    return [NotRun(why, sorted(parts), sorted(tests)) for why, (parts, tests) in sorted(groups.items())]


def _missing(report: pytest.TestReport | pytest.CollectReport) -> list[tuple[str, Why]]:
    kept = [json.loads(str(v)) for name, v in getattr(report, "user_properties", ()) if name == PROPERTY]
    if kept:
        return [(part, Why(reason, remedy)) for part, reason, remedy in kept]
    # Of a skipped test it is a file, a line, and the reason.
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return [("", Why(reason.removeprefix("Skipped: "), ""))]


def lines(group: NotRun) -> Iterator[str]:
    """Yield what is printed of a group: the reason, its tests by file, and last what to do."""
    yield f"{', '.join(group.parts)}: {group.why.reason}" if group.parts else group.why.reason
    number_in = Counter(test.partition("::")[0] for test in group.tests)
    for file, number in sorted(number_in.items()):
        if number > NAMED_ONE_BY_ONE:
            yield f"  - {file}: {number} tests"
        else:
            yield from (f"  - {test}" for test in group.tests if test.partition("::")[0] == file)
    if group.why.remedy:
        yield f"  remedy: {group.why.remedy}"
