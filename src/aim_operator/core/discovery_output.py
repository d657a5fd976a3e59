"""What a discovery Job printed: the end of its log, and the model sources and profile read from it.

Owns every check of that untrusted output; behind it, status and runtimes may use what was read.
Does not fetch the log. Called by the controllers that read logs; the result goes to core.template.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from aim_operator.api.v1alpha1 import ModelSource
from aim_operator.api.v1alpha1.caches import MOST_SOURCES
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import free_form
from aim_operator.core.free_form import Bounds
from aim_operator.core.json_arrays import MAX_DEPTH, JSONArrays
from aim_operator.core.messages import quote
from aim_operator.errors import SpecError

TAIL_BYTES = 1024 * 1024
WARNING_BYTES = 64 * 1024
"""Of the end of a log, in which warnings are looked for: the image prints them last."""
MAX_PROFILE_BYTES = 64 * 1024
PROFILE_BOUNDS = Bounds(bytes=MAX_PROFILE_BYTES, values=2048, levels=MAX_DEPTH)
"""The published profiles have some thirty values."""
MAX_PROFILE_VALUES = 2048
"""Values in a profile, at any depth. The published ones have some thirty."""
MAX_MODELS = MOST_SOURCES
MAX_SIZE_GB = 64 * 1024
_GIB = 1024**3
_QUOTED = 160
_REASON = 400
"""Longer than other quotes: it counts, for each profile of the image, why it does not fit."""
_SAID = 2
"""How many warnings are quoted: before the counts there may be one about a value that is not known."""
_NOTHING = re.compile(rb"^\[[ \t]*\][ \t\r]*$", re.MULTILINE)
"""What an image prints that has no profile for what it is asked for. It ends with code 0."""
_WARNING = re.compile(rb"^.*\bWARN(?:ING)?\b.*$", re.MULTILINE)

_MODEL_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", re.ASCII)
HF_SOURCE = r"^hf://[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?(:[A-Za-z0-9._/-]+)?$"
S3_SOURCE = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[-A-Za-z0-9/!_.*()=+,@:&~%]*)?$"
"""The same as AIMModelCache takes, so that whatever is discovered can be cached."""
_SOURCE = re.compile(f"{HF_SOURCE}|{S3_SOURCE}", re.ASCII)

RENDERED_METADATA = ("metric", "precision", "gpu")
"""Texts of a profile's metadata that model servers are given as variables."""

_Short = Annotated[str, Meta(max_length=128)]


class LogTail:
    """The last 1 MiB of a log that is fed in chunks; never holds more than three times that."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, chunk: bytes) -> None:
        self._kept += chunk[-TAIL_BYTES:]
        # Cut at twice the size, not at each chunk: cutting moves what is kept.
        if len(self._kept) > 2 * TAIL_BYTES:
            del self._kept[:-TAIL_BYTES]

    def content(self) -> bytes:
        return bytes(self._kept[-TAIL_BYTES:])


class DiscoveryResult(Struct, frozen=True, kw_only=True):
    """Checked output.

    `profile` is as it was printed, with the filename beside it: metadata (snake_case), engine_args, env_vars,
    aim_id and model_id (before 0.8 model and quantized_model), and anything else. Nulls in engine_args are
    flags.
    """

    model_sources: tuple[ModelSource, ...]
    profile: dict[str, Any]


class _Metadata(Struct):
    engine: _Short | None = None
    gpu: _Short | None = None
    precision: _Short | None = None
    gpu_count: Annotated[int, Meta(ge=0, le=1024)] | None = None
    metric: _Short | None = None
    type: _Short | None = None


class _Profile(Struct):
    aim_id: Annotated[str, Meta(max_length=1024)] | None = None
    model_id: Annotated[str, Meta(max_length=1024)] | None = None
    model: Annotated[str, Meta(max_length=1024)] | None = None
    quantized_model: Annotated[str, Meta(max_length=1024)] | None = None
    metadata: _Metadata | None = None
    engine_args: dict[str, Any] | None = None
    env_vars: dict[str, str | int | float | bool | None] | None = None


class _Model(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=253)]
    source: Annotated[str, Meta(min_length=1, max_length=1024)]
    size_gb: float | None = None


class _Output(Struct):
    profile: _Profile
    models: Annotated[tuple[_Model, ...], Meta(max_length=MAX_MODELS)]
    filename: Annotated[str, Meta(max_length=1024)] | None = None


def parse(log: bytes) -> DiscoveryResult:
    """Read the first element of the last array in the log that has `profile` and `models`.

    Never raises but SpecError(DiscoveryParseFailed or NoMatchingProfile), whose message is one line and
    quotes at most one.
    Work is linear in the length of the log.
    """
    element = _last_element(log)
    try:
        output = msgspec.convert(element, _Output)
    except msgspec.ValidationError as error:
        raise _failed(f"has an unexpected value: {_one_line(str(error))}") from error
    return DiscoveryResult(model_sources=_model_sources(output.models), profile=_profile(output, element))


def _last_element(log: bytes) -> dict[str, Any]:
    arrays = JSONArrays(log)
    last: dict[str, Any] | None = None
    for array in arrays:
        first = array[0]
        if isinstance(first, dict) and "profile" in first and "models" in first:
            last = first
    if last is not None:
        return last
    if arrays.problem:
        raise _failed(f"has a JSON array that {_one_line(arrays.problem)}")
    if _NOTHING.search(log):
        warnings = _WARNING.findall(log[-WARNING_BYTES:])
        raise SpecError(
            Reason.NO_MATCHING_PROFILE,
            " and ".join(quote(each.decode(errors="replace").strip(), _REASON) for each in warnings[-_SAID:]),
        )
    lines = log[-_QUOTED * 16 :].decode(errors="replace").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    ending = f"; it ends with {quote(line, _QUOTED)}" if line else "; it is empty"
    raise _failed(f'has no JSON array such as [{{"profile": …, "models": …}}]{ending}')


def _model_sources(models: tuple[_Model, ...]) -> tuple[ModelSource, ...]:
    names = set()
    sources = []
    for index, model in enumerate(models):
        where = f"models[{index}]"
        if not _MODEL_NAME.fullmatch(model.name) or _has_dot_segment(model.name):
            raise _failed(
                f"has {where}.name {quote(model.name, _QUOTED)}, which is no safe path; use letters, digits,"
                " '.', '_' and '-', with '/' between"
            )
        if model.name in names:
            raise _failed(f"has {where}.name {quote(model.name, _QUOTED)} twice; names must differ")
        names.add(model.name)
        if not _SOURCE.fullmatch(model.source) or _has_dot_segment(model.source):
            raise _failed(
                f"has {where}.source {quote(model.source, _QUOTED)}; only hf://owner/model[:revision] and"
                " s3://bucket/prefix can be fetched"
            )
        size = _size(where, model.size_gb)
        sources.append(
            ModelSource(name=model.name, source_uri=model.source)
            if size is None
            else ModelSource(name=model.name, source_uri=model.source, size=size)
        )
    return tuple(sources)


def _size(where: str, size_gb: float | None) -> str | None:
    """Bytes; what the output calls GB are GiB."""
    if size_gb is None:
        return None
    if not 0 <= size_gb <= MAX_SIZE_GB:
        raise _failed(f"has {where}.size_gb {size_gb:g}; it must be from 0 to {MAX_SIZE_GB}")
    return str(int(size_gb * _GIB))


def _profile(output: _Output, element: dict[str, Any]) -> dict[str, Any]:
    """Return the profile as it was printed: people read it, and only some of it reaches a container."""
    profile: dict[str, Any] = dict(element["profile"])
    if output.filename is not None:
        profile["filename"] = output.filename
    _check_numbers(profile)
    if (problem := free_form.problem(profile, PROFILE_BOUNDS)) is not None:
        raise _failed(f"has a profile that {problem}")
    metadata = output.profile.metadata or _Metadata()
    for name in RENDERED_METADATA:
        value = getattr(metadata, name)
        # Runtime containers are Go templates.
        if value is not None and "{{" in value:
            where = f'has "{{{{" in its profile.metadata.{name}, {quote(value)}'
            raise _failed(f"{where}; KServe would expand it as a template")
    return profile


def _check_numbers(value: Any) -> None:
    """Refuse integers that the API server would store as something else. Depth is the scanner's limit."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_numbers(item)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _failed("has a number in its profile that no 64-bit integer holds; print it as a text")


def _has_dot_segment(path: str) -> bool:
    return not {".", ".."}.isdisjoint(re.split(r"[/:]", path))


def _one_line(text: str) -> str:
    """A decoder's message; it may quote keys of the output."""
    return quote(text, _QUOTED)[1:-1]


def _failed(problem: str) -> SpecError:
    return SpecError(Reason.DISCOVERY_PARSE_FAILED, f"the output of the model image's dry run {problem}")
