"""Mutants that follow from tables in the code: each row removed in turn.

Read from the syntax of the modules, so that a new row is a new mutant without anybody's doing.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from itertools import chain

from hack.mutants.mutant import PACKAGE, SOURCE, Mutant

WAKE_UPS = "Wake-ups"
INSTALLATIONS = "Wiring"

CONTROLLERS = ("images", "runtime_configs", "templates", "template_caches", "model_caches", "services")
_WIRING = "app.py"
_REGISTER = (".add_handler", ".on_change")
_WAKES = ("tests/unit/controllers/test_wakes.py",)
_WIRES = ("tests/unit/test_app.py",)


def wake_rows() -> Iterator[Mutant]:
    """Return a mutant for each row of each table of wake-ups."""
    for controller in CONTROLLERS:
        module = f"controllers/{controller}.py"
        text, tree = _read(module)
        for function in _functions(tree):
            if not function.name.endswith("_wakes"):
                continue
            table = next(n.value for n in ast.walk(function) if isinstance(n, ast.Return))
            if not isinstance(table, ast.List):
                raise TypeError(f"{module}: {function.name} does not return a list")
            for place, row in enumerate(table.elts):
                fault = f"{_words(controller)} do not hear of {_row(row)}"
                yield Mutant(WAKE_UPS, fault, module, *_without(text, table, place), _WAKES)


def wiring() -> Iterator[Mutant]:
    """Return a mutant for each kind whose arrival the operator follows, and for each handler it registers."""
    text, tree = _read(_WIRING)
    for function in _functions(tree):
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Tuple)
                and function.name == "_follow_installations"
                and len(node.elts) > 1
            ):
                for place, element in enumerate(node.elts):
                    if (what := ast.unparse(element)).lstrip("*").startswith("watched."):
                        fault = f"the arrival of {what} is not followed, of {len(node.elts)} kinds"
                        yield Mutant(INSTALLATIONS, fault, _WIRING, *_without(text, node, place), _WIRES)
            handler = node.value if isinstance(node, ast.Expr) else None
            if isinstance(handler, ast.Call) and ast.unparse(handler.func).endswith(_REGISTER):
                call = ast.get_source_segment(text, handler) or ""
                yield Mutant(INSTALLATIONS, f"no {ast.unparse(handler)}", _WIRING, call, "pass", _WIRES)


def _read(module: str) -> tuple[str, ast.Module]:
    text = (SOURCE / PACKAGE / module).read_text()
    return text, ast.parse(text)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    nested = chain.from_iterable(each.body for each in tree.body if isinstance(each, ast.ClassDef))
    for node in chain(tree.body, nested):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _without(text: str, table: ast.List | ast.Tuple, place: int) -> tuple[str, str]:
    """Return a table as it stands in the file, and the same without one of its rows."""
    left = copy.copy(table)
    left.elts = [element for each, element in enumerate(table.elts) if each != place]
    return ast.get_source_segment(text, table) or "", ast.unparse(left)


def _row(row: ast.expr) -> str:
    """Return which informer wakes by which rule: `pods (service_of_pod)`."""
    if not isinstance(row, ast.Call):
        raise TypeError(f"{ast.unparse(row)} is no Trigger")
    informer, rule = (ast.unparse(argument) for argument in row.args[:2])
    return f"{_words(informer.rpartition('.')[2])} ({rule.rpartition('.')[2]})"


def _words(name: str) -> str:
    return name.replace("_", " ")
