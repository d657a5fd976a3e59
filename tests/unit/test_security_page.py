"""The page about security names tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "operations" / "security.md"
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE.read_text())))


def test_each_row_of_the_threat_model_names_a_test() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "tests/" in line]
    table = PAGE.read_text().partition("| attacker |")[2].partition("\n\n")[0].splitlines()[2:]
    assert rows == table
    assert len(rows) >= 15


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[f"{path}::{name}" for path, name in NAMED])
def test_what_it_names_is_there(path: str, name: str) -> None:
    module = ast.parse((ROOT / path).read_text())
    defined = {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert (name in defined) if name else any(each.startswith("test_") for each in defined)
