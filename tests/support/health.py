"""What GitOps programs make of an object: kstatus by its own rules, and the checks of docs/guides/gitops.md.

kstatus is sigs.k8s.io/cli-utils v0.37.2, pkg/kstatus/status: checkGenericProperties, then, for kinds that it
does not know, checkReadyCondition. The checks of Flux are evaluated in the order of its StatusEvaluator
(fluxcd/pkg, runtime/cel), those of Argo CD by Lua 5.1, which gopher-lua implements.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cel
import lupa.lua51
import yaml
from markdown_it import MarkdownIt

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "gitops.md"
Object = dict[str, Any]


def kstatus(obj: Object) -> str:
    """InProgress, Failed, Current or Terminating."""
    metadata, status = obj["metadata"], obj.get("status", {})
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if not _is_observed(obj):
        return "InProgress"
    conditions = status.get("conditions", [])
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] == "Reconciling":
            return "InProgress"
        if condition["status"] == "True" and condition["type"] == "Stalled":
            return "Failed"
    for condition in conditions:
        if condition["type"] == "Ready" and condition["status"] in ("True", "False", "Unknown"):
            return "Current" if condition["status"] == "True" else "InProgress"
    return "Current"


def flux(obj: Object) -> str:
    """What Flux says with the expressions of the page. What can't be evaluated is waited for."""
    if not _is_observed(obj):
        return "InProgress"
    checks = _flux_checks()
    for name, meaning in (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")):
        if name in checks and _holds(checks[name], obj):
            return meaning
    return "InProgress"


def argo(obj: Object) -> tuple[str, str]:
    """Health and message by the Lua of the page."""
    runtime = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    runtime.globals()["obj"] = runtime.table_from(obj, recursive=True)
    result: Any = runtime.execute(_argo_script())
    return str(result["status"]), str(result["message"])


def _is_observed(obj: Object) -> bool:
    observed, generation = obj.get("status", {}).get("observedGeneration"), obj["metadata"].get("generation")
    return observed is None or generation is None or observed == generation


def _holds(expression: str, obj: Object) -> bool:
    try:
        return cel.evaluate(expression, obj) is True
    except (RuntimeError, ValueError, TypeError, KeyError):
        return False


@cache
def _of_page(kind: str) -> Object:
    fences = [token.content for token in MarkdownIt().parse(PAGE.read_text()) if token.type == "fence"]
    (found,) = (one for one in map(yaml.safe_load, fences) if one["kind"] == kind)
    return dict(found)


@cache
def _flux_checks() -> dict[str, str]:
    (checks,) = _of_page("Kustomization")["spec"]["healthCheckExprs"]
    return {name: text for name, text in checks.items() if name not in ("apiVersion", "kind")}


@cache
def _argo_script() -> str:
    customizations = yaml.safe_load(_of_page("ConfigMap")["data"]["resource.customizations"])
    script: str = customizations["aim.silogen.ai/*"]["health.lua"]
    return script
