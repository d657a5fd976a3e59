"""Engine arguments as objects: their bounds, and how they become the variable AIM_ENGINE_ARGS.

An image lays that variable, a JSON object, over the arguments of its profile.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aim_operator.api.meta import UNREADABLE, Manifest
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import free_form
from aim_operator.core.expansion import literal
from aim_operator.core.free_form import Bounds
from aim_operator.core.messages import one_line
from aim_operator.errors import SpecError

VARIABLE = "AIM_ENGINE_ARGS"
BOUNDS = Bounds(bytes=16 * 1024, values=1024, levels=8)
"""The profiles of the published images have some twenty arguments."""
_FIELD = "spec.engineArgs"
_REFUSED = "aim.silogen.ai/refused"
"""The one key of what stands for arguments beyond the bounds in our caches: it says what is too much."""
_BELOW = Bounds(bytes=64 * 1024, values=4096, levels=32)
"""Of a variable that arguments are laid over."""


def lay_over(env: list[Manifest], args: dict[str, Any] | None) -> list[Manifest]:
    """Return the environment with `args` laid over its AIM_ENGINE_ARGS; null is a flag without a value.

    Raises SpecError(EngineArgsInvalid): for arguments out of bounds, and over a variable that is no object.
    """
    over = args or {}
    if not over:
        return env
    check(over)
    existing = next((variable for variable in env if variable["name"] == VARIABLE), None)
    # The variable is as the kubelet reads it. The arguments are text: $(NAME) is no reference in them.
    merged = merge(_object(existing), msgspec.json.decode(literal(_text(over))))
    laid = {"name": VARIABLE, "value": _text(merged)}
    return [*env, laid] if existing is None else [laid if each is existing else each for each in env]


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge two objects, and the objects in both of them; anything else is replaced."""
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[name] = merge(below, value)
        else:
            merged[name] = value
    return merged


def kept(args: dict[str, Any]) -> dict[str, Any]:
    """Return what a cache keeps of arguments: these, or a note that `check` refuses in the same words."""
    problem = free_form.problem(args, BOUNDS)
    return args if problem is None else {_REFUSED: problem}


def check(args: dict[str, Any]) -> None:
    """Raise SpecError(EngineArgsInvalid) for arguments that no container can be given as they are."""
    problem = one_line(str(args[_REFUSED])) if args.keys() == {_REFUSED} else free_form.problem(args, BOUNDS)
    if problem is not None:
        raise _invalid(f"{_FIELD} {problem}")
    text = _text(args)
    # Says it earlier and plainer than core/serving/go_templates.py would.
    if "{{" in text:
        raise _invalid(
            f"{_FIELD} contains '{{{{'; KServe would expand it as a Go template; write it otherwise"
        )


def _object(variable: Manifest | None) -> dict[str, Any]:
    if variable is None or not variable.keys() - {"name"} or variable.get("value") == "":
        return {}
    if "value" not in variable:
        raise _invalid(
            f"{_FIELD} can't be laid over a reference; write {VARIABLE} as a value, or leave it out"
        )
    try:
        decoded = msgspec.json.decode(variable["value"])
    except UNREADABLE:
        decoded = None
    if not isinstance(decoded, dict) or free_form.problem(decoded, _BELOW) is not None:
        raise _invalid(f"the variable {VARIABLE} is no JSON object, and {_FIELD} can't be laid over it")
    return decoded


def _text(args: dict[str, Any]) -> str:
    return msgspec.json.encode(args, order="sorted").decode()


def _invalid(message: str) -> SpecError:
    return SpecError(Reason.ENGINE_ARGS_INVALID, message)
