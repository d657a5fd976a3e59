"""What a route's hosts, volumes, a disruption budget and draining do on a real gateway and node."""

from __future__ import annotations

import http.client
import json
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from hack.cluster.cluster import Cluster
from tests.e2e.test_rollouts import at_rest
from tests.support.catalog_yaml import catalog, service
from tests.support.model_hub import MODEL
from tests.support.operator_process import apply_yaml, eventually, grant_roles, running_operator, status_of

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_gateway]

HOST = "models.example.com"
TWO = f"""  replicas: 2
  routing: {{hostnames: [{HOST}]}}
  serving:
    volumes:
      - {{name: words, mountPath: /config/words.txt, subPath: words.txt, configMap: {{name: words}}}}
      - {{name: key, mountPath: /etc/ssl/company, secret: {{secretName: key}}}}
"""
FILES = """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {words.txt: of a ConfigMap}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {ca.crt: of a Secret}
"""
QUESTION = json.dumps(
    {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Are you there?"}]}
).encode()
SECONDS = 150
CONTAINER = "kserve-container"


@pytest.fixture
def cluster(full_cluster: Cluster) -> Cluster:
    grant_roles(full_cluster)
    return full_cluster


@contextmanager
def connection(cluster: Cluster) -> Iterator[http.client.HTTPConnection]:
    gateway = urlsplit(cluster.gateway_url)
    opened = http.client.HTTPConnection(gateway.hostname or "", gateway.port, timeout=30)
    try:
        yield opened
    finally:
        opened.close()


def code(cluster: Cluster, path: str, host: str) -> int:
    """The status of a GET under that name."""
    with connection(cluster) as opened:
        opened.request("GET", path, headers={"Host": host})
        return opened.getresponse().status


def begun(opened: http.client.HTTPConnection, path: str) -> None:
    """Begin to ask: the server has the connection, and waits for the second half of the question."""
    opened.putrequest("POST", f"{path}/v1/chat/completions", skip_host=True)
    opened.putheader("Host", HOST)
    opened.putheader("Content-Length", str(len(QUESTION)))
    opened.endheaders(QUESTION[:20])


def ended(opened: http.client.HTTPConnection) -> tuple[int, bool]:
    """Ask the rest: the status, and whether the stream came whole."""
    opened.send(QUESTION[20:])
    response = opened.getresponse()
    return response.status, response.read().endswith(b"data: [DONE]\n\n")


def evict(cluster: Cluster, namespace: str, pod: str) -> str:
    """What the API server says to an eviction; "" where it takes it."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    try:
        cluster.api.request("POST", path, eviction)
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"
    return ""


def pods(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    selector = "--selector=serving.kserve.io/inferenceservice=chat"
    found = cluster.kubectl("get", "pods", f"--namespace={namespace}", selector, "-o", "json")
    items: list[dict[str, Any]] = json.loads(found)["items"]
    return items


def read(cluster: Cluster, namespace: str, pod: str, path: str) -> str:
    """A file in the model server's container."""
    container = f"--container={CONTAINER}"
    return cluster.kubectl("exec", pod, f"--namespace={namespace}", container, "--", "cat", path)


def test_a_node_that_is_drained_takes_one_copy_and_no_request_that_is_under_way(cluster: Cluster) -> None:
    with cluster.namespace() as namespace, running_operator(cluster, f"--namespaces={namespace}"):
        cluster.kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=FILES)
        apply_yaml(cluster, catalog(namespace) + service(namespace, "chat") + TWO)
        eventually(lambda: at_rest(cluster, namespace), "the service runs", timeout_seconds=SECONDS)
        path = status_of(cluster, "aimsvc", "chat", namespace)["routing"]["path"]
        eventually(lambda: code(cluster, f"{path}/v1/models", HOST) == 200, "it answers under its name")
        assert code(cluster, f"{path}/v1/models", "other.example.com") == 404

        budget = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/chat"
        eventually(
            lambda: ((cluster.api.get(budget) or {}).get("status") or {}).get("disruptionsAllowed") == 1,
            "one copy may go",
            timeout_seconds=SECONDS,
        )
        first, second = (pod["metadata"]["name"] for pod in pods(cluster, namespace))
        assert read(cluster, namespace, first, "/config/words.txt") == "of a ConfigMap"
        assert read(cluster, namespace, first, "/etc/ssl/company/ca.crt") == "of a Secret"
        with (
            connection(cluster) as one,
            connection(cluster) as two,
            connection(cluster) as three,
            connection(cluster) as four,
        ):
            # The gateway takes the copies in turns: each has some of these.
            for each in (one, two, three, four):
                begun(each, path)
            assert evict(cluster, namespace, first) == ""
            refused = evict(cluster, namespace, second)
            assert refused.startswith("429")
            assert "disruption budget" in refused
            eventually(
                lambda: any("deletionTimestamp" in pod["metadata"] for pod in pods(cluster, namespace)),
                "the copy is being ended",
            )
            assert [ended(each) for each in (one, two, three, four)] == [(200, True)] * 4
