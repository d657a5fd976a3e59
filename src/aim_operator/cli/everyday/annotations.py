"""Sets annotations that the operator acts on. Called by switches.py."""

from __future__ import annotations

from aim_operator.cli.objects import Named
from aim_operator.errors import NotFound, UserError
from aim_operator.kube.protocol import KubeClient


async def annotate(client: KubeClient, named: Named, annotation: str, value: str | None) -> None:
    """Set or, with None, remove an annotation. Raises UserError where the object is not there."""
    patch = {"metadata": {"annotations": {annotation: value}}}
    try:
        await client.patch(named.resource, named.name, patch, namespace=named.namespace)
    except NotFound as error:
        where = f" in namespace {named.namespace}" if named.namespace else ""
        raise UserError(f"there is no {named.resource.kind} {named.name}{where}") from error
