"""What every model image does, table by table: of the stand-in, and of the image that AIM_TEST_IMAGE names.

Nothing here knows which profiles an image has: it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.support.aim_image import NOBODY, Ended, Program, fitting, model_image

DRY_RUN = ("dry-run", "--format=json")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return model_image(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def fit(image: Program) -> dict[str, str]:
    return fitting(image)


@pytest.fixture(scope="module")
def printed(image: Program, fit: dict[str, str]) -> dict[str, Any]:
    """The first profile of a dry run that finds one."""
    return image.run(*DRY_RUN, env=fit).profiles[0]


def dry_run(image: Program, env: Mapping[str, str]) -> Ended:
    return image.run(*DRY_RUN, env={"HF_ENDPOINT": NOBODY, **env})


@pytest.mark.parametrize("command", [DRY_RUN, (), ("serve",), ("list-profiles",)])
def test_with_both_ids_it_ends_with_code_1(image: Program, command: tuple[str, ...]) -> None:
    got = image.run(*command, env={"AIM_MODEL_ID": "org/other", "HF_ENDPOINT": NOBODY})
    assert got.code == 1
    assert "[" not in got.out


@pytest.mark.parametrize("command", [DRY_RUN, (), ("serve",)])
def test_with_no_id_it_ends_with_code_1_and_empty_is_unset(image: Program, command: tuple[str, ...]) -> None:
    assert image.run(*command, env={"AIM_ID": "", "AIM_MODEL_ID": ""}).code == 1


def test_an_empty_second_id_is_unset(image: Program, fit: dict[str, str]) -> None:
    assert dry_run(image, {**fit, "AIM_MODEL_ID": ""}).profiles


def test_a_dry_run_prints_an_indented_array_of_profiles_with_what_they_need(
    image: Program, fit: dict[str, str]
) -> None:
    got = dry_run(image, fit)
    assert got.code == 0
    assert got.out.startswith("[\n")
    for entry in got.profiles:
        assert entry.keys() >= {"filename", "profile", "models"}
        assert entry["filename"].endswith(".yaml")
        profile = entry["profile"]
        assert profile.keys() >= {"aim_id", "model_id", "metadata", "engine_args", "env_vars"}
        assert profile["metadata"].keys() >= {
            "engine", "gpu", "gpu_count", "manual_selection_only", "metric", "precision", "type",
        }  # fmt: skip
        assert all(model.keys() >= {"name", "source", "size_gb"} for model in entry["models"])


def test_what_it_prints_is_what_was_asked_for(fit: dict[str, str], printed: dict[str, Any]) -> None:
    metadata = printed["profile"]["metadata"]
    assert (metadata["gpu"], str(metadata["gpu_count"]), metadata["metric"]) == (
        fit["AIM_GPU_MODEL"],
        fit["AIM_GPU_COUNT"],
        fit["AIM_METRIC"],
    )
    assert metadata["manual_selection_only"] is False


def test_yaml_says_the_same(image: Program, fit: dict[str, str], printed: dict[str, Any]) -> None:
    got = image.run("dry-run", "--format=yaml", env=fit)
    assert got.code == 0
    assert yaml.safe_load(got.out)[0]["profile"]["metadata"] == printed["profile"]["metadata"]


def test_sizes_are_null_where_the_hub_cannot_be_asked(image: Program, fit: dict[str, str]) -> None:
    models = dry_run(image, fit).profiles[0]["models"]
    assert [model["size_gb"] for model in models] == [None] * len(models)


NOTHING_FITS = [
    pytest.param({"AIM_GPU_COUNT": "7"}, id="a count that no profile has: equality, not at least"),
    pytest.param({"AIM_PRECISION": "int4"}, id="a precision that no profile has"),
    pytest.param({"AIM_GPU_MODEL": "MI100"}, id="a GPU that no profile has"),
    pytest.param({"AIM_PROFILE_ID": "no-such-profile"}, id="a profile of another name"),
    pytest.param({"AIM_GPU_MODEL": ""}, id="no GPU named, and none to detect"),
]


@pytest.mark.parametrize("asked", NOTHING_FITS)
def test_where_nothing_fits_it_prints_an_empty_array_and_warns_with_code_0(
    image: Program, fit: dict[str, str], asked: dict[str, str]
) -> None:
    got = dry_run(image, {**fit, **asked})
    assert (got.code, got.profiles) == (0, [])
    assert "WARNING" in got.err


def test_the_warning_counts_what_did_not_fit(image: Program, fit: dict[str, str]) -> None:
    assert "_mismatch" in dry_run(image, {**fit, "AIM_GPU_COUNT": "7"}).err


def test_at_log_level_critical_the_warning_is_lost(image: Program, fit: dict[str, str]) -> None:
    silent = {"AIM_LOG_LEVEL": "CRITICAL", "AIM_LOG_LEVEL_ROOT": "CRITICAL"}
    got = dry_run(image, {**fit, **silent, "AIM_GPU_COUNT": "7"})
    assert (got.code, got.profiles) == (0, [])
    assert "WARNING" not in got.err


def test_a_named_profile_wins_over_everything_that_is_asked_for(
    image: Program, fit: dict[str, str], printed: dict[str, Any]
) -> None:
    name = printed["filename"].removesuffix(".yaml")
    other = {"AIM_GPU_MODEL": "MI100", "AIM_GPU_COUNT": "7", "AIM_PRECISION": "int4"}
    got = dry_run(image, {**fit, **other, "AIM_PROFILE_ID": name})
    assert [entry["filename"] for entry in got.profiles] == [printed["filename"]]


UNKNOWN = [
    pytest.param("AIM_PRECISION", "fp7", id="precision: any"),
    pytest.param("AIM_ENGINE", "sglang-of-tomorrow", id="engine: vllm"),
    pytest.param("AIM_LOG_LEVEL", "LOUD", id="log level: INFO"),
]


@pytest.mark.parametrize(("name", "value"), UNKNOWN)
def test_an_unknown_value_of_an_enumeration_warns_and_is_the_default(
    image: Program, fit: dict[str, str], name: str, value: str
) -> None:
    got = dry_run(image, {**fit, name: value})
    assert got.code == 0
    assert got.profiles == dry_run(image, {**fit, name: ""}).profiles
    assert "WARNING" in got.err


def test_a_gpu_model_without_a_count_means_one(image: Program, fit: dict[str, str]) -> None:
    model = {key: value for key, value in fit.items() if key != "AIM_GPU_COUNT"}
    assert dry_run(image, model).out == dry_run(image, {**model, "AIM_GPU_COUNT": "1"}).out
