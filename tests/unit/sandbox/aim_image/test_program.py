"""The stand-in's own tables, sorts of image, faults, and how it gets a model; its contract is next door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aim_operator.sandbox.aim_image import Entry, check, dry_run, entries
from aim_operator.sandbox.aim_image.tables import CPU_MODEL, LLAMA_8B, LLAMA_70B, TABLES
from tests.support.aim_image import NOBODY, Process, model_env
from tests.support.hub_server import HubThread

LLAMA = model_env(LLAMA_8B)
BASE = {"AIM_MODEL_ID": "org/Fine-Tuned"}
GPU = {"AIM_GPU_MODEL": "MI300X"}


def printed(env: dict[str, str], **asked: Any) -> list[Entry]:
    run = dry_run(env | {f"AIM_{name.upper()}": str(value) for name, value in asked.items()})
    assert run.exit_code == 0
    found: list[Entry] = json.loads(run.stdout)
    return found


CHOICES = [
    pytest.param({}, "vllm-mi300x-fp16-tp1-latency", id="the best type, in the table's order"),
    pytest.param({"gpu_count": 2}, "vllm-mi300x-fp8-tp2-latency", id="optimized over preview"),
    pytest.param({"gpu_count": 2, "precision": "fp16"}, "vllm-mi300x-fp16-tp2-latency", id="a preview"),
    pytest.param({"metric": "throughput"}, "vllm-mi300x-fp16-tp1-throughput", id="the metric"),
    pytest.param({"gpu_model": "MI325X"}, "vllm-mi325x-fp16-tp1-latency", id="the GPU"),
    pytest.param({"precision": "FP8"}, "vllm-mi300x-fp8-tp1-latency", id="in any case"),
    pytest.param({"gpu_count": 4}, None, id="no more GPUs than a profile has"),
    pytest.param({"gpu_count": 0}, None, id="no fewer"),
    pytest.param({"gpu_model": "NONE"}, None, id="no CPU"),
]


@pytest.mark.parametrize(("asked", "want"), CHOICES)
def test_a_profile_is_chosen_by_equality(asked: dict[str, Any], want: str | None) -> None:
    got = [entry["filename"].removesuffix(".yaml") for entry in printed({**LLAMA, **GPU}, **asked)]
    assert got == ([want] if want else [])


def test_manual_profiles_are_taken_by_name_only() -> None:
    env = {**model_env(LLAMA_70B), **GPU}
    assert not printed(env, precision="fp16")
    [entry] = printed(env, profile_id="vllm-mi300x-fp16-tp1-latency")
    assert entry["profile"]["metadata"]["manual_selection_only"] is True


def test_flags_have_no_value_and_a_quantized_model_its_own_name() -> None:
    [entry] = printed({**LLAMA, **GPU}, precision="fp8")
    profile = entry["profile"]
    assert profile["engine_args"]["async-scheduling"] is None
    assert (profile["aim_id"], profile["model_id"]) == (LLAMA_8B, "amd/Llama-3.1-8B-Instruct-FP8-KV")
    assert entry["models"] == [
        {
            "name": "amd/Llama-3.1-8B-Instruct-FP8-KV",
            "source": "hf://amd/Llama-3.1-8B-Instruct-FP8-KV",
            "size_gb": 8.47,
        }
    ]


@pytest.mark.parametrize("aim_id", [*TABLES, "org/Unpublished"])
def test_every_table_has_profiles_of_different_names_that_can_be_chosen_by_them(aim_id: str) -> None:
    own = [entry for entry in entries(aim_id) if entry["profile"].get("aim_id") == aim_id]
    names = [entry["filename"].removesuffix(".yaml") for entry in own]
    assert len(set(names)) == len(names)
    for name in names:
        assert [entry["filename"] for entry in printed(model_env(aim_id), profile_id=name)] == [
            f"{name}.yaml"
        ]


def test_the_usual_model_has_a_dozen_profiles_and_all_types_are_in_some_table() -> None:
    assert len(entries(LLAMA_8B)) >= 12
    types = {entry["profile"]["metadata"]["type"] for name in TABLES for entry in entries(name)}
    assert types == {"optimized", "preview", "unoptimized", "general"}


def test_a_cpu_image_fits_where_no_gpu_is() -> None:
    [entry] = printed(model_env(CPU_MODEL))
    metadata = entry["profile"]["metadata"]
    assert (metadata["gpu"], metadata["gpu_count"]) == ("NONE", 0)


@pytest.mark.parametrize(
    ("model_id", "name", "source", "size"),
    [
        pytest.param("org/Fine-Tuned", "org/Fine-Tuned", "hf://org/Fine-Tuned", 1.0, id="a name"),
        pytest.param("hf://org/Fine-Tuned", "org/Fine-Tuned", "hf://org/Fine-Tuned", 1.0, id="a hub's"),
        pytest.param("s3://bucket/m/x", "bucket/m/x", "s3://bucket/m/x", None, id="a bucket's"),
    ],
)
def test_a_base_image_has_general_profiles_for_whatever_is_named(
    model_id: str, name: str, source: str, size: float | None
) -> None:
    [entry] = printed({"AIM_MODEL_ID": model_id, **GPU})
    assert entry["profile"].keys() == {"metadata", "engine_args", "env_vars"}
    assert entry["profile"]["metadata"]["type"] == "general"
    assert entry["models"] == [{"name": name, "source": source, "size_gb": size}]


def test_a_model_image_falls_back_to_a_general_profile_only_if_that_is_allowed() -> None:
    four = {**GPU, "AIM_GPU_COUNT": "4"}
    assert not printed({**LLAMA, **four})
    [entry] = printed({**LLAMA, **four, "AIM_ALLOW_GENERAL_PROFILE_FALLBACK": "true"})
    assert entry["profile"]["metadata"]["type"] == "general"


def test_an_image_from_before_0_8_prints_model_and_quantized_model_without_any_id() -> None:
    old = {"AIM_STAND_IN": "old", **GPU}
    [entry] = printed(old, precision="fp8")
    assert entry["profile"]["model"] == LLAMA_8B
    assert entry["profile"]["quantized_model"] == "amd/Llama-3.1-8B-Instruct-FP8-KV"
    assert not entry["profile"].keys() & {"aim_id", "model_id"}
    assert check({**old, "AIM_MODEL_ID": "amd/Llama-3.1-8B-Instruct-FP8-KV"}) == ""


@pytest.mark.parametrize(
    ("env", "want"),
    [
        pytest.param({**LLAMA, **GPU}, "", id="it serves"),
        pytest.param({**LLAMA, **GPU, "AIM_MODEL_ID": LLAMA_8B}, "cannot set both", id="both ids"),
        pytest.param(GPU, "neither AIM_ID nor AIM_MODEL_ID", id="no id"),
        pytest.param({**LLAMA, **GPU, "AIM_GPU_COUNT": "3"}, "16 gpu_count_mismatch", id="no profile"),
        pytest.param({**LLAMA, **GPU, "AIM_ENGINE_ARGS": "[]"}, "no JSON object", id="bad arguments"),
        pytest.param({**LLAMA, **GPU, "AIM_STAND_IN": "broken"}, "no profile", id="broken"),
    ],
)
def test_a_server_starts_or_says_why_not(env: dict[str, str], want: str) -> None:
    got = check(env)
    assert want in got
    assert bool(want) == bool(got)


def test_no_match_says_how_many_profiles_fail_by_what() -> None:
    run = dry_run({**LLAMA, **GPU, "AIM_GPU_COUNT": "8", "AIM_METRIC": "throughput"})
    assert "16 gpu_count_mismatch, 8 gpu_mismatch, 8 metric_mismatch" in run.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A hub with the model of the fp16 profiles, for whoever has its token."""
    root = tmp_path_factory.mktemp("hub")
    (root / LLAMA_8B).mkdir(parents=True)
    (root / LLAMA_8B / "config.json").write_text("{}")
    with (root / LLAMA_8B / "model.safetensors").open("wb") as weights:
        weights.truncate(123 * 1024 * 1024)
    with HubThread(root, token="hf_secret") as running:
        yield running.hub.url


def test_the_size_is_the_hubs_in_gib_with_two_digits(workspace: Path, hub: str) -> None:
    image = Process(workspace, LLAMA)
    asked = {**GPU, "HF_ENDPOINT": hub, "AIM_STAND_IN_HUB": "simulated"}
    [entry] = image.run("dry-run", env={**asked, "HF_TOKEN": "hf_secret"}).profiles
    assert entry["models"][0]["size_gb"] == 0.12
    [entry] = image.run("dry-run", env=asked).profiles
    assert entry["models"][0]["size_gb"] is None, "gated without a token"


@pytest.mark.parametrize(
    ("env", "want"),
    [
        pytest.param({}, "HTTP 401; is HF_TOKEN set", id="no token"),
        pytest.param({"HF_TOKEN": "hf_other"}, "HTTP 401; is HF_TOKEN set", id="another token"),
        pytest.param({"HF_ENDPOINT": NOBODY}, "can't be reached", id="no hub"),
        pytest.param({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE", id="told to stay offline"),
    ],
)
def test_a_server_that_cannot_fetch_its_model_ends_with_code_1(
    workspace: Path, hub: str, env: dict[str, str], want: str
) -> None:
    got = Process(workspace, LLAMA).run(env={**GPU, "HF_ENDPOINT": hub, **env})
    assert got.code == 1
    assert want in got.err


def test_a_model_is_downloaded_to_the_cache(workspace: Path, hub: str, tmp_path: Path) -> None:
    env = {**GPU, "HF_ENDPOINT": hub, "HF_TOKEN": "hf_secret", "AIM_CACHE_PATH": str(tmp_path)}
    got = Process(workspace, LLAMA).run("download-to-cache", env=env)
    assert (got.code, got.err[:4]) == (0, "INFO")
    assert (tmp_path / LLAMA_8B / "config.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("env", "arguments", "code", "out", "err"),
    [
        pytest.param({"AIM_STAND_IN": "broken"}, ("dry-run",), 3, "", "error:", id="broken"),
        pytest.param({"AIM_STAND_IN": "garbage"}, ("dry-run",), 0, "no JSON", "", id="garbage"),
        pytest.param(
            {"AIM_STAND_IN": "slow", "AIM_TEST_SLEEP": "0.1", "AIM_STAND_IN_HUB": "simulated"},
            ("dry-run",), 0, LLAMA_8B, "", id="slow",
        ),
        pytest.param({}, ("--version",), 2, "", "unknown command '--version'", id="an unknown command"),
        pytest.param({}, ("list-profiles",), 0, "vllm-mi300x-fp8-tp2-latency", "", id="a list"),
    ],
)  # fmt: skip
def test_faults_and_commands(
    workspace: Path, env: dict[str, str], arguments: tuple[str, ...], code: int, out: str, err: str
) -> None:
    got = Process(workspace, LLAMA).run(*arguments, env={**GPU, **env})
    assert got.code == code
    assert out in got.out
    assert err in got.err
