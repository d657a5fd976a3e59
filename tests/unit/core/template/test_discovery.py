"""The hash of a discovery's inputs, and the pauses between its attempts."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1 import EnvVar
from aim_operator.core import labels
from aim_operator.core.catalog import Image, RuntimeConfig, Template
from aim_operator.core.template import discovery
from tests.support.template_builders import (
    digest_of,
    make_cluster_image,
    make_cluster_template,
    make_discovered_status,
    make_image,
    make_resolved_config,
    make_template,
)

SPEC: dict[str, Any] = {
    "metric": "latency",
    "precision": "fp8",
    "gpuSelector": {"count": 1, "model": "MI300X"},
    "env": [{"name": "HF_TOKEN", "value": "x"}],
    "imagePullSecrets": [{"name": "own"}],
}
LAST = "2026-01-31T12:00:00Z"


def base(**spec: Any) -> Template:
    return make_template(**{**SPEC, **spec})


@pytest.mark.parametrize(
    ("template", "image", "config"),
    [
        pytest.param(base(metric="throughput"), None, None, id="metric"),
        pytest.param(base(precision="fp16"), None, None, id="precision"),
        pytest.param(base(gpuSelector={"count": 2, "model": "MI300X"}), None, None, id="GPU count"),
        pytest.param(base(gpuSelector={"count": 1, "model": "MI325X"}), None, None, id="GPU model"),
        pytest.param(base(gpuSelector={"count": 1}), None, None, id="no GPU model"),
        pytest.param(base(env=[{"name": "HF_TOKEN", "value": "y"}]), None, None, id="env"),
        pytest.param(base(profileId="p"), None, None, id="profile"),
        pytest.param(base(model="org/m"), None, None, id="model"),
        pytest.param(base(imagePullSecrets=[{"name": "other"}]), None, None, id="own pull secrets"),
        pytest.param(base(metadata={"uid": "another"}), None, None, id="uid: created anew"),
        pytest.param(
            base(metadata={"annotations": {labels.REDISCOVER: "1"}}), None, None, id="rediscover annotation"
        ),
        pytest.param(None, make_image(image="ghcr.io/example/llama:v2"), None, id="image reference"),
        pytest.param(None, None, make_resolved_config(service_account="puller"), id="service account"),
        pytest.param(
            None, None, RuntimeConfig(env=(EnvVar(name="HF_ENDPOINT", value="y"),)), id="config's env"
        ),
        pytest.param(None, None, make_resolved_config(pull_secrets=("shared",)), id="config's pull secrets"),
    ],
)
def test_a_change_of_these_discovers_again(
    template: Template | None, image: Image | None, config: RuntimeConfig | None
) -> None:
    assert digest_of(template or base(), image, config) != digest_of(base())


@pytest.mark.parametrize(
    ("template", "image", "config"),
    [
        pytest.param(base(resources={"limits": {"cpu": "8"}}), None, None, id="resources of services"),
        pytest.param(base(caching={"enabled": True}), None, None, id="caching"),
        pytest.param(base(serving={"startupTimeoutSeconds": 60}), None, None, id="how servers are run"),
        pytest.param(
            base(gpuSelector={**SPEC["gpuSelector"], "resourceName": "amd.com/cpx_nps4"}),
            None,
            None,
            id="GPU resource",
        ),
        pytest.param(base(runtimeConfigName="other"), None, None, id="the config's name alone"),
        pytest.param(
            None,
            None,
            RuntimeConfig(env=(EnvVar(name="HF_TOKEN", value="y"),)),
            id="what the template overrides in the config's env",
        ),
        pytest.param(base(metadata={"generation": 99}), None, None, id="generation"),
        pytest.param(base(metadata={"labels": {"team": "x"}}), None, None, id="labels"),
        pytest.param(base(metadata={"annotations": {"x": "y"}}), None, None, id="other annotations"),
        pytest.param(base(status=make_discovered_status("x")), None, None, id="status"),
        pytest.param(None, make_image(resources={"limits": {"cpu": "8"}}), None, id="the image's resources"),
        pytest.param(None, make_image(defaultServiceTemplate="x"), None, id="the image's default template"),
        pytest.param(
            None, make_cluster_image(), None, id="where the image was found, while its reference is the same"
        ),
        pytest.param(
            None, None, make_resolved_config(pull_secrets=("own",)), id="a secret that the template names too"
        ),
    ],
)
def test_a_change_of_these_does_not(
    template: Template | None, image: Image | None, config: RuntimeConfig | None
) -> None:
    assert digest_of(template or base(), image, config) == digest_of(base())


def test_the_gpu_resource_is_not_asked_of_an_image_that_nothing_else_was_asked_of() -> None:
    named = make_template(gpuSelector={"resourceName": "amd.com/cpx_nps4"})
    assert digest_of(named) == digest_of(make_template())


def test_a_cluster_template_and_its_namesake_never_share_a_job() -> None:
    uid = {"uid": "same"}
    assert digest_of(make_cluster_template(metadata=uid)) != digest_of(make_template(metadata=uid))


def test_pull_secrets_are_the_configurations_then_the_templates_own_each_once() -> None:
    template = make_template(imagePullSecrets=[{"name": "own"}, {"name": "shared"}])
    config = make_resolved_config(pull_secrets=("shared", "registry"))
    got = [secret.name for secret in discovery.pull_secrets(template, config)]
    assert got == ["shared", "registry", "own"]
