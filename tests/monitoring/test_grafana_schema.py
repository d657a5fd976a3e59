"""Grafana's own types take our dashboards whole: no field that it doesn't know, no value of another type.

The classes of grafana-foundation-sdk are generated from the schemas of the Grafana that its version ends
with. They drop what they don't know and check no types, so both is done here.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import prometheus, units

DASHBOARDS = sorted((Path(__file__).parents[2] / "charts/aim-operator/files/dashboards").glob("*.json"))
UNITS = {value for name, value in vars(units).items() if not name.startswith("_") and isinstance(value, str)}
SCALARS: dict[type, Any] = {str: str, int: int, float: (int, float), bool: bool}

register_default_plugins()


def faults(text: str) -> list[str]:
    """What Grafana's types would drop of a dashboard, or not take."""
    raw = json.loads(text)
    board = grafana.Dashboard.from_json(raw)
    back = json.loads(JSONEncoder().encode(board))
    return [
        *dropped(raw, back, "dashboard"),
        *misfits(board, grafana.Dashboard, "dashboard"),
        *odd_units(board),
    ]


def dropped(raw: Any, back: Any, where: str) -> Iterator[str]:
    if isinstance(raw, dict) and isinstance(back, dict):
        for key, value in raw.items():
            if key in back:
                yield from dropped(value, back[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is no field that Grafana knows"
    elif isinstance(raw, list) and isinstance(back, list):
        for number, (one, other) in enumerate(zip(raw, back, strict=True)):
            yield from dropped(one, other, f"{where}[{number}]")
    elif raw != back:
        yield f"{where} is {raw!r}, which Grafana reads as {back!r}"


def misfits(value: Any, hint: Any, where: str) -> Iterator[str]:
    """Values of another type than the class says, down to the last field."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object) or (origin is None and is_interface(hint)):
        yield from fields(value, where) if has_fields(value) else ()
    elif origin in (typing.Union, types.UnionType):
        choices = [each for each in arguments if each is not type(None) or value is None]
        found = [list(misfits(value, each, where)) for each in choices]
        yield from min(found, key=len)
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{where} is {value!r}, not one of {arguments}"
    elif origin in (list, dict):
        if not isinstance(value, origin):
            yield f"{where} is {value!r}, not a {origin.__name__}"
            return
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in pairs:
            yield from misfits(each, arguments[-1], f"{where}[{key}]")
    elif hint in SCALARS:
        if not isinstance(value, SCALARS[hint]) or (hint is not bool and isinstance(value, bool)):
            yield f"{where} is {value!r}, not a {hint.__name__}"
    elif issubclass(hint, enum.Enum):
        if value not in [each.value for each in hint]:
            yield f"{where} is {value!r}, not one of {[each.value for each in hint]}"
    elif not isinstance(value, hint):
        yield f"{where} is {value!r}, not a {hint.__name__}"
    else:
        yield from fields(value, where)


def is_interface(hint: Any) -> bool:
    """Whether it is one of the classes that those of plugins stand for."""
    return isinstance(hint, type) and hint.__module__.endswith("cog.variants")


def has_fields(value: Any) -> bool:
    return type(value).__module__.startswith("grafana_foundation_sdk.models")


def fields(value: Any, where: str) -> Iterator[str]:
    if value is None:
        return
    for name, hint in typing.get_type_hints(type(value)).items():
        yield from misfits(getattr(value, name), hint, f"{where}.{name}")


def odd_units(board: grafana.Dashboard) -> Iterator[str]:
    for panel in board.panels or ():
        assert isinstance(panel, grafana.Panel)
        assert panel.field_config is not None
        if panel.field_config.defaults.unit not in UNITS:
            yield f"{panel.title}: Grafana has no unit {panel.field_config.defaults.unit!r}"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_grafana_knows_every_field_and_takes_every_value(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_each_query_is_one_of_prometheus(path: Path) -> None:
    """A plugin that is not known is decoded as anything, and nothing of it would be checked."""
    board = grafana.Dashboard.from_json(json.loads(path.read_text()))
    panels = board.panels or []
    assert panels
    for panel in panels:
        assert isinstance(panel, grafana.Panel)
        assert has_fields(panel.options) or panel.options is None
        assert panel.targets
        assert all(isinstance(target, prometheus.Dataquery) for target in panel.targets)


def panel(board: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = board["panels"][0]
    return first


MISTAKES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a misspelt field": lambda board: board.update(titel="x"),
    "of a panel": lambda board: panel(board).update(grid_pos={}),
    "of a query": lambda board: panel(board)["targets"][0].update(legend="x"),
    "of a panel's options": lambda board: panel(board).update(options={"legendd": {}}),
    "of a variable": lambda board: board["templating"]["list"][0].update(multiple=True),
    "a variable of no sort": lambda board: board["templating"]["list"][0].update(type="datasrc"),
    "a number for a text": lambda board: board.update(title=5),
    "a text for a number": lambda board: panel(board)["gridPos"].update(w="8"),
    "true for a number": lambda board: panel(board)["gridPos"].update(w=True),
    "a list for one": lambda board: board.update(tags="aim"),
    "a unit that is none": lambda board: panel(board)["fieldConfig"]["defaults"].update(unit="seconds"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_mistake_is_found(path: Path, mistake: str) -> None:
    board = json.loads(path.read_text())
    MISTAKES[mistake](board)
    assert len(faults(json.dumps(board))) == 1
