"""Finds the chain: looks at one object after the other, with the rights of whoever asks.

From our kinds by their conditions to their children, and from there by the words of KServe, the scheduler,
the kubelet, the provisioner and the gateway. Called by command.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    EVENTS,
    HTTP_ROUTES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    Event,
    Job,
    Pod,
)
from aim_operator.api.meta import Condition, KubeObject, ObjectMeta
from aim_operator.api.resource import K, Resource
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.cli.connect import everything, in_the_users_words
from aim_operator.cli.objects import Named
from aim_operator.cli.status.rows import decisive_condition, is_good
from aim_operator.cli.why.chain import Chain, Hop
from aim_operator.cli.why.foreign import (
    INFERENCE_SERVICES,
    claim_hop,
    job_hop,
    pod_hop,
    route_hop,
    server_hop,
)
from aim_operator.core import labels
from aim_operator.core.pause import is_paused
from aim_operator.core.pods import youngest
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE
from aim_operator.errors import Forbidden, NotFound, UserError
from aim_operator.kube.protocol import KubeClient

T = TypeVar("T")
_HERE = frozenset(
    {
        Reason.IMAGE_NOT_FOUND,
        Reason.TEMPLATE_NOT_FOUND,
        Reason.NO_OPTIMIZED_TEMPLATE,
        Reason.TEMPLATE_SELECTION_AMBIGUOUS,
        Reason.TEMPLATE_IMAGE_MISMATCH,
        Reason.RUNTIME_CONFIG_MISSING,
        Reason.RESOURCES_INVALID,
        Reason.ENGINE_ARGS_INVALID,
        Reason.GO_TEMPLATE_REFUSED,
        Reason.NAME_CONFLICT,
        Reason.KSERVE_NOT_INSTALLED,
        Reason.GATEWAY_API_NOT_INSTALLED,
        Reason.ROUTE_TEMPLATE_INVALID,
        Reason.ROUTE_CONFLICT,
        Reason.PATH_NOT_ALLOWED,
        Reason.HOSTNAME_NOT_ALLOWED,
        Reason.WRITE_FAILED,
        Reason.CHANGED_BY_OTHERS,
    }
)
"""Reasons whose cause is the object's own spec, or what its message names: no child knows more."""


async def explain(client: KubeClient, named: Named, *, deep: bool = True) -> Chain:
    """Return why an object is as it is, if not `deep` by its own words alone. Raises UserError if gone."""
    look = _Look(client)
    try:
        obj: Any = await client.get(named.resource, named.name, namespace=named.namespace)
    except NotFound as error:
        where = f" in namespace {named.namespace}" if named.namespace else ""
        raise UserError(f"there is no {named.resource.kind} {named.name}{where}") from error
    return await look.at(named.resource, obj, deep=deep)


class _Look:
    """One explanation in the making."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._hops: list[Hop] = []
        self._unseen: list[str] = []

    async def at(self, resource: Resource[Any], obj: Any, *, deep: bool) -> Chain:
        hop = _own_hop(resource, obj)
        good = is_good(hop.state) and not is_paused(obj)
        await self._ours(resource, obj, ends=good or not deep)
        return Chain(hops=tuple(self._hops), good=good, unseen=tuple(self._unseen))

    async def _ours(self, resource: Resource[Any], obj: Any, *, ends: bool = False) -> None:
        """Add an object of ours and what is behind it."""
        hop = _own_hop(resource, obj)
        if any(hop.named == each.named for each in self._hops):
            # Statuses that name each other, as of two looks at a cluster that changes, or by somebody's hand.
            return
        self._hops.append(hop)
        if ends or hop.reason in _HERE or hop.remedy:
            return
        blocked = obj.status.blocked_by if hasattr(obj.status, "blocked_by") else None
        if blocked is not None and await self._blocked_by(blocked, obj.metadata.namespace):
            return
        if resource == aim.SERVICES:
            await self._behind_service(obj)
        elif resource in (aim.TEMPLATES, aim.CLUSTER_TEMPLATES):
            await self._behind_jobs(obj)
        elif resource == aim.TEMPLATE_CACHES:
            await self._behind_template_cache(obj)
        elif resource == aim.MODEL_CACHES:
            await self._behind_model_cache(obj)

    async def _blocked_by(self, blocked: aim.BlockedBy, namespace: str) -> bool:
        """Follow what the object says itself that it waits for; False where that is of no kind known here."""
        where, name = namespace if blocked.namespace is None else blocked.namespace, blocked.name
        ours = next((each for each in aim.ALL_KINDS if each.kind == blocked.kind), None)
        if ours is not None:
            found: Any = await self._get(ours, name, where if ours.namespaced else "")
            if found is not None:
                await self._ours(ours, found)
        elif blocked.kind == JOBS.kind:
            job = await self._get(JOBS, name, where)
            if job is not None:
                await self._job(job)
        elif blocked.kind == PERSISTENT_VOLUME_CLAIMS.kind:
            await self._claim(name, where)
        elif blocked.kind == PODS.kind:
            pod = await self._get(PODS, name, where)
            if pod is not None:
                self._hops.append(pod_hop(pod, "service", "scheduling", await self._events(pod)))
        elif blocked.kind == INFERENCE_SERVICES.kind:
            await self._model_server(where, name)
        elif blocked.kind == HTTP_ROUTES.kind:
            await self._route(where, name)
        else:
            return False
        return True

    async def _behind_service(self, service: aim.AIMService) -> None:
        """Follow the first condition that does not hold: names, caches, the server, the route."""
        status = service.status or aim.AIMServiceStatus()
        open_ = {each.type: each for each in status.conditions or () if each.status != "True"}
        if c.RESOLVED in open_ and status.resolved_template is not None:
            await self._template(status.resolved_template)
        elif c.CACHE_READY in open_:
            await self._caches(service, status)
        elif c.RUNTIME_READY in open_ or any(
            each.reason in (Reason.ROLLING_OUT, Reason.ROLLOUT_FAILED) for each in status.conditions or ()
        ):
            await self._model_server(service.metadata.namespace, service.metadata.name)
        elif c.ROUTING_READY in open_:
            await self._route(service.metadata.namespace, service.metadata.name)

    async def _template(self, reference: aim.ResolvedReference) -> None:
        of_namespace = reference.kind == aim.TEMPLATES.kind
        resource: Resource[Any] = aim.TEMPLATES if of_namespace else aim.CLUSTER_TEMPLATES
        template = await self._get(resource, reference.name, reference.namespace or "")
        if template is not None:
            await self._ours(resource, template)

    async def _caches(self, service: aim.AIMService, status: aim.AIMServiceStatus) -> None:
        name = status.resolved_template.name if status.resolved_template is not None else ""
        caches = await self._list(aim.TEMPLATE_CACHES, service.metadata.namespace)
        for cache in caches:
            if cache.spec.template_ref == name and not _is_ready(cache):
                await self._ours(aim.TEMPLATE_CACHES, cache)
                return

    async def _behind_template_cache(self, cache: aim.AIMTemplateCache) -> None:
        for each in (cache.status or aim.AIMTemplateCacheStatus()).model_caches or ():
            if each.name is None or is_good(each.status or ""):
                continue
            model = await self._get(aim.MODEL_CACHES, each.name, cache.metadata.namespace)
            if model is not None:
                await self._ours(aim.MODEL_CACHES, model)
                return

    async def _behind_model_cache(self, cache: aim.AIMModelCache) -> None:
        status = cache.status or aim.AIMModelCacheStatus()
        storage = next((each for each in status.conditions or () if each.type == c.STORAGE_READY), None)
        name = status.persistent_volume_claim
        unbound = storage is not None and storage.status != "True"
        if unbound and name and await self._claim(name, cache.metadata.namespace):
            return
        await self._behind_jobs(cache)

    async def _claim(self, name: str, namespace: str) -> bool:
        claim = await self._get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        if claim is None:
            return False
        self._hops.append(claim_hop(claim, await self._events(claim)))
        return True

    async def _behind_jobs(self, owner: KubeObject) -> None:
        """Add the youngest Job of an object that has not succeeded, and its Pod."""
        namespace = owner.metadata.namespace
        jobs = await self._list(JOBS, namespace, selector=labels.MANAGED_BY_CONTROLLER)
        own = [job for job in jobs if (each := job.metadata.controller()) and each.uid == owner.metadata.uid]
        if not own:
            return
        await self._job(max(own, key=lambda each: each.metadata.creation_timestamp or ""))

    async def _job(self, job: Job) -> None:
        self._hops.append(job_hop(job, await self._events(job)))
        await self._pod(job.metadata.namespace, f"batch.kubernetes.io/job-name={job.metadata.name}", "Job")

    async def _model_server(self, namespace: str, name: str) -> None:
        served = await self._get(INFERENCE_SERVICES, name, namespace)
        if served is None:
            return
        self._hops.append(server_hop(served, await self._events(served)))
        await self._pod(namespace, f"{OF_INFERENCE_SERVICE}={name}", "service", placed_by="scheduling")

    async def _route(self, namespace: str, name: str) -> None:
        route = await self._get(HTTP_ROUTES, name, namespace)
        if route is not None:
            self._hops.append(route_hop(route))

    async def _pod(
        self, namespace: str, selector: str, of: str, *, placed_by: str = "jobs.scheduling"
    ) -> None:
        """Add the Pod that does not start or run; the youngest of them."""
        pods: list[Pod] = await self._list(PODS, namespace, selector=selector)
        wrong = [pod for pod in pods if not _runs(pod)]
        pod = youngest(wrong)
        if pod is None:
            return
        self._hops.append(pod_hop(pod, of, placed_by, await self._events(pod)))

    async def _events(self, obj: KubeObject) -> list[Event]:
        selector = f"involvedObject.uid={obj.metadata.uid}"
        return await self._seen(
            lambda: _page(self._client, EVENTS, obj.metadata.namespace, field_selector=selector), []
        )

    async def _get(self, resource: Resource[K], name: str, namespace: str) -> K | None:
        async def got() -> K | None:
            try:
                return await self._client.get(resource, name, namespace=namespace)
            except NotFound:
                self._hops.append(
                    Hop(
                        kind=resource.kind,
                        namespace=namespace,
                        name=name,
                        state="not there",
                        message="",
                    )
                )
                return None

        return await self._seen(got, None)

    async def _list(self, resource: Resource[K], namespace: str, selector: str = "") -> list[K]:
        if selector:
            return await self._seen(
                lambda: _page(self._client, resource, namespace, label_selector=selector), []
            )
        return await self._seen(lambda: everything(self._client, resource, namespace), [])

    async def _seen(self, read: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """Return what is read; where that is not allowed, `otherwise`, and say so."""
        try:
            return await read()
        except Forbidden as error:
            self._unseen.append(in_the_users_words(error))
        except NotFound:
            pass
        return otherwise


async def _page(client: KubeClient, resource: Resource[K], namespace: str, **selectors: str) -> list[K]:
    return list((await client.list(resource, namespace=namespace, **selectors)).items)  # type: ignore[arg-type]


def _own_hop(resource: Resource[Any], obj: Any) -> Hop:
    """Return an object of ours as its conditions tell of it."""
    status = obj.status
    where = {"kind": resource.kind, "namespace": obj.metadata.namespace, "name": obj.metadata.name}
    if obj.metadata.deletion_timestamp is not None:
        # Its status is that of before, and nobody changes it any more.
        return _deleted_hop(obj.metadata, where)
    if is_paused(obj):
        return Hop(
            **where,
            state="paused",
            reason=Reason.PAUSED,
            message=f"the annotation {labels.PAUSED} is set: the operator leaves it alone",
        )
    if status is None or not status.status:
        return Hop(
            **where,
            state="not looked at",
            message="no operator has looked at it",
            since=obj.metadata.creation_timestamp,
            remedy="see that an operator runs which serves this namespace: aimctl version, then its log",
        )
    conditions: tuple[Condition, ...] = status.conditions or ()
    decisive = decisive_condition(conditions)
    if (status.observed_generation or 0) < obj.metadata.generation:
        return Hop(
            **where,
            state=status.status,
            message="its last change has not been looked at yet",
            remedy="wait a moment; if it stays so, see that the operator runs: aimctl version, then its log",
        )
    good = is_good(status.status)
    return Hop(
        **where,
        state=status.status,
        reason=decisive.reason if decisive is not None and not good else "",
        message=decisive.message if decisive is not None and not good else "",
        since=decisive.last_transition_time if decisive is not None else None,
    )


def _deleted_hop(metadata: ObjectMeta, where: dict[str, str]) -> Hop:
    """Return an object that is deleted and still there: the operator has no finalizers, so others keep it."""
    own = [each for each in metadata.finalizers or () if each not in _OF_COLLECTOR]
    kept = ", ".join(own or metadata.finalizers or ())
    return Hop(
        **where,
        state="being deleted",
        message=f"it stays until its finalizers are taken off: {kept}" if kept else "",
        since=metadata.deletion_timestamp,
        remedy=f"see why whoever set {kept} does not take it off"
        if own
        else "wait until what belongs to it is gone, too: its InferenceService, Jobs, claims and routes",
    )


_OF_COLLECTOR = frozenset({"foregroundDeletion", "orphan"})
"""Finalizers that Kubernetes sets for the time of a deletion."""


def _is_ready(cache: aim.AIMTemplateCache) -> bool:
    return cache.status is not None and is_good(cache.status.status or "")


def _runs(pod: Pod) -> bool:
    """Whether all containers of a Pod are ready, or it has done its work."""
    if pod.status.phase == "Succeeded":
        return True
    ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
    return pod.status.phase == "Running" and ready
