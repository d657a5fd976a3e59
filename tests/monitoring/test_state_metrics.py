"""What kube-state-metrics is told of our kinds is there: each path leads to a field of the CRD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from aim_operator.api.crd import all_crds

CONFIG = Path(__file__).parents[2] / "deploy" / "kube-state-metrics.yaml"
KINDS: dict[str, dict[str, Any]] = {crd["spec"]["names"]["kind"]: crd["spec"] for crd in all_crds()}


def leads_somewhere(schema: dict[str, Any], path: list[str]) -> bool:
    for step in path:
        schema = schema.get("items", schema).get("properties", {}).get(step, {})
    return bool(schema)


def test_every_kind_is_shown_once_in_the_version_that_is_served() -> None:
    shown = yaml.safe_load(CONFIG.read_text())["spec"]["resources"]
    assert [each["groupVersionKind"]["kind"] for each in shown] == list(KINDS)
    for each in shown:
        spec = KINDS[each["groupVersionKind"]["kind"]]
        versions = [version["name"] for version in spec["versions"]]
        assert (each["groupVersionKind"]["group"], [each["groupVersionKind"]["version"]]) == (
            spec["group"],
            versions,
        )
        assert ("namespace" in each["labelsFromPath"]) == (spec["scope"] == "Namespaced")


def test_every_path_leads_to_a_field() -> None:
    for each in yaml.safe_load(CONFIG.read_text())["spec"]["resources"]:
        (version,) = KINDS[each["groupVersionKind"]["kind"]]["versions"]
        schema = version["schema"]["openAPIV3Schema"]
        names = [metric["name"] for metric in each["metrics"]]
        assert len(names) == len(set(names))
        for metric in each["metrics"]:
            source = metric["each"].get("gauge") or metric["each"]["stateSet"]
            below = [source.get("valueFrom", []), *source.get("labelsFromPath", {}).values()]
            assert all(leads_somewhere(schema, source["path"] + path) for path in below), metric


def test_a_status_that_is_missing_is_no_error() -> None:
    """A new object has none; `nilIsZero` keeps kube-state-metrics from logging it each time."""
    (services,) = (
        each
        for each in yaml.safe_load(CONFIG.read_text())["spec"]["resources"]
        if each["groupVersionKind"]["kind"] == "AIMService"
    )
    copies = [metric for metric in services["metrics"] if "replica" in metric["name"]]
    assert len(copies) == 3
    assert all(metric["each"]["gauge"]["nilIsZero"] for metric in copies)
