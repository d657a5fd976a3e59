"""The PodDisruptionBudget of a service: nodes that are drained take its replicas one after the other."""

from __future__ import annotations

from aim_operator.api.external import POD_DISRUPTION_BUDGETS
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import AIMService, DisruptionBudget, Serving
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.core import labels
from aim_operator.core.catalog import kind_of
from aim_operator.core.manifests import child, owner_reference
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE


def disruption_budget(service: AIMService, serving: Serving, *, replicas: int) -> Child | None:
    """Return the budget of a service that may have so many replicas; None for one, or where it is off.

    It always leaves a Pod to evict, so that no drain waits for ever: with one replica it would say nothing.
    Pods that are not ready anyway may always go.
    """
    budget = serving.disruption_budget or DisruptionBudget()
    if replicas <= 1 or budget.enabled is False:
        return None
    return child(
        POD_DISRUPTION_BUDGETS,
        metadata={
            "name": service.metadata.name,
            "namespace": service.metadata.namespace,
            "labels": {
                labels.NAME: "aim-service",
                labels.COMPONENT: "disruption-budget",
                labels.MANAGED_BY: labels.CONTROLLER,
            },
            "ownerReferences": [owner_reference(API_VERSION, kind_of(service), service.metadata)],
        },
        spec={
            "maxUnavailable": 1 if budget.max_unavailable is None else budget.max_unavailable,
            "selector": {"matchLabels": {OF_INFERENCE_SERVICE: service.metadata.name}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )
