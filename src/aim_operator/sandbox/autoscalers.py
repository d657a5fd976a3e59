"""Stand-in for the controller of HorizontalPodAutoscalers, as far as it says whether it can measure.

Its words are those of `reconcileAutoscaler` and `computeReplicasForMetrics` in Kubernetes' horizontal.go. It
changes no number of copies: nothing is measured here. Built by sandbox.py.
"""

from __future__ import annotations

from aim_operator.sandbox.agenda import Agenda
from aim_operator.sandbox.kinds import KindId
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.stand_in import StandIn
from aim_operator.sandbox.storage import Change, Key, Stored

AUTOSCALER = KindId("autoscaling", "HorizontalPodAutoscaler")
DEPLOYMENT = KindId("apps", "Deployment")
_FAILED = (
    "the HPA was unable to compute the replica count: failed to get cpu utilization: "
    "unable to get metrics for resource cpu: "
)
_NO_SERVER = (
    "unable to fetch metrics from resource metrics API: the server could not find the requested resource "
    "(get pods.metrics.k8s.io)"
)
_NOT_MEASURED = "no metrics returned from resource metrics API"


class AutoscalerController(StandIn):
    """`metrics_server` is whether the API of metrics is served."""

    manager = "kube-controller-manager"

    def __init__(self, server: SandboxServer, agenda: Agenda) -> None:
        super().__init__(server, agenda)
        self.metrics_server = True
        server.storage.listen(self._changed)

    def sync_all(self) -> None:
        """Measures again, as it does every 15 seconds, after `metrics_server` was changed."""
        for stored in self.all(AUTOSCALER):
            self._later(stored)

    def _changed(self, change: Change) -> None:
        key = change.new.key
        if key.id not in (AUTOSCALER, DEPLOYMENT) or change.type == "DELETED":
            return
        found = self.server.storage.get(Key(AUTOSCALER, key.namespace, key.name))
        if found is not None:
            self._later(found)

    def _later(self, stored: Stored) -> None:
        def sync() -> None:
            self._sync(stored.key, stored.uid)

        self.agenda.put(("hpa", stored.uid), sync)

    def _sync(self, key: Key, uid: str) -> None:
        hpa = self.live(key, uid)
        target = self.server.storage.get(Key(DEPLOYMENT, key.namespace, key.name))
        if hpa is None or target is None:
            return
        able = self.condition(hpa, "AbleToScale", "True", "SucceededGetScale")
        if target.obj["spec"]["replicas"] == 0:
            message = "scaling is disabled since the replica count of the target is zero"
            active = self.condition(hpa, "ScalingActive", "False", "ScalingDisabled", message)
        elif not self.metrics_server or not target.obj.get("status", {}).get("readyReplicas"):
            words = _NOT_MEASURED if self.metrics_server else _NO_SERVER
            reason = "FailedGetResourceMetric"
            active = self.condition(hpa, "ScalingActive", "False", reason, f"{_FAILED}{words}")
        else:
            active = self.condition(hpa, "ScalingActive", "True", "ValidMetricFound")
        self.set_status(hpa, {"conditions": [able, active]})
