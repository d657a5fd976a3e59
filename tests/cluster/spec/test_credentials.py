"""Behaviour on credentials: who pulls with which secrets, as which account, and whose variable wins."""

from __future__ import annotations

from typing import Any

from hack.cluster.api import Manifest
from tests.support.spec_world import OPERATOR_NAMESPACE, World, names, variables


def config_with_credentials(world: World, name: str = "default", namespace: str = "") -> Manifest:
    return world.config(
        name,
        namespace,
        serviceAccountName="default",
        imagePullSecrets=[{"name": "of-config"}, {"name": "of-both"}],
    )


def pod_of(job: Manifest) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def test_credentials_of_config_template_and_service_are_where_pods_need_them(world: World) -> None:
    secrets = [{"name": "of-both"}, {"name": "of-template"}]
    world.run(
        world.image(defaultServiceTemplate="fast"),
        world.template(imagePullSecrets=secrets),
        config_with_credentials(world),
        world.service(imagePullSecrets=[{"name": "of-service"}, {"name": "of-config"}]),
    )
    (job,) = world.all("Job")
    pod = pod_of(job)
    assert pod["serviceAccountName"] == "default"
    assert pod["automountServiceAccountToken"] is True
    assert names(pod["imagePullSecrets"]) == ["of-both", "of-config", "of-template"]
    assert "imagePullSecrets" not in world.need("ServingRuntime", "fast")["spec"]
    predictor = world.need("InferenceService", "chat")["spec"]["predictor"]
    assert predictor["serviceAccountName"] == "default"
    assert names(predictor["imagePullSecrets"]) == ["of-both", "of-config", "of-service", "of-template"]


def test_without_an_account_discovery_mounts_no_token_and_runs_without_privileges(world: World) -> None:
    world.run(*world.catalog(), world.service())
    (job,) = world.all("Job")
    pod = pod_of(job)
    assert pod["automountServiceAccountToken"] is False
    assert "imagePullSecrets" not in pod
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["restartPolicy"] == "Never"
    container = pod["containers"][0]
    assert container["args"] == ["dry-run", "--format=json"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == 7200 + 600, "with the pull of the image"
    predictor = world.need("InferenceService", "chat")["spec"]["predictor"]
    assert "serviceAccountName" not in predictor
    assert predictor["automountServiceAccountToken"] is False, "nor does the model server"
    assert "imagePullSecrets" not in predictor


def test_a_cluster_template_gets_its_credentials_from_a_config_in_the_operators_namespace(
    world: World,
) -> None:
    base, config = world.shared("base"), world.shared("config")
    world.apply(
        world.cluster_image(),
        # In the namespace of nobody's Pods here: it must not be used.
        world.config(config, imagePullSecrets=[{"name": "of-another-namespace"}]),
        config_with_credentials(world, config, OPERATOR_NAMESPACE),
        world.cluster_template(base, runtimeConfigName=config),
    )
    found = world.until(
        "AIMClusterServiceTemplate", base, lambda t: t.get("status", {}).get("status") == "Available"
    )
    assert found["status"]["resolvedRuntimeConfig"]["namespace"] == OPERATOR_NAMESPACE
    label = "aim.silogen.ai/template"
    (job,) = [
        job for job in world.all("Job", OPERATOR_NAMESPACE) if job["metadata"]["labels"].get(label) == base
    ]
    assert pod_of(job)["serviceAccountName"] == "default"
    assert names(pod_of(job)["imagePullSecrets"]) == ["of-both", "of-config"]
    # Those of the operator's namespace are there only: services pull with those of their own.
    assert "imagePullSecrets" not in world.need("ClusterServingRuntime", base)["spec"]
    world.apply(world.config(imagePullSecrets=[{"name": "of-namespace"}]))
    world.run(world.service(templateRef=base, runtimeConfigName="default"))
    predictor = world.need("InferenceService", "chat")["spec"]["predictor"]
    assert names(predictor["imagePullSecrets"]) == ["of-namespace"]


def test_other_credentials_mean_another_discovery_and_the_service_follows(world: World) -> None:
    world.run(*world.catalog(), world.service())
    (first,) = world.all("Job")
    world.apply(config_with_credentials(world))
    world.until(
        "InferenceService",
        "chat",
        lambda s: names(s["spec"]["predictor"].get("imagePullSecrets", [])) == ["of-both", "of-config"],
        "pulls with the new secrets",
    )
    template = world.until(
        "AIMServiceTemplate",
        "fast",
        lambda t: (
            t["status"]["status"] == "Available"
            and not first["metadata"]["name"].endswith(t["status"]["discovery"]["specHash"])
        ),
        "is discovered again",
    )
    jobs = {job["metadata"]["name"] for job in world.all("Job")}
    assert f"discover-fast-{template['status']['discovery']['specHash']}" in jobs
    world.until_gone("Job", first["metadata"]["name"])


def test_a_token_from_a_secret_is_referenced_in_discovery_and_serving_and_never_read(world: World) -> None:
    token = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hugging-face", "key": "token"}}}
    world.run(*world.catalog(env=[token]), world.service())
    (job,) = world.all("Job")
    assert token in pod_of(job)["containers"][0]["env"]
    assert token in world.need("InferenceService", "chat")["spec"]["predictor"]["model"]["env"]
    asked = [e.get("objectRef") or {} for e in world.cluster.audit_events()]
    assert not [ref for ref in asked if ref.get("resource") == "secrets"]  # type: ignore[attr-defined]


def test_discovery_asks_for_what_the_template_says_and_the_templates_own_variables_win(world: World) -> None:
    world.run(
        *world.catalog(
            metric="throughput",
            precision="fp8",
            gpuSelector={"count": 2, "model": "MI300X"},
            env=[{"name": "A", "value": "b"}, {"name": "AIM_METRIC", "value": "mine"}],
        ),
        world.service(),
    )
    (job,) = world.all("Job")
    found = variables(pod_of(job)["containers"][0])
    assert found == {
        "AIM_LOG_LEVEL_ROOT": "WARNING",
        "AIM_LOG_LEVEL": "WARNING",
        "AIM_METRIC": "mine",
        "AIM_PRECISION": "fp8",
        "AIM_GPU_MODEL": "MI300X",
        "AIM_GPU_COUNT": "2",
        "A": "b",
    }
    assert list(found) == sorted(found), "in one order, however they are written"


def test_in_the_server_the_templates_variables_win_over_what_was_discovered_and_the_services_over_both(
    world: World,
) -> None:
    world.run(
        *world.catalog(
            metric="latency",
            env=[{"name": "AIM_PRECISION", "value": "template"}, {"name": "EXTRA", "value": "template"}],
        ),
        world.service(env=[{"name": "EXTRA", "value": "service"}]),
    )
    model = world.need("InferenceService", "chat")["spec"]["predictor"]["model"]
    assert variables(model) == {
        "AIM_PROFILE_ID": "vllm-mi300x-template-tp1-latency",
        "VLLM_ENABLE_METRICS": "true",
        "AIM_METRIC": "latency",
        "AIM_PRECISION": "template",
        "AIM_GPU_COUNT": "1",
        "AIM_GPU_MODEL": "MI300X",
        "EXTRA": "service",
    }
    assert "env" not in world.need("ServingRuntime", "fast")["spec"]["containers"][0]
