"""Sets annotations that the operator acts on. Called by switches.py."""

from __future__ import annotations

from typing import Any

from aim_operator.cli.objects import Named
from aim_operator.core import labels
from aim_operator.core.pause import is_paused
from aim_operator.errors import NotFound, UserError
from aim_operator.kube.protocol import KubeClient


async def annotate(client: KubeClient, named: Named, annotation: str, value: str | None) -> Any:
    """Set or, with None, remove an annotation; return the object. Raises UserError where it is not there."""
    patch = {"metadata": {"annotations": {annotation: value}}}
    try:
        return await client.patch(named.resource, named.name, patch, namespace=named.namespace)
    except NotFound as error:
        where = f" in namespace {named.namespace}" if named.namespace else ""
        raise UserError(f"there is no {named.resource.kind} {named.name}{where}") from error


def said(named: Named, obj: Any, annotation: str, done: str) -> str:
    """Return what came of it: of an object that is paused nothing does, until it is resumed."""
    if annotation == labels.PAUSED or not is_paused(obj):
        return f"{named}: {done}"
    where = f" -n {named.namespace}" if named.namespace else ""
    return (
        f"{named}: it is paused, and nothing is done before "
        f"aimctl resume {named.resource.kind}/{named.name}{where}; then {done}"
    )
