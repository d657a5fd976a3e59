"""Derived templates: base spec with a service's overrides laid over it, named by content."""

from __future__ import annotations

from msgspec import Struct, structs

from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    TEMPLATES,
    AIMService,
    AIMServiceStatus,
    AIMServiceTemplate,
    AIMServiceTemplateSpec,
    GpuSelector,
    Overrides,
)
from aim_operator.core import labels
from aim_operator.core.caching import download_env, service_caches, speaks_of_downloads
from aim_operator.core.catalog import (
    Catalog,
    Image,
    RuntimeConfig,
    Template,
    is_derived,
    resolve_runtime_config,
    scope_of,
    template_env,
    template_pull_secrets,
    union_pull_secrets,
)
from aim_operator.core.environment import lay_over, origin
from aim_operator.core.manifests import child, plain
from aim_operator.core.naming import derived_template_name, short_hash
from aim_operator.core.service.meaning import canonical, config_name, digest


class Derivation(Struct, frozen=True, kw_only=True):
    """The template that a service needs instead of its base. `child` is None where an equal one exists."""

    name: str
    template: Template | None
    child: Child | None
    conflict: bool = False
    """The derived name is taken by a template that the operator did not make; there is none to use then."""


def needed(service: AIMService, base: Template, image: Image) -> bool:
    """Whether the base can't be used as it is.

    Either the service overrides something, or the base is a cluster template, which sees cluster
    images only, while the service's namespace has an image of its own under that name.
    """
    return _overrides(service) or (scope_of(base) == "Cluster" and scope_of(image) == "Namespace")


def _overrides(service: AIMService) -> bool:
    overrides = service.spec.overrides or Overrides()
    return any(value is not None for value in structs.astuple(overrides))


def asks_elsewhere(
    service: AIMService, base: Template, image: Image, config: RuntimeConfig, catalog: Catalog
) -> bool:
    """Whether the service is cached, and has its files from another endpoint than the base.

    They are other files then, so it can't wait for those of the base, and what discovery said of the base's
    need not hold for them. `config` is the service's.
    """
    if not (service_caches(service, base) and speaks_of_downloads(service)):
        return False
    names = (base.spec.runtime_config_name, image.spec.runtime_config_name)
    of_base = resolve_runtime_config(catalog, service.metadata.namespace, names)
    under = (of_base.env if isinstance(of_base, RuntimeConfig) else (), download_env(base))
    over = (config.env, download_env(base), service.spec.env or ())
    return any(origin(scheme, *under) != origin(scheme, *over) for scheme in ("hf://", "s3://"))


def derived_spec(service: AIMService, base: Template) -> AIMServiceTemplateSpec:
    """Lay the service's overrides over the base, field by field, the GPU selector too.

    A profile that the base names would override what chooses one: it is left out where that is overridden.
    The service's engine arguments are no part of it: its model server gets them, and discovery does not need
    them.
    """
    overrides = service.spec.overrides or Overrides()
    selector, over = base.spec.gpu_selector, overrides.gpu_selector
    if over is not None:
        under = selector or GpuSelector()
        selector = GpuSelector(
            count=under.count if over.count is None else over.count,
            model=under.model if over.model is None else over.model,
            resource_name=under.resource_name if over.resource_name is None else over.resource_name,
        )
    own = base.spec if isinstance(base.spec, AIMServiceTemplateSpec) else None
    env = lay_over(template_env(base), service.spec.env or ())
    secrets = union_pull_secrets(template_pull_secrets(base), service.spec.image_pull_secrets or ())
    own_config = service.spec.runtime_config_name
    return AIMServiceTemplateSpec(
        aim_image_name=base.spec.aim_image_name,
        runtime_config_name=base.spec.runtime_config_name if own_config is None else own_config,
        metric=base.spec.metric if overrides.metric is None else overrides.metric,
        precision=base.spec.precision if overrides.precision is None else overrides.precision,
        gpu_selector=selector or None,
        profile_id=None if _asks_for_another_profile(overrides) else base.spec.profile_id,
        model=base.spec.model,
        model_sources=base.spec.model_sources,
        engine_args=base.spec.engine_args,
        resources=base.spec.resources,
        serving=base.spec.serving,
        scheduling=base.spec.scheduling,
        pods=base.spec.pods,
        caching=own.caching if own is not None else None,
        env=env or None,
        image_pull_secrets=secrets or None,
    )


def _asks_for_another_profile(overrides: Overrides) -> bool:
    selector = overrides.gpu_selector or GpuSelector()
    requested = (overrides.metric, overrides.precision, selector.count, selector.model)
    return any(value is not None for value in requested)


def derive(service: AIMService, base: Template, image: Image, catalog: Catalog) -> Derivation:
    """Find or make the template for this service: an equal one that is not derived wins."""
    spec = canonical(derived_spec(service, base), image)
    desired_spec = plain(spec)
    namespace = service.metadata.namespace
    equal = _equal_template(spec, namespace, image, catalog)
    if equal is not None:
        return Derivation(name=equal.metadata.name, template=equal, child=None)
    name = derived_template_name(base.metadata.name, short_hash(desired_spec))
    kept = _made_before(service, spec, name, image, catalog)
    if kept is not None:
        name, desired_spec = kept.metadata.name, plain(kept.spec)
    existing = catalog.template(namespace, name)
    if existing is not None and not is_derived(existing):
        return Derivation(name=name, template=None, child=None, conflict=True)
    # Always rendered, also when it exists: apply skips what is there, and repairs what was edited.
    return Derivation(name=name, template=existing, child=_child(name, namespace, desired_spec))


def _equal_template(
    spec: AIMServiceTemplateSpec, namespace: str, image: Image, catalog: Catalog
) -> Template | None:
    wanted, config = digest(spec), config_name(spec, image)
    for where in (namespace, "") if scope_of(image) == "Cluster" else (namespace,):
        meant = catalog.templates_that_mean(where, wanted)
        equal = [t for t in meant if _usable(t) and config_name(t.spec, image) == config]
        if equal:
            return min(equal, key=lambda t: t.metadata.name)
    return None


def _made_before(
    service: AIMService, spec: AIMServiceTemplateSpec, name: str, image: Image, catalog: Catalog
) -> AIMServiceTemplate | None:
    """Return what a service runs on if it is its derived template as an earlier version wrote and named it.

    Another one, which means the same, would be discovered again and have the model server replaced.
    """
    status = service.status or AIMServiceStatus()
    known = status.resolved_template if status.active is None else status.active.resolved_template
    if known is None or known.name == name or known.name.rpartition("-")[0] != name.rpartition("-")[0]:
        return None
    found = catalog.template(service.metadata.namespace, known.name)
    # One that somebody else made, and that means the same, is an equal template: there is no need to derive.
    if found is None or not _usable(found):
        return None
    same = digest(found.spec) == digest(spec) and config_name(found.spec, image) == config_name(spec, image)
    return found if same else None


def _usable(template: KubeObject) -> bool:
    return template.metadata.deletion_timestamp is None


def _child(name: str, namespace: str, spec: Manifest) -> Child:
    """Render the derived template. It has no owner: services share it, and it goes with the last one."""
    return child(
        TEMPLATES,
        metadata={
            "name": name,
            "namespace": namespace,
            "labels": {labels.MANAGED_BY: labels.DERIVED_MANAGER, labels.DERIVED_TEMPLATE: "true"},
        },
        spec=spec,
    )
