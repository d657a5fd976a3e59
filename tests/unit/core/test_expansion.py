"""Secrets by way of the kubelet's expansion: text that is not a user's own refers to nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import AIMModelCache, EnvVar
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.expansion import literal, literal_env
from aim_operator.core.manifests import plain
from aim_operator.core.model_cache import desired as downloads
from aim_operator.core.service.derivation import derive, derived_spec
from aim_operator.core.serving.workload import inference_service
from aim_operator.core.template import desired as discovery
from aim_operator.sandbox.kubelet import arguments, environment, expand
from tests.support.cache_builders import make_claim, make_model_cache
from tests.support.service_builders import (
    FakeCatalog,
    make_cluster_image,
    make_cluster_runtime_config,
    make_cluster_template,
    make_image,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_template_status,
    make_workload,
)

SECRET = "hf_of_the_tenant"
TOKEN = {"name": "HF_TOKEN", "value": SECRET}
LEAK = "$(HF_TOKEN)"
# More of what matters than of other characters.
TEXTS = st.lists(
    st.sampled_from(["$", "(", ")", "HF_TOKEN", "$(HF_TOKEN)", "$$", "é", "a", "\ud7ff"]), max_size=12
).map("".join)


@given(text=st.one_of(TEXTS, st.text()))
def test_no_text_refers_to_a_secret(text: str) -> None:
    assert expand(literal(text), {"HF_TOKEN": SECRET, "": SECRET}) == text


@given(text=TEXTS)
def test_the_stand_in_of_the_kubelet_expands_what_is_not_escaped(text: str) -> None:
    if LEAK in text.replace("$$", ""):
        assert SECRET in expand(text, {"HF_TOKEN": SECRET})


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("$(A)", "1", id="a variable"),
        pytest.param("x$(A)$(A)y", "x11y", id="twice"),
        pytest.param("$$(A)", "$(A)", id="escaped"),
        pytest.param("$$$(A)", "$1", id="an escaped one and a variable"),
        pytest.param("$(B)", "$(B)", id="no such variable"),
        pytest.param("$(A", "$(A", id="not closed"),
        pytest.param("$(A$(A)", "$(A$(A)", id="closed late"),
        pytest.param("$A", "$A", id="a shell's"),
        pytest.param("A$", "A$", id="at the end"),
        pytest.param("$é$(A)", "$é1", id="after another character"),
    ],
)
def test_references_are_read_as_kubernetes_does(text: str, want: str) -> None:
    """Rows of expand_test.go."""
    assert expand(text, {"A": "1"}) == want


def test_references_to_secrets_are_no_text() -> None:
    env = msgspec.convert(
        [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "$"}}}, {"name": "B"}],
        tuple[EnvVar, ...],
    )
    assert literal_env(env) == env


# Where such texts come from


def expanded(env: list[Manifest]) -> dict[str, str]:
    """Return the variables of a container, the token first: a reference is only to what stands before it."""
    return environment(sorted(env, key=lambda variable: variable["name"] != "HF_TOKEN"))


def server_variables(**wanted: Any) -> dict[str, str]:
    """Return what a model server gets in a namespace whose service has a token."""
    template = wanted.pop("template", None)
    if template is None:
        template = make_template(status=make_template_status(**wanted.pop("discovered", {})))
    catalog = FakeCatalog(make_cluster_image(), template, wanted.pop("config", None) or make_runtime_config())
    service = make_service(env=[TOKEN, *wanted.pop("env", ())])
    observed = make_service_observed(service, catalog)
    child = inference_service(service, make_workload(observed), runtime="fast")
    return expanded(child.manifest["spec"]["predictor"]["model"]["env"])


def test_an_image_that_prints_a_reference_gets_no_secret_of_its_server_into_a_variable() -> None:
    got = server_variables(discovered={"metric": LEAK, "precision": f"fp16{LEAK}", "gpu": f"MI300X{LEAK}"})
    assert (got["AIM_METRIC"], got["AIM_PRECISION"], got["AIM_GPU_MODEL"]) == (
        LEAK,
        f"fp16{LEAK}",
        f"MI300X{LEAK}",
    )


def test_a_model_whose_name_is_a_reference_gets_no_secret_into_a_variable() -> None:
    template = make_template(model=f"s3://bucket/{LEAK}")
    assert server_variables(template=template)["AIM_MODEL_ID"] == f"s3://bucket/{LEAK}"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(
            {"template": make_cluster_template(env=[{"name": "ASK", "value": LEAK}])}, id="template"
        ),
        pytest.param(
            {"config": make_cluster_runtime_config(env=[{"name": "ASK", "value": LEAK}])}, id="configuration"
        ),
        pytest.param(
            {"template": make_cluster_template(engineArgs={"ask": LEAK})}, id="engine arguments of a template"
        ),
    ],
)
def test_a_cluster_wide_object_reads_no_secret_of_a_namespace(wanted: dict[str, Any]) -> None:
    got = server_variables(**wanted)
    assert LEAK in got.get("ASK", "") + got.get("AIM_ENGINE_ARGS", "")
    assert SECRET not in [value for name, value in got.items() if name != "HF_TOKEN"]


def test_a_template_derived_from_a_cluster_wide_one_reads_no_secret_of_its_namespace() -> None:
    base = make_cluster_template(env=[{"name": "ASK", "value": LEAK}])
    service = make_service(env=[TOKEN, {"name": "OWN", "value": LEAK}])
    got = expanded(plain(derived_spec(service, base).env))
    assert (got["ASK"], got["OWN"]) == (LEAK, SECRET)


def test_a_cluster_template_that_means_the_same_is_used_although_a_value_has_a_dollar() -> None:
    env = [{"name": "PRICE", "value": "5$"}]
    base, same = make_cluster_template(env=env), make_cluster_template("same", env=env, metric="latency")
    catalog = FakeCatalog(make_cluster_image(), base, same)
    service = make_service(overrides={"metric": "latency"})
    assert derive(service, base, make_cluster_image(), catalog).name == "same"


def test_a_user_may_refer_to_variables_in_the_env_of_the_own_namespace() -> None:
    config = make_runtime_config(env=[{"name": "FROM_CONFIG", "value": LEAK}])
    got = server_variables(config=config, env=[{"name": "FROM_SERVICE", "value": f"Bearer {LEAK}"}])
    assert (got["FROM_CONFIG"], got["FROM_SERVICE"]) == (SECRET, f"Bearer {SECRET}")


def test_a_discovery_asks_for_what_is_written_and_not_for_a_secret() -> None:
    template = make_template(model=f"s3://bucket/{LEAK}", env=[TOKEN])
    observed = make_service_observed(make_service(), FakeCatalog(make_image(), template))
    config = observed.resolution.config
    assert config is not None
    job = discovery.job(template, make_image(), config, namespace="team", digest="d", requests={})
    [container] = job.manifest["spec"]["template"]["spec"]["containers"]
    assert expanded(container["env"])["AIM_MODEL_ID"] == f"s3://bucket/{LEAK}"


OPTIONS = downloads.DownloadOptions(image="ghcr.io/example/downloader:v1", requests={})


@given(text=TEXTS)
def test_a_source_or_pattern_that_is_a_reference_sends_no_secret_to_its_bucket(text: str) -> None:
    """As objects have them that were stored before the API server refused `$` there."""
    cache: AIMModelCache = make_model_cache(
        sourceUri=f"s3://bucket/{text}", include=[text], exclude=[text], env=[TOKEN]
    )
    config = RuntimeConfig()
    jobs: list[Manifest] = [
        downloads.job(cache, config, make_claim(), OPTIONS, digest="d").manifest,
        downloads.listing_job(cache, config, OPTIONS, digest="d").manifest,
    ]
    for job in jobs:
        [container] = job["spec"]["template"]["spec"]["containers"]
        got = arguments(container)
        assert got[:2] == ["fetch", f"s3://bucket/{text}"]
        assert {f"--include={text}", f"--exclude={text}"} <= set(got)
        assert SECRET not in " ".join(got)
    assert plain(cache.spec)["sourceUri"] == f"s3://bucket/{text}"
