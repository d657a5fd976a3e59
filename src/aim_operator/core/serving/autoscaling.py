"""Who writes the number of copies, and what it is told: KServe, an HPA of KServe's, or KEDA.

There is one writer at a time, chosen by KServe's autoscaler class (docs/adr/0022): `none`, KServe writes the
number of the InferenceService; `hpa`, KServe makes an HPA and leaves the number alone; `external`, it makes
none and leaves it alone, and a ScaledObject of ours has KEDA write it.
"""

from __future__ import annotations

from aim_operator.api.external import SCALED_OBJECTS, Deployment
from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import AIMService, Autoscaling, ScalingMetric
from aim_operator.api.v1alpha1.autoscaling import RESOURCE_METRICS
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.core import labels
from aim_operator.core.catalog import kind_of
from aim_operator.core.manifests import child, owner_reference

NONE, HPA, EXTERNAL = "none", "hpa", "external"
CLASS = "serving.kserve.io/autoscalerClass"
STOP = "serving.kserve.io/stop"
_PREDICTOR = "-predictor"


def autoscaler_class(service: AIMService) -> str:
    """Return KServe's class for a service."""
    autoscaling = service.spec.autoscaling
    if autoscaling is None:
        return NONE
    return HPA if all(each.type in RESOURCE_METRICS for each in autoscaling.metrics) else EXTERNAL


def scaling_annotations(service: AIMService, deployment: Deployment | None, *, keda: bool) -> dict[str, str]:
    """Return what tells KServe who writes the number of copies, and whether there is to be a Deployment.

    With an autoscaler KServe never writes it, and an HPA leaves what is at zero alone: to be stopped and to
    be started again, the Deployment is deleted, which KServe's stop annotation does, and made anew with one
    Pod.
    """
    own_class = autoscaler_class(service)
    out = {CLASS: own_class}
    if own_class == NONE:
        return out
    at_zero = deployment is not None and deployment.spec.replicas == 0
    stuck = at_zero and (own_class == HPA or not keda)
    return {**out, STOP: "true"} if service.spec.replicas == 0 or stuck else out


def bounds(service: AIMService) -> Manifest:
    """Return the fields of the predictor that say how many copies there are."""
    autoscaling = service.spec.autoscaling
    if autoscaling is None:
        return {"minReplicas": service.spec.replicas, "maxReplicas": service.spec.replicas}
    out: Manifest = {"minReplicas": fewest(autoscaling), "maxReplicas": autoscaling.max_replicas}
    if autoscaler_class(service) == HPA:
        out["autoScaling"] = {"metrics": [_resource_metric(each) for each in autoscaling.metrics]}
    return out


def fewest(autoscaling: Autoscaling) -> int:
    return 1 if autoscaling.min_replicas is None else autoscaling.min_replicas


def scaled_object(service: AIMService, prometheus: str) -> Child | None:
    """Render what KEDA scales by; None where it is not to, or the service is stopped."""
    autoscaling = service.spec.autoscaling
    if autoscaling is None or autoscaler_class(service) != EXTERNAL or service.spec.replicas == 0:
        return None
    namespace, name = service.metadata.namespace, service.metadata.name
    return child(
        SCALED_OBJECTS,
        metadata={
            "name": name,
            "namespace": namespace,
            "labels": {
                labels.NAME: "aim-service",
                labels.COMPONENT: "autoscaling",
                labels.MANAGED_BY: labels.CONTROLLER,
            },
            "ownerReferences": [owner_reference(API_VERSION, kind_of(service), service.metadata)],
        },
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}{_PREDICTOR}"},
            "minReplicaCount": fewest(autoscaling),
            "maxReplicaCount": autoscaling.max_replicas,
            "triggers": [_trigger(each, namespace, name, prometheus) for each in autoscaling.metrics],
        },
    )


def _trigger(metric: ScalingMetric, namespace: str, name: str, prometheus: str) -> Manifest:
    if metric.type in RESOURCE_METRICS:
        value = {"value": str(metric.target)}
        return {"type": metric.type.lower(), "metricType": "Utilization", "metadata": value}
    pods = f'{{namespace="{namespace}",pod=~"{name}-predictor-[a-z0-9]+-[a-z0-9]+"}}'
    # An average over copies is compared as it is, a sum is divided by their number.
    kind, query = "AverageValue", metric.query or ""
    if metric.type == "QueueLength":
        query = f"sum(vllm:num_requests_waiting{pods})"
    elif metric.type == "CacheUsage":
        # The name before and since vLLM 0.10.
        usage = f"vllm:kv_cache_usage_perc{pods} or vllm:gpu_cache_usage_perc{pods}"
        kind, query = "Value", f"100 * avg({usage})"
    return {
        "type": "prometheus",
        "metricType": kind,
        "metadata": {"serverAddress": prometheus, "query": query, "threshold": str(metric.target)},
    }


def _resource_metric(metric: ScalingMetric) -> Manifest:
    target = {"type": "Utilization", "averageUtilization": metric.target}
    return {"type": "Resource", "resource": {"name": metric.type.lower(), "target": target}}
