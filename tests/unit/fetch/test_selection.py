"""Which files are fetched, and what only doubles the weights."""

from __future__ import annotations

import fnmatch
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch.listing import Listing, RemoteFile
from aim_operator.fetch.outcome import LeftOut
from aim_operator.fetch.selection import NOT_INCLUDED, Selection, choose, patterns

LLAMA = (
    "README.md",
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "original/consolidated.00.pth",
    "original/params.json",
    "tokenizer.json",
)


def chosen(paths: tuple[str, ...], include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> set[str]:
    files = tuple(RemoteFile(path=path, size=1, etag="e") for path in paths)
    found = choose(Listing(revision="r", files=files), Selection(include=include, exclude=exclude))
    assert len(found.listing.files) + sum(one.files for one in found.left_out) == len(paths)
    return {file.path for file in found.listing.files}


@pytest.mark.parametrize(
    ("paths", "want_left_out"),
    [
        pytest.param(LLAMA, {"original/consolidated.00.pth", "original/params.json"}, id="Meta's own format"),
        pytest.param(
            ("model.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot"),
            {"pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot"},
            id="the formats of other libraries",
        ),
        pytest.param(
            ("model.safetensors", "metal/model.bin", "onnx/model.onnx", "onnx/model.onnx_data", "q/m.gguf"),
            {"metal/model.bin", "onnx/model.onnx", "onnx/model.onnx_data", "q/m.gguf"},
            id="the formats of other machines",
        ),
        pytest.param(
            ("model.safetensors", "consolidated.safetensors"), set(), id="Mistral's format, which vLLM reads"
        ),
        pytest.param(
            ("config.json", "pytorch_model.bin", "original/consolidated.00.pth"),
            set(),
            id="nothing where there are no safetensors",
        ),
        pytest.param(
            ("model-Q4.gguf", "unet/model.safetensors"), set(), id="nothing where they are in a folder only"
        ),
        pytest.param(
            ("adapter_model.safetensors", "pytorch_model.bin"), set(), id="nothing where they are an adapter"
        ),
        pytest.param(
            ("model.safetensors", "2_Dense/pytorch_model.bin", "voices/a.pt"),
            set(),
            id="weights that a folder has in this format alone",
        ),
        pytest.param(
            ("model.safetensors", "2_Dense/pytorch_model.bin", "2_Dense/model.safetensors"),
            {"2_Dense/pytorch_model.bin"},
            id="weights that a folder has in both",
        ),
    ],
)
def test_what_only_doubles_the_weights_is_left_out(paths: tuple[str, ...], want_left_out: set[str]) -> None:
    assert set(paths) - chosen(paths) == want_left_out
    assert chosen(paths, ("*",)) == set(paths), "'*' includes all"


@pytest.mark.parametrize(
    ("include", "exclude", "want"),
    [
        pytest.param(("*.json",), (), {"config.json", "original/params.json", "tokenizer.json"}, id="a star"),
        pytest.param(("original/",), (), set(LLAMA[4:6]), id="a folder"),
        pytest.param(("original/*", "config.json"), ("*.pth",), {LLAMA[1], LLAMA[5]}, id="exclude wins"),
        pytest.param((), ("*.md",), set(LLAMA[1:4]) | {LLAMA[6]}, id="exclude beside the default"),
        pytest.param(("model-0000?-*",), (), set(LLAMA[2:4]), id="a question mark"),
        pytest.param(("model-0000[2-9]*",), (), {LLAMA[3]}, id="a set"),
        pytest.param(("readme.md", "config.json"), (), {"config.json"}, id="capitals are told apart"),
    ],
)
def test_patterns_choose(include: tuple[str, ...], exclude: tuple[str, ...], want: set[str]) -> None:
    assert chosen(LLAMA, include, exclude) == want


def test_what_is_left_out_is_counted_by_pattern_the_largest_first() -> None:
    sizes = {"model.safetensors": 100, "a.bin": 30, "b.bin": 30, "original/x.pth": 90, "README.md": 1}
    files = tuple(RemoteFile(path=path, size=size, etag="e") for path, size in sizes.items())
    found = choose(Listing(revision="r", files=files), Selection(exclude=("*.md",)))
    assert found.left_out == (
        LeftOut(pattern="original/*", files=1, total_bytes=90),
        LeftOut(pattern="*.bin", files=2, total_bytes=60),
        LeftOut(pattern="*.md", files=1, total_bytes=1),
    )
    (rest,) = choose(Listing(revision="r", files=files), Selection(include=("model.safetensors",))).left_out
    assert rest == LeftOut(pattern=NOT_INCLUDED, files=4, total_bytes=151)


def test_patterns_that_leave_nothing_are_said() -> None:
    with pytest.raises(FetchError, match=r"none of the 7 files .*'README.md'") as refusal:
        chosen(LLAMA, ("*.gguf",))
    assert refusal.value.reason == "SourceNotFound"


def test_order_and_repetition_of_patterns_mean_nothing() -> None:
    one = Selection(include=("a", "b", "a"), exclude=("c",))
    assert one.key == Selection(include=("b", "a"), exclude=("c",)).key
    assert one.key != Selection(include=("c",), exclude=("a", "b")).key


@pytest.mark.parametrize("text", ["", "a b", "a'b\"", "$(HF_TOKEN)", "/etc/*", "é", "x" * 257, "a\nb"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--include is"):
        patterns("--include", ["*.json", text])


def test_there_are_at_most_sixteen() -> None:
    assert len(patterns("--exclude", [f"{n}*" for n in range(16)])) == 16
    with pytest.raises(UserError, match="at most 16"):
        patterns("--exclude", [f"{n}*" for n in range(17)])


def free_stars(sequence: Any) -> int:
    """Repetitions that are tried again with fewer characters: not those in atomic groups."""
    count = 0
    for code, argument in sequence:
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            count += 1 + free_stars(argument[2])
        elif code is op.SUBPATTERN:
            count += free_stars(argument[3])
    return count


@given(st.lists(st.sampled_from([*"ab/.[]!?-", "*"]), min_size=1, max_size=256).map("".join))
def test_no_path_makes_a_match_slow(text: str) -> None:
    """Of all stars one at most is tried at several places of a path: "*a*a*b" costs no more than "*b"."""
    assert free_stars(parser.parse(fnmatch.translate(text))) <= 1


def test_a_pattern_of_a_hundred_stars_ends() -> None:
    """Sixteen of them, against paths that nearly match: with a try at every place this would take years."""
    worst = tuple("*a" * 100 + f"*{letter}" for letter in "bcdefghijklmnopq")
    files = tuple(RemoteFile(path=f"{n:04}" + "a" * 1000, size=1, etag="e") for n in range(200))
    found = choose(Listing(revision="r", files=files), Selection(exclude=worst))
    assert len(found.listing.files) == 200
