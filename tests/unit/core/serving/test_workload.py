"""A service's InferenceService and own runtime, field by field where a golden file would not say why."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import SERVING_RUNTIMES
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import ActiveMount
from aim_operator.core.naming import label_value
from aim_operator.core.serving.workload import inference_service, own_runtime, revision_of
from aim_operator.errors import SpecError
from tests.support.service_builders import (
    FakeCatalog,
    make_image,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_template_status,
    make_workload,
)

MOUNT = ActiveMount(model="example/model", claim="claim-1")


def rendered(
    *,
    image: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    discovered: dict[str, Any] | None = None,
    mounts: tuple[ActiveMount, ...] = (),
    **spec: Any,
) -> Manifest:
    status = make_template_status(**(discovered or {}))
    catalog = FakeCatalog(
        make_image(**(image or {})),
        make_template(status=status, **(template or {})),
        make_runtime_config(**(config or {})),
    )
    observed = make_service_observed(make_service(**spec), catalog)
    return inference_service(observed.service, make_workload(observed, *mounts), runtime="fast").manifest


def predictor(**wanted: Any) -> Manifest:
    got: Manifest = rendered(**wanted)["spec"]["predictor"]
    return got


def names(env: list[Manifest]) -> list[str]:
    return [variable["name"] for variable in env]


@pytest.mark.parametrize(
    ("resources", "count", "want"),
    [
        pytest.param({}, 4, ("4", "4"), id="as discovered where nobody sets it"),
        pytest.param({"limits": {"amd.com/gpu": 2}}, 4, ("2", "2"), id="mirrored where one side is set"),
        pytest.param(
            {"requests": {"amd.com/gpu": "2"}}, 4, ("2", "2"), id="mirrored from the other side too"
        ),
        pytest.param({}, 0, (None, None), id="none where discovery found none"),
        pytest.param({}, "many", (None, None), id="none where discovery found no number"),
    ],
)
def test_gpus_are(resources: dict[str, Any], count: object, want: tuple[str | None, str | None]) -> None:
    got = predictor(resources=resources, discovered={"gpu_count": count})["model"]["resources"]
    assert (got["requests"].get("amd.com/gpu"), got["limits"].get("amd.com/gpu")) == want


def test_the_image_label_is_that_of_the_image_that_was_discovered() -> None:
    """Until a new one is: KServe copies labels to Pods, so another label would restart them."""
    label = "aim.silogen.ai/aim-image"
    assert rendered()["metadata"]["labels"][label] == label_value(make_image().spec.image)
    labels = rendered(discovered={"discovered_image": "old:v1"})["metadata"]["labels"]
    assert labels[label] == label_value("old:v1")


def test_a_request_above_its_limit_names_quantity_and_tiers() -> None:
    with pytest.raises(SpecError) as caught:
        rendered(resources={"limits": {"cpu": "2"}}, template={"resources": {"requests": {"cpu": "4"}}})
    assert caught.value.reason == "ResourcesInvalid"
    for word in ("cpu", "service", "template"):
        assert word in caught.value.message


def test_the_services_env_overrides_the_templates_and_that_what_was_discovered() -> None:
    got = predictor(
        env=[{"name": "A", "value": "service"}, {"name": "AIM_METRIC", "value": "service"}],
        template={
            "env": [
                {"name": "A", "value": "template"},
                {"name": "B", "value": "template"},
                {"name": "AIM_PRECISION", "value": "template"},
            ]
        },
    )["model"]["env"]
    assert len(names(got)) == len(set(names(got)))
    values = {variable["name"]: variable["value"] for variable in got}
    assert {name: values[name] for name in ("A", "B", "AIM_METRIC", "AIM_PRECISION", "AIM_GPU_COUNT")} == {
        "A": "service",
        "B": "template",
        "AIM_METRIC": "service",
        "AIM_PRECISION": "template",
        "AIM_GPU_COUNT": "1",
    }


def test_where_the_cache_is_is_told_only_where_one_is_mounted() -> None:
    assert "AIM_CACHE_PATH" not in names(predictor()["model"]["env"])
    got = predictor(mounts=(MOUNT,))["model"]
    assert {"name": "AIM_CACHE_PATH", "value": "/workspace/model-cache"} in got["env"]
    assert got["volumeMounts"][1]["mountPath"] == "/workspace/model-cache/example/model"
    own = [{"name": "AIM_CACHE_PATH", "value": "/mine"}]
    env = predictor(mounts=(MOUNT,), env=own)["model"]["env"]
    assert [variable for variable in env if variable["name"] == "AIM_CACHE_PATH"] == own


def test_the_image_is_on_the_inference_service_as_it_was_discovered() -> None:
    assert predictor()["model"]["image"] == "ghcr.io/example/model:v1"
    assert predictor(discovered={"discovered_image": "old:v1"})["model"]["image"] == "old:v1"


def test_what_nobody_asks_for_is_absent() -> None:
    got = predictor(discovered={"sources": (), "gpu": None})
    assert set(got) == {
        "model",
        "minReplicas",
        "maxReplicas",
        "volumes",
        "securityContext",
        "automountServiceAccountToken",
        "terminationGracePeriodSeconds",
    }
    assert set(got["model"]) == {
        "modelFormat",
        "runtime",
        "image",
        "env",
        "resources",
        "volumeMounts",
        "storage",
        "terminationMessagePolicy",
        "lifecycle",
        "securityContext",
        "startupProbe",
        "livenessProbe",
        "readinessProbe",
    }


def test_its_processes_share_memory() -> None:
    got = predictor()
    assert got["volumes"] == [{"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}]
    assert got["model"]["volumeMounts"] == [{"name": "dshm", "mountPath": "/dev/shm"}]


# Settings of serving: configuration under template under service


def test_it_has_an_hour_to_load_and_is_then_asked_whether_its_engine_works() -> None:
    every = {"periodSeconds": 10, "timeoutSeconds": 5}
    model = predictor()["model"]
    assert model["startupProbe"] == {
        "httpGet": {"path": "/v1/models", "port": 8000},
        **every,
        "failureThreshold": 360,
    }
    health = {"httpGet": {"path": "/health", "port": 8000}, **every}
    assert model["livenessProbe"] == {**health, "failureThreshold": 6}
    assert model["readinessProbe"] == {**health, "failureThreshold": 3}


def settings(**wanted: Any) -> tuple[str, int]:
    got = predictor(**wanted)
    size: str = got["volumes"][0]["emptyDir"]["sizeLimit"]
    failures: int = got["model"]["startupProbe"]["failureThreshold"]
    return size, failures


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        pytest.param(
            {"config": {"serving": {"sharedMemorySize": "16Gi", "startupTimeoutSeconds": 60}}},
            ("16Gi", 6),
            id="of the configuration",
        ),
        pytest.param(
            {
                "config": {"serving": {"sharedMemorySize": "16Gi", "startupTimeoutSeconds": 60}},
                "template": {"serving": {"sharedMemorySize": "32Gi"}},
            },
            ("32Gi", 6),
            id="of the template over those, each by itself",
        ),
        pytest.param(
            {
                "template": {"serving": {"sharedMemorySize": "32Gi"}},
                "serving": {"sharedMemorySize": 1024**3, "startupTimeoutSeconds": 61},
            },
            ("1Gi", 7),
            id="of the service over all, a begun period counting",
        ),
    ],
)
def test_settings_are(wanted: dict[str, Any], want: tuple[str, int]) -> None:
    assert settings(**wanted) == want


AMDS_DEFAULTS = {"requests": {"cpu": "8", "memory": "64Gi"}, "limits": {"memory": "96Gi"}}


def compute(**wanted: Any) -> Manifest:
    """Return the resources without those that are GPUs."""
    got = predictor(**wanted)["model"]["resources"]
    return {
        side: {name: value for name, value in got[side].items() if "/" not in name}
        for side in ("requests", "limits")
    }


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        pytest.param({}, AMDS_DEFAULTS, id="AMD's where nobody says anything"),
        pytest.param(
            {"image": {"resources": {"limits": {"memory": "40Gi"}}}},
            {"requests": {"cpu": "8"}, "limits": {"memory": "40Gi"}},
            id="none for memory where one side of it is said",
        ),
        pytest.param(
            {"resources": {"requests": {"cpu": 1}}},
            {"requests": {"cpu": "1", "memory": "64Gi"}, "limits": {"memory": "96Gi"}},
            id="none for what the service says",
        ),
        pytest.param(
            {"config": {"serving": {"defaultResourcesPerGpu": {"cpu": "1500m", "memory": "1.5Gi"}}}},
            {"requests": {"cpu": "3", "memory": "3Gi"}, "limits": {"memory": "96Gi"}},
            id="of the configuration, times the GPUs",
        ),
        pytest.param(
            {
                "config": {"serving": {"defaultResourcesPerGpu": {"cpu": 0, "memoryLimit": "64Gi"}}},
                "template": {"serving": {"defaultResourcesPerGpu": {"memory": "100Gi"}}},
            },
            {"requests": {"memory": "200Gi"}, "limits": {"memory": "200Gi"}},
            id="none for 0, and a limit that is no less than what is requested",
        ),
        pytest.param(
            {"template": {"serving": {"defaultResourcesPerGpu": {"memory": 0, "memoryLimit": 0}}}},
            {"requests": {"cpu": "8"}, "limits": {}},
            id="no memory where both are 0",
        ),
        pytest.param(
            {"discovered": {"gpu": "NONE", "gpu_count": 0}},
            {"requests": {}, "limits": {}},
            id="none without GPUs",
        ),
    ],
)
def test_cpu_and_memory_for_each_of_two_gpus_are(wanted: dict[str, Any], want: Manifest) -> None:
    assert compute(**{"discovered": {"gpu_count": 2}, **wanted}) == want


def gpus(**wanted: Any) -> dict[str, str]:
    got = predictor(**wanted)["model"]["resources"]
    devices = {name: value for name, value in got["limits"].items() if "/" in name}
    assert devices == {name: value for name, value in got["requests"].items() if "/" in name}
    return devices


PARTITIONS = {"gpuSelector": {"count": 8, "model": "MI300X", "resourceName": "amd.com/cpx_nps4"}}


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        pytest.param({"template": {"gpuSelector": {"model": "MI300X"}}}, {"amd.com/gpu": "1"}, id="of AMD"),
        pytest.param(
            {"template": {"gpuSelector": {"model": "H100"}}}, {"nvidia.com/gpu": "1"}, id="of NVIDIA"
        ),
        pytest.param(
            {"discovered": {"gpu": "H100", "gpu_count": 2}},
            {"nvidia.com/gpu": "2"},
            id="of the vendor of the profile's model, where none is asked for",
        ),
        pytest.param(
            {"template": PARTITIONS, "discovered": {"gpu_count": 8}},
            {"amd.com/cpx_nps4": "8"},
            id="of the name that the template gives",
        ),
        pytest.param(
            {"template": PARTITIONS, "resources": {"limits": {"amd.com/gpu": 1}}},
            {"amd.com/gpu": "1"},
            id="none of ours beside another GPU resource",
        ),
        pytest.param({"discovered": {"gpu": "NONE", "gpu_count": 0}}, {}, id="none on the CPU"),
    ],
)
def test_gpus_are_requested_as(wanted: dict[str, Any], want: dict[str, str]) -> None:
    assert gpus(**wanted) == want


def test_a_server_without_gpus_may_run_anywhere_and_is_told_of_none() -> None:
    got = predictor(discovered={"gpu": "NONE", "gpu_count": 0})
    assert "affinity" not in got
    assert not [name for name in names(got["model"]["env"]) if name.startswith("AIM_GPU_")]


def test_nodes_are_those_of_the_profile_where_no_model_is_asked_for() -> None:
    by_selector = predictor(template={"gpuSelector": {"model": "MI325X"}})["affinity"]
    by_profile = predictor(discovered={"gpu": "MI325X"})["affinity"]
    assert by_profile == by_selector


def test_kserve_downloads_nothing_and_takes_it_for_an_ordinary_predictor() -> None:
    """The server fetches by itself. Without `storage` KServe would add its agent."""
    model = predictor()["model"]
    assert model["storage"] == {}
    assert "storageUri" not in model


def test_pull_secrets_are_the_services_the_configurations_and_the_templates() -> None:
    got = predictor(
        imagePullSecrets=[{"name": "b"}, {"name": "a"}],
        config={"imagePullSecrets": [{"name": "a"}, {"name": "c"}]},
        template={"imagePullSecrets": [{"name": "c"}, {"name": "d"}]},
    )
    assert got["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]


def test_labels_tell_what_was_discovered_else_what_was_asked_for() -> None:
    def labels(**wanted: Any) -> tuple[str, str]:
        got = rendered(**wanted)["metadata"]["labels"]
        return got["aim.silogen.ai/template.metric"], got["aim.silogen.ai/template.precision"]

    asked = {"metric": "throughput", "precision": "auto"}
    assert labels(template=asked, discovered={"precision": "fp8"}) == ("latency", "fp8")
    assert labels(template=asked, discovered={"metric": "", "precision": None}) == ("throughput", "auto")


def test_what_a_pod_has_too_of_the_security_context_is_on_the_pod_for_kserves_initializer() -> None:
    context = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "allowPrivilegeEscalation": False,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    got = predictor(config={"securityContext": context})
    assert got["model"]["securityContext"] == {**context, "capabilities": {"drop": ["ALL"]}}
    assert got["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


# The revision


def revision(**wanted: Any) -> str:
    value: str = rendered(**wanted)["metadata"]["labels"]["aim.silogen.ai/revision"]
    return value


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"image": {"image": "ghcr.io/example/model:v2"}}, id="the image"),
        pytest.param({"env": [{"name": "A", "value": "b"}]}, id="the service's env"),
        pytest.param({"template": {"env": [{"name": "A", "value": "b"}]}}, id="the template's env"),
        pytest.param({"resources": {"limits": {"cpu": "4"}}}, id="resources"),
        pytest.param({"discovered": {"gpu_count": 2}}, id="the number of GPUs"),
        pytest.param({"template": {"gpuSelector": {"model": "MI325X"}}}, id="the GPU model of the nodes"),
        pytest.param({"discovered": {"precision": "fp8"}}, id="the profile"),
        pytest.param({"imagePullSecrets": [{"name": "a"}]}, id="pull secrets"),
        pytest.param({"config": {"serviceAccountName": "a"}}, id="the service account"),
        pytest.param({"config": {"securityContext": {"runAsNonRoot": True}}}, id="the security context"),
        pytest.param({"mounts": (MOUNT,)}, id="a cache"),
        pytest.param({"serving": {"sharedMemorySize": "1Gi"}}, id="shared memory"),
        pytest.param({"config": {"serving": {"startupTimeoutSeconds": 60}}}, id="the time to start"),
        pytest.param({"template": {"gpuSelector": {"resourceName": "amd.com/cpx_nps4"}}}, id="the resource"),
    ],
)
def test_the_revision_is_another_with_everything_that_pods_are_made_of(changed: dict[str, Any]) -> None:
    assert revision(**changed) != revision()


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"replicas": 7}, id="the number of replicas"),
        pytest.param({"routing": {"enabled": True}}, id="routing"),
        pytest.param({"config": {"routing": {"enabled": True}}}, id="the configuration's routing"),
        pytest.param({"metadata": {"labels": {"team": "a"}}}, id="the service's own labels"),
    ],
)
def test_the_revision_stays_with_everything_else(changed: dict[str, Any]) -> None:
    assert revision(**changed) == revision()


def test_the_revision_is_the_same_by_whichever_runtime() -> None:
    """All have one shape: Pods of a service go on when the runtime of its template is gone."""
    service, active = make_service(), make_workload()
    by_template = inference_service(service, active, runtime="fast")
    by_own = inference_service(service, active, runtime="chat-active")
    assert revision_of(by_template) == revision_of(by_own)
    for child, want in ((by_template, "fast"), (by_own, "chat-active")):
        assert child.manifest["spec"]["predictor"]["model"]["runtime"] == want


# The service's own runtime


def test_the_services_own_runtime_to_the_letter() -> None:
    child = own_runtime(make_service(), make_workload())
    assert child.resource == SERVING_RUNTIMES
    assert child.manifest == {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": "chat-active",
            "namespace": "team",
            "labels": {
                "app.kubernetes.io/name": "aim-runtime",
                "app.kubernetes.io/component": "serving-runtime",
                "app.kubernetes.io/managed-by": "aim-controller",
            },
            "ownerReferences": [
                {
                    "apiVersion": "aim.silogen.ai/v1alpha1",
                    "kind": "AIMService",
                    "name": "chat",
                    "uid": "uid-aimservice-team-chat",
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
                    "image": "ghcr.io/example/model:v1",
                    "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
                }
            ],
        },
    }


def test_the_service_says_where_its_pods_run_over_template_and_configuration() -> None:
    got = predictor(
        config={
            "scheduling": {"tolerations": [{"key": "gpu", "operator": "Exists"}], "schedulerName": "volcano"},
            "pods": {"annotations": {"team": "all"}, "enableServiceLinks": False},
        },
        template={"scheduling": {"nodeSelector": {"pool": "gpu"}}, "pods": {"labels": {"tier": "model"}}},
        scheduling={"priorityClassName": "high", "schedulerName": "default-scheduler"},
        pods={"annotations": {"team": "a"}, "imagePullPolicy": "Always"},
    )
    assert got["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert got["nodeSelector"] == {"pool": "gpu"}
    assert got["priorityClassName"] == "high"
    # The default written out, over another of the configuration.
    assert "schedulerName" not in got
    assert (got["labels"], got["annotations"]) == ({"tier": "model"}, {"team": "a"})
    assert got["enableServiceLinks"] is False
    assert got["model"]["imagePullPolicy"] == "Always"


def test_a_node_must_have_the_gpu_and_be_what_the_user_asks_for() -> None:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    zone = {"key": "zone", "operator": "In", "values": ["a"]}
    alone = predictor(discovered={"gpu": "MI300X"})["affinity"]["nodeAffinity"][required]
    own = {"nodeAffinity": {required: {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}}}
    got = predictor(discovered={"gpu": "MI300X"}, scheduling={"affinity": own})
    terms = got["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"]
    assert [term["matchExpressions"] for term in terms] == [
        [zone, *term["matchExpressions"]] for term in alone["nodeSelectorTerms"]
    ]


def test_another_place_is_a_roll_out_and_settings_of_jobs_are_none() -> None:
    def revision(**wanted: Any) -> str:
        return str(rendered(**wanted)["metadata"]["labels"]["aim.silogen.ai/revision"])

    assert revision(scheduling={"nodeSelector": {"pool": "a"}}) != revision()
    assert revision(pods={"labels": {"team": "a"}}) != revision()
    assert revision(config={"jobs": {"scheduling": {"nodeSelector": {"pool": "a"}}}}) == revision()
    assert revision(scheduling={}, pods={}) == revision()
