"""The alerts' rules: Prometheus takes them; each fires when it is due, not before, and has a runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aim_operator.api.v1alpha1 import ALL_KINDS
from hack.reference.metrics import registered
from tests.support.prometheus import RULES, promtool

DOCS = Path(__file__).parents[2] / "docs" / "operations" / "alerts.md"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
POD = 'job="aim-operator-metrics", namespace="aim", pod="a"'
SERVICES = 'resource="aimservices.aim.silogen.ai"'
LEADS = f"aim_leader{{{POD}}}"
BAD: dict[str, dict[str, str]] = {
    "AimOperatorAbsent": {f"up{{{POD}}}": "0x600"},
    "AimOperatorNoLeader": {LEADS: "0x600"},
    "AimOperatorQueueStuck": {
        LEADS: "1x600",
        f'aim_queue_age_seconds{{{POD}, controller="images"}}': "301x600",
    },
    "AimOperatorWatchStale": {f'aim_watch_age_seconds{{{POD}, resource="pods"}}': "301x600"},
    "AimOperatorApiErrors": {
        f'aim_api_calls_total{{{POD}, verb="get", code="200"}}': "0+80x600",
        f'aim_api_calls_total{{{POD}, verb="get", code="0"}}': "0+10x600",
        f'aim_api_calls_total{{{POD}, verb="get", code="503"}}': "0+10x600",
    },
    "AimOperatorForbidden": {
        f'aim_reconciles_total{{{POD}, controller="images", result="forbidden"}}': "0+1x600"
    },
    "AimOperatorReconcileErrors": {
        f'aim_reconciles_total{{{POD}, controller="images", result="error"}}': "0+1x600"
    },
    "AimOperatorUnreadableObjects": {f"aim_unreadable_objects{{{POD}, {SERVICES}}}": "1x600"},
    "AimOperatorNamespacesSlowed": {f"aim_slowed_namespaces{{{POD}}}": "1x600"},
    "AimServicesDegraded": {
        f'aim_objects{{{POD}, {SERVICES}, status="Degraded", reason="ImageNotFound"}}': "2x600"
    },
    "AimServicesSlowToStart": {
        f'aim_objects_longest_seconds{{{POD}, {SERVICES}, status="Starting", reason="Loading"}}': "0+60x600"
    },
    "AimReplicasMissing": {
        f'aim_replicas{{{POD}, state="ready"}}': "8x600",
        f'aim_replicas{{{POD}, state="desired"}}': "9x600",
    },
    "AimCatalogDegraded": {
        f'aim_objects{{{POD}, resource="aimclusterservicetemplates.aim.silogen.ai",'
        ' status="Failed", reason="JobFailed"}': "1x600"
    },
    "AimCachesFailed": {
        f'aim_objects{{{POD}, resource="aimmodelcaches.aim.silogen.ai",'
        ' status="Failed", reason="DownloadFailed"}': "1x600"
    },
    "AimDiscoveriesWaiting": {LEADS: "1x600", f'aim_discoveries{{{POD}, state="waiting"}}': "1x600"},
    "AimDownloadsWaiting": {LEADS: "1x600", f'aim_downloads{{{POD}, state="waiting"}}': "1x600"},
}
"""The series, one value a minute, of an operator in the state of each alert."""
FINE = {
    LEADS: "1x600",
    f'aim_queue_age_seconds{{{POD}, controller="images"}}': "299x600",
    f'aim_queue_age_seconds{{{POD.replace("a", "b")}, controller="images"}}': "9999x600",
    f'aim_watch_age_seconds{{{POD}, resource="pods"}}': "299x600",
    f'aim_api_calls_total{{{POD}, verb="get", code="200"}}': "0+95x600",
    f'aim_api_calls_total{{{POD}, verb="get", code="503"}}': "0+5x600",
    f'aim_reconciles_total{{{POD}, controller="images", result="forbidden"}}': "7x600",
    f'aim_reconciles_total{{{POD}, controller="images", result="error"}}': "7x600",
    f"aim_unreadable_objects{{{POD}, {SERVICES}}}": "0x600",
    f"aim_slowed_namespaces{{{POD}}}": "0x600",
    f'aim_objects{{{POD}, {SERVICES}, status="Running", reason="Ready"}}': "2x600",
    f'aim_objects{{{POD}, {SERVICES}, status="Stopped", reason="Stopped"}}': "2x600",
    f'aim_objects_longest_seconds{{{POD}, {SERVICES}, status="Running", reason="Ready"}}': "0+60x600",
    f'aim_replicas{{{POD}, state="ready"}}': "9x600",
    f'aim_replicas{{{POD}, state="desired"}}': "10x600",
    f'aim_discoveries{{{POD}, state="waiting"}}': "0x600",
    f'aim_downloads{{{POD}, state="running"}}': "3x600",
}
"""Just not bad enough; the second Pod stands by."""
APART = ("AimOperatorAbsent", "AimOperatorNoLeader", "AimDiscoveriesWaiting", "AimDownloadsWaiting")
"""Those that go with no other, or are due so late that all others would take minutes more."""
DUE = {
    "AimServicesSlowToStart": 61,
    "AimOperatorApiErrors": 11,
    "AimOperatorForbidden": 6,
    "AimOperatorReconcileErrors": 16,
}
"""The minute in which an alert is due whose condition is not there from the start; else its `for`."""


def minutes(rule: dict[str, Any]) -> int:
    number, unit = re.fullmatch(r"(\d+)([mh])", rule.get("for", "0m")).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 1, "h": 60}[unit]


def after(rule: dict[str, Any]) -> str:
    """Return how a runbook says a rule's `for`; nothing where it has none."""
    held = minutes(rule)
    return "" if held == 0 else f", after {held} minutes" if held <= 60 else f", after {held // 60} hours"


def series(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": value} for name, value in values.items()]


def counted(name: str, minute: int, number: int) -> dict[str, Any]:
    """Return a test of promtool's: how many alerts of that name fire then."""
    expression = f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)'
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": number}]}


@pytest.mark.needs_prometheus
def test_each_alert_fires_at_its_time_and_not_before_and_none_where_all_is_fine(tmp_path: Path) -> None:
    apart = {name: {name: BAD[name]} for name in APART}
    together = {name: values for name, values in BAD.items() if name not in apart}
    cases: list[dict[str, Any]] = []
    for group in (*apart.values(), together):
        tests: list[dict[str, Any]] = []
        for name in group:
            due = DUE.get(name, minutes(ALERTS[name]))
            tests += [counted(name, due - 1, 0), counted(name, due, 1), counted(name, due + 5, 1)]
        given = {name: values for each in group.values() for name, values in each.items()}
        cases.append({"interval": "1m", "input_series": series(given), "promql_expr_test": tests})
    none = {"expr": "count(ALERTS) or vector(0)", "exp_samples": [{"labels": "{}", "value": 0}]}
    quiet = [{**none, "eval_time": f"{minute}m"} for minute in (1, 70)]
    cases.append({"interval": "1m", "input_series": series(FINE), "promql_expr_test": quiet})
    path = tmp_path / "tests.yaml"
    file = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}
    path.write_text(yaml.safe_dump(file))
    assert "SUCCESS" in promtool("test", "rules", path)


@pytest.mark.needs_prometheus
def test_prometheus_takes_the_rules() -> None:
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", RULES)


def test_the_rules_ask_for_metrics_and_labels_that_there_are() -> None:
    known = {metric.name: set(metric.labels) for metric in registered()}
    for name, rule in ALERTS.items():
        asked = re.findall(r"(aim_\w+){([^}]*)}", rule["expr"])
        assert asked, name
        for metric, labels in asked:
            assert set(re.findall(r"(\w+)=", labels)) <= known[metric] | {"job"}, name


def test_the_rules_name_kinds_that_there_are() -> None:
    kinds = {resource.qualified for resource in ALL_KINDS}
    patterns = set(re.findall(r'resource=~?"([^"]+)"', RULES.read_text()))
    matched = {kind for kind in kinds for pattern in patterns if re.fullmatch(pattern, kind)}
    assert matched == kinds


def test_each_alert_says_what_is_wrong_how_urgent_it_is_and_has_a_runbook() -> None:
    headings = re.findall(r"^### (\w+)$", DOCS.read_text(), re.MULTILINE)
    assert headings == list(ALERTS)
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_each_runbook_says_how_urgent_the_alert_is_and_for_how_long_it_must_hold_as_the_rule_does() -> None:
    said = dict(re.findall(r"^### (\w+)\n\n\*([^*]+)\.\*", DOCS.read_text(), re.MULTILINE))
    assert said == {name: f"{rule['labels']['severity']}{after(rule)}" for name, rule in ALERTS.items()}
