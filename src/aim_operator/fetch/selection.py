"""Which files of a listing are fetched: by patterns, and without what would only double the weights.

Patterns are those of `hf download`: over the whole path, `*` stands for any characters, '/' too, and
`original/` for all below it. Matching takes time in proportion to the length of the path. Pure.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from functools import partial

from msgspec import Struct, structs

from aim_operator.api.v1alpha1.files import FILE_PATTERN, MOST_PATTERNS
from aim_operator.errors import FetchError, UserError
from aim_operator.fetch.listing import Listing, RemoteFile
from aim_operator.fetch.outcome import FetchReason, LeftOut

NOT_INCLUDED = "not included"
DOUBLES = (
    *("original/*", "metal/*", "onnx/*", "openvino/*", "coreml/*"),
    *("*.gguf", "*.onnx", "*.onnx_data*", "*.h5", "*.msgpack", "*.ot", "*.tflite"),
)
"""Other formats of the same weights, where the root has safetensors."""
DOUBLES_BESIDE = ("*.bin", "*.pth")
"""The same, in a folder that has safetensors itself: elsewhere they may be what that folder is about."""

_WEIGHTS = ".safetensors"
_ADAPTER = "adapter_"
"""Such safetensors are small changes to weights, which may be in any format."""
_QUOTED = 3


class Selection(Struct, frozen=True, kw_only=True):
    """What was asked for. An `include` is fetched whatever doubles it; an `exclude` wins over it."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is equal where the same files are chosen of any listing: order and repetition don't count."""
        return tuple(sorted(set(self.include))), tuple(sorted(set(self.exclude)))


class Chosen(Struct, frozen=True, kw_only=True):
    listing: Listing
    left_out: tuple[LeftOut, ...]
    """By the pattern that left them out, most bytes first."""


def patterns(flag: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of an option. UserError where one is none, or there are too many."""
    distinct = tuple(dict.fromkeys(texts))
    for text in distinct:
        if not re.fullmatch(FILE_PATTERN, text, re.ASCII) or text.startswith("/"):
            raise UserError(
                f"{flag} is {text[:80]!r}: write a pattern of a path below the source, such as *.safetensors"
                " or original/*, in 1 to 256 characters of ASCII without spaces, quotes and '$'"
            )
    if len(distinct) > MOST_PATTERNS:
        raise UserError(f"{flag} is given {len(distinct)} times: write at most {MOST_PATTERNS} patterns")
    return distinct


def choose(listing: Listing, selection: Selection) -> Chosen:
    """Return what is to be fetched of a listing, and what is left out. FetchError where nothing is left."""
    cause_of = _judge(listing.files, selection)
    kept: list[RemoteFile] = []
    left_out = {one.pattern: one for one in listing.left_out}
    for file in listing.files:
        cause = cause_of(file.path)
        if not cause:
            kept.append(file)
            continue
        before = left_out.get(cause) or LeftOut(pattern=cause, files=0, total_bytes=0)
        left_out[cause] = structs.replace(
            before, files=before.files + 1, total_bytes=before.total_bytes + file.size
        )
    if not kept:
        names = ", ".join(repr(file.path) for file in listing.files[:_QUOTED])
        raise FetchError(
            FetchReason.SOURCE_NOT_FOUND,
            f"include and exclude leave none of the {len(listing.files)} files of the source, such as"
            f" {names}",
        )
    return Chosen(
        listing=Listing(revision=listing.revision, files=tuple(kept)),
        left_out=tuple(sorted(left_out.values(), key=lambda one: (-one.total_bytes, one.pattern))),
    )


def _judge(files: Iterable[RemoteFile], selection: Selection) -> Callable[[str], str]:
    """Return what tells why a path is left out; "" where it is not."""
    included = _matcher(selection.include)
    excluded = _matcher(selection.exclude)
    doubled = _matcher(DOUBLES)
    beside = _matcher(DOUBLES_BESIDE)
    folders = {_folder(file.path) for file in files if _is_weights(file.path)}

    def cause(path: str) -> str:
        if pattern := excluded(path):
            return pattern
        if selection.include:
            return "" if included(path) else NOT_INCLUDED
        if "" not in folders:
            return ""
        return doubled(path) or (beside(path) if _folder(path) in folders else "")

    return cause


def _matcher(texts: Iterable[str]) -> Callable[[str], str]:
    """Return what finds the first pattern that matches a path; "" where none does."""
    # Each star is an atomic group (Python 3.11): no path makes it try a match again.
    compiled = [(text, re.compile(fnmatch.translate(_whole(text)))) for text in texts]
    return partial(_first, compiled)


def _first(compiled: list[tuple[str, re.Pattern[str]]], path: str) -> str:
    return next((text for text, pattern in compiled if pattern.match(path)), "")


def _whole(text: str) -> str:
    return f"{text}*" if text.endswith("/") else text


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _is_weights(path: str) -> bool:
    return path.endswith(_WEIGHTS) and not path.rpartition("/")[2].startswith(_ADAPTER)
