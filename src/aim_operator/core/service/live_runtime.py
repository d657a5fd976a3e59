"""Which runtime a live InferenceService runs on: it has the name of the template of its service."""

from __future__ import annotations

import msgspec

from aim_operator.api.external import InferenceService
from aim_operator.api.meta import UNREADABLE, Wire


class _Model(Wire):
    runtime: str = ""


class _Predictor(Wire):
    model: _Model = msgspec.field(default_factory=_Model)


class _Spec(Wire):
    predictor: _Predictor = msgspec.field(default_factory=_Predictor)


_SPECS = msgspec.json.Decoder(_Spec)


def runtime_of(live: InferenceService) -> str:
    """Return the name of its runtime; "" where it names none or its spec is not readable."""
    try:
        return _SPECS.decode(live.spec).predictor.model.runtime
    except UNREADABLE:
        return ""
