"""Who else writes how many copies there are: Kubernetes' HPA and KEDA's ScaledObject."""

from __future__ import annotations

from aim_operator.api.external.shapes import ConditionedStatus, OwnedObject
from aim_operator.api.meta import KubeObject
from aim_operator.api.resource import Resource


class HorizontalPodAutoscaler(KubeObject):
    """One that KServe makes of an InferenceService, whose labels it has."""

    status: ConditionedStatus | None = None


class ScaledObject(OwnedObject):
    status: ConditionedStatus | None = None


HORIZONTAL_POD_AUTOSCALERS = Resource(
    group="autoscaling",
    version="v2",
    plural="horizontalpodautoscalers",
    kind="HorizontalPodAutoscaler",
    namespaced=True,
    type=HorizontalPodAutoscaler,
)
SCALED_OBJECTS = Resource(
    group="keda.sh",
    version="v1alpha1",
    plural="scaledobjects",
    kind="ScaledObject",
    namespaced=True,
    type=ScaledObject,
)
