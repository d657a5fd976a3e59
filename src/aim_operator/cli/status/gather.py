"""Reads all that `aimctl status` shows, with the rights of whoever asks.

A kind that may not be read, or is not installed, is said to be unseen; only where nothing at all can be read
is that an error. Called by command.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.meta import KubeObject
from aim_operator.api.resource import Resource
from aim_operator.cli.connect import everything, in_the_users_words
from aim_operator.cli.status.rows import Status, Unseen, collected
from aim_operator.errors import ApiError, Forbidden, NotInstalled
from aim_operator.kube.protocol import KubeClient

KINDS: tuple[Resource[Any], ...] = (
    aim.SERVICES,
    aim.TEMPLATES,
    aim.CLUSTER_TEMPLATES,
    aim.MODEL_CACHES,
    aim.IMAGES,
    aim.CLUSTER_IMAGES,
    aim.RUNTIME_CONFIGS,
    aim.CLUSTER_RUNTIME_CONFIGS,
)
"""AIMTemplateCaches show nothing that their services and model caches do not."""


async def read(client: KubeClient, namespace: str) -> Status:
    """Return the status of `namespace`, "" for all of them, and of the cluster's catalog."""
    # One alone first: where nobody answers, one request is enough to know it.
    first, *others = KINDS
    answers = [_heard(await _objects(client, first, namespace))]
    more = await asyncio.gather(*(_objects(client, resource, namespace) for resource in others))
    answers += map(_heard, more)
    refused = [answer for answer in answers if isinstance(answer, Forbidden | NotInstalled)]
    if len(refused) == len(answers):
        raise refused[0]
    objects = [obj for answer in answers if not isinstance(answer, ApiError) for obj in answer]
    unseen = [
        Unseen(resource.kind, in_the_users_words(answer))
        for resource, answer in zip(KINDS, answers, strict=True)
        if isinstance(answer, ApiError)
    ]
    return collected(objects, unseen)


def _heard(answer: list[KubeObject] | ApiError) -> list[KubeObject] | Forbidden | NotInstalled:
    """Return objects, or why one kind is not shown. Raises whatever else went wrong."""
    if isinstance(answer, ApiError) and not isinstance(answer, Forbidden | NotInstalled):
        raise answer
    return answer


async def _objects(
    client: KubeClient, resource: Resource[Any], namespace: str
) -> list[KubeObject] | ApiError:
    """Return the error instead of raising it: requests that run beside it come to their end so."""
    try:
        return await everything(client, resource, namespace if resource.namespaced else "")
    except ApiError as error:
        return error
