"""AIMService: resolve, derive, render, route."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from aim_operator.api.external import HTTP_ROUTES, HTTPRoute, Pod, ScaledObject
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Outcomes, OutcomeType, Plan
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    SERVICES,
    AIMService,
    AIMServiceStatus,
)
from aim_operator.controllers.cache_dependents import CacheDependents, filling_changed
from aim_operator.controllers.dependents import Dependents, service_owner, template_owner
from aim_operator.controllers.index import (
    BY_DEPLOYMENT,
    BY_EXISTING_CLAIM,
    BY_INFERENCE_SERVICE,
    BY_INVOLVED,
    events_about,
)
from aim_operator.controllers.kind import AimKind
from aim_operator.controllers.kserve_version import KServeVersion
from aim_operator.controllers.route_owners import RouteOwners, other_paths_changed, paths_changed
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.wakes import came_or_went, itself, spec_changed
from aim_operator.controllers.watched import Watched
from aim_operator.core.caching import listed_models, service_caches
from aim_operator.core.catalog import (
    Catalog,
    RuntimeConfig,
    enforced_hostnames,
    enforced_path_prefix,
    scope_of,
)
from aim_operator.core.hosts import of_namespace
from aim_operator.core.manifests import controlled_by, is_applied
from aim_operator.core.messages import last_message
from aim_operator.core.model_cache.storage import alive
from aim_operator.core.pause import is_paused
from aim_operator.core.pods import last_refusal
from aim_operator.core.routing import render_prefix
from aim_operator.core.service.cache_plan import filled_claim, mounted_claims
from aim_operator.core.service.desired import is_of_predictor, predictor_service
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.plan import decide
from aim_operator.core.service.resolution import Resolution, resolve
from aim_operator.core.service.route import ListenerPath, Route, RouteProblem, wanted_route
from aim_operator.core.service.route_name import beside, name_of_route
from aim_operator.core.service.route_owner import breaks_limits
from aim_operator.core.serving.pin import pinned_config
from aim_operator.errors import SpecError
from aim_operator.runtime.triggers import Trigger


class Services(AimKind):
    status_type = AIMServiceStatus

    def __init__(
        self, *, watched: Watched, catalog: StoreCatalog, route_owners: RouteOwners, kserve: KServeVersion
    ) -> None:
        self._watched, self._catalog, self._route_owners = watched, catalog, route_owners
        self._kserve = kserve

    def get(self, ref: ObjectRef) -> tuple[Resource[Any], AIMService] | None:
        service = self._watched.services.store.get(ref.namespace, ref.name)
        return (SERVICES, service) if service is not None else None

    def decide(self, observed: ServiceObserved, now: datetime) -> Plan[AIMServiceStatus]:
        return decide(observed, now=now)

    def settle(self, ref: ObjectRef, plan: Plan[Any], outcomes: Outcomes) -> None:
        """Have a route that may have been written all the same keep its path for a while."""
        del plan
        if any(o.child.resource is HTTP_ROUTES and o.type is OutcomeType.FAILED for o in outcomes):
            self._route_owners.lost_write(ref)

    def forget(self, ref: ObjectRef) -> None:
        self._route_owners.forget(ref)

    def want_path(self, service: AIMService) -> None:
        """Record the path that a service wants; done for all of them before the first reconcile."""
        if service.metadata.deletion_timestamp is None and not is_paused(service):
            config = _route_config(service, resolve(service, self._catalog))
            route = _desired_route(service, config, self._catalog)
            self._route_owners.set_paths(service, _paths(route))

    async def gather(self, ref: ObjectRef, obj: AIMService, now: datetime) -> ServiceObserved:
        del now
        service = obj
        resolution = resolve(service, self._catalog)
        config = _route_config(service, resolution)
        route = _desired_route(service, config, self._catalog)
        self._route_owners.set_paths(service, _paths(route))
        standing = self._route_owners.standing(service)
        watched = self._watched
        inference_service = watched.inference_services.store.get(ref.namespace, ref.name)
        mine = service.metadata
        owns_inference_service = inference_service is not None and controlled_by(inference_service, mine)
        budget = watched.disruption_budgets.store.get(ref.namespace, ref.name)
        route_name = name_of_route(
            service,
            watched.http_routes.store.get(ref.namespace, ref.name),
            watched.http_routes.store.get(ref.namespace, beside(ref.name)),
            inference_service if owns_inference_service else None,
        )
        http_route = watched.http_routes.store.get(ref.namespace, route_name)
        owns_http_route = http_route is not None and controlled_by(http_route, mine)
        labelled = watched.pods.store.by_index(BY_INFERENCE_SERVICE, (ref.namespace, ref.name))
        pods = tuple(pod for pod in labelled if is_of_predictor(pod, ref.name))
        scaled_object = self._scaled_object(service)
        return ServiceObserved(
            service=service,
            resolution=resolution,
            config=config,
            route=route,
            rival=standing.rival,
            path_held_by=standing.held_by,
            path_lost=standing.yields
            or (http_route is not None and owns_http_route and _breaks_limits(http_route, self._catalog)),
            inference_service=inference_service if owns_inference_service else None,
            http_route=http_route if owns_http_route else None,
            disruption_budget=budget if budget is not None and controlled_by(budget, mine) else None,
            scaled_object=scaled_object,
            keda_warning=""
            if scaled_object is None
            else last_message(watched.keda_warnings.store.by_index(BY_INVOLVED, events_about(scaled_object))),
            keda_installed=watched.scaled_objects.installed,
            deployment=watched.deployments.store.get(ref.namespace, predictor_service(ref.name)),
            autoscaler=watched.autoscalers.store.get(ref.namespace, predictor_service(ref.name)),
            route_name=route_name,
            pods=pods,
            pods_refused=self._pods_refused(ref, pods),
            kserve_warnings=()
            if inference_service is None or not owns_inference_service
            else tuple(watched.kserve_warnings.store.by_index(BY_INVOLVED, events_about(inference_service))),
            kserve_installed=watched.inference_services.installed,
            kserve_too_old=self._kserve.too_old,
            **self._caching(service, resolution),
            lost_claims=frozenset() if owns_inference_service else self._lost_claims(service),
            gateway_api_installed=watched.http_routes.installed,
            runtimes=self._runtimes(service),
            runtime_shadowed=inference_service is None and self._shadowed(service, resolution),
        )

    def _scaled_object(self, service: AIMService) -> ScaledObject | None:
        found = self._watched.scaled_objects.store.get(service.metadata.namespace, service.metadata.name)
        return found if found is not None and controlled_by(found, service.metadata) else None

    def _pods_refused(self, ref: ObjectRef, pods: Iterable[Pod]) -> str:
        """Read why the cluster takes no Pod of the service: quotas, Pod Security, other admission."""
        key = (ref.namespace, predictor_service(ref.name))
        return last_refusal(self._watched.replica_refusals.store.by_index(BY_DEPLOYMENT, key), pods)

    def _caching(self, service: AIMService, resolution: Resolution) -> dict[str, Any]:
        """Read what a service that caches waits for and mounts."""
        template, namespace = resolution.template, service.metadata.namespace
        if template is None or not service_caches(service, template):
            return {}
        cache = self._catalog.template_cache(template, namespace)
        listed = listed_models(cache) if cache is not None else ()
        store = self._watched.model_caches.store
        caches = [store.get(namespace, each.name or "") for each in listed]
        mounted = mounted_claims(self._watched.inference_services.store.get(namespace, service.metadata.name))
        filled = {(c.status.persistent_volume_claim or "") for c in caches if c is not None and c.status}
        claims = self._watched.claims.store
        # Of claims that are not the operator's, their caches know.
        existing = {filled_claim(c) for c in caches if c is not None and c.spec.existing_claim is not None}
        return {
            "template_cache": cache,
            "template_cache_taken": self._catalog.template_cache_taken(template, namespace),
            "unshared_template_cache": self._catalog.unshared_template_cache(template, namespace),
            "model_caches": tuple(c for c in caches if c is not None),
            "live_claims": frozenset(
                n for n in mounted | filled if n in existing or alive(claims.get(namespace, n))
            ),
        }

    def _lost_claims(self, service: AIMService) -> frozenset[str]:
        """Return the claims that the service ran on whose files are gone, going or being downloaded."""
        active, namespace = (service.status or AIMServiceStatus()).active, service.metadata.namespace
        mounts = (active.mounts or ()) if active is not None else ()
        existing = {
            cache.spec.existing_claim.name
            for cache in self._watched.model_caches.store.by_index(BY_EXISTING_CLAIM, namespace)
            if cache.spec.existing_claim is not None and filled_claim(cache) is not None
        }
        claims = {mount.claim for mount in mounts} - existing
        return frozenset(name for name in claims if not self._holds_files(namespace, name))

    def _holds_files(self, namespace: str, name: str) -> bool:
        claim = self._watched.claims.store.get(namespace, name)
        if claim is None or not alive(claim):
            return False
        owner = claim.metadata.controller()
        cache = self._watched.model_caches.store.get(namespace, owner.name) if owner is not None else None
        return cache is None or filled_claim(cache) == name

    def _runtimes(self, service: AIMService) -> frozenset[str]:
        """Return the name of the runtime that the service runs on, if it is there still."""
        active = (service.status or AIMServiceStatus()).active
        if active is None:
            return frozenset()
        name = active.resolved_template.name
        namespaced = self._watched.serving_runtimes.store.get(service.metadata.namespace, name)
        runtime = namespaced or self._watched.cluster_serving_runtimes.store.get("", name)
        # One that somebody labelled as ours has another shape.
        there = runtime is not None and (is_applied(runtime) or any(template_owner(runtime)))
        return frozenset({name}) if there else frozenset()

    def _shadowed(self, service: AIMService, resolution: Resolution) -> bool:
        """Whether a namespaced ServingRuntime, anybody's, is named as the cluster template's runtime.

        KServe would take it instead. Asked until the InferenceService is created.
        """
        template = resolution.template
        if template is None or scope_of(template) != "Cluster":
            return False
        key = (service.metadata.namespace, template.metadata.name)
        runtimes = (self._watched.serving_runtimes, self._watched.other_runtimes)
        return any(informer.store.get(*key) is not None for informer in runtimes)


def _route_config(service: AIMService, resolution: Resolution) -> RuntimeConfig | None:
    """Return the configuration that routes are made of, while it is missing the one that was last found."""
    if resolution.config is not None:
        return resolution.config
    active = (service.status or AIMServiceStatus()).active
    return pinned_config(active) if active is not None else None


def _desired_route(
    service: AIMService, config: RuntimeConfig | None, catalog: Catalog
) -> Route | RouteProblem | None:
    """Return the desired route; unknown while the configuration is missing."""
    if config is None:
        return None
    return wanted_route(
        service,
        config,
        path_prefix=enforced_path_prefix(catalog),
        allowed_hostnames=enforced_hostnames(catalog),
    )


def _paths(route: Route | RouteProblem | None) -> tuple[ListenerPath, ...]:
    return route.listener_paths if isinstance(route, Route) else ()


def _breaks_limits(route: HTTPRoute, catalog: Catalog) -> bool:
    path_prefix, allowed = enforced_path_prefix(catalog), enforced_hostnames(catalog)
    try:
        prefix = None if path_prefix is None else render_prefix(path_prefix, route.metadata.namespace)
    except SpecError:
        # Nothing is allowed until it is corrected.
        return True
    hosts = None if allowed is None else of_namespace(allowed, route.metadata.namespace)
    return breaks_limits(route, prefix, hosts)


def service_wakes(
    watched: Watched, depend: Dependents, caching: CacheDependents, route_owners: RouteOwners
) -> list[Trigger[Any]]:
    """Return what wakes services.

    Beside these: an older service for its path, the arrival of KServe's and Gateway API's kinds, other GPU
    models.
    """
    return [
        Trigger(watched.services, itself(SERVICES), own=True),
        Trigger(watched.images, depend.services_of_image, when=spec_changed),
        Trigger(watched.cluster_images, depend.services_of_image, when=spec_changed),
        Trigger(watched.templates, depend.services_of_template),
        Trigger(watched.cluster_templates, depend.services_of_template),
        Trigger(watched.runtime_configs, depend.services_of_config, when=spec_changed),
        Trigger(watched.cluster_runtime_configs, depend.services_of_config, when=spec_changed),
        Trigger(watched.inference_services, service_owner),
        Trigger(watched.pods, depend.service_of_pod),
        Trigger(watched.deployments, depend.service_of_deployment),
        Trigger(watched.autoscalers, depend.service_of_deployment),
        Trigger(watched.replica_refusals, depend.service_of_refusal),
        Trigger(watched.disruption_budgets, service_owner),
        Trigger(watched.scaled_objects, service_owner),
        Trigger(watched.kserve_warnings, depend.service_of_warning),
        Trigger(watched.keda_warnings, depend.service_of_warning),
        Trigger(watched.http_routes, service_owner),
        Trigger(watched.http_routes, route_owners.services_at, when=paths_changed),
        Trigger(watched.other_routes, route_owners.services_below, when=other_paths_changed),
        Trigger(watched.template_caches, caching.services_of_template_cache),
        Trigger(watched.model_caches, caching.services_of_model_cache, when=filling_changed),
        Trigger(watched.claims, caching.services_of_claim),
        Trigger(watched.serving_runtimes, service_owner),
        Trigger(watched.serving_runtimes, depend.services_of_runtime, when=came_or_went),
        Trigger(watched.cluster_serving_runtimes, depend.services_of_runtime, when=came_or_went),
        Trigger(watched.other_runtimes, depend.services_of_runtime, when=came_or_went),
    ]
