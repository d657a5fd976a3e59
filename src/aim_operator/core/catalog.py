"""Resolution: which image, template and runtime configuration a name means for a consumer.

Namespaced objects override cluster ones; a namespaced runtime configuration is laid over the cluster one of
its name (config_layers). The same functions serve templates and services, so that both always agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct, structs, to_builtins

from aim_operator.api.meta import KubeObject
from aim_operator.api.v1alpha1 import (
    AIMClusterImage,
    AIMClusterRuntimeConfig,
    AIMClusterRuntimeConfigSpec,
    AIMClusterServiceTemplate,
    AIMImage,
    AIMRuntimeConfig,
    AIMRuntimeConfigSpec,
    AIMService,
    AIMServiceTemplate,
    AIMServiceTemplateSpec,
    ClusterConfigRouting,
    ConfigAutoscaling,
    ConfigRouting,
    EnvVar,
    Jobs,
    LocalObjectReference,
    PodSecurityContext,
    PodSettings,
    Propagate,
    ResolvedReference,
    ResolvedRuntimeConfig,
    Rollout,
    Scheduling,
    Scope,
    SecurityContext,
    Serving,
    Storage,
)
from aim_operator.core import labels
from aim_operator.core.config_layers import layered
from aim_operator.core.expansion import literal_env
from aim_operator.core.hardware import NodeGpus
from aim_operator.core.manifests import is_marked, plain
from aim_operator.core.messages import one_line
from aim_operator.core.naming import is_derived_template_name, short_hash
from aim_operator.core.versions import once

Image = AIMImage | AIMClusterImage
Template = AIMServiceTemplate | AIMClusterServiceTemplate

DEFAULT_CONFIG = "default"
INHERITED_LISTED = 32


class Catalog(Protocol):
    """A read-only view of everything that can be referenced, as the watches have it now."""

    def image(self, namespace: str, name: str) -> AIMImage | None: ...
    def cluster_image(self, name: str) -> AIMClusterImage | None: ...
    def template(self, namespace: str, name: str) -> AIMServiceTemplate | None: ...
    def cluster_template(self, name: str) -> AIMClusterServiceTemplate | None: ...
    def templates_of(self, namespace: str, image_name: str) -> Iterable[AIMServiceTemplate]: ...
    def cluster_templates_of(self, image_name: str) -> Iterable[AIMClusterServiceTemplate]: ...
    def templates_that_mean(self, namespace: str, digest: str) -> Iterable[Template]:
        """Return those of this digest (core.service.meaning), in a namespace or "" for the cluster.

        Derived ones are left out.
        """
        ...

    def runtime_config(self, namespace: str, name: str) -> AIMRuntimeConfig | None: ...
    def cluster_runtime_config(self, name: str) -> AIMClusterRuntimeConfig | None: ...
    def gpu_models(self) -> frozenset[NodeGpus]: ...
    def runtime_of(self, service: AIMService) -> str: ...


class RuntimeConfig(Struct, frozen=True, kw_only=True):
    """A resolved runtime configuration. `reference` is None where not even a `default` exists."""

    reference: ResolvedRuntimeConfig | None = None
    service_account_name: str | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    env: tuple[EnvVar, ...] = ()
    allow_unoptimized: bool = True
    routing: ConfigRouting = ConfigRouting()
    security_context: SecurityContext | None = None
    pod_security_context: PodSecurityContext | None = None
    serving: Serving | None = None
    scheduling: Scheduling | None = None
    pods: PodSettings | None = None
    rollout: Rollout | None = None
    prometheus_address: str | None = None
    propagate: Propagate | None = None
    storage_class_name: str = ""
    """Of model caches; "" is the cluster's default class."""
    storage: Storage = Storage()
    jobs: Jobs = Jobs()


_NOTHING_SAID = RuntimeConfig()


class MissingRuntimeConfig(Struct, frozen=True):
    """An explicit name that is found nowhere."""

    name: str

    def message(self, namespace: str, *, field: str = "spec.runtimeConfigName") -> str:
        """Say what is missing, as seen from a namespace, and what to do; `field` is what named it."""
        return (
            f"{field}: no AIMRuntimeConfig {self.name!r} in namespace {namespace!r} and no "
            f"AIMClusterRuntimeConfig {self.name!r}; create one"
        )


def scope_of(obj: KubeObject) -> Scope:
    return "Namespace" if obj.metadata.namespace else "Cluster"


def kind_of(obj: KubeObject) -> str:
    """Return the kind, which servers leave out of list items: our view types are named after it."""
    return type(obj).__name__


def reference_to(obj: KubeObject, *, hash_: str | None = None) -> ResolvedReference:
    return ResolvedReference(
        kind=kind_of(obj),
        name=obj.metadata.name,
        scope=scope_of(obj),
        namespace=obj.metadata.namespace or None,
        uid=obj.metadata.uid,
        hash=hash_,
    )


def resolve_image(catalog: Catalog, namespace: str, name: str) -> Image | None:
    """Find the image for a model id. `namespace` "" (a cluster template) sees cluster images only."""
    namespaced = catalog.image(namespace, name) if namespace else None
    return namespaced or catalog.cluster_image(name)


def find_template(catalog: Catalog, namespace: str, name: str) -> Template | None:
    """Find the template that a plain name means in a namespace."""
    return catalog.template(namespace, name) or catalog.cluster_template(name)


def resolve_runtime_config(
    catalog: Catalog, namespace: str, names: Sequence[str | None]
) -> RuntimeConfig | MissingRuntimeConfig:
    """Resolve the first name that is set, else `default`, which alone may be missing, written out or not."""
    name = next((name for name in names if name is not None), DEFAULT_CONFIG)
    namespaced, cluster = catalog.runtime_config(namespace, name), catalog.cluster_runtime_config(name)
    found = _runtime_config(namespaced, cluster)
    if found is not None:
        return found
    return _NOTHING_SAID if name == DEFAULT_CONFIG else MissingRuntimeConfig(name)


@once
def _runtime_config(
    namespaced: AIMRuntimeConfig | None, cluster: AIMClusterRuntimeConfig | None
) -> RuntimeConfig | None:
    """Return what two configurations of one name are together; None if there is none."""
    config = namespaced or cluster
    if config is None:
        return None
    spec, inherited = effective_spec(namespaced, cluster)
    reference = reference_to(config, hash_=short_hash(to_builtins(spec)))
    return RuntimeConfig(
        reference=ResolvedRuntimeConfig(**structs.asdict(reference), from_cluster=_listed(inherited)),
        service_account_name=spec.service_account_name,
        image_pull_secrets=spec.image_pull_secrets or (),
        env=spec.env or (),
        allow_unoptimized=(True if spec.allow_unoptimized is None else spec.allow_unoptimized),
        routing=_defaults_of(spec.routing),
        security_context=spec.security_context,
        pod_security_context=spec.pod_security_context,
        serving=spec.serving,
        scheduling=spec.scheduling,
        pods=spec.pods,
        rollout=spec.rollout,
        prometheus_address=_prometheus_address(cluster),
        propagate=spec.propagate,
        storage_class_name=spec.default_storage_class_name or "",
        storage=spec.storage or Storage(),
        jobs=spec.jobs or Jobs(),
    )


def _prometheus_address(cluster: AIMClusterRuntimeConfig | None) -> str | None:
    """Return the cluster's, also beneath `merge: Replace`: KEDA would ask wherever a namespace says."""
    return ((cluster and cluster.spec.autoscaling) or ConfigAutoscaling()).prometheus_address


def _defaults_of(routing: ConfigRouting | None) -> ConfigRouting:
    """Return what a service may set itself and its record keeps: no pathPrefix, which is always read live."""
    if not isinstance(routing, ClusterConfigRouting):
        return routing or ConfigRouting()
    return ConfigRouting(**{name: getattr(routing, name) for name in ConfigRouting.__struct_fields__})


def enforced_path_prefix(catalog: Catalog) -> str | None:
    """Return the pathPrefix of the cluster's `default`, which holds for every service, whatever it names.

    Nobody in a namespace can shadow it, name another one instead, or have it lost: it is read as it is now.
    """
    config = catalog.cluster_runtime_config(DEFAULT_CONFIG)
    routing = config.spec.routing if config is not None else None
    return routing.path_prefix if routing is not None else None


def enforced_hostnames(catalog: Catalog) -> tuple[str, ...] | None:
    """Return allowedHostnames of the cluster's `default`, as enforced_path_prefix does its pathPrefix."""
    config = catalog.cluster_runtime_config(DEFAULT_CONFIG)
    routing = config.spec.routing if config is not None else None
    return routing.allowed_hostnames if routing is not None else None


def effective_spec(
    namespaced: AIMRuntimeConfig | None, cluster: AIMClusterRuntimeConfig | None
) -> tuple[AIMRuntimeConfigSpec, tuple[str, ...]]:
    """Return what two configurations of one name say together, and which fields only the cluster's says."""
    base = AIMClusterRuntimeConfigSpec() if cluster is None else cluster.spec
    # Variables of a cluster-wide object can't refer to others in a Pod.
    base = structs.replace(base, env=None if base.env is None else literal_env(base.env))
    if namespaced is None:
        shared = set(base.__struct_fields__) & set(AIMRuntimeConfigSpec.__struct_fields__)
        return AIMRuntimeConfigSpec(**{name: getattr(base, name) for name in shared}), ()
    return (namespaced.spec, ()) if cluster is None else layered(namespaced.spec, base)


def _listed(inherited: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return as many as a status has room for; the last entry counts the rest."""
    entries = tuple(one_line(each, 128) for each in inherited[:INHERITED_LISTED])
    if len(inherited) > INHERITED_LISTED:
        entries = (*entries[:-1], f"and {len(inherited) - INHERITED_LISTED + 1} more")
    return entries or None


def template_env(template: Template) -> tuple[EnvVar, ...]:
    """Return the variables of a template; those of a cluster-wide one can't refer to others in a Pod."""
    env = template.spec.env or ()
    return env if scope_of(template) == "Namespace" else literal_env(env)


def template_pull_secrets(template: Template) -> tuple[LocalObjectReference, ...]:
    spec = template.spec
    return (spec.image_pull_secrets or ()) if isinstance(spec, AIMServiceTemplateSpec) else ()


def union_pull_secrets(*layers: Iterable[LocalObjectReference]) -> tuple[LocalObjectReference, ...]:
    """Merge pull secrets, each once, in the order of first mention."""
    return tuple({secret.name: secret for layer in layers for secret in layer}.values())


def is_derived(template: Template) -> bool:
    """Whether the operator made this template from a service's overrides.

    It makes them in namespaces only, with both labels, its annotation and a name of this form. Labels alone
    prove nothing, and a copy has another name.
    """
    metadata = template.metadata
    return (
        bool(metadata.namespace)
        and metadata.label(labels.DERIVED_TEMPLATE) == "true"
        and is_marked(template, labels.DERIVED_MANAGER)
        and is_derived_template_name(metadata.name)
    )


def is_unchanged_derived(template: Template) -> bool:
    """Whether a derived template still has the spec that named it. One that a user edited is theirs."""
    return is_derived(template) and is_derived_template_name(
        template.metadata.name, short_hash(plain(template.spec))
    )
