"""Which variable overrides which, what a download gets, and which endpoint a source is fetched from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aim_operator.api.v1alpha1 import EnvVar
from aim_operator.api.v1alpha1.environment import DOWNLOAD_VARIABLES
from aim_operator.core.environment import lay_over, of_download, origin

HUB, STORE = "hf://example/model", "s3://models/example"
FETCH_PAGE = Path(__file__).parents[3] / "docs" / "reference" / "fetch.md"


def env(**values: Any) -> tuple[EnvVar, ...]:
    """Return variables by name; a dict is where the value comes from."""
    return msgspec.convert(
        [
            {"name": name, "valueFrom" if isinstance(value, dict) else "value": value}
            for name, value in values.items()
        ],
        tuple[EnvVar, ...],
    )


def from_config_map(name: str) -> dict[str, Any]:
    return {"configMapKeyRef": {"name": name, "key": "endpoint"}}


def test_a_later_layer_overrides_by_name_and_the_order_of_first_mention_stays() -> None:
    merged = lay_over(
        env(A="1", B="1"), env(C="2", A="2"), env(B={"secretKeyRef": {"name": "s", "key": "k"}})
    )
    assert merged == env(A="2", B={"secretKeyRef": {"name": "s", "key": "k"}}, C="2")


@pytest.mark.parametrize(
    "name",
    ["PYTHONPATH", "LD_PRELOAD", "AWS_CONFIG_FILE", "AWS_PROFILE", "PATH", "HOME", "VLLM_LOGGING_LEVEL"],
)
def test_what_the_downloader_does_not_read_does_not_reach_it(name: str) -> None:
    assert of_download(env(**{name: "x"}), env(HF_TOKEN="t")) == env(HF_TOKEN="t")


def test_every_variable_of_the_downloaders_page_reaches_it() -> None:
    sources = FETCH_PAGE.read_text().partition("## Sources")[2].partition("### Where a token goes")[0]
    variables = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+|awsAnonymousCredential)\b", sources))
    assert {"HF_TOKEN", "AWS_REGION", "S3_USER_VIRTUAL_BUCKET", "NO_PROXY", "SSL_CERT_FILE"} <= variables
    # Those for work by hand; the last would give a tenant what the node may do.
    ignored = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "AIM_ALLOW_INSTANCE_ROLE"}
    assert not ignored & set(DOWNLOAD_VARIABLES)
    assert variables - ignored <= set(DOWNLOAD_VARIABLES)


@pytest.mark.parametrize(
    ("uri", "layers", "other_uri", "other_layers", "same"),
    [
        pytest.param(HUB, [], HUB, [env(HF_TOKEN="t")], True, id="the token is not part of it"),
        pytest.param(HUB, [], HUB, [env(HTTPS_PROXY="p")], True, id="nor is a proxy"),
        pytest.param(HUB, [], HUB, [env(HF_ENDPOINT="")], True, id="an empty endpoint is none"),
        pytest.param(HUB, [], HUB, [env(HF_ENDPOINT="m")], False, id="another hub"),
        pytest.param(
            HUB, [], HUB, [env(AWS_ENDPOINT_URL="m")], True, id="a store is nothing to a hub's model"
        ),
        pytest.param(STORE, [], STORE, [env(HF_ENDPOINT="m")], True, id="and the other way round"),
        pytest.param(STORE, [], STORE, [env(AWS_ENDPOINT_URL="m")], False, id="another store"),
        pytest.param(
            STORE,
            [env(AWS_ENDPOINT_URL_S3="m")],
            STORE,
            [env(AWS_ENDPOINT_URL="x", AWS_ENDPOINT_URL_S3="m")],
            True,
            id="the variable for S3 is the one that is used",
        ),
        pytest.param(
            HUB,
            [env(HF_ENDPOINT="a")],
            HUB,
            [env(HF_ENDPOINT="b"), env(HF_ENDPOINT="a")],
            True,
            id="the last",
        ),
        pytest.param(
            HUB,
            [env(HF_ENDPOINT=from_config_map("a"))],
            HUB,
            [env(HF_ENDPOINT=from_config_map("b"))],
            False,
            id="references to different things",
        ),
        pytest.param(
            HUB,
            [env(HF_ENDPOINT=from_config_map("a"))],
            HUB,
            [env(HF_ENDPOINT=from_config_map("a"))],
            True,
            id="references to the same",
        ),
    ],
)
def test_two_downloads_are_from_the_same_endpoint(
    uri: str,
    layers: list[Any],
    other_uri: str,
    other_layers: list[Any],
    same: bool,  # noqa: FBT001 - a table
) -> None:
    assert (origin(uri, *layers) == origin(other_uri, *other_layers)) is same


def test_the_endpoint_is_not_told_in_clear() -> None:
    """It may have a password in it, and the hash is written into statuses and names."""
    got = origin(HUB, env(HF_ENDPOINT="https://user:password@mirror.example.com"))
    assert re.fullmatch(r"[0-9a-f]{8}", got)
    assert origin(HUB) == ""
