"""On a real gateway: no request of one namespace is ever answered by the model server of another."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import catalog
from tests.support.operator_process import apply_yaml, eventually, grant_roles, running_operator, status_of

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_gateway]

VICTIM, THIEF = "the-victims-model", "the-thiefs-model"
NOBODY = "nobody"


def service(namespace: str, name: str, model: str, template: str, **gateway: Any) -> str:
    """An AIMService whose model server answers by that name."""
    reference = json.dumps({"name": "inference-gateway", "namespace": "gateways", **gateway})
    return f"""
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  model: model
  env: [{{name: AIM_CUSTOM_MODEL_NAME, value: {model}}}]
  resources:
    requests: {{cpu: 5m, memory: 16Mi}}
    limits: {{cpu: "1", memory: 128Mi}}
  routing: {{enabled: true, routeTemplate: "{template}", gatewayRef: {reference}}}
"""


def answered_by(cluster: Cluster, target: str) -> str:
    """Which model answers a request to `target`, sent as it is: clients would tidy dots and slashes."""
    where = urlsplit(cluster.gateway_url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    try:
        connection.putrequest("GET", target, skip_host=False)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        return NOBODY
    try:
        return str(json.loads(body)["data"][0]["id"])
    except (ValueError, KeyError, IndexError):
        # Another page of a model server: whose, it does not say.
        return f"200 without a model: {body[:80]!r}"


@contextmanager
def asked_all_the_time(cluster: Cluster, target: str) -> Iterator[Counter[str]]:
    """Ask twenty times a second, and count who answered."""
    answers: Counter[str] = Counter()
    stop = threading.Event()

    def client() -> None:
        while not stop.wait(0.05):
            try:
                answers[answered_by(cluster, target)] += 1
            except OSError as error:
                answers[repr(error)] += 1

    thread = threading.Thread(target=client, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join(timeout=15)


def routing_of(cluster: Cluster, namespace: str, name: str) -> tuple[str, str, int]:
    """Reason and message of RoutingReady, and the generation that they are about."""
    for condition in status_of(cluster, "aimsvc", name, namespace).get("conditions", []):
        if condition["type"] == "RoutingReady":
            return condition["reason"], condition["message"], condition["observedGeneration"]
    return "", "", 0


def until_routed(cluster: Cluster, namespace: str, name: str, target: str, model: str) -> None:
    eventually(
        lambda: answered_by(cluster, target) == model,
        f"{namespace}/{name} answers at {target}",
        timeout_seconds=120,
    )


def until_refused(cluster: Cluster, namespace: str, name: str) -> str:
    """The message, once the present spec is refused for whose its path is."""
    path = f"/apis/aim.silogen.ai/v1alpha1/namespaces/{namespace}/aimservices/{name}"
    generation = cluster.api.get(path)["metadata"]["generation"]

    def refused() -> bool:
        reason, _, seen = routing_of(cluster, namespace, name)
        return (reason, seen) == ("RouteConflict", generation)

    eventually(refused, f"{namespace}/{name} is refused: {routing_of(cluster, namespace, name)}")
    return routing_of(cluster, namespace, name)[1]


def by_hand(namespace: str, path: str, backend: str) -> Manifest:
    """An HTTPRoute to a model that the operator does not make; it asks which one, whatever it is asked."""
    models = {"type": "ReplaceFullPath", "replaceFullPath": "/v1/models"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "by-hand", "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "inference-gateway", "namespace": "gateways"}],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": path}}],
                    "filters": [{"type": "URLRewrite", "urlRewrite": {"path": models}}],
                    "backendRefs": [{"name": f"{backend}-predictor", "port": 80}],
                }
            ],
        },
    }


def test_a_hostile_namespace_gets_no_request_of_another(full_cluster: Cluster) -> None:
    cluster = full_cluster
    grant_roles(cluster)
    port = urlsplit(cluster.gateway_url).port
    with (
        cluster.namespace("victim") as victim,
        cluster.namespace("thief") as thief,
        running_operator(cluster, f"--namespaces={victim},{thief}"),
    ):
        path, own = f"/{victim}/chat", f"/{thief}/own"
        models = f"{path}/v1/models"
        apply_yaml(cluster, catalog(victim) + service(victim, "chat", VICTIM, path))
        until_routed(cluster, victim, "chat", models, VICTIM)
        apply_yaml(cluster, catalog(thief) + service(thief, "thief", THIEF, own))
        until_routed(cluster, thief, "thief", f"{own}/v1/models", THIEF)

        tricks: list[tuple[str, dict[str, Any]]] = [
            (path, {}),
            (models, {}),
            (f"/{victim}", {}),
            (f"/{victim.upper()}//CHAT/v1/", {}),
            (f"/%{ord(victim[0]):02x}{victim[1:]}/ch%61t/v1", {}),
            (path, {"sectionName": "http"}),
            (models, {"sectionName": "http"}),
            (path, {"port": port}),
            (models, {"port": port}),
            (models, {"port": port, "sectionName": "http"}),
            (models, {"kind": "Gateway", "group": "gateway.networking.k8s.io"}),
        ]
        with asked_all_the_time(cluster, models) as answers:
            for template, gateway in tricks:
                apply_yaml(cluster, service(thief, "thief", THIEF, template, **gateway))
                told = until_refused(cluster, thief, "thief")
                assert f"{victim}/chat" in told, (template, gateway)
                assert answered_by(cluster, models) == VICTIM, (template, gateway)
                # A path of its own again, so that each trick is a move with a live route.
                apply_yaml(cluster, service(thief, "thief", THIEF, own))
                until_routed(cluster, thief, "thief", f"{own}/v1/models", THIEF)

            # What is written in other ways is the victim's, or nobody's.
            for target in (
                f"{path}//v1/models",
                f"//{victim}/chat/v1/models",
                f"{path}/./v1/models",
                f"{path}/v1/../v1/models",
                f"{own}/../../{victim}/chat/v1/models",
                f"{own}/%2e%2e/%2e%2e/{victim}/chat/v1/models",
                f"{own}/..%2f..%2f{victim}/chat/v1/models",
                f"/%{ord(victim[0]):02X}{victim[1:]}/chat/v1/models",
                f"/{victim.upper()}/chat/v1/models",
                f"/{victim}/chat;/v1/models",
                f"/{victim}%2Fchat/v1/models",
                f"{path}/v1/models?path={own}",
            ):
                assert answered_by(cluster, target) in (VICTIM, NOBODY), target
        assert set(answers) == {VICTIM}, answers
        assert answers[VICTIM] > 50

        # Nor is there a way to what somebody routed by hand.
        site = f"/{victim}/site"
        cluster.api.apply(by_hand(victim, site, "chat"))
        until_routed(cluster, victim, "by-hand", site, VICTIM)
        for template in (site, f"{site}/login"):
            apply_yaml(cluster, service(thief, "thief", THIEF, template))
            assert f"HTTPRoute {victim}/by-hand" in until_refused(cluster, thief, "thief")
            assert answered_by(cluster, f"{site}/login") == VICTIM

        # The gateway would have given it away: with a route that the operator did not make, it does.
        cluster.api.apply(by_hand(thief, models, "thief"))
        until_routed(cluster, thief, "by-hand", models, THIEF)
