"""Finds whose log `aimctl logs` prints: the container that discovers, downloads or serves for a service.

With the rights of whoever asks. Called by logs.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any

from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import JOBS, PODS, Pod
from aim_operator.api.resource import Resource
from aim_operator.cli.connect import everything
from aim_operator.core import labels
from aim_operator.core.model_cache import desired as downloads
from aim_operator.core.pods import has_started, waiting, youngest
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE
from aim_operator.core.template import desired as discovery
from aim_operator.errors import Invalid, NotFound, Unavailable, UserError
from aim_operator.kube.protocol import KubeClient

SERVER_CONTAINER = "kserve-container"
"""KServe's name for the container of the model server."""
OF_JOB = "batch.kubernetes.io/job-name"
FOLLOW_SECONDS = 7 * 24 * 3600.0
READ_SECONDS = 60.0


class Part(StrEnum):
    DISCOVERY = "discovery"
    DOWNLOAD = "download"
    SERVER = "server"


class Source(Struct, frozen=True):
    """A container of a Pod."""

    namespace: str
    pod: str
    container: str

    def __str__(self) -> str:
        return f"Pod {self.namespace}/{self.pod}, container {self.container}"


async def find(client: KubeClient, namespace: str, name: str, part: Part) -> Source:
    """Return where the log is. Raises UserError, with what to do, where there is none (any more)."""
    try:
        service = await client.get(aim.SERVICES, name, namespace=namespace)
    except NotFound as error:
        raise UserError(f"there is no AIMService {name} in namespace {namespace}") from error
    if part is Part.SERVER:
        pods = await everything(client, PODS, namespace, label_selector=f"{OF_INFERENCE_SERVICE}={name}")
        if not pods:
            raise UserError(f"AIMService {namespace}/{name} has no model server yet; see aimctl why {name}")
        return _started(pods, (SERVER_CONTAINER,), f"aimctl why {name}", "service")
    resolved = (service.status or aim.AIMServiceStatus()).resolved_template
    if resolved is None:
        raise UserError(f"AIMService {namespace}/{name} has no template yet; see aimctl why {name}")
    if part is Part.DISCOVERY:
        return await _discovery(client, namespace, resolved)
    return await _download(client, service, resolved.name)


async def read(client: KubeClient, source: Source, *, follow: bool, tail: int | None) -> AsyncIterator[bytes]:
    """Yield the log in chunks, with `follow` until the container ends. Raises UserError if that fails."""
    try:
        async for chunk in client.logs(
            source.namespace,
            source.pod,
            container=source.container,
            limit_seconds=FOLLOW_SECONDS if follow else READ_SECONDS,
            follow=follow,
            tail_lines=tail,
        ):
            yield chunk
    except NotFound as error:
        raise UserError(f"{source} is gone, and its log with it: {error}") from error
    except (Invalid, Unavailable) as error:
        # Most of the time the words of a kubelet: its node is away, or the log was rotated.
        raise UserError(f"the log of {source} can't be read (any more): {error}") from error


async def _discovery(client: KubeClient, namespace: str, resolved: aim.ResolvedReference) -> Source:
    own = resolved.kind == aim.TEMPLATES.kind
    resource: Resource[Any] = aim.TEMPLATES if own else aim.CLUSTER_TEMPLATES
    try:
        template = await client.get(resource, resolved.name, namespace=namespace if own else "")
    except NotFound as error:
        raise UserError(f"there is no {resolved.kind} {resolved.name} any more") from error
    spelled = f"{'template' if own else 'clustertemplate'}/{resolved.name}"
    # That of a cluster template is in the operator's namespace, whichever that is.
    return await _of_job(
        client,
        template.metadata.namespace,
        {template.metadata.uid},
        (discovery.CONTAINER,),
        none=f"{resolved.kind} {resolved.name} has no discovery Job: one that is read is deleted; "
        f"to run it again: aimctl rediscover {spelled}",
        why=f"aimctl why {spelled}",
    )


async def _download(client: KubeClient, service: aim.AIMService, template: str) -> Source:
    namespace = service.metadata.namespace
    names = {
        each.name
        for cache in await everything(client, aim.TEMPLATE_CACHES, namespace)
        if cache.spec.template_ref == template
        for each in (cache.status or aim.AIMTemplateCacheStatus()).model_caches or ()
    }
    if not names:
        raise UserError(
            f"AIMService {namespace}/{service.metadata.name} has no model cache: "
            "its server downloads by itself; see its log with --server"
        )
    caches = await everything(client, aim.MODEL_CACHES, namespace)
    return await _of_job(
        client,
        namespace,
        {each.metadata.uid for each in caches if each.metadata.name in names},
        (downloads.CONTAINER, downloads.LISTING_CONTAINER),
        none=f"no Job downloads for template {template}: one that is done is deleted; "
        f"see aimctl events cache/{min(filter(None, names), default='NAME')}",
        why=f"aimctl why {service.metadata.name}",
    )


async def _of_job(
    client: KubeClient, namespace: str, owners: set[str], containers: tuple[str, ...], *, none: str, why: str
) -> Source:
    """Return the container of the youngest Job that one of `owners`, by uid, controls."""
    jobs = await everything(client, JOBS, namespace, label_selector=labels.MANAGED_BY_CONTROLLER)
    own = [job for job in jobs if (each := job.metadata.controller()) and each.uid in owners]
    if not own:
        raise UserError(none)
    job = max(own, key=lambda each: (each.metadata.creation_timestamp or "", each.metadata.name))
    where, name = job.metadata.namespace, job.metadata.name
    pods = await everything(client, PODS, where, label_selector=f"{OF_JOB}={name}")
    if not pods:
        raise UserError(f"Job {where}/{name} has no Pod; see {why}")
    return _started(pods, containers, why, "Job")


def _started(pods: list[Pod], containers: tuple[str, ...], why: str, of: str) -> Source:
    """Return the container of the youngest Pod in which it was started."""
    ready = [
        (pod, name)
        for pod in pods
        for name in containers
        for status in pod.status.container_statuses or ()
        # One that crashes has the log of its last time while it waits for the next.
        if status.name == name and (status.restart_count or has_started(pod, name))
    ]
    pod = youngest(pod for pod, _ in ready)
    if pod is None:
        verdict = waiting(pods, f"the Pod of the {of}", "scheduling")
        words = f" ({verdict.reason}: {verdict.message})" if verdict is not None else ""
        named = youngest(pods)
        assert named is not None  # noqa: S101 - there is one at least
        raise UserError(
            f"Pod {named.metadata.namespace}/{named.metadata.name} has not started{words}; see {why}"
        )
    container = next(name for each, name in ready if each is pod)
    return Source(pod.metadata.namespace, pod.metadata.name, container)
