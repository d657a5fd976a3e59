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


@pytest.mark.parametrize(
    "deep",
    [
        pytest.param("[" * 100_000, id="lists"),
        pytest.param("{a: " * 100_000, id="mappings"),
        pytest.param("- " * 100_000, id="lists without brackets"),
        pytest.param("? " * 100_000, id="keys"),
        pytest.param("[" * 600 + "]" * 600, id="as deep as Python goes"),
    ],
)
def test_what_is_nested_too_deep_is_a_mistake(deep: str, tmp_path: Path) -> None:
    """It was a segmentation fault: a file of a merge request ended the job of its review so."""
    file = tmp_path / "hostile.yaml"
    file.write_text(f"kind: X\n---\n{deep}")
    documents, (problem,) = read([str(file)])
    assert documents == []
    assert (problem.line, problem.message) == (3, "nested more than 200 deep; no manifest is")


def test_what_is_nested_as_deep_as_a_schema_may_be_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(f"kind: X\nspec: {'[' * 199}{']' * 199}\n---\nkind: Z\n---\n[\n")
    documents, (problem,) = read([str(file)])
    assert [each.kind for each in documents] == ["X", "Z"]
    assert problem.message.startswith("not YAML")


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


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        pytest.param("22:22", "22:22", id="no number to base 60"),
        pytest.param("2026-11-26", "2026-11-26", id="no date"),
        pytest.param("=", "=", id="an equals sign is text"),
        pytest.param("!!binary aGVsbG8=", "hello", id="binary is the text that it says"),
        pytest.param("y", True, id="y is yes"),
        pytest.param("No", False, id="No is no"),
        pytest.param("0x1F", 31, id="to base 16"),
        pytest.param("-017", -15, id="to base 8"),
        pytest.param("0o17", 15, id="to base 8, as in YAML 1.2"),
        pytest.param("1_000", 1000, id="underscores"),
        pytest.param("1e3", 1000, id="an exponent without a point"),
        pytest.param("2.0", 2, id="a whole number, once it is JSON"),
        pytest.param("1.5", 1.5, id="a fraction"),
        pytest.param("99999999999999999999999", 1e23, id="more than 64 bits"),
        pytest.param("{7: a, true: b, 2.5: c}", {"7": "a", "true": "b", "2.5": "c"}, id="keys are text"),
        pytest.param("!!set {a, b}", {"a": None, "b": None}, id="a set is a mapping"),
        pytest.param("~", None, id="nothing"),
        pytest.param("1.2.3", "1.2.3", id="a version"),
        pytest.param("10Gi", "10Gi", id="a quantity"),
    ],
)
def test_values_are_read_as_kubectl_reads_them(written: str, read_as: object, tmp_path: Path) -> None:
    """What sigs.k8s.io/yaml 1.4.0 makes of them: PyYAML alone refused `=`, and took 22:22 for 1342."""
    file = tmp_path / "value.yaml"
    file.write_text(f"kind: X\nvalue: {written}\n")
    (document,), problems = read([str(file)])
    assert problems == []
    assert document.manifest["value"] == read_as
    assert type(document.manifest["value"]) is type(read_as)


@pytest.mark.parametrize(
    ("written", "want"),
    [
        pytest.param(".inf", ".inf is no number that JSON has", id="infinity"),
        pytest.param("{~: a}", "a key that is neither text nor a number", id="no key"),
        pytest.param("!!binary gICA", "!!binary that is not UTF-8", id="bytes"),
    ],
)
def test_what_json_cannot_say_is_refused_in_its_line(written: str, want: str, tmp_path: Path) -> None:
    file = tmp_path / "value.yaml"
    file.write_text(f"kind: X\nvalue: {written}\n")
    documents, (problem,) = read([str(file)])
    assert documents == []
    assert (problem.line, problem.message) == (2, f"not YAML: {want}")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("kind: List\nitems:\n- {kind: X}\n", id="of kubectl get"),
        pytest.param("kind: AIMServiceList\nmetadata: {}\nitems:\n- {kind: X}\n", id="of the API server"),
        pytest.param("kind: List\nitems: []\n---\nkind: X\n", id="with nothing in it"),
        pytest.param("kind: List\nitems:\n---\nkind: X\n", id="whose items are null, as Go writes none"),
        pytest.param("kind: List\n---\nkind: X\n", id="without items"),
    ],
)
def test_lists_are_the_objects_in_them(text: str, tmp_path: Path) -> None:
    """An AIMServiceList was an object without a name, and its services were not planned."""
    file = tmp_path / "list.yaml"
    file.write_text(text)
    (document,), problems = read([str(file)])
    assert problems == []
    assert document.kind == "X"
