"""What every status must obey, whatever it says."""

from __future__ import annotations

import re
from typing import Protocol

from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1 import AIMServiceStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import State

_PASCAL_CASE = re.compile(r"[A-Z][A-Za-z0-9]*")
_WELL = frozenset({State.AVAILABLE, State.RUNNING, State.READY})
_ILL = frozenset({State.FAILED, State.DEGRADED})


class _Status(Protocol):
    @property
    def status(self) -> str | None: ...
    @property
    def observed_generation(self) -> int | None: ...
    @property
    def conditions(self) -> tuple[Condition, ...] | None: ...


def assert_status_well_formed(status: _Status) -> None:
    """Every condition is complete; Ready, Progressing and Failure agree with `status.status`.

    A Ready condition must be there; Progressing and Failure are checked where the kind has them.
    """
    assert status.status is not None
    assert status.observed_generation is not None
    found = status.conditions or ()
    types = [condition.type for condition in found]
    assert len(types) == len(set(types)), f"a condition type twice: {types}"
    for condition in found:
        assert _PASCAL_CASE.fullmatch(condition.type), condition
        assert condition.status in ("True", "False", "Unknown"), condition
        assert _PASCAL_CASE.fullmatch(condition.reason), condition
        assert condition.message, f"{condition.type} says nothing"
        assert condition.message.isprintable(), f"more than a line: {condition.message!r}"
        assert condition.last_transition_time, condition
        assert condition.observed_generation == status.observed_generation, condition
    state = {condition.type: condition.status for condition in found}
    assert (state[c.READY] == "True") == (status.status in _WELL), found
    if c.FAILURE in state:
        assert (state[c.FAILURE] == "True") == (status.status in _ILL), found
    if c.PROGRESSING in state and isinstance(status, AIMServiceStatus):
        # A service has states of its own for what is on its way.
        going = status.status in (State.PENDING, State.STARTING)
        assert state[c.PROGRESSING] == "True" or not going, found
    elif c.PROGRESSING in state:
        assert (state[c.PROGRESSING] == "True") == (status.status == State.PROGRESSING), found
