"""Every child object of nineteen services and of two caches, as files to review: golden/<service>/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct, structs

from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.v1alpha1 import (
    AIMService,
    AIMServiceTemplate,
    AIMServiceTemplateStatus,
    EnvVar,
    Storage,
)
from aim_operator.core import labels
from aim_operator.core.catalog import Image, RuntimeConfig, Template, resolve_runtime_config, scope_of
from aim_operator.core.model_cache import desired as model_cache_desired
from aim_operator.core.model_cache import digests
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.service.plan import decide
from aim_operator.core.service.resolution import Resolution, resolve
from aim_operator.core.template import desired, discovery
from tests.support.cache_builders import make_claim, make_model_cache, make_template_cache
from tests.support.golden import assert_golden
from tests.support.service_builders import (
    GATEWAY,
    NOW,
    ROUTED,
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
)

GOLDEN = Path(__file__).parent / "golden"
JOB_REQUESTS = {"cpu": "100m", "memory": "256Mi"}
HF_TOKEN = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hugging-face", "key": "token"}}}


class Example(Struct, frozen=True, kw_only=True):
    service: AIMService
    objects: tuple[KubeObject, ...]
    discovered: AIMServiceTemplateStatus = make_template_status()
    """What discovery finds for the derived template."""
    seen: dict[str, Any] = {}
    """What else is observed, such as caches."""


EXAMPLES = {
    "plain": Example(
        service=make_service(), objects=(make_image(), make_template(metric="latency", precision="fp16"))
    ),
    "env-from-secret": Example(
        service=make_service(env=[HF_TOKEN, {"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}]),
        objects=(make_image(), make_template(env=[HF_TOKEN, {"name": "OMP_NUM_THREADS", "value": "8"}])),
    ),
    "credentials": Example(
        service=make_service(imagePullSecrets=[{"name": "own-registry"}, {"name": "registry"}]),
        objects=(
            make_image(image="registry.example.com/llm/model@sha256:" + "0a" * 32),
            make_template(imagePullSecrets=[{"name": "template-registry"}]),
            make_runtime_config(
                serviceAccountName="model-server",
                imagePullSecrets=[{"name": "registry"}],
            ),
        ),
    ),
    "scheduling": Example(
        service=make_service(
            scheduling={
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
                            ]
                        }
                    },
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"topologyKey": "kubernetes.io/hostname"}
                        ]
                    },
                },
                "priorityClassName": "production",
            },
            pods={"labels": {"team": "a"}, "imagePullPolicy": "IfNotPresent"},
        ),
        objects=(
            make_image(),
            make_template(scheduling={"runtimeClassName": "amd"}),
            make_runtime_config(
                scheduling={
                    "nodeSelector": {"example.com/pool": "gpu"},
                    "tolerations": [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                    "schedulerName": "volcano",
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "topology.kubernetes.io/zone",
                            "whenUnsatisfiable": "ScheduleAnyway",
                        }
                    ],
                },
                pods={
                    "annotations": {"sidecar.istio.io/inject": "false"},
                    "enableServiceLinks": False,
                },
                jobs={
                    "scheduling": {"nodeSelector": {"example.com/pool": "batch"}, "priorityClassName": "low"},
                    "pods": {"labels": {"kueue.x-k8s.io/queue-name": "batch"}},
                },
            ),
        ),
        discovered=make_template_status(gpu="MI300X"),
    ),
    "propagated-labels-and-annotations": Example(
        service=make_service(
            metadata={
                "labels": {
                    "kueue.x-k8s.io/queue-name": "serving",
                    "team.example.com/cost-centre": "4711",
                    "app.kubernetes.io/instance": "argo-app",
                    "other": "stays",
                },
                "annotations": {
                    "team.example.com/contact": "search@example.com",
                    "argocd.argoproj.io/tracking-id": "argo-app:aim.silogen.ai/AIMService:team/chat",
                    "kubectl.kubernetes.io/last-applied-configuration": "{}",
                },
            },
            pods={"labels": {"team.example.com/cost-centre": "4712"}},
        ),
        objects=(
            make_image(),
            make_template(
                metadata={
                    "labels": {
                        "team.example.com/cost-centre": "4713",
                        "app.kubernetes.io/instance": "catalog",
                    }
                },
            ),
            make_runtime_config(
                propagate={
                    "labels": ["kueue.x-k8s.io/", "team.example.com/", "app"],
                    "annotations": ["team.example.com/", "a"],
                },
                jobs={"pods": {"labels": {"kueue.x-k8s.io/queue-name": "batch"}}},
            ),
        ),
    ),
    "two-gpus-with-overrides": Example(
        service=make_service(
            templateRef="fast",
            overrides={"metric": "throughput", "gpuSelector": {"count": 2}},
            env=[HF_TOKEN],
            imagePullSecrets=[{"name": "registry"}],
        ),
        objects=(make_image(), make_template(metric="latency", gpuSelector={"count": 1, "model": "MI300X"})),
        discovered=make_template_status(gpu_count=2, metric="throughput"),
    ),
    "cluster-template": Example(
        service=make_service(),
        objects=(
            make_cluster_image(),
            make_cluster_template(metric="latency", precision="fp16", gpuSelector={"model": "MI300X"}),
            make_cluster_runtime_config(),
        ),
    ),
    "namespaced-override-of-image": Example(
        service=make_service(),
        objects=(
            make_cluster_image(),
            make_image(image="ghcr.io/example/model:v2-patched"),
            make_cluster_template(metric="latency", gpuSelector={"count": 1, "model": "MI300X"}),
        ),
    ),
    "routing-with-annotations-and-timeout": Example(
        service=make_service(
            metadata={"labels": {"team": "Ärzte"}},
            routing={
                **ROUTED,
                "routeTemplate": "/{.metadata.labels['team']}/{.spec.model}",
                "annotations": {"example.com/owner": "search"},
                "requestTimeout": "5m",
            },
        ),
        objects=(make_image(), make_template()),
    ),
    "hosts-and-gateways": Example(
        service=make_service(
            routing={
                **ROUTED,
                "hostnames": ["models.example.com", "*.chat.example.com"],
                "annotations": {"example.com/owner": "search"},
            }
        ),
        objects=(
            make_image(),
            make_template(),
            make_cluster_runtime_config(
                routing={
                    "gatewayRefs": [{"name": "intranet", "namespace": "gateways", "sectionName": "https"}],
                    "hostnames": ["everybody.example.com"],
                    "annotations": {"example.com/owner": "platform", "external-dns.example.com/ttl": "60"},
                    "requestTimeout": "Gateway",
                }
            ),
        ),
    ),
    "gateway-section-and-port": Example(
        service=make_service(routing={"enabled": True}, metadata={"uid": "0f1e2d3c-uid"}),
        objects=(
            make_image(),
            make_template(),
            make_cluster_runtime_config(
                routing={
                    "gatewayRef": {
                        **GATEWAY,
                        "group": "gateway.networking.k8s.io",
                        "kind": "Gateway",
                        "sectionName": "https",
                        "port": 8443,
                    },
                }
            ),
        ),
    ),
    "resources-of-three-tiers": Example(
        service=make_service(resources={"limits": {"memory": "64Gi"}}),
        objects=(
            make_image(
                resources={
                    "requests": {"cpu": "1", "memory": "16Gi"},
                    "limits": {"memory": "32Gi", "cpu": "16"},
                }
            ),
            make_template(resources={"requests": {"cpu": "4", "ephemeral-storage": "10Gi"}}),
        ),
    ),
    "settings-of-serving": Example(
        service=make_service(serving={"sharedMemorySize": "32Gi"}, resources={"limits": {"cpu": "16"}}),
        objects=(
            make_image(),
            make_template(
                gpuSelector={"count": 8, "model": "MI300X", "resourceName": "amd.com/cpx_nps4"},
                serving={"startupTimeoutSeconds": 7200, "defaultResourcesPerGpu": {"memory": "8Gi"}},
                status=make_template_status(gpu_count=8),
            ),
            make_runtime_config(
                serving={
                    "sharedMemorySize": "16Gi",
                    "defaultResourcesPerGpu": {"cpu": "2", "memory": "4Gi", "memoryLimit": "12Gi"},
                }
            ),
        ),
    ),
    "everything-of-a-server": Example(
        service=make_service(
            replicas=2,
            serviceAccountName="chat",
            securityContext={"runAsUser": 1000},
            podSecurityContext={"fsGroup": 2000},
            metadata={"annotations": {"aim.silogen.ai/restart": "2026-11-26T10:00"}},
            serving={
                "sharedMemorySize": "32Gi",
                "drainSeconds": 120,
                "volumes": [
                    {
                        "name": "lora",
                        "mountPath": "/adapters",
                        "readOnly": True,
                        "persistentVolumeClaim": {"claimName": "lora-adapters"},
                    },
                    {
                        "name": "chat-template",
                        "mountPath": "/config/chat.jinja",
                        "subPath": "chat.jinja",
                        "configMap": {"name": "chat"},
                    },
                ],
                "disruptionBudget": {"maxUnavailable": 1},
            },
            pods={"annotations": {"team": "chat"}},
        ),
        objects=(
            make_image(),
            make_template(serving={"terminationGracePeriodSeconds": 180}),
            make_runtime_config(
                serviceAccountName="model-server",
                securityContext={"runAsNonRoot": True, "runAsUser": 65532},
                serving={
                    "volumes": [
                        {
                            "name": "company-ca",
                            "mountPath": "/etc/ssl/company",
                            "secret": {"secretName": "company-ca", "optional": True},
                        }
                    ]
                },
            ),
        ),
    ),
    "cpu": Example(
        service=make_service(),
        objects=(
            make_image(),
            make_template(
                gpuSelector={"model": "NONE"}, status=make_template_status(gpu="NONE", gpu_count=0)
            ),
        ),
    ),
    "throughput-fp8": Example(
        service=make_service(),
        objects=(
            make_image(),
            make_template(
                metric="throughput",
                precision="fp8",
                gpuSelector={"count": 8, "model": "MI325X"},
                status=make_template_status(metric="throughput", precision="fp8", gpu="MI325X", gpu_count=8),
            ),
        ),
    ),
    "security-context": Example(
        service=make_service(),
        objects=(
            make_image(),
            make_template(),
            make_runtime_config(
                securityContext={
                    "runAsNonRoot": True,
                    "runAsUser": 1000,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                }
            ),
        ),
    ),
    "cached": Example(
        service=make_service(cacheModel=True, env=[{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}]),
        objects=(
            make_image(),
            make_template(status=make_template_status(sources=("hf://example/model", "hf://example/draft"))),
        ),
        seen={
            "template_cache": make_template_cache(
                ready="True/CacheWarm: all there",
                models={"hf://example/model": "model", "hf://example/draft": "draft"},
                ours=True,
            ),
            "model_caches": tuple(
                make_model_cache(
                    name, status={"status": "Available", "persistentVolumeClaim": f"{name}-claim"}
                )
                for name in ("model", "draft")
            ),
            "live_claims": frozenset({"model-claim", "draft-claim"}),
        },
    ),
    "token-in-configuration": Example(
        service=make_service(cacheModel=True, runtimeConfigName="gated"),
        objects=(
            make_cluster_image(runtimeConfigName="gated"),
            make_cluster_template(metric="latency"),
            make_cluster_runtime_config("gated", env=[HF_TOKEN]),
        ),
        seen={
            "template_cache": make_template_cache(
                ready="True/CacheWarm: all there",
                models={"hf://example/model": "model"},
                ours=True,
                templateScope="Cluster",
            ),
            "model_caches": (
                make_model_cache(
                    "model", status={"status": "Available", "persistentVolumeClaim": "model-claim"}
                ),
            ),
            "live_claims": frozenset({"model-claim"}),
        },
    ),
    "autoscaled-by-keda": Example(
        service=make_service(
            autoscaling={
                "minReplicas": 0,
                "maxReplicas": 4,
                "metrics": [
                    {"type": "QueueLength", "target": 5},
                    {"type": "CacheUsage", "target": 80},
                    {"type": "Query", "target": 10, "query": "sum(rate(gateway_requests_total[2m]))"},
                ],
            },
            rollout={"maxSurge": 1, "maxUnavailable": 0, "progressDeadlineSeconds": 1800},
        ),
        objects=(
            make_image(),
            make_template(),
            make_cluster_runtime_config(
                autoscaling={"prometheusAddress": "http://prometheus.monitoring:9090"}
            ),
        ),
        seen={"keda_installed": True},
    ),
    "autoscaled-by-an-hpa": Example(
        service=make_service(
            autoscaling={"maxReplicas": 4, "metrics": [{"type": "CPU", "target": 70}]},
        ),
        objects=(make_image(), make_template()),
    ),
    "a-teams-configuration-over-the-platforms": Example(
        service=make_service(),
        objects=(
            make_image(),
            make_template(),
            make_cluster_runtime_config(
                env=[
                    {"name": "VLLM_LOGGING_LEVEL", "value": "INFO"},
                    {"name": "NCCL_DEBUG", "value": "WARN"},
                ],
                scheduling={
                    "nodeSelector": {"example.com/pool": "gpu"},
                    "tolerations": [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                },
                serving={
                    "drainSeconds": 60,
                    "sharedMemorySize": "16Gi",
                    "volumes": [
                        {"name": "ca", "mountPath": "/etc/ssl/company", "configMap": {"name": "ca"}},
                        {"name": "words", "mountPath": "/config", "configMap": {"name": "of-the-platform"}},
                    ],
                },
                rollout={"strategy": "Recreate"},
                jobs={
                    "discovery": {
                        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "4Gi"}},
                        "deadlineSeconds": 900,
                    },
                },
            ),
            make_runtime_config(
                env=[{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}],
                imagePullSecrets=[{"name": "team"}],
                scheduling={"priorityClassName": "production"},
                serving={
                    "drainSeconds": 5,
                    "volumes": [
                        {"name": "words", "mountPath": "/words", "configMap": {"name": "of-the-team"}}
                    ],
                },
                jobs={"discovery": {"resources": {"limits": {"memory": "2Gi"}}}},
            ),
        ),
    ),
    "many-replicas": Example(
        service=make_service("c" * 53, replicas=40, routing=ROUTED),
        objects=(
            make_image(),
            make_runtime_config(
                rollout={"strategy": "RollingUpdate", "maxSurge": "10%", "maxUnavailable": 0}
            ),
            make_template(
                "a-template-with-a-name-that-is-longer-than-any-label-value-may-be.v1",
                status=make_template_status(sources=("s3://models/llama-3.1/8b", "hf://example/draft")),
            ),
        ),
    ),
}


MODEL_CACHES = {
    "model-cache": (
        make_model_cache(
            env=[HF_TOKEN], imagePullSecrets=[{"name": "registry"}], storageClassName="shared-nvme"
        ),
        RuntimeConfig(service_account_name="downloader", storage=Storage(headroom_percent=20)),
    ),
    "model-cache-with-token-in-configuration": (
        make_model_cache(),
        RuntimeConfig(
            env=msgspec.convert(
                [HF_TOKEN, {"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}], tuple[EnvVar, ...]
            )
        ),
    ),
}


def settled(example: Example) -> tuple[Resolution, FakeCatalog]:
    """Resolve the service once its derived template, if it needs one, was made and is available."""
    catalog = FakeCatalog(*example.objects)
    found = resolve(example.service, catalog)
    if found.derived is None:
        return found, catalog
    manifest = found.derived.manifest
    applied = {"annotations": {labels.APPLIED: "0123456789abcdef"}}
    metadata = {**manifest["metadata"], **applied, "uid": "uid-derived", "generation": 1}
    made = structs.replace(
        msgspec.convert({"metadata": metadata, "spec": manifest["spec"]}, AIMServiceTemplate),
        status=example.discovered,
    )
    catalog = FakeCatalog(*example.objects, made)
    return resolve(example.service, catalog), catalog


def template_config(template: Template, image: Image, catalog: FakeCatalog) -> RuntimeConfig:
    names = (template.spec.runtime_config_name, image.spec.runtime_config_name)
    config = resolve_runtime_config(catalog, template.metadata.namespace or "kaiwo-system", names)
    assert isinstance(config, RuntimeConfig)
    return config


def rendered(example: Example) -> dict[str, Manifest]:
    """Render everything that comes to be for one service, by kind."""
    found, catalog = settled(example)
    image, template = found.image, found.template
    assert image is not None
    assert template is not None
    assert isinstance(template.status, AIMServiceTemplateStatus)
    config = template_config(template, image, catalog)
    job = desired.job(
        template,
        image,
        config,
        namespace=template.metadata.namespace or "kaiwo-system",
        digest=discovery.digest(template, image, config),
        requests=JOB_REQUESTS,
    )
    runtime = desired.runtime(template, image)
    plan = decide(make_service_observed(example.service, catalog, **example.seen), now=NOW)
    children = [job, runtime, *plan.children]
    manifests: dict[str, Any] = {child.resource.kind: child.manifest for child in children}
    assert len(manifests) == len(children)
    assert {child.manifest["kind"] for child in children} == set(manifests)
    assert scope_of(template) == ("Cluster" if "ClusterServingRuntime" in manifests else "Namespace")
    return manifests


@pytest.mark.parametrize("name", EXAMPLES)
def test_children_are_as_reviewed(name: str, pytestconfig: pytest.Config) -> None:
    update = bool(pytestconfig.getoption("update_snapshots"))
    assert_golden(GOLDEN / name, rendered(EXAMPLES[name]), update=update)


@pytest.mark.parametrize("name", MODEL_CACHES)
def test_children_of_a_model_cache_are_as_reviewed(name: str, pytestconfig: pytest.Config) -> None:
    update = bool(pytestconfig.getoption("update_snapshots"))
    cache, config = MODEL_CACHES[name]
    options = DownloadOptions(image="ghcr.io/silogen/aim-operator:1.0.0", requests=JOB_REQUESTS)
    claim = make_claim(cache)
    digest = digests.download(cache, config, claim, options)
    children = [
        model_cache_desired.claim(cache, config),
        model_cache_desired.job(cache, config, claim, options, digest=digest),
    ]
    manifests = {child.resource.kind: child.manifest for child in children}
    digest = digests.listing(cache, config, options)
    listing = model_cache_desired.listing_job(cache, config, options, digest=digest)
    manifests["Job-listing"] = listing.manifest
    assert_golden(GOLDEN / name, manifests, update=update)


def test_every_golden_directory_has_its_example() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {*EXAMPLES, *MODEL_CACHES}
