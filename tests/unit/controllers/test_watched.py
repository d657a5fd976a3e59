"""What of a cluster is watched: who asks for more keeps it in memory, and takes it for something else."""

from __future__ import annotations

from aim_operator.controllers.watched import Watched
from aim_operator.core import labels
from aim_operator.runtime.metrics import MetricSink
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock

IN_TEAM = """
aimimages.aim.silogen.ai team
aimclusterimages.aim.silogen.ai
aimruntimeconfigs.aim.silogen.ai own+team
aimclusterruntimeconfigs.aim.silogen.ai
aimservicetemplates.aim.silogen.ai team
aimclusterservicetemplates.aim.silogen.ai
aimservices.aim.silogen.ai team
jobs.batch own+team OURS
pods own+team OURS
events own+team involvedObject.kind=Job,reason=FailedCreate
events team involvedObject.kind=ReplicaSet,reason=FailedCreate
events team involvedObject.kind=InferenceService,type=Warning
events team involvedObject.kind=ScaledObject,reason=KEDAScalerFailed
events team involvedObject.kind=PersistentVolumeClaim,reason=ProvisioningFailed
aimtemplatecaches.aim.silogen.ai team
aimmodelcaches.aim.silogen.ai team
persistentvolumeclaims team OURS
storageclasses.storage.k8s.io
nodes
inferenceservices.serving.kserve.io team OURS
deployments.apps team OURS
horizontalpodautoscalers.autoscaling team OURS
servingruntimes.serving.kserve.io team OURS
servingruntimes.serving.kserve.io team NOT OURS
clusterservingruntimes.serving.kserve.io OURS
poddisruptionbudgets.policy team OURS
scaledobjects.keda.sh team OURS
httproutes.gateway.networking.k8s.io team OURS
httproutes.gateway.networking.k8s.io team NOT OURS
customresourcedefinitions.apiextensions.k8s.io
"""
"""Of an operator in namespace `own` that is to look after `team`: kind, namespaces, labels, fields."""


def test_what_is_watched_and_no_more() -> None:
    watched = Watched(
        FakeClient(),
        clock=VirtualClock(),
        metrics=MetricSink(),
        namespaces=("team",),
        operator_namespace="own",
    )
    shown = {labels.MANAGED_BY_CONTROLLER: "OURS", labels.NOT_MANAGED_BY_CONTROLLER: "NOT OURS"}
    rows = []
    for informer in watched.all:
        first = informer.selections[0]
        chosen = shown.get(first.label_selector, first.label_selector)
        namespaces = "+".join(each.namespace for each in informer.selections)
        words = (informer.resource.qualified, namespaces, chosen, first.field_selector)
        rows.append(" ".join(word for word in words if word))
    assert rows == IN_TEAM.split("\n")[1:-1]
