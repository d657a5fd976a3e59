"""What the spec of a template means, however it is written: order, units and defaults in full don't count."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import structs

from aim_operator.api.v1alpha1 import AIMClusterServiceTemplateSpec, AIMServiceTemplateSpec, EnvVar
from aim_operator.core import canonical as one_way
from aim_operator.core import hardware
from aim_operator.core.catalog import DEFAULT_CONFIG, Image, Template, template_env
from aim_operator.core.manifests import plain

_OVERRIDING = ("affinity", "topologySpreadConstraints")
"""Of scheduling, what is taken whole from the nearest level: where it is empty, there is none."""


def canonical(spec: AIMServiceTemplateSpec, image: Image) -> AIMServiceTemplateSpec:
    """Write a spec in one way of several, so that services with equal results make one derived template.

    The configuration is left out that would be inherited from the image anyway.
    """
    inherited = spec.runtime_config_name == _inherited(image)
    written = msgspec.convert(_meaning(spec), AIMServiceTemplateSpec)
    return structs.replace(written, runtime_config_name=None if inherited else spec.runtime_config_name)


def digest_of(template: Template) -> str:
    """Return the `digest` of what a template means. Stores index templates by it."""
    return digest(structs.replace(template.spec, env=template_env(template) or None))


def digest(spec: AIMClusterServiceTemplateSpec) -> str:
    """Return what is equal where two specs mean the same, but for the runtime configuration.

    A digest, for a namespace may have thousands of templates, and each service with overrides asks for one.
    """
    return hashlib.sha256(msgspec.json.encode(_meaning(spec), order="sorted")).hexdigest()


def config_name(spec: AIMClusterServiceTemplateSpec, image: Image) -> str:
    """Return the runtime configuration of a template of this image."""
    return spec.runtime_config_name or _inherited(image)


def _meaning(spec: AIMClusterServiceTemplateSpec) -> dict[str, Any]:
    """Return a spec in the one form, without the runtime configuration."""
    out: dict[str, Any] = plain(spec)
    out.pop("runtimeConfigName", None)
    out["env"] = _env(spec.env)
    out["gpuSelector"] = _selector(out.get("gpuSelector", {}), by_name=spec.profile_id is not None)
    out["resources"] = {side: one_way.amounts(named) for side, named in out.get("resources", {}).items()}
    out["serving"] = _serving(out.get("serving", {}))
    out["scheduling"] = _scheduling(out.get("scheduling", {}))
    out["modelSources"] = [
        {name: one_way.amount(name, value) if name == "size" else value for name, value in source.items()}
        for source in out.get("modelSources", ())
    ]
    if isinstance(spec, AIMServiceTemplateSpec):
        out["imagePullSecrets"] = [
            {"name": name} for name in one_way.secret_names(spec.image_pull_secrets or ())
        ]
        out["caching"] = _caching(spec)
    # In engine arguments null is a flag.
    arguments = {"engineArgs": value} if (value := out.pop("engineArgs", None)) else {}
    overriding = {name: out["scheduling"].pop(name) for name in _OVERRIDING if name in out["scheduling"]}
    pruned = _pruned(out) | arguments
    if overriding:
        pruned["scheduling"] = pruned.get("scheduling", {}) | overriding
    return pruned


def _env(variables: tuple[EnvVar, ...] | None) -> Any:
    return plain(one_way.env(variables or ()))


def _selector(selector: dict[str, Any], *, by_name: bool) -> dict[str, Any]:
    """Leave out what follows from the model: a profile that is asked for by name may have another."""
    model = selector.get("model")
    if model is None or by_name:
        return selector
    follows = {"resourceName": hardware.gpu_resource(model)}
    on_cpu = not hardware.needs_gpu(model)
    return {
        name: value
        for name, value in selector.items()
        if value != follows.get(name) and not (on_cpu and name == "count")
    }


def _serving(serving: dict[str, Any]) -> dict[str, Any]:
    own = dict(serving)
    if "sharedMemorySize" in own:
        own["sharedMemorySize"] = one_way.amount("sharedMemorySize", own["sharedMemorySize"])
    own["defaultResourcesPerGpu"] = one_way.amounts(own.get("defaultResourcesPerGpu", {}))
    own["volumes"] = one_way.fields(own.get("volumes", []))
    return own


def _scheduling(scheduling: dict[str, Any]) -> dict[str, Any]:
    overriding = {name: one_way.fields(scheduling[name]) for name in _OVERRIDING if name in scheduling}
    scheduler = {name: scheduling[name] for name in ("schedulerName",) if name in scheduling}
    return {**one_way.fields(scheduling), **overriding, **scheduler}


def _caching(spec: AIMServiceTemplateSpec) -> dict[str, Any]:
    caching = spec.caching
    if caching is None:
        return {}
    return {
        "enabled": caching.enabled or None,
        "env": _env(caching.env),
        "include": sorted(set(caching.include or ())),
        "exclude": sorted(set(caching.exclude or ())),
    }


def _inherited(image: Image) -> str:
    return DEFAULT_CONFIG if image.spec.runtime_config_name is None else image.spec.runtime_config_name


def _pruned(value: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing, such as an object of nothing but absent fields."""
    members = {name: _pruned(inner) if isinstance(inner, dict) else inner for name, inner in value.items()}
    return {name: inner for name, inner in members.items() if inner not in (None, [], {})}
