"""What clients get from a model behind the gateway, and what of it runs on the node."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def asked_all_the_time(url: str) -> Iterator[Counter[str]]:
    """Ask the model ten times a second, and count its answers; what is no answer counts by its error."""
    answers: Counter[str] = Counter()
    stop = threading.Event()

    def client() -> None:
        while not stop.wait(0.1):
            try:
                found = ask(url)
                answers[found["data"][0]["id"] if found else "not served"] += 1
            except OSError as error:
                answers[f"{error}"] += 1

    thread = threading.Thread(target=client, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join(timeout=15)


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
