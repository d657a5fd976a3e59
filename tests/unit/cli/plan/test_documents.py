"""What files may do to whoever plans them: the files of a merge request are anybody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from aim_operator.cli.plan.documents import read
from aim_operator.errors import UserError

TEN = ", ".join(["{kind: X}"] * 10)
LAUGHS = f"kind: List\nitems:\n- &a0 {{kind: List, items: [{TEN}]}}\n" + "".join(
    f"- &a{n} {{kind: List, items: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(
            LAUGHS, "its aliases make more than 5000000 fields", id="a billion objects in ten lines"
        ),
        pytest.param("&a\nkind: List\nitems: [*a, *a]\n", "contains itself", id="a list in itself"),
        pytest.param("kind: X\nspec: &s {model: *s}\n", "contains itself", id="a field in itself"),
    ],
)
def test_aliases_that_never_end_are_refused_at_once(text: str, want: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_text(text)
    documents, (problem,) = read([str(file)])
    assert documents == []
    assert want in problem.message


def test_a_name_that_no_file_can_have_is_told() -> None:
    """As a shell makes of a variable that holds a file's text."""
    with pytest.raises(UserError, match="cannot be read: File name too long"):
        read(["kind: AIMService " * 100])


def test_aliases_of_ordinary_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text("kind: X\nlabels: &l {team: a}\nmore: {<<: *l, also: *l}\n")
    (document,), problems = read([str(file)])
    assert problems == []
    assert document.manifest["more"] == {"team": "a", "also": {"team": "a"}}
