"""Whether a cluster can be used at all, asked before the operator starts: one line, not endless retries.

Turns what the API server says into UserErrors. Called by serving.py and demo_cluster.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aim_operator.api.external import CUSTOM_RESOURCE_DEFINITIONS
from aim_operator.api.resource import Resource
from aim_operator.errors import ApiError, Forbidden, NoAnswer, NotInstalled, Unauthorized, UserError
from aim_operator.kube.credentials import Connection
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.informer import Informer

NAMED_RESOURCES = 4


async def check_access(
    client: KubeClient,
    connection: Connection,
    informers: Iterable[Informer[Any]],
    namespaces: tuple[str, ...] = (),
) -> None:
    """Read a little of everything that is watched. Raises UserError where that is refused or fails.

    Kinds that are not installed are fine: the operator waits for them. But CustomResourceDefinitions are
    part of every Kubernetes; what lacks them is something else, a web page for example.
    """
    # One alone first: where nobody answers, one request is enough to know it.
    refused = [await _refusal(client, connection, CUSTOM_RESOURCE_DEFINITIONS, "")]
    refused += await asyncio.gather(
        *(
            _refusal(client, connection, informer.resource, namespace)
            for informer in informers
            if informer.resource != CUSTOM_RESOURCE_DEFINITIONS
            for namespace in (namespaces if informer.resource.namespaced and namespaces else ("",))
        )
    )
    missing = [refusal for refusal in refused if refusal is not None]
    if missing:
        raise UserError(_sum_up(missing))


def refused_watch(informers: Iterable[Informer[Any]]) -> UserError | None:
    """Return the first refusal that an informer met, if any did."""
    for informer in informers:
        if isinstance(informer.last_error, Forbidden | Unauthorized):
            return UserError(str(informer.last_error))
    return None


async def _refusal(
    client: KubeClient, connection: Connection, resource: Resource[Any], namespace: str
) -> tuple[str, str] | None:
    """Return what is refused, and the server's words; None where reading works."""
    try:
        await client.list(resource, namespace=namespace, limit=1)
    except NotInstalled as error:
        if resource == CUSTOM_RESOURCE_DEFINITIONS:
            raise no_kubernetes(connection) from error
        return None
    except Forbidden as error:
        return resource.qualified, str(error)
    except Unauthorized as error:
        raise UserError(f"{connection.source}: {error}; renew them, or choose another --context") from error
    except ApiError as error:
        raise UserError(f"the API server {connection.server} can't be used: {error}") from error
    return None


def no_kubernetes(connection: Connection) -> NoAnswer:
    """Return what to say of a server that answers and has no CustomResourceDefinitions."""
    return NoAnswer(
        f"{connection.server} answers, but is no Kubernetes API server: it knows no "
        f"CustomResourceDefinitions; correct the server's address ({connection.source})"
    )


def _sum_up(refused: list[tuple[str, str]]) -> str:
    (_, first), *others = refused
    if not others:
        return first
    names = ", ".join(name for name, _ in others[:NAMED_RESOURCES])
    more = f" and {len(others) - NAMED_RESOURCES} more" if len(others) > NAMED_RESOURCES else ""
    return f"{first}; nor {names}{more}"
