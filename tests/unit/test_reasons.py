"""docs/reference/reasons.md has a row for every reason there is, and for no other."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from aim_operator.api.v1alpha1.conditions import EventReason, Reason
from aim_operator.cli.why.remedies import remedy

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reasons.md"
ROW = re.compile(r"^\| (?:<a id=\"[^\"]*\"></a>)?`(\w+)` \|(.*)\|$", re.MULTILINE)
ANCHORED = re.compile(r"^\| <a id=\"([^\"]*)\"></a>`(\w+)` \|", re.MULTILINE)


def constants(owner: type) -> list[str]:
    return [value for name, value in vars(owner).items() if name.isupper()]


def test_every_reason_has_its_row_and_every_row_its_reason() -> None:
    rows = Counter(name for name, _ in ROW.findall(PAGE.read_text()))
    want = Counter(constants(Reason) + constants(EventReason))
    assert rows == want


def test_every_row_says_what_is_seen_why_and_what_to_do() -> None:
    for name, cells in ROW.findall(PAGE.read_text()):
        told = [cell.strip() for cell in cells.split("|")]
        assert len(told) == 3, name
        assert all(cell.endswith(".") for cell in told[1:]), f"{name}: no sentence in {told}"


def test_every_row_can_be_linked_to_by_its_reason_in_lower_case() -> None:
    text = PAGE.read_text()
    anchors = {name: anchor for anchor, name in ANCHORED.findall(text)}
    assert anchors == {name: name.lower() for name, _ in ROW.findall(text)}
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert not set(anchors.values()) & {heading.lower().replace(" ", "-") for heading in headings}


def test_a_reason_is_one_word_for_programs() -> None:
    for value in constants(Reason) + constants(EventReason):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", value), value


def test_aimctl_why_knows_what_to_do_about_every_reason() -> None:
    for name, cells in ROW.findall(PAGE.read_text()):
        words = remedy(name)
        assert words or "Nothing to do" in cells, name
        assert "](" not in words, f"{name}: a link is no link on a terminal"
