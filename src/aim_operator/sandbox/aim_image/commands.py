"""What each command of an AIM image prints and how it ends, apart from serving. Pure but for the hub.

`env` is the whole environment: what is baked into the image, with the container's over it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from . import selection, tables
from .tables import SIZES_GB, Entry
from .variables import LEVELS, RefusedError, Variables, check_ids, read

STAND_IN = "AIM_STAND_IN"
OLD = "old"
BROKEN_CODE = 3
GARBAGE = 'INFO reading profiles\n[{"filename": "vllm-mi300x", "profile": {\n\1\xff this is no JSON ]]}\n'

SizeOf = Callable[[str], float | None]
"""The size of a source in GiB, None where the hub can't be asked."""


class Run(NamedTuple):
    """How a program ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def log(self) -> bytes:
        """What a Pod's log has: both, and warnings come first."""
        return (self.stderr + self.stdout).encode()


class Chosen(NamedTuple):
    """A profile, complete: `entry` is what a dry run prints, `model` what a server serves."""

    entry: Entry
    model: str
    source: str


def simulated_size(source: str) -> float | None:
    """What a hub would say that has every model; buckets tell no size."""
    return SIZES_GB.get(source.removeprefix("hf://"), 1.0) if source.startswith("hf://") else None


def dry_run(
    env: Mapping[str, str],
    entries: Iterable[Entry] | None = None,
    *,
    form: str = "json",
    size_of: SizeOf = simulated_size,
) -> Run:
    """Choose a profile and print it; `[]` and code 0 where none fits."""
    behaviour = env.get(STAND_IN, "")
    if behaviour == "broken":
        return Run(BROKEN_CODE, "", "error: no profile of this image fits\n")
    if behaviour == "garbage":
        return Run(0, GARBAGE, "")
    try:
        variables = _variables(env)
    except RefusedError as error:
        return Run(1, "", f"error: {error}\n")
    lines = [line(variables, "WARNING", warning) for warning in variables.warnings]
    printed: list[Entry] = []
    try:
        chosen = choose(variables, env, entries)
        printed = [_with_models(chosen, size_of)]
    except selection.NoMatchError as error:
        lines.append(line(variables, "WARNING", f"no matching profile: {error}"))
    text = to_yaml(printed) if form == "yaml" else json.dumps(printed, indent=2)
    return Run(0, f"{text}\n", "".join(lines))


def list_profiles(env: Mapping[str, str]) -> Run:
    """Print the names of the image's profiles, those by name only too."""
    try:
        variables = _variables(env)
    except RefusedError as error:
        return Run(1, "", f"error: {error}\n")
    rows = []
    for entry in _entries(env, variables, None):
        metadata = entry["profile"]["metadata"]
        manual = "  manual selection only" if metadata["manual_selection_only"] else ""
        rows.append(f"{selection.profile_id(entry):<44}  {metadata['type']}{manual}\n")
    return Run(0, "".join(rows), "")


def check(env: Mapping[str, str], entries: Iterable[Entry] | None = None) -> str:
    """Why a server with this environment ends at once; "" if it serves."""
    if env.get(STAND_IN, "") == "broken":
        return "no profile of this image fits"
    try:
        choose(_variables(env), env, entries)
    except (RefusedError, selection.NoMatchError) as error:
        return str(error)
    return ""


def choose(variables: Variables, env: Mapping[str, str], entries: Iterable[Entry] | None) -> Chosen:
    """Raises NoMatchError."""
    entry = selection.choose(variables, _entries(env, variables, entries))
    profile = entry["profile"]
    if env.get(STAND_IN, "") == OLD:
        model = variables.model or profile.get("quantized_model") or profile["model"]
    else:
        model = profile.get("model_id") or variables.model
    source = variables.source if model == variables.model else f"hf://{model}"
    return Chosen(entry, model, source)


def start(env: Mapping[str, str]) -> tuple[Variables, Chosen]:
    """What a server needs to start. Raises RefusedError, also where no profile fits."""
    variables = _variables(env)
    try:
        return variables, choose(variables, env, None)
    except selection.NoMatchError as error:
        raise RefusedError(f"no matching profile: {error}") from error


def line(variables: Variables, level: str, message: str, *, root: bool = False) -> str:
    """A line of the log, "" where the level is too low for it."""
    limit = variables.root_level if root else variables.level
    return f"{level} {'root' if root else 'aim_runtime'}: {message}\n" if LEVELS[level] >= limit else ""


def _variables(env: Mapping[str, str]) -> Variables:
    # Images from before 0.8 know no AIM_ID, and need no model named to describe themselves.
    if env.get(STAND_IN, "") != OLD:
        check_ids(env)
    return read(env)


def _entries(
    env: Mapping[str, str], variables: Variables, entries: Iterable[Entry] | None
) -> Iterable[Entry]:
    if entries is not None:
        return entries
    return tables.entries(variables.aim_id, old=env.get(STAND_IN, "") == OLD)


def _with_models(chosen: Chosen, size_of: SizeOf) -> Entry:
    if "models" in chosen.entry:
        return chosen.entry
    model = {"name": chosen.model, "source": chosen.source, "size_gb": size_of(chosen.source)}
    return {**chosen.entry, "models": [model]}


def to_yaml(value: Any, indent: int = 0) -> str:
    """JSON values as block YAML; texts and keys are quoted as in JSON, which is YAML too."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "\n".join(f"{pad}{json.dumps(key)}:{_nested(inner, indent)}" for key, inner in value.items())
    if isinstance(value, list) and value:
        return "\n".join(f"{pad}-{_nested(inner, indent)}" for inner in value)
    return pad + json.dumps(value)


def _nested(value: Any, indent: int) -> str:
    if isinstance(value, dict | list) and value:
        return "\n" + to_yaml(value, indent + 1)
    return " " + json.dumps(value)
