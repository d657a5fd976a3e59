"""The discovery Job and the serving runtime, to the letter: both are read by others than us."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import CLUSTER_SERVING_RUNTIMES, JOBS, SERVING_RUNTIMES
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, EnvVar, ModelSource
from aim_operator.core.catalog import Image, RuntimeConfig, Template
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.template import desired
from tests.support.template_builders import (
    NAMESPACE,
    OPERATOR_NAMESPACE,
    make_cluster_image,
    make_cluster_template,
    make_discovered_status,
    make_image,
    make_resolved_config,
    make_result,
    make_template,
)

REQUESTS = {"cpu": "50m", "memory": "64Mi"}
SECRET_ENV = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}


def render_job(
    template: Template,
    *,
    image: Image | None = None,
    config: RuntimeConfig | None = None,
) -> Manifest:
    return desired.job(
        template,
        image or make_image(),
        config or RuntimeConfig(),
        namespace=template.metadata.namespace or OPERATOR_NAMESPACE,
        digest="0123abcd",
        requests=REQUESTS,
    ).manifest


def pod_spec(job: Manifest) -> Manifest:
    spec: Manifest = job["spec"]["template"]["spec"]
    return spec


def names(env: list[Manifest]) -> list[str]:
    return [variable["name"] for variable in env]


def test_the_job_of_a_full_template_to_the_letter() -> None:
    template = make_template(
        metric="latency",
        precision="fp8",
        gpuSelector={"count": 2, "model": "MI300X"},
        env=[SECRET_ENV],
        imagePullSecrets=[{"name": "own"}],
    )
    config = make_resolved_config(service_account="puller", pull_secrets=("shared",))
    labels = {
        "app.kubernetes.io/name": "aim-discovery",
        "app.kubernetes.io/component": "discovery-job",
        "app.kubernetes.io/managed-by": "aim-controller",
        "aim.silogen.ai/template": "fast",
    }
    want = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "discover-fast-0123abcd",
            "namespace": NAMESPACE,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "aim.silogen.ai/v1alpha1",
                    "kind": "AIMServiceTemplate",
                    "name": "fast",
                    "uid": "uid-of-fast",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 7800,
            "template": {
                "metadata": {
                    "labels": {**labels, "sidecar.istio.io/inject": "false"},
                    "annotations": {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
                },
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "puller",
                    "automountServiceAccountToken": True,
                    "imagePullSecrets": [{"name": "own"}, {"name": "shared"}],
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "discovery",
                            "image": "ghcr.io/example/llama:v1",
                            "args": ["dry-run", "--format=json"],
                            "env": [
                                {"name": "AIM_GPU_COUNT", "value": "2"},
                                {"name": "AIM_GPU_MODEL", "value": "MI300X"},
                                {"name": "AIM_LOG_LEVEL", "value": "WARNING"},
                                {"name": "AIM_LOG_LEVEL_ROOT", "value": "WARNING"},
                                {"name": "AIM_METRIC", "value": "latency"},
                                {"name": "AIM_PRECISION", "value": "fp8"},
                                SECRET_ENV,
                            ],
                            "resources": {"requests": REQUESTS, "limits": {"cpu": "2", "memory": "4Gi"}},
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                },
            },
        },
    }
    assert render_job(template, config=config) == want


def test_the_job_of_a_bare_template_sets_nothing_that_was_not_asked_for() -> None:
    job = render_job(make_template())
    spec = pod_spec(job)
    assert names(spec["containers"][0]["env"]) == ["AIM_LOG_LEVEL", "AIM_LOG_LEVEL_ROOT"]
    assert "imagePullSecrets" not in spec
    assert "serviceAccountName" not in spec
    assert spec["automountServiceAccountToken"] is False
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_the_templates_env_wins_over_what_discovery_sets() -> None:
    own = [{"name": "AIM_METRIC", "value": "throughput"}, {"name": "AIM_LOG_LEVEL", "value": "DEBUG"}]
    template = make_template(metric="latency", env=own)
    env = pod_spec(render_job(template))["containers"][0]["env"]
    assert {variable["name"]: variable["value"] for variable in env} == {
        "AIM_LOG_LEVEL_ROOT": "WARNING",
        "AIM_LOG_LEVEL": "DEBUG",
        "AIM_METRIC": "throughput",
    }


def test_the_job_of_a_cluster_template_lives_in_the_operators_namespace() -> None:
    job = render_job(make_cluster_template(), image=make_cluster_image())
    assert job["metadata"]["namespace"] == OPERATOR_NAMESPACE
    assert job["metadata"]["ownerReferences"][0]["kind"] == "AIMClusterServiceTemplate"


def test_a_new_job_has_no_ttl_since_nobody_may_have_read_its_result_by_then() -> None:
    assert "ttlSecondsAfterFinished" not in render_job(make_template())["spec"]


def test_names_and_labels_of_a_template_with_the_longest_name_stay_valid() -> None:
    job = render_job(make_template("a" * 120 + ".b-" + "c" * 120))
    assert len(job["metadata"]["name"]) <= 63
    assert job["metadata"]["name"].endswith("-0123abcd")
    assert "." not in job["metadata"]["name"]
    assert len(job["metadata"]["labels"]["aim.silogen.ai/template"]) <= 63


def test_the_runtime_of_a_namespaced_template_to_the_letter() -> None:
    """A shape only: KServe applies a changed runtime at once to every InferenceService that names it."""
    template = make_template(
        env=[SECRET_ENV],
        imagePullSecrets=[{"name": "own"}],
        resources={"limits": {"cpu": "4"}},
        status=make_discovered_status("any", make_result(gpu_count=2)),
    )
    child = desired.runtime(template, make_image())
    want = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": "fast",
            "namespace": NAMESPACE,
            "labels": {
                "app.kubernetes.io/name": "aim-runtime",
                "app.kubernetes.io/component": "serving-runtime",
                "app.kubernetes.io/managed-by": "aim-controller",
                "aim.silogen.ai/template": "fast",
            },
            "ownerReferences": [
                {
                    "apiVersion": "aim.silogen.ai/v1alpha1",
                    "kind": "AIMServiceTemplate",
                    "name": "fast",
                    "uid": "uid-of-fast",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "supportedModelFormats": [{"name": "aim", "version": "1"}],
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "ghcr.io/example/llama:v1",
                    "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
                }
            ],
        },
    }
    assert child.manifest == want
    assert child.resource == SERVING_RUNTIMES


def test_the_runtime_of_a_cluster_template_is_cluster_wide() -> None:
    child = desired.runtime(make_cluster_template(), make_image())
    assert child.resource == CLUSTER_SERVING_RUNTIMES
    assert child.manifest["kind"] == "ClusterServingRuntime"
    assert "namespace" not in child.manifest["metadata"]
    assert child.manifest["metadata"]["ownerReferences"][0]["kind"] == "AIMClusterServiceTemplate"
    assert child.manifest["spec"] == desired.runtime(make_template(), make_image()).manifest["spec"]


def profile_env(result: DiscoveryResult, **spec: Any) -> dict[str, str]:
    status = make_discovered_status("any", result)
    return {v["name"]: v["value"] for v in desired.profile_env(make_template(**spec), status)}


def test_the_cpu_is_asked_for_with_no_gpus() -> None:
    """A model alone would mean one of it, and no profile has that."""
    template = make_template(gpuSelector={"model": "NONE"})
    rendered = pod_spec(render_job(template))["containers"][0]["env"]
    assert {"name": "AIM_GPU_MODEL", "value": "NONE"} in rendered
    assert {"name": "AIM_GPU_COUNT", "value": "0"} in rendered


@pytest.mark.parametrize("metadata", [{"gpu": "NONE"}, {"gpu": "none", "gpu_count": 0}, {"gpu_count": 0}])
def test_a_server_on_the_cpu_is_told_of_no_gpus(metadata: dict[str, Any]) -> None:
    env = profile_env(make_result(**metadata))
    assert env["AIM_PROFILE_ID"] == "vllm-a-profile"
    assert not {"AIM_GPU_COUNT", "AIM_GPU_MODEL"} & env.keys()


def variables(env: list[Manifest]) -> dict[str, str]:
    return {v["name"]: v["value"] for v in env}


CONFIGURED = RuntimeConfig(
    env=(
        EnvVar(name="HF_ENDPOINT", value="configuration"),
        EnvVar(name="HTTPS_PROXY", value="configuration"),
        EnvVar(name="AIM_LOG_LEVEL", value="INFO"),
        EnvVar(name="AIM_METRIC", value="configuration"),
        EnvVar(name="AIM_PROFILE_ID", value="configuration"),
        EnvVar(name="VLLM_ENABLE_METRICS", value="false"),
    )
)
"""Also what the CRD refuses: an older object may have it."""


def test_discovery_takes_the_configurations_environment_below_what_the_template_asks_for() -> None:
    template = make_template(metric="latency", env=[{"name": "HF_ENDPOINT", "value": "template"}])
    (container,) = pod_spec(render_job(template, config=CONFIGURED))["containers"]
    assert variables(container["env"]) == {
        "AIM_LOG_LEVEL_ROOT": "WARNING",
        "AIM_LOG_LEVEL": "INFO",
        "HF_ENDPOINT": "template",
        "HTTPS_PROXY": "configuration",
        "AIM_METRIC": "latency",
        "AIM_PROFILE_ID": "configuration",
        "VLLM_ENABLE_METRICS": "false",
    }


def test_the_server_takes_the_configurations_environment_below_the_profile_and_the_template() -> None:
    template = make_template(
        env=[{"name": "HF_ENDPOINT", "value": "template"}, {"name": "AIM_PRECISION", "value": "template"}]
    )
    status = make_discovered_status("any", make_result())
    assert variables(desired.server_env(template, status, CONFIGURED)) == {
        "HF_ENDPOINT": "template",
        "HTTPS_PROXY": "configuration",
        "AIM_LOG_LEVEL": "INFO",
        "AIM_METRIC": "latency",
        "AIM_PROFILE_ID": "vllm-a-profile",
        "VLLM_ENABLE_METRICS": "false",
        "AIM_PRECISION": "template",
        "AIM_GPU_COUNT": "1",
        "AIM_GPU_MODEL": "MI300X",
    }


def test_the_server_gets_the_profile_that_was_discovered() -> None:
    assert profile_env(make_result(gpu_count=2)) == {
        "AIM_PROFILE_ID": "vllm-a-profile",
        "VLLM_ENABLE_METRICS": "true",
        "AIM_METRIC": "latency",
        "AIM_PRECISION": "fp8",
        "AIM_GPU_COUNT": "2",
        "AIM_GPU_MODEL": "MI300X",
    }


@pytest.mark.parametrize(
    ("metadata", "missing"),
    [
        pytest.param({"metric": None}, "AIM_METRIC", id="no metric"),
        pytest.param({"precision": None}, "AIM_PRECISION", id="no precision"),
        pytest.param({"gpu": None}, "AIM_GPU_MODEL", id="no GPU model"),
        pytest.param({"gpu_count": None}, "AIM_GPU_COUNT", id="no GPU count"),
    ],
)
def test_what_was_not_discovered_is_not_set(metadata: dict[str, Any], missing: str) -> None:
    assert missing in profile_env(make_result())
    assert missing not in profile_env(make_result(**metadata))


@pytest.mark.parametrize(
    ("profile", "type_", "want"),
    [
        pytest.param({"aim_id": "org/model"}, "optimized", None, id="one model: its AIM_ID is baked in"),
        pytest.param({}, "general", "other/model", id="general: the image serves any model"),
        pytest.param({"model": "org/model"}, "optimized", "other/model", id="of an image from before 0.8"),
        pytest.param({}, None, "other/model", id="of an image that says nothing of itself"),
        pytest.param({}, "preview", None, id="one model, kept by a version that dropped aim_id"),
        pytest.param({"aim_id": None}, "general", "other/model", id="general, with an aim_id that is null"),
        pytest.param({"model": None}, "optimized", None, id="one model, with a model that is null"),
    ],
)
def test_the_server_is_told_the_model_where_its_image_serves_any(
    profile: dict[str, Any], type_: str | None, want: str | None
) -> None:
    wanted: dict[str, Any] = {} if type_ is None else {"type": type_}
    got = profile_env(make_result("other/model", profile=profile, **wanted))
    assert got.get("AIM_MODEL_ID") == want


@pytest.mark.parametrize(
    ("filename", "want"),
    [
        pytest.param("vllm-mi300x-fp8-tp1-latency.yaml", "vllm-mi300x-fp8-tp1-latency", id="a profile"),
        pytest.param("vllm.0.9.yml", "vllm.0.9", id="with dots"),
        pytest.param("general/vllm.yaml", None, id="a path"),
        pytest.param("vllm", None, id="no file of profiles"),
        pytest.param("$(SECRET).yaml", None, id="what Kubernetes would expand"),
        pytest.param(None, None, id="none"),
    ],
)
def test_the_discovered_profile_is_pinned_by_its_filename(filename: str | None, want: str | None) -> None:
    profile = {} if filename is None else {"filename": filename}
    assert profile_env(make_result(profile=profile)).get("AIM_PROFILE_ID") == want


def test_the_model_that_a_template_asks_for_is_what_the_server_is_told() -> None:
    result = make_result("org/tuned", type="general")
    assert profile_env(result, model="hf://org/tuned")["AIM_MODEL_ID"] == "hf://org/tuned"


def test_a_profile_that_a_template_names_is_pinned_where_the_image_prints_no_filename() -> None:
    assert profile_env(make_result(profile={"filename": None}), profileId="p")["AIM_PROFILE_ID"] == "p"
    assert profile_env(make_result(), profileId="p")["AIM_PROFILE_ID"] == "vllm-a-profile"


GIVEN: dict[str, Any] = {"modelSources": [{"name": "org/model", "sourceUri": "hf://org/model"}]}


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, {"AIM_MODEL_ID": "org/model"}, id="the first of its sources is the model"),
        pytest.param(
            {"model": "s3://bucket/m"},
            {"AIM_MODEL_ID": "s3://bucket/m"},
            id="a model that it names is the model",
        ),
        pytest.param(
            {
                "profileId": "p",
                "metric": "latency",
                "precision": "fp8",
                "gpuSelector": {"model": "MI300X", "count": 2},
            },
            {
                "AIM_MODEL_ID": "org/model",
                "AIM_PROFILE_ID": "p",
                "AIM_METRIC": "latency",
                "AIM_PRECISION": "fp8",
                "AIM_GPU_COUNT": "2",
                "AIM_GPU_MODEL": "MI300X",
            },
            id="what the template asks for, in place of what would be discovered",
        ),
    ],
)
def test_a_server_of_given_sources_gets_what_the_template_says(
    spec: dict[str, Any], want: dict[str, str]
) -> None:
    got = profile_env(
        DiscoveryResult(
            model_sources=(ModelSource(name="org/model", source_uri="hf://org/model"),), profile={}
        ),
        **GIVEN,
        **spec,
    )
    assert got == {"VLLM_ENABLE_METRICS": "true"} | want


def test_a_profile_by_its_name_says_which_gpus_pods_need() -> None:
    status = make_discovered_status("any", make_result(gpu="MI325X"))
    template = make_template(gpuSelector={"model": "MI300X"})
    assert desired.gpu_model(template, status) == "MI300X"
    template = make_template(gpuSelector={"model": "MI300X"}, profileId="p")
    assert desired.gpu_model(template, status) == "MI325X"
    assert desired.gpu_model(template, AIMServiceTemplateStatus()) == "MI300X"


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({"gpuSelector": {"model": "MI300X", "count": 2}}, 2, id="as asked for"),
        pytest.param({"gpuSelector": {"model": "NONE"}}, 0, id="none, on the CPU"),
        pytest.param({"gpuSelector": {"model": "MI300X"}}, 1, id="one, for a model of GPUs alone"),
        pytest.param({}, None, id="none, where no GPU is asked for"),
    ],
)
def test_gpus_of_a_template_without_discovery(spec: dict[str, Any], want: int | None) -> None:
    assert desired.gpu_count(make_template(**GIVEN, **spec), AIMServiceTemplateStatus()) == want
    assert desired.gpu_count(make_template(**spec), AIMServiceTemplateStatus()) is None


def test_engine_arguments_are_for_servers_alone() -> None:
    template = make_template(engineArgs={"max-model-len": 1, "flag": None}, env=[{"name": "A", "value": "x"}])
    [*others, last] = desired.server_env(
        template, make_discovered_status("any", make_result()), RuntimeConfig()
    )
    assert last == {"name": "AIM_ENGINE_ARGS", "value": '{"flag":null,"max-model-len":1}'}
    assert {"name": "A", "value": "x"} in others
    assert "AIM_ENGINE_ARGS" not in {variable["name"] for variable in desired.asked_env(template)}


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({"profileId": "p"}, {"AIM_PROFILE_ID": "p"}, id="a profile"),
        pytest.param({"model": "hf://org/m"}, {"AIM_MODEL_ID": "hf://org/m"}, id="a model"),
        pytest.param(
            {"gpuSelector": {"model": "MI300X"}, "env": [{"name": "AIM_GPU_MODEL", "value": "MI325X"}]},
            {"AIM_GPU_MODEL": "MI325X"},
            id="env, which overrides the fields",
        ),
    ],
)
def test_the_dry_run_is_asked_for(spec: dict[str, Any], want: dict[str, str]) -> None:
    template = make_template(**spec)
    child = desired.job(
        template, make_image(), RuntimeConfig(), namespace="x", digest="01234567", requests={}
    )
    env = child.manifest["spec"]["template"]["spec"]["containers"][0]["env"]
    levels = {"AIM_LOG_LEVEL_ROOT": "WARNING", "AIM_LOG_LEVEL": "WARNING"}
    assert {variable["name"]: variable["value"] for variable in env} == levels | want


def test_the_job_is_a_job() -> None:
    child = desired.job(
        make_template(), make_image(), RuntimeConfig(), namespace="x", digest="0123abcd", requests={}
    )
    assert child.resource == JOBS
