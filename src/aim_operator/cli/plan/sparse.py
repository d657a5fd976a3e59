"""What plan and fit may rely on in objects of others, whatever a server stored. Called by what reads them.

A schema that preserves unknown fields, as those of KServe's minimal CRDs, requires none: an InferenceService
without a spec is one that such a server takes.
"""

from __future__ import annotations

from typing import Any

from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1.kinds import ALL_KINDS

_OURS = frozenset(resource.kind for resource in ALL_KINDS)
_WITHOUT_SPEC = frozenset({"StorageClass"})


def filled(obj: Manifest) -> Manifest:
    """Return an object with a spec, an InferenceService with a predictor, and no field that is null.

    Objects of our kinds are returned as they are: their CRDs say what they have.
    """
    if not isinstance(obj.get("kind"), str) or obj["kind"] in _OURS:
        # A kind that is no text is a damaged file's, and for whoever checks that.
        return obj
    out: Manifest = _without_nulls(obj)
    if obj.get("kind") not in _WITHOUT_SPEC and "spec" not in out:
        out["spec"] = {}
    if obj.get("kind") == INFERENCE_SERVICES.kind and isinstance(out["spec"], dict):
        out["spec"].setdefault("predictor", {})
    return out


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
