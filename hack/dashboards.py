"""Grafana's dashboards in charts/aim-operator/files/dashboards/: panels as a table, JSON by `make generate`.

Metrics of the operator have a label `job` of its release, those of model servers `namespace` and `service`,
which the chart's PodMonitor gives them. tests/monitoring/test_dashboards.py asks Prometheus each query.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

SOURCE = {"type": "prometheus", "uid": "${source}"}
OURS = 'job=~"$job"'
LEADS = f"and on (job, namespace, pod) aim_leader{{{OURS}}} == 1"
"""Queues and slots of a standby show what it would do."""
SERVED = 'namespace=~"$namespace", service=~"$service"'
WIDTH = 24
HEIGHT = 7


class Panel(NamedTuple):
    """One picture. `queries` are expressions by legend."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    width: int = 8
    sort: Literal["timeseries", "stat"] = "timeseries"
    about: str = ""
    exemplars: bool = False
    """Whether to show those of the query's histogram."""


def files() -> dict[str, str]:
    """Return the text of each file by name."""
    return {
        "aim-platform.json": _text("aim-platform", "AIM platform", PLATFORM, [_job()]),
        "aim-service.json": _text("aim-service", "AIM service", SERVICE, [_namespace(), _service()]),
    }


def _max(metric: str, by: str, labels: str = "") -> str:
    """Every replica counts the same objects: not a sum."""
    return f"max by ({by}) ({metric}{{{', '.join(filter(None, (OURS, labels)))}}})"


def _quantile(share: float, metric: str, labels: str, by: str = "") -> str:
    groups = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, sum by ({groups}) (rate({metric}_bucket{{{labels}}}[5m])))"


def _latency(title: str, metric: str) -> Panel:
    """A model server's half and 99 % of a time."""
    shares = {f"{share:.0%}": _quantile(share, metric, SERVED) for share in (0.5, 0.99)}
    return Panel(title, shares, unit="s", width=12)


_SERVICES = 'resource="aimservices.aim.silogen.ai"'
PLATFORM = [
    Panel(
        "Services",
        {"{{status}}": f"sum by (status) ({_max('aim_objects', 'status, reason', _SERVICES)})"},
        sort="stat",
    ),
    Panel(
        "Replicas", {"{{state}}": _max("aim_replicas", "state")}, sort="stat", about="Of all model servers."
    ),
    Panel("GPUs", {"{{gpu}} {{state}}": _max("aim_gpus", "gpu, state")}, sort="stat"),
    Panel(
        "Services by reason",
        {"{{status}}: {{reason}}": _max("aim_objects", "status, reason", _SERVICES)},
        width=12,
        about="docs/reference/reasons.md says what each means and what to do.",
    ),
    Panel(
        "Catalog and caches that are not well",
        {
            "{{resource}}: {{reason}}": _max(
                "aim_objects", "resource, reason", 'status=~"Degraded|Failed", resource!~"aimservices.*"'
            )
            + " > 0 or vector(0)"
        },
        width=12,
    ),
    Panel(
        "Discoveries and downloads",
        {
            "discoveries {{state}}": f"max by (state) (aim_discoveries{{{OURS}}} {LEADS})",
            "downloads {{state}}": f"max by (state) (aim_downloads{{{OURS}}} {LEADS})",
        },
    ),
    Panel(
        "How long Jobs take, 90 %",
        {"{{task}} {{result}}": _quantile(0.9, "aim_job_seconds", OURS, "task, result") + " or vector(0)"},
        unit="s",
    ),
    Panel(
        "Bytes of cached models",
        {"{{status}}": _max("aim_model_cache_bytes", "status") + " or vector(0)"},
        unit="bytes",
    ),
    Panel(
        "Reconciles by result",
        {"{{result}}": f"sum by (result) (rate(aim_reconciles_total{{{OURS}}}[5m]))"},
        unit="ops",
    ),
    Panel(
        "The first in each queue has waited",
        {"{{controller}}": f"max by (controller) (aim_queue_age_seconds{{{OURS}}} {LEADS})"},
        unit="s",
    ),
    Panel(
        "The API server was last heard of",
        {"{{resource}}": _max("aim_watch_age_seconds", "resource")},
        unit="s",
    ),
    Panel(
        "API calls by answer",
        {"{{code}}": f"sum by (code) (rate(aim_api_calls_total{{{OURS}}}[5m])) or vector(0)"},
        unit="ops",
    ),
    Panel(
        "API calls, 99 %",
        {"{{verb}}": _quantile(0.99, "aim_api_call_seconds", OURS, "verb") + " or vector(0)"},
        unit="s",
    ),
    Panel(
        "Replicas of the operator",
        {"leaders": f"sum(aim_leader{{{OURS}}})", "all": f"count(aim_leader{{{OURS}}})"},
    ),
    Panel(
        "Reconciles, 99 %",
        {"{{controller}}": _quantile(0.99, "aim_reconcile_seconds", OURS, "controller")},
        unit="s",
        width=24,
        about="With traces, its points are single reconciles and lead to theirs.",
        exemplars=True,
    ),
]
_FINISHED = f"rate(vllm:request_success_total{{{SERVED}}}[5m])"
_BY_POD = "by (pod)"
SERVICE = [
    Panel(
        "Running requests",
        {"{{pod}}": f"sum {_BY_POD} (vllm:num_requests_running{{{SERVED}}})"},
    ),
    Panel(
        "Waiting requests",
        {"{{pod}}": f"sum {_BY_POD} (vllm:num_requests_waiting{{{SERVED}}})"},
        about="Requests in the queue: the model server has no room for more at once.",
    ),
    Panel(
        "KV cache in use",
        {"{{pod}}": f"max {_BY_POD} (vllm:kv_cache_usage_perc{{{SERVED}}})"},
        unit="percentunit",
        about="At 100 % requests wait, or are computed anew.",
    ),
    Panel(
        "Finished requests by reason",
        {"{{finished_reason}}": f"sum by (finished_reason) ({_FINISHED})"},
        unit="reqps",
    ),
    Panel("Prompt tokens a second", {"all": f"sum(rate(vllm:prompt_tokens_total{{{SERVED}}}[5m]))"}),
    Panel("Generated tokens a second", {"all": f"sum(rate(vllm:generation_tokens_total{{{SERVED}}}[5m]))"}),
    _latency("Time to the first token", "vllm:time_to_first_token_seconds"),
    _latency("Time to the whole answer", "vllm:e2e_request_latency_seconds"),
]


def _text(uid: str, title: str, panels: list[Panel], variables: list[dict[str, Any]]) -> str:
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    board = {
        "uid": uid,
        "title": title,
        "tags": ["aim"],
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "panels": _placed(panels),
    }
    return json.dumps(board, indent=1) + "\n"


def _placed(panels: list[Panel]) -> list[dict[str, Any]]:
    """Lay them out in rows, from the left."""
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y = 0, y + HEIGHT
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": HEIGHT}))
        x += panel.width
    return placed


def _panel(number: int, panel: Panel, position: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
            **({"exemplar": True} if panel.exemplars else {}),
        }
        for index, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.sort,
        "title": panel.title,
        **({"description": panel.about} if panel.about else {}),
        "datasource": SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _job() -> dict[str, Any]:
    return _variable("job", "Release", "label_values(aim_leader, job)")


def _namespace() -> dict[str, Any]:
    return _variable("namespace", "Namespace", "label_values(vllm:num_requests_running, namespace)")


def _service() -> dict[str, Any]:
    query = 'label_values(vllm:num_requests_running{namespace=~"$namespace"}, service)'
    return _variable("service", "Service", query)
