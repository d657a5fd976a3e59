"""What clients get from a model behind the gateway, and what of it runs on the node."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from hack.cluster.cluster import Cluster
from tests.support.operator_process import eventually

NOT_YET = (404, 500, 502, 503)
"""Until a gateway knows the Service it says 500, as Gateway API wants; the Pod, 503."""


def ask(url: str, body: Any = None) -> dict[str, Any]:
    """The JSON answer to a GET, or to a POST of `body`; {} where it is not served yet."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        if error.code not in NOT_YET:
            raise
        return {}
    return answer


def models(cluster: Cluster, path: str) -> list[str]:
    """The names that a served model answers to, once the gateway leads there."""
    found: dict[str, Any] = {}

    def answered() -> bool:
        found.update(ask(f"{cluster.gateway_url}{path}/v1/models"))
        return bool(found)

    eventually(answered, "the gateway answers with 200", timeout_seconds=30)
    return [model["id"] for model in found["data"]]


def chat(cluster: Cluster, path: str, model: str, question: str) -> str:
    """The answer of a chat completion through the gateway."""
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    answer = ask(f"{cluster.gateway_url}{path}/v1/chat/completions", body)
    content: str = answer["choices"][0]["message"]["content"]
    return content


def containers(cluster: Cluster, namespace: str, service: str) -> list[list[str]]:
    """For each Pod of a service, the names of its containers, those that run before others too."""
    selector = f"--selector=serving.kserve.io/inferenceservice={service}"
    pods = json.loads(cluster.kubectl("get", "pods", f"--namespace={namespace}", selector, "-o", "json"))
    return [
        [each["name"] for each in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])]
        for pod in pods["items"]
    ]
