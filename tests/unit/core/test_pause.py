"""The pause switch: what it takes, and what a paused object goes on saying."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus
from aim_operator.core import conditions, labels
from aim_operator.core.pause import is_paused, paused_report
from tests.support.template_builders import NOW, make_template

READY = {"type": "Ready", "status": "True", "reason": "Available", "message": "m", "observedGeneration": 3}


def template(value: str, **status: Any) -> Any:
    return make_template(metadata={"annotations": {labels.PAUSED: value}}, **status)


@pytest.mark.parametrize(("value", "want"), [("true", True), ("True", True), ("false", False), ("", False)])
def test_which_values_pause(value: str, *, want: bool) -> None:
    assert is_paused(template(value)) is want


def test_a_paused_object_says_so_beside_what_it_said_before_and_then_nothing_more() -> None:
    told: Any = {"conditions": [READY]}
    paused = template("true", status=told)
    report = paused_report(paused, AIMServiceTemplateStatus(), NOW)
    assert report is not None
    assert [each.type for each in report.status.conditions] == ["Ready", "Paused"]
    again = structs.replace(paused, status=report.status)
    later = paused_report(again, AIMServiceTemplateStatus(), NOW.replace(year=2030))
    assert later is not None
    assert later.status == report.status
    since = conditions.find(later.status.conditions, "Paused")
    assert since is not None
    assert since.last_transition_time == conditions.timestamp(NOW)
