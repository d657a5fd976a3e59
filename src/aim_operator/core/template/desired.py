"""A template's children: the discovery Job, and the ServingRuntime that services run on."""

from __future__ import annotations

import re
from typing import Any

from aim_operator.api.external import CLUSTER_SERVING_RUNTIMES, SERVING_RUNTIMES
from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, GpuSelector
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.api.v1alpha1.environment import OF_ONE_TEMPLATE
from aim_operator.core import canonical, engine_args, hardware, labels
from aim_operator.core.catalog import (
    Image,
    RuntimeConfig,
    Template,
    kind_of,
    scope_of,
    template_env,
)
from aim_operator.core.expansion import literal
from aim_operator.core.jobs import rendering
from aim_operator.core.manifests import child, merge_env, owner_reference, plain
from aim_operator.core.naming import discovery_job_name, label_value
from aim_operator.core.serving.go_templates import without_templates
from aim_operator.core.template import discovery

CONTAINER = "discovery"
DEADLINE_SECONDS = 600
"""How long a dry run may take, and how long a Pod may be kept from starting: it holds a discovery slot."""
PULL_DEADLINE_SECONDS = 7200
"""How long a pull may take by default. Images have tens of GB."""
LIMITS: Manifest = {"cpu": "2", "memory": "4Gi"}
"""Of the discovery container, unless the configuration says otherwise: a dry run imports and prints."""
MODEL_FORMAT = "aim"
PORT = 8000
GENERAL = "general"
_OF_PROFILE = frozenset(OF_ONE_TEMPLATE)
_PROFILE_FILE = re.compile(r"([A-Za-z0-9._-]+)\.ya?ml", re.ASCII)


def job(
    template: Template,
    image: Image,
    config: RuntimeConfig,
    *,
    namespace: str,
    digest: str,
    requests: Manifest,
    pull_deadline_seconds: int = PULL_DEADLINE_SECONDS,
) -> Child:
    """Render the discovery Job.

    Its own deadline counts from its start and covers the pull: it is there for when no operator is.
    """
    metadata_labels = {
        labels.NAME: "aim-discovery",
        labels.COMPONENT: "discovery-job",
        labels.MANAGED_BY: labels.CONTROLLER,
        labels.TEMPLATE: label_value(template.metadata.name),
    }
    # Why no profile fits is said in a warning, and nowhere else.
    defaults = _variables({"AIM_LOG_LEVEL_ROOT": "WARNING", "AIM_LOG_LEVEL": "WARNING"})
    pod_spec: Manifest = {
        "automountServiceAccountToken": config.service_account_name is not None,
        "securityContext": rendering.pod_security(config),
        "containers": [
            {
                "name": CONTAINER,
                "image": image.spec.image,
                "args": ["dry-run", "--format=json"],
                "env": canonical.pod_env(
                    merge_env(defaults, plain(config.env), _asked(template), plain(template_env(template)))
                ),
                "resources": rendering.resources(requests, LIMITS, config.jobs.discovery),
                # Gives the Pod's status the last words of a failed run, without reading its log.
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": rendering.CONTAINER_SECURITY,
            }
        ],
    }
    return rendering.job(
        {
            "name": discovery_job_name(template.metadata.name, digest),
            "namespace": namespace,
            "labels": metadata_labels,
            "ownerReferences": [owner_reference(API_VERSION, kind_of(template), template.metadata)],
        },
        pod_spec,
        config=config,
        made_for=template.metadata,
        pull_secrets=discovery.pull_secrets(template, config),
        spec={"activeDeadlineSeconds": pull_deadline_seconds + run_seconds(config)},
    )


def run_seconds(config: RuntimeConfig) -> int:
    """Return how long a dry run may take."""
    return rendering.deadline(config.jobs.discovery, DEADLINE_SECONDS)


def runtime_spec(image: str) -> Manifest:
    """Return the shape of a model server, for KServe: everything else is on the InferenceServices."""
    return {
        "supportedModelFormats": [{"name": MODEL_FORMAT, "version": "1"}],
        "containers": [
            {
                "name": "kserve-container",
                "image": image,
                "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            }
        ],
    }


def runtime(template: Template, image: Image) -> Child:
    """Render the (Cluster)ServingRuntime: the shape of a model server, and nothing that an update changes.

    KServe applies a changed runtime to every InferenceService on it at once. What differs between versions is
    therefore on the InferenceServices, each of which moves by itself: core/serving/workload.py, and
    docs/adr/0014-inference-services-carry-what-runs.md. Raises SpecError(GoTemplateRefused).
    """
    resource = SERVING_RUNTIMES if scope_of(template) == "Namespace" else CLUSTER_SERVING_RUNTIMES
    metadata_block: Manifest = {
        "name": template.metadata.name,
        "labels": {
            labels.NAME: "aim-runtime",
            labels.COMPONENT: "serving-runtime",
            labels.MANAGED_BY: labels.CONTROLLER,
            labels.TEMPLATE: label_value(template.metadata.name),
        },
        "ownerReferences": [owner_reference(API_VERSION, kind_of(template), template.metadata)],
    }
    if template.metadata.namespace:
        metadata_block["namespace"] = template.metadata.namespace
    return without_templates(child(resource, metadata=metadata_block, spec=runtime_spec(image.spec.image)))


def asked_env(template: Template) -> list[Manifest]:
    """Return what the image is asked for: by the template's fields, overridden by its env."""
    return merge_env(_asked(template), plain(template_env(template)))


def _asked(template: Template) -> list[Manifest]:
    spec = template.spec
    selector = spec.gpu_selector or GpuSelector()
    return _variables(
        {
            "AIM_MODEL_ID": spec.model,
            "AIM_PROFILE_ID": spec.profile_id,
            "AIM_METRIC": spec.metric,
            "AIM_PRECISION": spec.precision,
            "AIM_GPU_MODEL": selector.model,
            "AIM_GPU_COUNT": _asked_count(selector),
        }
    )


def server_env(template: Template, status: AIMServiceTemplateStatus, config: RuntimeConfig) -> list[Manifest]:
    """Return the environment of a model server but for the service's own, which overrides it.

    The configuration is below the profile: it is about every model, and the server is to take the profile
    that was discovered. The template is above, and may ask for another. Raises SpecError(EngineArgsInvalid).
    """
    configured: list[Manifest] = plain(config.env)
    names = {variable["name"] for variable in configured} - _OF_PROFILE
    profile = [variable for variable in profile_env(template, status) if variable["name"] not in names]
    env = merge_env(configured, profile, plain(template_env(template)))
    return engine_args.lay_over(env, template.spec.engine_args)


def profile_env(template: Template, status: AIMServiceTemplateStatus) -> list[Manifest]:
    """Return the environment by which a model server takes the discovered profile, and no other.

    Where nothing is discovered, it is what the template's fields ask for.
    """
    metadata = _given_metadata(template) | discovered(status)
    gpu = metadata.get("gpu")
    # A server without GPUs finds none by itself, as discovery did.
    on_cpu = metadata.get("gpu_count") == 0 or (isinstance(gpu, str) and not hardware.needs_gpu(gpu))
    return _variables(
        {
            "AIM_MODEL_ID": _model_id(template, status),
            "AIM_PROFILE_ID": profile_id(template, status),
            "VLLM_ENABLE_METRICS": "true",
            "AIM_METRIC": metadata.get("metric"),
            "AIM_PRECISION": metadata.get("precision"),
            "AIM_GPU_COUNT": None if on_cpu else metadata.get("gpu_count"),
            "AIM_GPU_MODEL": None if on_cpu else gpu,
        }
    )


def is_given(template: Template) -> bool:
    """Whether the template names its model sources itself, and nothing is discovered."""
    return bool(template.spec.model_sources or ())


def _given_metadata(template: Template) -> dict[str, Any]:
    """Return what would be discovered, as far as a template without discovery asks for it."""
    if not is_given(template):
        return {}
    spec = template.spec
    selector = spec.gpu_selector or GpuSelector()
    # What images take a model without a count for.
    count = _asked_count(selector)
    if count is None and selector.model is not None:
        count = 1
    return {
        "metric": spec.metric,
        "precision": spec.precision,
        "gpu": selector.model,
        "gpu_count": count,
    }


def discovered(status: AIMServiceTemplateStatus) -> dict[str, Any]:
    """Return the metadata of the discovered profile; {} where there is none."""
    metadata = (status.profile or {}).get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def gpu_count(template: Template, status: AIMServiceTemplateStatus) -> int | None:
    """Return the number of GPUs per replica: as discovered, or as asked for where nothing is."""
    count = (_given_metadata(template) | discovered(status)).get("gpu_count")
    return count if isinstance(count, int) else None


def gpu_model(template: Template, status: AIMServiceTemplateStatus) -> str | None:
    """Return the GPU model that Pods need: the one asked for, else the one of the discovered profile.

    A profile that is asked for by its name overrides the model that is.
    """
    requested = (template.spec.gpu_selector or GpuSelector()).model
    in_profile = discovered(status).get("gpu")
    in_profile = in_profile if isinstance(in_profile, str) and in_profile else None
    return requested or in_profile if template.spec.profile_id is None else in_profile or requested


def _asked_count(selector: GpuSelector) -> int | None:
    """Return the number of GPUs to ask a profile for: 0 for the CPU, since a model alone means one of it."""
    if not hardware.needs_gpu(selector.model or ""):
        return 0
    return selector.count


def profile_id(template: Template, status: AIMServiceTemplateStatus) -> str | None:
    """Return the name of the discovered profile, by which the server takes that one and no other."""
    filename = (status.profile or {}).get("filename")
    match = _PROFILE_FILE.fullmatch(filename) if isinstance(filename, str) else None
    return match[1] if match else template.spec.profile_id


def _model_id(template: Template, status: AIMServiceTemplateStatus) -> str | None:
    """Return the model that is passed to the image: only one that serves any model needs it.

    An image for one model has its name baked in as AIM_ID, and ends with code 1 where both are set. Its
    profile has an aim_id, or at least a type that is not general: in statuses of older versions of the
    operator there is no aim_id. Images from before 0.8 have no AIM_ID, and print `model`.
    """
    if template.spec.model is not None:
        return template.spec.model
    profile = status.profile or {}
    of_one_model = profile.get("aim_id") is not None or (
        profile.get("model") is None and discovered(status).get("type", GENERAL) != GENERAL
    )
    sources = status.model_sources or ()
    return None if of_one_model or not sources else sources[0].name


def _variables(values: dict[str, Any]) -> list[Manifest]:
    """Return variables of what is text: what an image printed could name those that hold secrets."""
    return [
        {"name": name, "value": literal(str(value))} for name, value in values.items() if value is not None
    ]
