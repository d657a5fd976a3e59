"""What KServe would execute: the one check of all that is rendered for it.

KServe 0.16 to 0.20 encode the container of runtime and InferenceService as JSON and execute that text as a Go
template (`ReplacePlaceholders` in pkg/controller/v1beta1/inferenceservice/utils/utils.go): each key and value
can act on the rest of the container, or take all memory of a controller that all share. Only `{{` starts
an action, and JSON has that within a text only: between two there is a quote.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.messages import quote
from aim_operator.errors import SpecError

_START = "{{"
_START_BYTES = _START.encode()
_NOT_EXECUTED = "spec.predictor.annotations"
"""Copied to the Pods as they are (`buildObjectMeta` in components/predictor.go). Some have templates of
their own, such as those of Vault's agent."""
_EXCERPT = 40


def without_templates(child: Child) -> Child:
    """Return an object for KServe as it is. Raises SpecError(GoTemplateRefused) if a text has a `{{`."""
    # The same that KServe does. Mostly there is none, and walking through all texts takes a thousand times
    # as long: it was a seventh of what reconciling a service takes.
    if _START_BYTES not in msgspec.json.encode(child.manifest):
        return child
    for path, text in _texts(child.manifest, ""):
        at = text.find(_START)
        if at >= 0:
            raise SpecError(
                Reason.GO_TEMPLATE_REFUSED,
                f"{path} of the {child.manifest['kind']} has {quote(text[at:], _EXCERPT)}, which KServe would"
                f" execute as a Go template; write it without '{_START}', or put the value into a ConfigMap"
                " and refer to it with valueFrom.configMapKeyRef",
            )
    return child


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield each text with its path: keys too, under the path of their object."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict) and path != _NOT_EXECUTED:
        for name, inner in value.items():
            yield path or "the top", name
            yield from _texts(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{_item(inner, index)}]")


def _item(value: Manifest | Any, index: int) -> str:
    """Name an item as people know it: a variable by its name."""
    name = value.get("name") if isinstance(value, dict) else None
    return quote(name) if isinstance(name, str) else str(index)
