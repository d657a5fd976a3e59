"""docs/reference/metrics.md: every metric that an operator registers, with its labels."""

from __future__ import annotations

from aim_operator.app import Operator
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.metrics import Described, Metrics
from aim_operator.sandbox import Sandbox
from aim_operator.settings import Settings
from hack.reference.text import HEADER, prose

LABELS = {
    "code": "HTTP status code of the answer; 0 where none came.",
    "controller": "`images`, `runtimeconfigs`, `templates`, `services` and so on: one per sort of object.",
    "gpu": "The extended resource, such as `amd.com/gpu`; the ten with the most GPUs, and `(others)`.",
    "namespace": "The ten namespaces with the most bytes; `(others)` for all others together; empty for "
    "objects that have none.",
    "reason": "That of the Ready condition, as in [reasons](reasons.md); `(new)` before the first status, "
    "`(other)` for what the operator never writes.",
    "resource": "A kind as RBAC spells it, such as `jobs.batch`.",
    "result": "`ok`; `requeued`, due again at a time; `conflict`, the cache was behind; `throttled`, told to "
    "wait by the API server; `unavailable`; `not_installed`, a CRD is missing; `invalid`, refused until the "
    "object changes; `forbidden`, a permission is missing; `not_leader`; `error`; `cancelled`, by a stop. "
    "Of Jobs: `complete` or `failed`.",
    "state": "Of Jobs: `running`, or `waiting` for a slot. Of copies and GPUs: `desired` by the spec or an "
    "autoscaler, `existing`, and `ready` to answer requests.",
    "status": "As in the object's status; `(new)` before the first one, `(other)` for what is none of "
    "the operator's.",
    "task": "`discovery` or `download`; the Job that asks a source for its sizes is a download too.",
    "verb": "`get`, `list`, `watch`, `apply`, `patch`, `delete` and so on.",
    "why": "`rate`, too many about one object; `queue`, too many at once; "
    "`refused`, the API server would not take it; `gone`, its namespace ends; `error`; "
    "`stop`, not written before the operator ended.",
}
"""What the values of each label mean."""

INTRODUCTION = """\
`aimctl run --metrics-address :8080` serves them at `/metrics` in Prometheus' text format. Gauges are read \
when they are scraped; an operator at rest does no work for them. A standby serves them too; its queues and \
slots (`aim_queue_…`, `aim_discoveries`, `aim_downloads`) show what it would do: look at those of the leader.

Prometheus renames the label `namespace` of `aim_cached_…` to `exported_namespace`, because it sets
`namespace` itself.

A histogram `x` is exposed as `x_bucket`, `x_sum` and `x_count`.
"""


def text() -> str:
    """Return the page."""
    found = registered()
    labels = sorted({label for metric in found for label in metric.labels})
    parts = [f"{HEADER}# Metrics\n", INTRODUCTION, *map(_metric, sorted(found, key=lambda m: m.name))]
    parts += ["\n## Labels\n", *(f"- `{label}`: {LABELS[label]}" for label in labels)]
    return "\n".join(parts) + "\n"


def registered() -> list[Described]:
    """Return what an operator exposes, as it does in a cluster."""
    metrics = Metrics()
    Operator(Sandbox(SystemClock()).client(), Settings(), metrics=metrics)
    return metrics.described()


def _metric(metric: Described) -> str:
    labels = f" by {', '.join(f'`{label}`' for label in metric.labels)}" if metric.labels else ""
    return f"- `{metric.name}` ({metric.type}{labels}): {prose(metric.help_text)}."
