"""AIMService: resolve, derive, render, route.

Woken by: itself, everything it may resolve to, its InferenceService and Pods, its HTTPRoute, a
rival for its path, a ServingRuntime in its way, the arrival of KServe and Gateway API.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from aim_operator.api.external import (
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    InferenceService,
)
from aim_operator.api.meta import ObjectRef, given
from aim_operator.api.v1alpha1 import SERVICES, TEMPLATE_CACHES, AIMService, AIMServiceStatus
from aim_operator.api.v1alpha1.conditions import EventReason
from aim_operator.controllers.carry_out import CarryOut, Refusal
from aim_operator.controllers.paused import paused
from aim_operator.controllers.route_claims import RouteClaims
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import BY_DEPLOYMENT, BY_INFERENCE_SERVICE, Watched
from aim_operator.core.caching import listed_models, service_caches
from aim_operator.core.catalog import scope_of
from aim_operator.core.messages import last_message
from aim_operator.core.model_cache.storage import alive
from aim_operator.core.plan import EventNote, Plan, controlled_by
from aim_operator.core.service.cache_plan import mounted_claims
from aim_operator.core.service.desired import predictor_service
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.plan import decide
from aim_operator.core.service.resolution import Resolution, resolve
from aim_operator.core.service.route import Route, RouteProblem, wanted_route
from aim_operator.runtime.apply import ApplyOutcome
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.controller import Result


class ServiceReconciler:
    def __init__(
        self,
        *,
        watched: Watched,
        catalog: StoreCatalog,
        carry_out: CarryOut,
        clock: Clock,
        claims: RouteClaims,
        wake: Callable[[ObjectRef], None],
    ) -> None:
        self._watched, self._catalog = watched, catalog
        self._carry_out, self._clock, self._claims = carry_out, clock, claims
        self._wake = wake

    async def reconcile(self, ref: ObjectRef) -> Result:
        """Bring one service to where its inputs want it."""
        service = self._watched.services.store.get(ref.namespace, ref.name)
        if service is None or service.metadata.deletion_timestamp is not None:
            self._claims.drop(ref)
            self._carry_out.forget(ref)
            return Result()
        if paused(service):
            return Result()
        observed = self._gather(ref, service)
        plan = self._decide(observed)
        taken = await self._carry_out.foreign_names(ref, plan.children, wake=lambda: self._wake(ref))
        if taken:
            observed = structs.replace(
                observed,
                inference_service_foreign=INFERENCE_SERVICES.kind in taken,
                http_route_foreign=HTTP_ROUTES.kind in taken,
            )
            plan = self._decide(observed)
        applied, refused = await self._carry_out.children(ref, plan.children)
        if refused:
            plan = self._decide(_with_refusals(observed, refused))
        result = await self._carry_out.finish(ref, SERVICES, service, plan, applied)
        self._carry_out.tell(SERVICES, service, _applied_events(applied))
        if refused:
            raise refused[0].error
        return result

    def claim(self, service: AIMService) -> None:
        """Record the path that a service wants; done for all of them before the first reconcile."""
        if service.metadata.deletion_timestamp is None:
            self._wanted_route(service, resolve(service, self._catalog))

    def _decide(self, observed: ServiceObserved) -> Plan[AIMServiceStatus]:
        return decide(observed, now=self._clock.now())

    def _wanted_route(self, service: AIMService, resolution: Resolution) -> Route | RouteProblem | None:
        if resolution.config is None:
            # Unknown, not unwanted: while a reference is missing, a route that exists keeps its path.
            return None
        route = wanted_route(service, resolution.config)
        self._claims.update(service, route.claim if isinstance(route, Route) else None)
        return route

    def _gather(self, ref: ObjectRef, service: AIMService) -> ServiceObserved:
        resolution = resolve(service, self._catalog)
        route = self._wanted_route(service, resolution)
        watched = self._watched
        inference_service = watched.inference_services.store.get(ref.namespace, ref.name)
        http_route = watched.http_routes.store.get(ref.namespace, ref.name)
        mine = service.metadata
        owns_inference_service = inference_service is not None and controlled_by(inference_service, mine)
        owns_http_route = http_route is not None and controlled_by(http_route, mine)
        return ServiceObserved(
            service=service,
            resolution=resolution,
            route=route,
            rival=self._claims.rival(service),
            inference_service=inference_service if owns_inference_service else None,
            http_route=http_route if owns_http_route else None,
            pods=tuple(watched.pods.store.by_index(BY_INFERENCE_SERVICE, (ref.namespace, ref.name))),
            pods_refused=self._pods_refused(ref),
            kserve_installed=watched.inference_services.installed,
            **self._caching(service, resolution),
            gateway_api_installed=watched.http_routes.installed,
            runtime_shadowed=inference_service is None and self._shadowed(service, resolution),
        )

    def _pods_refused(self, ref: ObjectRef) -> str:
        """Read why the cluster takes no Pod of the service: quotas, Pod Security, other admission."""
        key = (ref.namespace, predictor_service(ref.name))
        return last_message(self._watched.replica_refusals.store.by_index(BY_DEPLOYMENT, key))

    def _caching(self, service: AIMService, resolution: Resolution) -> dict[str, Any]:
        """Read what a service that caches waits for and mounts."""
        template, namespace = resolution.template, service.metadata.namespace
        if template is None or not service_caches(service, template):
            return {}
        cache = self._catalog.template_cache(template, namespace)
        listed = listed_models(cache) if cache is not None else ()
        store = self._watched.model_caches.store
        caches = [store.get(namespace, given(each.name, "")) for each in listed]
        mounted = mounted_claims(self._watched.inference_services.store.get(namespace, service.metadata.name))
        filled = {given(c.status.persistent_volume_claim, "") for c in caches if c is not None and c.status}
        claims = self._watched.claims.store
        return {
            "template_cache": cache,
            "template_cache_taken": self._catalog.template_cache_taken(template, namespace),
            "model_caches": tuple(c for c in caches if c is not None),
            "live_claims": frozenset(n for n in mounted | filled if alive(claims.get(namespace, n))),
        }

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


def _with_refusals(observed: ServiceObserved, refused: list[Refusal]) -> ServiceObserved:
    said = {refusal.child.resource.kind: str(refusal.error) for refusal in refused}
    return structs.replace(
        observed,
        template_cache_refused=said.get(TEMPLATE_CACHES.kind, ""),
        inference_service_refused=said.get(INFERENCE_SERVICES.kind, ""),
        http_route_refused=said.get(HTTP_ROUTES.kind, ""),
    )


def _applied_events(applied: list[ApplyOutcome[Any]]) -> list[EventNote]:
    """Tell of InferenceServices created or updated: a write that happened, so a restart repeats none."""
    reasons = {
        "created": EventReason.INFERENCE_SERVICE_CREATED,
        "updated": EventReason.INFERENCE_SERVICE_UPDATED,
    }
    return [
        EventNote(
            type="Normal",
            reason=reasons[outcome.action],
            message=f"InferenceService {outcome.object.metadata.name} {outcome.action}",
            action="Apply",
        )
        for outcome in applied
        if isinstance(outcome.object, InferenceService) and outcome.action in reasons
    ]
