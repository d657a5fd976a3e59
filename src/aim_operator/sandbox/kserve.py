"""Stand-in for KServe's controller in Standard (raw) mode: InferenceServices become ready.

A service needs its runtime: a ServingRuntime of its namespace shadows a ClusterServingRuntime of the same
name. Makes the predictor's Service and its Deployment, with the counts of Pods that are not there. Built by
sandbox.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.agenda import Agenda
from aim_operator.sandbox.kinds import KindId
from aim_operator.sandbox.profiles import SandboxImage, image, plain_env
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.stand_in import StandIn, owner_reference
from aim_operator.sandbox.storage import Change, Key, Stored

INFERENCE_SERVICE = KindId("serving.kserve.io", "InferenceService")
RUNTIME = KindId("serving.kserve.io", "ServingRuntime")
CLUSTER_RUNTIME = KindId("serving.kserve.io", "ClusterServingRuntime")
SERVICE = KindId("", "Service")
DEPLOYMENT = KindId("apps", "Deployment")
AUTOSCALER = KindId("autoscaling", "HorizontalPodAutoscaler")
_AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
_NO_AUTOSCALER, _HPA = "none", "hpa"
_STOP = "serving.kserve.io/stop"
EVENT = KindId("", "Event")
ROUTE = KindId("gateway.networking.k8s.io", "HTTPRoute")
GATEWAY_OF_ITS_OWN = {"kind": "Gateway", "name": "kserve-ingress-gateway", "namespace": "kserve"}
MOST_HOST_LABEL = 63


class KServe(StandIn):
    """`broken` holds services that never become ready, by (namespace, name), and why.

    So does nothing whose image, one of `images` or made up, refuses the environment that it gets.
    """

    manager = "kserve-controller-manager"

    def __init__(
        self,
        server: SandboxServer,
        agenda: Agenda,
        *,
        images: Mapping[str, SandboxImage] | None = None,
        ready_seconds: float = 0.0,
    ) -> None:
        super().__init__(server, agenda)
        self.images = {} if images is None else images
        self.ready_seconds = ready_seconds
        self.broken: dict[tuple[str, str], str] = {}
        self.makes_routes = False
        """enableGatewayApi without disableIngressCreation: its HTTPRoute has the service's name."""
        server.storage.listen(self._changed)

    def reconcile_all(self) -> None:
        """Looks at every service again, after `broken` was changed."""
        for stored in self.all(INFERENCE_SERVICE):
            self._later(stored)

    def _changed(self, change: Change) -> None:
        if change.new.key.id in (RUNTIME, CLUSTER_RUNTIME):
            # Those that run with it, as `servingRuntimeFunc` in its controller.go chooses. For a
            # ClusterServingRuntime KServe looks at all others too, which changes nothing of them.
            for stored in self.all(INFERENCE_SERVICE):
                if _model(stored).get("runtime", "") == change.new.key.name:
                    self._later(stored)
        elif change.new.key.id in (SERVICE, DEPLOYMENT) and change.type == "DELETED":
            # It owns them, and so makes again what somebody deletes.
            for owner in change.new.obj["metadata"].get("ownerReferences") or ():
                service = self.server.storage.by_uid(owner["uid"])
                if service is not None and service.key.id == INFERENCE_SERVICE:
                    self._later(service)
        elif (
            change.new.key.id == INFERENCE_SERVICE
            and change.type != "DELETED"
            and (change.old is None or _asked(change.old) != _asked(change.new))
        ):
            self._later(change.new)

    def _later(self, stored: Stored) -> None:
        work = partial(self._look, stored.key, stored.uid)
        self.agenda.put(("kserve", "look", stored.uid), work)

    def _look(self, key: Key, uid: str) -> None:
        service = self.live(key, uid)
        if service is None or service.obj["metadata"].get("deletionTimestamp"):
            return
        runtime = self._runtime(service)
        if runtime is None:
            message = "Waiting for runtime to become available"
            self._invalid(service, "RuntimeNotRecognized", message)
            return
        if _is_template(runtime, service):
            # `buildPodSpec` in its predictor.go. What a template does when executed is not known here.
            name = runtime.key.name
            message = f"Failed to replace placeholders in serving runtime {name} Container kserve-container"
            self._invalid(service, "InvalidPredictorSpec", message)
            return
        if service.obj["metadata"].get("annotations", {}).get(_STOP) == "true":
            self._stop(service)
            return
        if refusal := _refusal(key):
            self._warn(service, refusal)
            self._not_ready(service, refusal, "ReconcileFailed")
            return
        self._make_backend(service)
        replicas = self._make_deployment(service)
        self._make_autoscaler(service)
        if not replicas or (self._is_ready(service) and not self._crash(service, runtime)):
            self._set_ready(key, uid)
            return
        self._count_pods(service, replicas, ready=0)
        message = self.broken.get((key.namespace, key.name), "") or self._crash(service, runtime)
        self._not_ready(service, message)
        if not message:
            ready = partial(self._set_ready, key, uid)
            self.agenda.put(("kserve", "ready", uid), ready, after_seconds=self.ready_seconds)

    def _runtime(self, service: Stored) -> Stored | None:
        name = _model(service).get("runtime", "")
        keys = (Key(RUNTIME, service.key.namespace, name), Key(CLUSTER_RUNTIME, "", name))
        return next((runtime for key in keys if (runtime := self.server.storage.get(key)) is not None), None)

    def _crash(self, service: Stored, runtime: Stored) -> str:
        """Why the model server ends at once: the runtime's container with what the service sets over it."""
        container = runtime.obj["spec"]["containers"][0]
        env = plain_env(container) | plain_env(_model(service))
        reference = _model(service).get("image") or container.get("image", "")
        return image(reference, env, self.images).problem(env) if reference else ""

    def _is_ready(self, service: Stored) -> bool:
        conditions = service.obj.get("status", {}).get("conditions", ())
        healthy = service.key[1:] not in self.broken
        return healthy and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def _invalid(self, service: Stored, reason: str, message: str) -> None:
        self._set(
            service,
            "False",
            message,
            {
                "transitionStatus": "InvalidSpec",
                "lastFailureInfo": {"reason": reason, "message": message},
                "states": {"activeModelState": "", "targetModelState": "Pending"},
            },
        )

    def _warn(self, service: Stored, message: str) -> None:
        """Say it in an event: 0.16 says it nowhere else."""
        about = {"kind": "InferenceService", "apiVersion": service.obj["apiVersion"], "uid": service.uid}
        event = {
            "metadata": {"generateName": f"{service.key.name}."},
            "involvedObject": {**about, "namespace": service.key.namespace, "name": service.key.name},
            "type": "Warning",
            "reason": "InternalError",
            "message": message,
            "source": {"component": "v1beta1Controllers"},
            "firstTimestamp": self.now(),
            "lastTimestamp": self.now(),
            "count": 1,
        }
        kind = self.server.kinds.of(EVENT)
        self.server.create(kind, event, namespace=service.key.namespace, manager=self.manager)

    def _not_ready(self, service: Stored, message: str, reason: str = "MinimumReplicasUnavailable") -> None:
        states = {"activeModelState": "", "targetModelState": "Pending"}
        model = {"transitionStatus": "InProgress", "lastFailureInfo": None, "states": states}
        self._set(service, "False", message or "Deployment is progressing", model, reason=reason)

    def _set_ready(self, key: Key, uid: str) -> None:
        service = self.live(key, uid)
        if service is None:
            return
        # Zero Pods are as many as are wanted: a Deployment is available then.
        replicas = self._make_deployment(service)
        if replicas and key[1:] in self.broken:
            return
        self._count_pods(service, replicas, ready=replicas)
        host = f"{key.name}-{key.namespace}.example.com"
        states = {"activeModelState": "Loaded", "targetModelState": "Loaded"}
        copies = {"failedCopies": 0, "totalCopies": replicas}
        model = {"transitionStatus": "UpToDate", "lastFailureInfo": None, "states": states, "copies": copies}
        urls = {
            "url": f"http://{host}",
            "address": {"url": f"http://{key.name}-predictor.{key.namespace}.svc.cluster.local"},
        }
        if self.makes_routes and not _is_cluster_local(service):
            self._take_route(service, host)
            self._set(service, "False", "Predictor HttpRouteNotReady", model, predictor="True")
            return
        self._set(service, "True", "", model, urls)

    def _take_route(self, service: Stored, host: str) -> None:
        """As `reconcileTopLevelHTTPRoute` does: an HTTPRoute that is there is replaced, whoever made it.

        Its gateway accepts none: the service's ingress never becomes ready, and so the service itself.
        """
        kind, namespace = self.server.kinds.of(ROUTE), service.key.namespace
        backend = {"name": f"{service.key.name}-predictor", "namespace": namespace, "port": 80}
        rule = {
            "matches": [{"path": {"type": "RegularExpression", "value": "^/.*$"}}],
            "backendRefs": [{"kind": "Service", **backend}],
        }
        route: Manifest = {
            "metadata": {
                "name": service.key.name,
                "labels": service.obj["metadata"].get("labels", {}),
                "annotations": service.obj["metadata"].get("annotations", {}),
                "ownerReferences": [owner_reference(service)],
            },
            "spec": {"hostnames": [host], "parentRefs": [GATEWAY_OF_ITS_OWN], "rules": [rule]},
        }
        before = self.server.storage.get(Key(ROUTE, namespace, service.key.name))
        if before is None:
            self.server.create(kind, route, namespace=namespace, manager=self.manager)
        elif before.obj["spec"] != route["spec"]:
            route["metadata"]["resourceVersion"] = before.obj["metadata"]["resourceVersion"]
            self.server.replace(kind, route, namespace=namespace, manager=self.manager)

    def _set(
        self,
        service: Stored,
        ready: str,
        message: str,
        model: Manifest,
        more: Manifest | None = None,
        *,
        reason: str = "MinimumReplicasUnavailable",
        predictor: str = "",
    ) -> None:
        reason = "" if ready == "True" else reason
        each = {"IngressReady": ready, "PredictorReady": predictor or ready, "Ready": ready}
        conditions = [
            self.condition(service, type_, state, *((reason, message) if state != "True" else ("", "")))
            for type_, state in each.items()
        ]
        status: Manifest = {
            "observedGeneration": service.obj["metadata"]["generation"],
            "conditions": conditions,
            "modelStatus": model,
            "deploymentMode": "Standard",
        }
        self.set_status(service, status | (more or {}))

    def _make_backend(self, service: Stored) -> None:
        name = f"{service.key.name}-predictor"
        if self.server.storage.get(Key(SERVICE, service.key.namespace, name)) is not None:
            return
        manifest = {
            "metadata": {"name": name, "ownerReferences": [owner_reference(service)]},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8000, "protocol": "TCP"}]},
        }
        kind = self.server.kinds.of(SERVICE)
        self.server.create(kind, manifest, namespace=service.key.namespace, manager=self.manager)

    def _make_deployment(self, service: Stored) -> int:
        """How many Pods it has. KServe writes their number only where no autoscaler is chosen.

        Labels and annotations of the InferenceService are the Deployment's and its Pods'
        (`createRawDefaultDeployment` and `Reconcile` in its deployment_reconciler.go).
        """
        metadata = service.obj["metadata"]
        labels = metadata.get("labels", {}) | {"serving.kserve.io/inferenceservice": service.key.name}
        annotations = metadata.get("annotations", {})
        name, namespace = f"{service.key.name}-predictor", service.key.namespace
        spec: Manifest = {"template": {"metadata": {"labels": labels, "annotations": annotations}}}
        if annotations.get(_AUTOSCALER_CLASS) == _NO_AUTOSCALER:
            spec["replicas"] = service.obj["spec"]["predictor"].get("minReplicas", 1)
        manifest = {
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owner_reference(service)],
            },
            "spec": spec,
        }
        kind = self.server.kinds.of(DEPLOYMENT)
        if self.server.storage.get(Key(DEPLOYMENT, namespace, name)) is None:
            made = self.server.create(kind, manifest, namespace=namespace, manager=self.manager)
        else:
            made = self.server.patch(kind, name, manifest, namespace=namespace, manager=self.manager)
        replicas: int = made.obj["spec"]["replicas"]
        return replicas

    def _make_autoscaler(self, service: Stored) -> None:
        """Make or take away the HPA, named as the Deployment is (`createHPA` in its hpa_reconciler.go)."""
        metadata, predictor = service.obj["metadata"], service.obj["spec"]["predictor"]
        name, namespace = f"{service.key.name}-predictor", service.key.namespace
        kind, live = (
            self.server.kinds.of(AUTOSCALER),
            self.server.storage.get(Key(AUTOSCALER, namespace, name)),
        )
        if metadata.get("annotations", {}).get(_AUTOSCALER_CLASS, _HPA) != _HPA:
            if live is not None:
                self.server.delete(kind, name, namespace=namespace)
            return
        fewest = max(predictor.get("minReplicas", 1), 1)
        manifest = {
            "metadata": {
                "name": name,
                "labels": metadata.get("labels", {}),
                "ownerReferences": [owner_reference(service)],
            },
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": fewest,
                "maxReplicas": max(predictor.get("maxReplicas", 0), fewest),
                **predictor.get("autoScaling", {}),
            },
        }
        if live is None:
            self.server.create(kind, manifest, namespace=namespace, manager=self.manager)
        else:
            self.server.patch(kind, name, manifest, namespace=namespace, manager=self.manager)

    def _stop(self, service: Stored) -> None:
        """Delete what it made, as `GetForceStopRuntime` has its reconcilers do, and say so."""
        for id_ in (AUTOSCALER, DEPLOYMENT, SERVICE):
            key = Key(id_, service.key.namespace, f"{service.key.name}-predictor")
            if self.server.storage.get(key) is not None:
                self.server.delete(self.server.kinds.of(id_), key.name, namespace=key.namespace)
        stopped = self.condition(service, "PredictorReady", "False", "Stopped")
        ready = self.condition(service, "Ready", "False", "Stopped")
        self.set_status(service, {"conditions": [stopped, ready], "modelStatus": None, "url": None})

    def _count_pods(self, service: Stored, replicas: int, *, ready: int) -> None:
        key = Key(DEPLOYMENT, service.key.namespace, f"{service.key.name}-predictor")
        made = self.server.storage.get(key)
        if made is not None:
            status = {"replicas": replicas, "readyReplicas": ready, "updatedReplicas": replicas}
            self.set_status(made, {"observedGeneration": made.obj["metadata"]["generation"], **status})


def _asked(service: Stored) -> tuple[int, Manifest]:
    metadata = service.obj["metadata"]
    return metadata["generation"], metadata.get("annotations", {})


def _is_cluster_local(service: Stored) -> bool:
    labels = service.obj["metadata"].get("labels", {})
    return bool(labels.get("networking.kserve.io/visibility") == "cluster-local")


def _refusal(key: Key) -> str:
    """What `createRawURL` of its raw_kube_reconciler.go says, with the domain template that it ships."""
    host = f"{key.name}-predictor-{key.namespace}"
    if len(host) <= MOST_HOST_LABEL:
        return ""
    name = f"{host}.example.com"
    return (
        f'fails to create NewRawKubeReconciler for predictor: invalid domain name "{name}": '
        f'url: Invalid value: "{host}": must be no more than {MOST_HOST_LABEL} characters'
    )


def _model(service: Stored) -> Manifest:
    model: Manifest = service.obj["spec"].get("predictor", {}).get("model", {})
    return model


def _is_template(runtime: Stored, service: Stored) -> bool:
    """Whether a text of the container is one: KServe executes both, merged, as JSON."""
    executed = [runtime.obj["spec"]["containers"][0], _model(service)]
    return "{{" in json.dumps(executed, separators=(",", ":"), ensure_ascii=False)
