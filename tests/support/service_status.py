"""What holds for every status of a service, whatever it says."""

from __future__ import annotations

from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1 import AIMServiceStatus
from aim_operator.api.v1alpha1 import conditions as c

_ALWAYS = (c.RESOLVED, c.CACHE_READY, c.RUNTIME_READY, c.READY, c.PROGRESSING, c.FAILURE)
_SUMMARY = {
    "Pending": ("False", "True", "False"),
    "Starting": ("False", "True", "False"),
    "Running": ("True", "False", "False"),
    "Failed": ("False", "False", "True"),
    "Stopped": ("False", "False", "False"),
    "Degraded": ("False", "False", "True"),
}


def condition_of(status: AIMServiceStatus, type_: str) -> Condition:
    """Return the condition of this type, which must be there."""
    return next(condition for condition in status.conditions or () if condition.type == type_)


def told(status: AIMServiceStatus, type_: str) -> tuple[str, str]:
    """Return status and reason of a condition."""
    condition = condition_of(status, type_)
    return condition.status, condition.reason


def assert_service_status_well_formed(status: AIMServiceStatus | None, *, generation: int = 1) -> None:
    """Check that state and conditions agree, and that every condition is complete."""
    assert status is not None
    assert status.observed_generation == generation
    conditions = status.conditions or ()
    types = [condition.type for condition in conditions]
    assert len(types) == len(set(types)), "each type once"
    assert set(types) - {c.ROUTING_READY, c.FITS} == set(_ALWAYS)
    for condition in conditions:
        assert condition.status in {"True", "False"}
        assert condition.reason, condition
        assert condition.message, condition
        assert "\n" not in condition.message
        assert condition.last_transition_time is not None
        assert condition.observed_generation == generation
    summary = [condition_of(status, type_) for type_ in (c.READY, c.PROGRESSING, c.FAILURE)]
    ready, progressing, failure = _SUMMARY[str(status.status)]
    if told(status, c.RUNTIME_READY) == ("True", "RollingOut"):
        progressing = "True"
    assert tuple(condition.status for condition in summary) == (ready, progressing, failure)
    assert len({(condition.reason, condition.message) for condition in summary}) == 1
