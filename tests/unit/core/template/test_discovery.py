"""The hash of a discovery's inputs, and the pauses between its attempts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import UNSET

from aim_operator.api.v1alpha1 import Discovery
from aim_operator.core import labels
from aim_operator.core.catalog import Image, RuntimeConfig, Template
from aim_operator.core.conditions import parse_time
from aim_operator.core.template import discovery
from tests.support.template_builders import (
    digest_of,
    make_cluster_image,
    make_cluster_template,
    make_discovered_status,
    make_discovery,
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
        pytest.param(base(imagePullSecrets=[{"name": "other"}]), None, None, id="own pull secrets"),
        pytest.param(base(metadata={"uid": "another"}), None, None, id="uid: created anew"),
        pytest.param(
            base(metadata={"annotations": {labels.REDISCOVER: "1"}}), None, None, id="rediscover annotation"
        ),
        pytest.param(None, make_image(image="ghcr.io/example/llama:v2"), None, id="image reference"),
        pytest.param(None, None, make_resolved_config(service_account="puller"), id="service account"),
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
        pytest.param(base(runtimeConfigName="other"), None, None, id="the config's name alone"),
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


def test_a_cluster_template_and_its_namesake_never_share_a_job() -> None:
    uid = {"uid": "same"}
    assert digest_of(make_cluster_template(metadata=uid)) != digest_of(make_template(metadata=uid))


def test_pull_secrets_are_the_configurations_then_the_templates_own_each_once() -> None:
    template = make_template(imagePullSecrets=[{"name": "own"}, {"name": "shared"}])
    config = make_resolved_config(pull_secrets=("shared", "registry"))
    got = [secret.name for secret in discovery.pull_secrets(template, config)]
    assert got == ["shared", "registry", "own"]


@pytest.mark.parametrize(
    ("attempts", "want_seconds"),
    [
        pytest.param(1, 10, id="10 s after the first failure"),
        pytest.param(2, 20, id="twice that after the second"),
        pytest.param(3, 40, id="and so on"),
        pytest.param(9, 2560, id="the last below an hour"),
        pytest.param(10, 3600, id="never more than an hour"),
        pytest.param(2**31, 3600, id="however many attempts status claims"),
    ],
)
def test_pauses_double(attempts: int, want_seconds: int) -> None:
    got = discovery.retry_at(make_discovery("a", attempts=attempts, last=LAST), "a")
    assert got == parse_time(LAST) + timedelta(seconds=want_seconds)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(UNSET, id="nothing was tried"),
        pytest.param(make_discovery("b", attempts=5), id="other inputs failed"),
        pytest.param(make_discovery("a", attempts=0), id="it succeeded"),
        pytest.param(Discovery(spec_hash="a", attempts=2), id="the time of the failure is not known"),
    ],
)
def test_the_next_attempt_is_due_at_once(known: Discovery) -> None:
    assert discovery.retry_at(known, "a") is None


@pytest.mark.parametrize(
    ("known", "want"),
    [
        pytest.param(UNSET, False, id="nothing is recorded yet"),
        pytest.param(make_discovery("a", last=LAST), True, id="this very attempt is"),
        pytest.param(make_discovery("a", last="2026-01-31T13:00:00+01:00"), True, id="in any time zone"),
        pytest.param(make_discovery("a", last="2026-01-31T12:00:01Z"), True, id="a later attempt is"),
        pytest.param(make_discovery("a", last="2026-01-31T11:59:59Z"), False, id="an earlier one is"),
        pytest.param(make_discovery("b", last=LAST), False, id="an attempt with other inputs is"),
        pytest.param(Discovery(spec_hash="a"), False, id="no time is"),
    ],
)
def test_recorded(known: Discovery, want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert discovery.recorded(known, "a", LAST) is want


@pytest.mark.parametrize(
    ("known", "want_succeeded", "want_attempts"),
    [
        pytest.param(UNSET, False, 0, id="nothing was tried"),
        pytest.param(make_discovery("a"), True, 0, id="these inputs succeeded"),
        pytest.param(Discovery(spec_hash="a"), True, 0, id="attempts left out are none failed"),
        pytest.param(make_discovery("a", attempts=2), False, 2, id="these inputs failed twice"),
        pytest.param(make_discovery("b"), False, 0, id="other inputs succeeded"),
        pytest.param(make_discovery("b", attempts=2), False, 0, id="other inputs failed"),
    ],
)
def test_what_came_of_it(known: Discovery, want_succeeded: bool, want_attempts: int) -> None:  # noqa: FBT001
    assert discovery.succeeded(known, "a") is want_succeeded
    assert discovery.failed_attempts(known, "a") == want_attempts
