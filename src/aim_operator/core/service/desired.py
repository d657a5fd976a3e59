"""A service's HTTPRoute. Its InferenceService is rendered in core/serving/workload.py."""

from __future__ import annotations

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, Pod
from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import AIMService
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.api.v1alpha1.gateway import LEFT_TO_THE_GATEWAY
from aim_operator.core import labels
from aim_operator.core.catalog import kind_of
from aim_operator.core.manifests import child, owner_reference, plain
from aim_operator.core.service.route import Route

PREDICTOR = "-predictor"
PREDICTOR_PORT = 80


def predictor_service(name: str) -> str:
    """Return the name of the Service, and of the Deployment, that KServe makes for the predictor."""
    return f"{name}{PREDICTOR}"


def is_of_predictor(pod: Pod, name: str) -> bool:
    """Whether a Pod with the labels of that service is not one of somebody's copy of its Deployment.

    One that nothing controls counts: by its labels a ReplicaSet takes it over, and it gets requests.
    """
    owner = pod.metadata.controller()
    return owner is None or owner.name.rpartition("-")[0] == predictor_service(name)


def http_route(service: AIMService, route: Route, *, name: str | None = None) -> Child:
    """Render the HTTPRoute: the path prefix is cut off before the request reaches the model server.

    `name` None: it is called as the service.
    """
    rule: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": route.path}}],
        "filters": [
            {
                "type": "URLRewrite",
                "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
            }
        ],
        "backendRefs": [
            {"name": predictor_service(service.metadata.name), "port": PREDICTOR_PORT, "kind": "Service"}
        ],
    }
    if route.request_timeout != LEFT_TO_THE_GATEWAY:
        rule["timeouts"] = {"request": route.request_timeout}
    metadata: Manifest = {
        "name": name or service.metadata.name,
        "namespace": service.metadata.namespace,
        "labels": {
            labels.NAME: "aim-service",
            labels.COMPONENT: "route",
            labels.MANAGED_BY: labels.CONTROLLER,
        },
        "ownerReferences": [owner_reference(API_VERSION, kind_of(service), service.metadata)],
    }
    if route.annotations:
        metadata["annotations"] = dict(route.annotations)
    hostnames = {"hostnames": list(route.hosts)} if route.hosts else {}
    return child(
        HTTP_ROUTES,
        # Under a stranger's InferenceService it would lead to the stranger's model.
        after=INFERENCE_SERVICES.kind,
        metadata=metadata,
        spec={"parentRefs": plain(route.gateways), **hostnames, "rules": [rule]},
    )
