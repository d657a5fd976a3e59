"""What the spec of a template means, however it is written: order, units and defaults in full don't count."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import structs

from aim_operator.api import quantity
from aim_operator.api.v1alpha1 import AIMClusterServiceTemplateSpec, AIMServiceTemplateSpec, EnvVar
from aim_operator.core.catalog import DEFAULT_CONFIG, Image, Template, template_env
from aim_operator.core.manifests import plain


def canonical(spec: AIMServiceTemplateSpec, image: Image) -> AIMServiceTemplateSpec:
    """Write a spec in one way of several, so that services with equal results make one derived template.

    The configuration is left out that would be inherited from the image anyway.
    """
    secrets = sorted(spec.image_pull_secrets or (), key=lambda secret: secret.name)
    inherited = spec.runtime_config_name == _inherited(image)
    return structs.replace(
        spec,
        runtime_config_name=None if inherited else spec.runtime_config_name,
        env=_ordered(spec.env or ()) or None,
        image_pull_secrets=tuple(secrets) or None,
    )


def digest_of(template: Template) -> str:
    """Return the `digest` of what a template means. Stores index templates by it."""
    return digest(structs.replace(template.spec, env=template_env(template) or None))


def digest(spec: AIMClusterServiceTemplateSpec) -> str:
    """Return what is equal where two specs mean the same, but for the runtime configuration.

    A digest, for a namespace may have thousands of templates, and each service with overrides asks for one.
    """
    return hashlib.sha256(msgspec.json.encode(_meaning(spec), order="deterministic")).hexdigest()


def config_name(spec: AIMClusterServiceTemplateSpec, image: Image) -> str:
    """Return the runtime configuration of a template of this image."""
    return spec.runtime_config_name or _inherited(image)


def _meaning(spec: AIMClusterServiceTemplateSpec) -> dict[str, Any]:
    own = spec if isinstance(spec, AIMServiceTemplateSpec) else None
    out: dict[str, Any] = plain(spec)
    out.pop("runtimeConfigName", None)
    out["env"] = plain(_ordered(spec.env or ()))
    if own is not None:
        out["imagePullSecrets"] = sorted(secret.name for secret in own.image_pull_secrets or ())
        caching = own.caching
        out["caching"] = plain(caching) if caching is not None and (caching.enabled or False) else None
    _write_alike(out)
    # In engine arguments null is a flag.
    arguments = {"engineArgs": value} if (value := out.pop("engineArgs", None)) else {}
    return arguments | _pruned(out)


def _write_alike(spec: dict[str, Any]) -> None:
    """Write the quantities of a plain spec in one way."""
    serving = spec.get("serving", {})
    for part in (*spec.get("resources", {}).values(), serving.get("defaultResourcesPerGpu", {})):
        part.update({name: _amount(value) for name, value in part.items()})
    sizes = [(source, "size") for source in spec.get("modelSources", ())]
    for part, name in ((serving, "sharedMemorySize"), *sizes):
        if name in part:
            part[name] = _amount(part[name])


def _inherited(image: Image) -> str:
    return DEFAULT_CONFIG if image.spec.runtime_config_name is None else image.spec.runtime_config_name


def _ordered(env: tuple[EnvVar, ...]) -> tuple[EnvVar, ...]:
    """Sort variables by name, unless one may refer to another, which must stand before it."""
    if any("$(" in (variable.value or "") for variable in env):
        return env
    return tuple(sorted(env, key=lambda variable: variable.name))


def _amount(value: Any) -> str:
    amount = quantity.parse(value)
    return str(value) if amount is None else str(amount.normalize())


def _pruned(value: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing, such as an object of nothing but absent fields."""
    members = {name: _pruned(inner) if isinstance(inner, dict) else inner for name, inner in value.items()}
    return {name: inner for name, inner in members.items() if inner not in (None, [], {})}
