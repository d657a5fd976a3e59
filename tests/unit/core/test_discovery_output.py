"""Discovery output: the last array is read, checked to the last field, or refused in one line."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.schema import Field
from aim_operator.api.v1alpha1 import AIMModelCacheSpec, AIMServiceTemplateStatus, ModelSource
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.discovery_output import (
    HF_SOURCE,
    MAX_MODELS,
    MAX_PROFILE_BYTES,
    RENDERED_METADATA,
    S3_SOURCE,
    TAIL_BYTES,
    WARNING_BYTES,
    DiscoveryResult,
    LogTail,
    parse,
)
from aim_operator.core.template.desired import profile_env
from aim_operator.errors import SpecError
from tests.support.loose_json import loosely
from tests.support.template_builders import make_template


def make_model(**changes: Any) -> dict[str, Any]:
    return {"name": "meta-llama/Llama-3", "source": "hf://meta-llama/Llama-3", "size_gb": 8.47} | changes


def make_profile(**changes: Any) -> dict[str, Any]:
    return {
        "model": "meta-llama/Llama-3",
        "quantized_model": "amd/Llama-3-FP8",
        "metadata": {
            "engine": "vllm",
            "gpu": "MI300X",
            "precision": "fp8",
            "gpu_count": 2,
            "metric": "latency",
            "type": "optimized",
        },
        "engine_args": {"max-model-len": 8192, "swap": 0.5, "flags": [True, None, {"a": "b"}]},
        "env_vars": {"VLLM_USE_V1": "1"},
    } | changes


def make_element(*models: dict[str, Any], **profile: Any) -> dict[str, Any]:
    return {
        "filename": "mi300x-latency.yaml",
        "profile": make_profile(**profile),
        "models": list(models) or [make_model()],
    }


def make_log(*elements: Any, indent: int | None = None) -> bytes:
    return f"INFO starting\n{json.dumps(elements, indent=indent)}\nINFO done\n".encode()


def refusal(log: bytes) -> str:
    with pytest.raises(SpecError) as caught:
        parse(log)
    message = caught.value.message
    assert caught.value.reason == Reason.DISCOVERY_PARSE_FAILED
    assert message.isprintable()
    assert len(message) < 400
    assert message.startswith("the output of the model image's dry run has ")
    return message


def test_the_first_element_is_read() -> None:
    got = parse(make_log(make_element(), make_element(make_model(name="other"))))
    assert got.model_sources == (
        ModelSource(name="meta-llama/Llama-3", source_uri="hf://meta-llama/Llama-3", size="9094593249"),
    )
    assert got.profile == make_profile() | {"filename": "mi300x-latency.yaml"}


def test_the_profile_of_an_image_for_one_model_is_kept_with_its_flags_that_have_no_value() -> None:
    profile = {
        "aim_id": "org/Model",
        "model_id": "other/Model-FP8",
        "metadata": {"engine": "vllm", "gpu_count": 1, "manual_selection_only": False, "type": "optimized"},
        "engine_args": {"tensor-parallel-size": 1, "async-scheduling": None},
        "env_vars": {"GPU_ARCHS": "gfx942"},
    }
    log = json.dumps([{"filename": "a.yaml", "profile": profile, "models": [make_model()]}]).encode()
    assert parse(log).profile == profile | {"filename": "a.yaml"}


def test_a_pretty_printed_array_is_read() -> None:
    assert parse(make_log(make_element(), indent=2)) == parse(make_log(make_element()))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(b"", id="nothing after it"),
        pytest.param(b'\n[{"level": "info", "message": "done"}]', id="an array of another shape after it"),
        pytest.param(b'\n[{"profile": {}}]', id="half the shape after it"),
        pytest.param(b'\n[{"filename": "x", "profile": {"met', id="one that is cut off after it"),
        pytest.param(b"\n[] [1] {}", id="brackets after it"),
    ],
)
def test_the_last_array_of_the_shape_counts(after: bytes) -> None:
    log = make_log(make_element(make_model(name="first"))) + make_log(make_element(make_model(name="last")))
    assert parse(log + after).model_sources[0].name == "last"


def test_an_array_of_the_shape_inside_another_is_part_of_it() -> None:
    inner = [make_element(make_model(name="inner"))]
    got = parse(make_log(make_element(make_model(name="outer"), engine_args={"x": inner})))
    assert got.model_sources[0].name == "outer"


@pytest.mark.parametrize(
    ("log", "want"),
    [
        pytest.param(
            b"WARNING aim: 15 gpu_mismatch, 16 metric_mismatch\n[]\n",
            '"WARNING aim: 15 gpu_mismatch, 16 metric_mismatch"',
            id="with the image's counts",
        ),
        pytest.param(b"[]\nINFO x\n2026 - WARN - none fits\n", '"2026 - WARN - none fits"', id="mixed lines"),
        pytest.param(
            b"WARNING first\nWARNING unknown AIM_METRIC 'x'\nWARNING 3 metric_mismatch\n[]",
            '"WARNING unknown AIM_METRIC \'x\'" and "WARNING 3 metric_mismatch"',
            id="the last two of several warnings",
        ),
        pytest.param(
            b"WARNING aim: 1 gpu_mismatch\n[]\n" + b"INFO\n" * (WARNING_BYTES // 5) + b"WARNING late\n",
            '"WARNING late"',
            id="at the end of a long log, where it prints them",
        ),
        pytest.param(b"INFO\n[ ]\r\n", "", id="without a warning: it was lost by its level"),
        pytest.param(b"WARNING " + b"x" * 5000 + b"\n[]", None, id="a long warning"),
    ],
)
def test_an_empty_array_means_that_no_profile_fits(log: bytes, want: str | None) -> None:
    with pytest.raises(SpecError) as caught:
        parse(log)
    assert caught.value.reason == Reason.NO_MATCHING_PROFILE
    assert caught.value.message == want or (want is None and len(caught.value.message) < 410)


def test_an_empty_array_amid_a_line_means_nothing() -> None:
    assert "ends with" in refusal(b"devices: []\n")


def test_a_log_cut_at_the_front_is_read() -> None:
    first = make_log(make_element(make_model(name="first")))
    last = make_log(make_element(make_model(name="last")))
    for at in range(0, len(first), 7):
        assert parse(first[at:] + last).model_sources[0].name == "last"


def test_a_log_cut_at_the_end_of_its_array_is_refused() -> None:
    log = json.dumps([make_element()]).encode()
    for at in range(0, len(log), 7):
        refusal(log[:at])


@pytest.mark.parametrize(
    ("size_gb", "want"),
    [
        pytest.param(8.47, "9094593249", id="gibibytes, cut to whole bytes"),
        pytest.param(1, "1073741824", id="an integer"),
        pytest.param(0, "0", id="zero"),
        pytest.param(65536, "70368744177664", id="64 TiB"),
    ],
)
def test_size(size_gb: float, want: str) -> None:
    assert parse(make_log(make_element(make_model(size_gb=size_gb)))).model_sources[0].size == want


def test_a_missing_size_is_no_size() -> None:
    model = make_model()
    del model["size_gb"]
    want = ModelSource(name="meta-llama/Llama-3", source_uri="hf://meta-llama/Llama-3")
    assert parse(make_log(make_element(model))).model_sources == (want,)
    assert parse(make_log(make_element(make_model(size_gb=None)))).model_sources == (want,)


def test_what_is_optional_may_be_missing() -> None:
    got = parse(b'[{"profile": {"quantized_model": null}, "models": []}]')
    assert got == DiscoveryResult(model_sources=(), profile={"quantized_model": None})


def test_a_profile_is_kept_as_it_is_printed() -> None:
    printed = {
        "aim_id": None,
        "metadata": {"gpu_count": 1, "license": "mit", "type": None},
        "engine_args": {"least": -(2**63), "most": 2**63 - 1},
        "secret_sauce": [{"x": None}],
    }
    log = json.dumps([{"filename": "a.yaml", "profile": printed, "models": []}]).encode()
    assert parse(log).profile == printed | {"filename": "a.yaml"}


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param({"env_vars": {"retries": 3, "ratio": 0.5, "fast": True, "x": None}}, id="no texts"),
        pytest.param(
            {"env_vars": {"1A": "x", "A B": "\0", "A": "{{.X}}"}}, id="what no container could have"
        ),
        pytest.param({"engine_args": {"{{": [["x{{y"]]}}, id="a chat template in the arguments"),
        pytest.param({"model": "{{", "metadata": {"note": "{{", "engine": "{{"}}, id="elsewhere"),
    ],
)
def test_what_reaches_no_container_may_hold_anything(profile: dict[str, Any]) -> None:
    got = parse(make_log(make_element(**profile))).profile
    assert {name: got[name] for name in profile} == profile


def test_the_metadata_that_is_rendered_is_what_is_checked() -> None:
    """What the profile is to a model server, as profile_env has it."""
    metadata = {name: f"a-{name}" for name in ("metric", "precision", "gpu", "engine", "type", "license")}
    status = AIMServiceTemplateStatus(profile={"metadata": metadata})
    rendered = {variable["value"] for variable in profile_env(make_template(), status)}
    assert rendered - {"true"} == {metadata[name] for name in RENDERED_METADATA}


@pytest.mark.parametrize(
    "source",
    [
        "hf://meta-llama/Llama-3",
        "hf://meta-llama/Llama-3:main",
        "hf://meta-llama/Llama-3:refs/pr/1",
        "s3://bucket",
        "s3://bucket/",
        "s3://my.bucket/models/llama_3/v1",
    ],
)
def test_sources(source: str) -> None:
    assert parse(make_log(make_element(make_model(source=source)))).model_sources[0].source_uri == source


def test_sources_are_what_a_model_cache_takes() -> None:
    hint = get_type_hints(AIMModelCacheSpec, include_extras=True)["source_uri"]
    (field,) = (extra for extra in get_args(hint) if isinstance(extra, Field))
    rules = " ".join(rule.rule for rule in field.rules)
    assert f"'{HF_SOURCE}'" in rules
    assert f"'{S3_SOURCE}'" in rules


@pytest.mark.parametrize(
    ("model", "want"),
    [
        pytest.param(
            {"source": "file:///etc/passwd"}, 'models[0].source "file:///etc/passwd"; only hf://', id="file"
        ),
        pytest.param({"source": "https://x/y"}, "can be fetched", id="https"),
        pytest.param({"source": "hf://owner/model/more"}, "can be fetched", id="a folder of a model"),
        pytest.param({"source": "hf://a/b\n"}, "can be fetched", id="a line break at the end"),
        pytest.param({"source": "hf://../b"}, "can be fetched", id="a dot segment in a source"),
        pytest.param({"source": "s3://bucket/a/../b"}, "can be fetched", id="a dot segment in a prefix"),
        pytest.param({"source": "S3://bucket"}, "can be fetched", id="upper case"),
        pytest.param({"source": "hf://a/" + "b" * 2000}, "`str` of length <= 1024", id="a long source"),
        pytest.param({"name": ""}, "`str` of length >= 1 - at `$.models[0].name`", id="no name"),
        pytest.param({"name": "../up"}, 'models[0].name "../up", which is no safe path', id="dots"),
        pytest.param({"name": "a/./b"}, "no safe path", id="a dot"),
        pytest.param({"name": "/abs"}, "no safe path", id="an absolute path"),
        pytest.param({"name": "a//b"}, "no safe path", id="an empty segment"),
        pytest.param({"name": "a/"}, "no safe path", id="a slash at the end"),
        pytest.param({"name": "a b"}, "no safe path", id="a blank"),
        pytest.param({"name": "a\n"}, "no safe path", id="a line break"),
        pytest.param({"name": "{{.Name}}"}, "no safe path", id="a Go template"),
        pytest.param({"name": "ä"}, "no safe path", id="another script"),
        pytest.param(
            {"name": 7}, "Expected `str`, got `int` - at `$.models[0].name`", id="a number for a name"
        ),
        pytest.param({"size_gb": -1}, "models[0].size_gb -1; it must be from 0 to 65536", id="negative"),
        pytest.param({"size_gb": 65537}, "it must be from 0 to 65536", id="too much"),
        pytest.param({"size_gb": 10**18}, "it must be from 0 to 65536", id="far too much"),
        pytest.param({"size_gb": "8.47"}, "got `str` - at `$.models[0].size_gb`", id="a text for a size"),
        pytest.param({"size_gb": True}, "got `bool` - at `$.models[0].size_gb`", id="a boolean for a size"),
    ],
)
def test_a_bad_model_is_refused(model: dict[str, Any], want: str) -> None:
    assert want in refusal(make_log(make_element(make_model(**model))))


@pytest.mark.parametrize(
    ("profile", "want"),
    [
        pytest.param(
            {"metadata": []}, "Expected `object | null`, got `array` - at `$.profile.metadata`", id="a list"
        ),
        pytest.param(
            {"metadata": {"gpu_count": -1}}, "`int` >= 0 - at `$.profile.metadata.gpu_count`", id="negative"
        ),
        pytest.param({"metadata": {"gpu_count": 1025}}, "`int` <= 1024", id="too many GPUs"),
        pytest.param({"metadata": {"gpu_count": "1"}}, "got `str`", id="a text for a count"),
        pytest.param({"metadata": {"gpu_count": True}}, "got `bool`", id="a boolean for a count"),
        pytest.param({"metadata": {"metric": "x" * 200}}, "`str` of length <= 128", id="a long metric"),
        pytest.param({"metadata": {"engine": 3}}, "got `int` - at `$.profile.metadata.engine`", id="engine"),
        pytest.param(
            {"engine_args": "--x"}, "got `str` - at `$.profile.engine_args`", id="arguments as text"
        ),
        pytest.param(
            {"env_vars": {"A": []}}, "got `array` - at `$.profile.env_vars[...]`", id="a list for a variable"
        ),
        *(
            pytest.param(
                {"metadata": {name: "x{{y"}}, f'"{{{{" in its profile.metadata.{name}, "x{{{{y"', id=name
            )
            for name in RENDERED_METADATA
        ),
        pytest.param({"engine_args": {"a": [2**63]}}, "no 64-bit integer holds", id="a huge integer"),
        pytest.param({"engine_args": {"a": "x" * MAX_PROFILE_BYTES}}, "at most 65536", id="too big"),
        pytest.param({"engine_args": {"a": [1] * 4000}}, "more than 2048 values", id="too many values"),
    ],
)
def test_a_bad_profile_is_refused(profile: dict[str, Any], want: str) -> None:
    assert want in refusal(make_log(make_element(**profile)))


@pytest.mark.parametrize(
    ("log", "want"),
    [
        pytest.param(b"", "no JSON array such as", id="empty"),
        pytest.param(b" \n\n", "; it is empty", id="blank"),
        pytest.param(b"Traceback\nKeyError: 'x'\n\n", "; it ends with \"KeyError: 'x'\"", id="a crash"),
        pytest.param(b"\x1b[31m" + b"\xff" * 3000, 'it ends with "', id="bytes that are no text"),
        pytest.param(b"x" * 5000, "…", id="one long line"),
        pytest.param(b'{"profile": {}, "models": []}', "no JSON array such as", id="an object, not an array"),
        pytest.param(b'[{"profile": {}, "models": [', "a JSON array that is cut off", id="cut off"),
        pytest.param(b'[{"profile": {"x": NaN}, "models": []}]', 'outside of quotes, "NaN},', id="NaN"),
        pytest.param(b'[{"profile": {"x": "\xff"}, "models": []}]', "is not valid JSON", id="invalid UTF-8"),
        pytest.param(
            b'[{"profile": {"x": "\\ud800"}, "models": []}]', "not valid JSON", id="a lone surrogate"
        ),
        pytest.param(
            b'[{"profile": {}, "models": {}}]', "Expected `array`, got `object`", id="models as a map"
        ),
        pytest.param(
            b'[{"profile": 1, "models": []}]', "Expected `object`, got `int`", id="a number as a profile"
        ),
        pytest.param(
            b'[{"profile": {"engine_args": ' + b'{"a":' * 40 + b"1" + b"}" * 40 + b'}, "models": []}]',
            "is nested deeper than 32 levels",
            id="deep nesting",
        ),
    ],
)
def test_a_bad_log_is_refused(log: bytes, want: str) -> None:
    assert want in refusal(log)


def test_model_names_must_differ() -> None:
    got = refusal(make_log(make_element(make_model(), make_model(source="s3://other"))))
    assert 'models[1].name "meta-llama/Llama-3" twice; names must differ' in got


def test_models_are_limited() -> None:
    models = [make_model(name=f"m{index}") for index in range(MAX_MODELS + 1)]
    assert len(parse(make_log(make_element(*models[:MAX_MODELS]))).model_sources) == MAX_MODELS
    assert f"length <= {MAX_MODELS} - at `$.models`" in refusal(make_log(make_element(*models)))


def test_fifty_megabytes_before_the_array_are_read_in_little_memory() -> None:
    tail = LogTail()
    noise = b"INFO loading shard\n" * 3000
    for _ in range(900):
        tail.feed(noise)
    tail.feed(make_log(make_element()))
    assert parse(tail.content()).model_sources[0].size == "9094593249"


@given(st.lists(st.integers(0, 2 * TAIL_BYTES), max_size=6))
def test_a_tail_is_the_end_of_what_was_fed(sizes: list[int]) -> None:
    tail = LogTail()
    end = b""
    for number, size in enumerate(sizes):
        chunk = bytes([number]) * size
        tail.feed(chunk)
        end = (end + chunk)[-TAIL_BYTES:]
    assert tail.content() == end


@given(loosely([make_element()]), st.binary(max_size=20), st.binary(max_size=20))
def test_any_output_is_a_result_or_one_line(output: Any, before: bytes, after: bytes) -> None:
    try:
        got = parse(before + json.dumps(output).encode() + after)
    except SpecError as error:
        assert error.reason in (Reason.DISCOVERY_PARSE_FAILED, Reason.NO_MATCHING_PROFILE)  # noqa: PT017
        assert error.message.isprintable()  # noqa: PT017
        assert len(error.message) < 400  # noqa: PT017
        return
    encoded = json.dumps(got.profile)
    assert len(encoded.encode()) <= 6 * MAX_PROFILE_BYTES
    assert all("{{" not in source.name for source in got.model_sources)
    assert all(source.source_uri.startswith(("hf://", "s3://")) for source in got.model_sources)


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_result_or_a_spec_error(log: bytes) -> None:
    with pytest.raises(SpecError):
        parse(log)


@pytest.mark.parametrize("chunk", [64 * 1024, 5 * TAIL_BYTES], ids=["many chunks", "large chunks"])
def test_of_a_log_without_end_three_times_its_tail_is_kept_at_most(chunk: int) -> None:
    tail = LogTail()
    for number in range(4 * TAIL_BYTES // chunk + 8):
        tail.feed(b"%d" % (number % 10) * chunk)
        assert len(tail._kept) <= 3 * TAIL_BYTES
    assert len(tail.content()) == TAIL_BYTES
