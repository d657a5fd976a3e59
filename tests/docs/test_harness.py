"""The harness itself: it must fail where a page is wrong, or it proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import Block, commands, read_page
from tests.docs.output import difference
from tests.docs.session import Session


def block(text: str, language: str = "console", **says: str) -> Block:
    return Block("page.md", 1, language, text, says)


def test_a_page_is_read_with_what_it_says_of_its_blocks() -> None:
    page = read_page(
        "page.md",
        "<!-- tested on: start here -->\n\n<!-- test: eventually -->\n<!-- test: fails -->\n"
        "```console\n$ a\n```\n\n1. in a list\n\n    ```yaml\n    a: 1\n    ```\n",
    )
    assert page.environment == "start here"
    assert [(b.line, b.language, b.text, b.says) for b in page.blocks] == [
        (5, "console", "$ a\n", {"eventually": "", "fails": ""}),
        (11, "yaml", "a: 1\n", {}),
    ]
    assert page.problems == []


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("<!-- tested on: mars -->\n", "page.md:1: no such environment: mars"),
        ("<!-- test: perhaps -->\n```text\n```\n", "page.md:1: no such words: perhaps"),
        ("<!-- test: fails -->\n\nprose\n", "page.md:3: a comment about a block, but no block after it"),
    ],
)
def test_words_that_nobody_understands_are_told(text: str, want: str) -> None:
    assert read_page("page.md", text).problems == [want]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("a\nb  # why\n", [("a", None), ("b  # why", None)], id="without marks all are commands"),
        pytest.param("$ a\n1\n2\n$ b\n", [("a", "1\n2"), ("b", None)], id="output follows its command"),
        pytest.param("$ a \\\n  b\nout\n", [("a \\\n  b", "out")], id="a backslash goes on"),
        pytest.param("$ a <<'X'\nb\nX\nout\n", [("a <<'X'\nb\nX", "out")], id="so does a here-document"),
    ],
)
def test_commands_of_a_console_block(text: str, want: list[tuple[str, str | None]]) -> None:
    assert [(one.text, one.output) for one in commands(block(text))] == want


@pytest.mark.parametrize(
    ("shown", "got"),
    [
        pytest.param("NAME   AGE\na      5s", "NAME AGE\na    2m31s", id="ages and widths"),
        pytest.param("ready in 7.6 s", "ready in 12.0 s", id="seconds"),
        pytest.param("http://127.0.0.1:1", "http://127.0.0.1:29981", id="addresses"),
        pytest.param("pod/a-5d7f9c8b6d-x7x2k", "pod/a-5f9c8b6d4-pqvzb", id="names of Pods"),
        pytest.param(
            "uid: 8862a616-7e33-4ed7-802f-f8d43c2a6c5d",
            "uid: 00000000-0000-0000-0000-000000000000",
            id="uids",
        ),
        pytest.param("a\n…\nd", "a\nb\nc\nd", id="lines left out"),
        pytest.param("a\n…\nd", "a\nd", id="or none"),
        pytest.param("created …", "created by x", id="text left out"),
    ],
)
def test_what_differs_at_every_run_is_equal(shown: str, got: str) -> None:
    assert difference(shown, got) == ""


@pytest.mark.parametrize(
    ("shown", "got"),
    [
        pytest.param("Running", "Pending", id="another word"),
        pytest.param("a\nb", "a\nb\nc", id="a line more"),
        pytest.param("a\nb", "a", id="a line less"),
        pytest.param("a\n…\nd", "a\nb\nc", id="not what follows the lines left out"),
        pytest.param("llama-3-8b", "llama-3-7b", id="numbers in names"),
        pytest.param("replicas 2", "replicas 3", id="numbers"),
        pytest.param("a.b", "axb", id="no regular expressions"),
    ],
)
def test_everything_else_is_not(shown: str, got: str) -> None:
    assert "printed" in difference(shown, got)


def test_a_session_is_one_shell_and_tells_what_went_wrong(tmp_path: Path) -> None:
    with Session(tmp_path, {"GIVEN": "1"}) as session:
        assert session.block(block("$ export X=$GIVEN; cd hack\n$ echo $X $(basename $PWD)\n1 hack\n")) == ""
        assert session.block(block("a: 1\n", "yaml", **{"saved as": "new/a.yaml"})) == ""
        assert session.block(block("$ cat $OLDPWD/new/a.yaml\na: 1\n")) == ""
        assert "file of the checkout" in session.block(block("", "yaml", **{"saved as": "Makefile"}))
        assert "did not succeed (exit code 3)" in session.block(block("$ (exit 3)\n"))
        assert "did not fail" in session.block(block("$ true\n", fails=""))
        assert session.block(block("$ echo no; false\nno\n", fails="")) == ""
        assert session.block(block("$ echo a\nb\n")).startswith("page.md:2: printed something else")


def test_a_session_waits_and_leaves_nothing_running(tmp_path: Path) -> None:
    later = "sleep 0.5; touch here; echo up; exec sleep 600"
    with Session(tmp_path, {}) as session:
        assert session.block(block(f"$ bash -c '{later}'\n", **{"in the background until": "up"})) == ""
        assert session.block(block("$ test -e here\n")) == ""
        counting = "$ echo x >>count; wc -l <count\n3\n"
        assert session.block(block(counting, eventually="")) == ""
        (pid,) = session.backgrounds
        problem = session.block(block("$ bash -c 'echo down'\n", **{"in the background until": "up"}))
        assert problem.endswith("did not print 'up':\ndown\n")
    assert not Path(f"/proc/{pid}").exists()
