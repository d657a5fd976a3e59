"""Everything that deciding about a service reads: one frozen snapshot."""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.external import (
    Deployment,
    Event,
    HorizontalPodAutoscaler,
    HTTPRoute,
    InferenceService,
    Pod,
    PodDisruptionBudget,
    ScaledObject,
)
from aim_operator.api.v1alpha1 import AIMModelCache, AIMService, AIMTemplateCache
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.service.path_claims import Claim
from aim_operator.core.service.resolution import Resolution
from aim_operator.core.service.route import Route, RouteProblem


class ServiceObserved(Struct, frozen=True, kw_only=True):
    """`inference_service`, `http_route` and `disruption_budget` are ours."""

    service: AIMService
    resolution: Resolution
    config: RuntimeConfig | None = None
    """What routes are made of: the configuration; while it is missing, that of what the service runs on."""
    route: Route | RouteProblem | None = None
    rival: Claim | None = None
    """The older claim that the wanted path conflicts with."""
    path_held_by: Claim | None = None
    """That of an HTTPRoute which is still in the way of the wanted path, though that belongs to this one."""
    path_lost: bool = False
    """The path of the live HTTPRoute belongs to somebody older, or its namespace may not have it."""
    inference_service: InferenceService | None = None
    http_route: HTTPRoute | None = None
    disruption_budget: PodDisruptionBudget | None = None
    deployment: Deployment | None = None
    """The one that KServe makes of the InferenceService."""
    autoscaler: HorizontalPodAutoscaler | None = None
    """The one that KServe makes where an HPA writes the number of copies."""
    scaled_object: ScaledObject | None = None
    keda_warning: str = ""
    """Why KEDA could not read a metric when it last failed to."""
    keda_installed: bool = False
    route_name: str | None = None
    """What the HTTPRoute is called; None: as the service."""
    pods: tuple[Pod, ...] = ()
    pods_refused: str = ""
    """Why the cluster took no Pod of it since the youngest of `pods`."""
    kserve_warnings: tuple[Event, ...] = ()
    """Warning events about the InferenceService, KServe's and others'."""
    runtimes: frozenset[str] = frozenset()
    """Names of the runtimes that an InferenceService in this namespace can use, of those that it might."""
    runtime_shadowed: bool = False
    """A namespaced ServingRuntime would take the place of the cluster template's runtime."""
    template_cache: AIMTemplateCache | None = None
    """The one that serves the resolved template in this namespace."""
    template_cache_taken: bool = False
    """The name of the operator's template cache belongs to another template's, or one that is not shared."""
    unshared_template_cache: str = ""
    """The name of one for the template that its maker does not share; "" where there is none."""
    model_caches: tuple[AIMModelCache, ...] = ()
    """Those that the template cache lists."""
    live_claims: frozenset[str] = frozenset()
    """Claims of model caches in this namespace that are bound and stay."""
    lost_claims: frozenset[str] = frozenset()
    """Without an InferenceService: claims of what the service runs on whose files are not (all) there."""
    kserve_installed: bool = True
    kserve_too_old: bool = False
    gateway_api_installed: bool = True
