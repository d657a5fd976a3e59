"""What became of the children of a plan, for tests of how a status says it."""

from __future__ import annotations

from typing import Any, NamedTuple

from aim_operator.api.plan import Outcome, Outcomes, OutcomeType, Plan, Report


class Trouble(NamedTuple):
    """One child, by its kind, that could not be written, in the words of whoever was in the way."""

    kind: str
    type: OutcomeType
    words: str = ""


def problem(plan: Plan[Any], kind: str, type_: OutcomeType, words: str = "", *, name: str = "") -> Outcomes:
    """Return the outcomes of a plan where the child of that kind (and name) met with a problem.

    The others were left unchanged. The child must be in the plan: what is not tried can't fail.
    """
    hindered = [child for child in plan.children if child.kind == kind and name in ("", child.name)]
    assert hindered, f"the plan has no {kind} {name}"
    return Outcomes(
        tuple(
            Outcome(child=child, type=type_, message=words)
            if child is hindered[0]
            else Outcome(child=child, type=OutcomeType.UNCHANGED)
            for child in plan.children
        )
    )


def report_of(plan: Plan[Any], trouble: Trouble | None = None) -> Report[Any]:
    """Return what the plan says once its children were written, except for the one in trouble."""
    assert plan.report is not None
    return plan.report(problem(plan, *trouble) if trouble is not None else Outcomes())
