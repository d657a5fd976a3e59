"""KServe as many platforms have it: it makes HTTPRoutes of its own, one of which has the name of ours."""

from __future__ import annotations

import json

from hack.cluster.cluster import Cluster


def let_kserve_make_routes(cluster: Cluster) -> None:
    """Change its configuration, which it reads at each reconcile."""
    path = "/api/v1/namespaces/kserve/configmaps/inferenceservice-config"
    ingress = json.loads(cluster.api.get(path)["data"]["ingress"])
    ingress |= {"enableGatewayApi": True, "disableIngressCreation": False}
    patch = json.dumps({"data": {"ingress": json.dumps(ingress)}})
    cluster.kubectl("patch", "configmap", "inferenceservice-config", "-n=kserve", "--type=merge", "-p", patch)


def route_owner(cluster: Cluster, namespace: str, name: str) -> str:
    """Return the kind that controls the HTTPRoute of a service's name; "" where there is none."""
    owner = "jsonpath={.metadata.ownerReferences[*].kind}"
    return cluster.kubectl(
        "get", "httproute", name, f"--namespace={namespace}", "--ignore-not-found", "-o", owner
    ).strip()
