"""Sets annotations that the operator acts on. Called by switches.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aim_operator.api.resource import Resource
from aim_operator.cli.objects import Named, find
from aim_operator.errors import NotFound, UserError
from aim_operator.kube.protocol import KubeClient


def find_of(text: str, namespace: str, kinds: Sequence[Resource[Any]]) -> Named:
    """Return the object that `text` names, of one of `kinds`. Raises UserError."""
    named = find(text, namespace, kinds[0])
    if named.resource not in kinds:
        names = " or ".join(dict.fromkeys(kind.kind for kind in kinds))
        raise UserError(f"{text} is an {named.resource.kind}; this is for {names}")
    return named


async def annotate(client: KubeClient, named: Named, annotation: str, value: str | None) -> None:
    """Set or, with None, remove an annotation. Raises UserError where the object is not there."""
    patch = {"metadata": {"annotations": {annotation: value}}}
    try:
        await client.patch(named.resource, named.name, patch, namespace=named.namespace)
    except NotFound as error:
        where = f" in namespace {named.namespace}" if named.namespace else ""
        raise UserError(f"there is no {named.resource.kind} {named.name}{where}") from error
