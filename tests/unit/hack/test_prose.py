"""Phrases that stopped readers are named with what to write instead; code and quotations are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack import prose

PAGE = Path("docs/page.md")


@pytest.mark.parametrize(
    "text",
    ["Models go on serving.", "Mend it.", "A cluster of yours.", "Just apply it.", "| a | e.g. this |"],
)
def test_a_phrase_is_named_by_its_line(text: str) -> None:
    (complaint,) = prose.complaints(PAGE, f"# Title\n\n{text}\n")
    assert complaint.startswith("docs/page.md:3: ")


@pytest.mark.parametrize(
    "text",
    [
        "Models keep serving.",
        "The flag `--go on` and ``just`code`` are code.",
        "```console\n$ just do it, please\n```",
        "````text\n```\nof yours\n```\n````",
        "Refused: “this shall not be”",
        "[Models](just-a-link.md) amend nothing.",
        "<!-- test: in order to run it -->",
    ],
)
def test_what_is_no_prose_or_is_plain_is_left_alone(text: str) -> None:
    assert list(prose.complaints(PAGE, text)) == []


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ('raise UserError("a port of its own; just try")\n', 2),
        ('"""A port of its own."""\n', 0),
        ('x = f"the reason {y} is told"\n', 1),
        ('x = "just"\n', 0),
    ],
    ids=["a message", "a docstring", "a part of a message", "a value"],
)
def test_what_the_program_says_is_held_to_the_same_rules(source: str, want: int) -> None:
    found = [line for number, text in prose.texts(source) for line in prose.phrases(f"a.py:{number}", text)]
    assert len(found) == want


def test_help_messages_and_comments_of_examples_are_looked_at() -> None:
    files = {str(path) for path, _, text in prose.spoken() if text}
    assert {"src/aim_operator/core/outcomes.py", "src/aim_operator/cli/run.py"} <= files
    assert {"examples/quickstart/04-service.yaml", "charts/aim-operator/templates/NOTES.txt"} <= files


def test_what_only_contributors_have_is_not_on_pages_for_users() -> None:
    (complaint,) = prose.complaints(PAGE, "A test shows it (`tests/e2e/test_install.py`).\n")
    assert "of no use to users" in complaint
    assert list(prose.complaints(Path("docs/operations/security.md"), "`tests/e2e/test_x.py`\n")) == []


def test_every_page_that_users_read_is_looked_at() -> None:
    names = {str(path.relative_to(prose.ROOT)) for path in prose.pages()}
    assert {"README.md", "docs/start.md", "docs/guides/faq.md", "docs/reference/api/aimservice.md"} <= names
    assert not any(name.startswith("docs/adr/") for name in names)
    assert all(path.exists() for path in prose.pages())


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("# C\n\n## [Unreleased]\n\n### Added\n\n- a\n\n### Fixed\n\n- b\n", 0),
        ("# C\n\n## [Unreleased]\n\n### Added\n\n- a\n\n### Fixed\n\n- b\n\n### Added\n\n- c\n", 1),
        ("# C\n\n## [Unreleased]\n\n### Fixed\n\n- b\n\n### Added\n\n- c\n", 1),
        ("# C\n\n## [2]\n\n### Fixed\n\n- b\n\n## [1]\n\n### Added\n\n- c\n", 0),
        ("# C\n\n## [Unreleased]\n\n### Added\n\n- a\n- a\n", 1),
    ],
)
def test_a_merge_that_leaves_a_section_or_a_line_of_the_changelog_twice_is_named(
    text: str, want: int
) -> None:
    assert len(list(prose.changelog(text))) == want
