"""Every way from an AIM image to a chat completion, on a real node and KServe, all of them at once.

Images are stand-ins that keep the contract of the published ones (docs/reference/aim-image.md), hubs are
Hugging Face's API. Each way ends with a completion from the profile that its template asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from tests.simulation.catalog import cluster_image, cluster_template, image, service, template
from tests.support.cluster import StartCluster, aim_crds
from tests.support.hub_server import HubThread
from tests.support.kserve_routes import let_kserve_make_routes, route_owner
from tests.support.operator_process import (
    OPERATOR_NAMESPACE,
    eventually,
    grant_roles,
    running_operator,
    status_of,
)
from tests.support.served_models import containers, models
from tests.support.served_profiles import (
    FINE_TUNED,
    FP8,
    LLAMA,
    SMALL,
    apply,
    cluster_config,
    completion,
    endpoint,
    fill,
    secret,
    token,
)

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.needs_kserve,
    pytest.mark.needs_gateway,
    pytest.mark.needs_operator_image,
]

TOKEN = "hf_token-of-the-platform"
MODEL_IMAGE = "amdenterpriseai/aim-meta-llama-llama-3-1-8b-instruct:0.8.5"
BASE_IMAGE = "ghcr.io/example/base:v1"
OF_MODEL: Manifest = {
    "precision": "fp8",
    "metric": "throughput",
    "gpuSelector": {"model": "MI300X", "count": 1},
}
OF_BASE: Manifest = {"gpuSelector": {"model": "MI300X", "count": 2}}
ALL_SECONDS = 180
IMPATIENT = {"name": "AIM_ATTEMPTS", "value": "2"}
PLAIN_HTTP = {"name": "AIM_ALLOW_PLAIN_HTTP", "value": "true"}
"""The test hub speaks it, and wants a token."""


class Way(NamedTuple):
    """A service, where it is, and what its template asks for: a published image's profile, or a base's."""

    name: str
    namespace: str
    base: bool = False

    @property
    def model(self) -> str:
        return FINE_TUNED if self.base else FP8

    @property
    def profile(self) -> str:
        return "vllm-general-mi300x-fp16-tp2-latency" if self.base else "vllm-mi300x-fp8-tp1-throughput"


OPEN = [
    Way(f"{sort}-{scope}{how}", "open", base=sort == "base")
    for sort in ("model", "base")
    for scope in ("cluster", "own")
    for how in ("", "-cached")
]
GATED = [
    Way(f"chat{how}", namespace)
    for namespace in ("by-configuration", "by-template", "by-service")
    for how in ("", "-cached")
]
REFUSED = [Way("no-token", "refused"), Way("both-ids", "refused")]
AIR_GAPPED = [Way("chat", "air-gapped"), Way("chat-cached", "air-gapped")]


def of_open(url: str) -> Iterator[Manifest]:
    """Both sorts of images, each with a template of the cluster and one of the namespace."""
    yield cluster_config("open", [endpoint(url)])
    for sort, ref, asked in (("model", MODEL_IMAGE, OF_MODEL), ("base", BASE_IMAGE, OF_BASE)):
        yield cluster_image(sort, ref=ref, runtimeConfigName="open")
        for made in (
            cluster_template(f"{sort}-cluster", model=sort, **asked),
            template(f"{sort}-own", namespace="open", model=sort, **asked),
        ):
            # The model that a base image is to serve.
            yield made if sort == "model" else {**made, "spec": {**made["spec"], "model": FINE_TUNED}}
    for way in OPEN:
        sort, scope, *cached = way.name.split("-")
        yield served(way, cached=bool(cached), model=sort, templateRef=f"{sort}-{scope}")


def of_gated(url: str) -> Iterator[Manifest]:
    """One token, said in the cluster's configuration, in a template, and in services."""
    yield cluster_config("with-token", [endpoint(url), PLAIN_HTTP, token("hub-token")])
    yield cluster_config("without-token", [endpoint(url), PLAIN_HTTP])
    for namespace in (OPERATOR_NAMESPACE, "by-configuration", "by-template", "by-service"):
        yield secret("hub-token", namespace, TOKEN)
    yield cluster_image("gated", ref=MODEL_IMAGE, runtimeConfigName="with-token")
    yield cluster_template("gated", model="gated", **OF_MODEL)
    for namespace, env in (("by-template", [token("hub-token")]), ("by-service", [])):
        named = {"model": "gated", "runtimeConfigName": "without-token", **OF_MODEL}
        yield image("gated", namespace=namespace, ref=MODEL_IMAGE)
        yield template("gated", namespace=namespace, env=env, **named)
    for way in GATED:
        env = [token("hub-token")] if way.namespace == "by-service" else []
        yield served(way, cached=way.name.endswith("-cached"), model="gated", templateRef="gated", env=env)


def of_refused() -> Iterator[Manifest]:
    """Servers that end: one that may not read its model, and one that is told of two."""
    yield secret("hub-token", "refused", TOKEN)
    yield image("gated", namespace="refused", ref=MODEL_IMAGE, runtimeConfigName="without-token")
    yield template("gated", namespace="refused", model="gated", **OF_MODEL)
    no_token, both_ids = REFUSED
    yield served(no_token, model="gated", templateRef="gated")
    other = [token("hub-token"), {"name": "AIM_MODEL_ID", "value": "org/other"}]
    yield served(both_ids, model="gated", templateRef="gated", env=other)


def of_air_gapped() -> Iterator[Manifest]:
    yield image("walled", namespace="air-gapped", ref=MODEL_IMAGE, runtimeConfigName="site")
    yield template("walled", namespace="air-gapped", model="walled", **OF_MODEL)
    for way in AIR_GAPPED:
        yield served(way, cached=way.name.endswith("-cached"), model="walled", templateRef="walled")


def served(way: Way, *, cached: bool = False, **spec: Any) -> Manifest:
    return service(way.name, namespace=way.namespace, resources=SMALL, cacheModel=cached, **spec)


def missing(cluster: Cluster, ways: list[Way]) -> dict[str, Any]:
    """What is not running, and why."""
    found = {}
    for way in ways:
        status = status_of(cluster, "aimsvc", way.name, way.namespace)
        if status.get("status") != "Running":
            found[f"{way.namespace}/{way.name}"] = status.get("conditions")
    return found


def wait_for_all(cluster: Cluster, ways: list[Way]) -> None:
    try:
        eventually(lambda: not missing(cluster, ways), "all run", ALL_SECONDS)
    except AssertionError:
        # Which of them, and what its conditions say.
        assert missing(cluster, ways) == {}


def check_answers(cluster: Cluster, ways: list[Way]) -> None:
    """Assert what each serves, by which profile, and that nothing else runs in its Pod."""
    for way in ways:
        path = status_of(cluster, "aimsvc", way.name, way.namespace)["routing"]["path"]
        assert models(cluster, path) == [way.model, *([] if way.base else [LLAMA])], way
        answer = completion(cluster, path, way.model)
        assert answer["choices"][0]["message"]["content"].endswith("You asked: Hello?"), way
        assert answer["system_fingerprint"] == way.profile, way
        alone: Callable[[Way], bool] = lambda each: (  # noqa: E731
            containers(cluster, each.namespace, each.name) == [["kserve-container"]]
        )
        eventually(partial(alone, way), f"{way} runs one container, and no download", 30)


def says(cluster: Cluster, way: Way, condition: str, reason: str, *words: str) -> bool:
    """Whether a condition of a service is False for that reason, and its message has these words."""
    for found in status_of(cluster, "aimsvc", way.name, way.namespace).get("conditions", ()):
        if found["type"] == condition and found["reason"] == reason and found["status"] == "False":
            return all(word in found["message"] for word in words)
    return False


def wait_until_says(cluster: Cluster, way: Way, condition: str, reason: str, *words: str) -> None:
    try:
        eventually(partial(says, cluster, way, condition, reason, *words), "it says why", 90)
    except AssertionError:
        # What it says instead.
        assert status_of(cluster, "aimsvc", way.name, way.namespace) == {condition: (reason, *words)}


def check_refused_and_heal(cluster: Cluster) -> None:
    no_token, both_ids = REFUSED
    refused = ("RuntimeReady", "RuntimeFailed")
    told = f"{FP8} is refused by"
    wait_until_says(cluster, no_token, *refused, told, "HTTP 401", "set HF_TOKEN, of an account that may")
    told = "cannot set both AIM_ID"
    wait_until_says(cluster, both_ids, *refused, told, "and AIM_MODEL_ID in no env")
    healed = [served(way, model="gated", templateRef="gated", env=[token("hub-token")]) for way in REFUSED]
    apply(cluster, healed)
    wait_for_all(cluster, REFUSED)
    check_answers(cluster, REFUSED)


def test_every_way_ends_with_a_chat_completion_and_every_refusal_says_what_to_do(
    own_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = own_cluster(("node", "kserve", "gateway", "operator-image"), crds=aim_crds())
    grant_roles(cluster)
    let_kserve_make_routes(cluster)
    root = fill(tmp_path / "models", LLAMA, FP8, FINE_TUNED)
    with ExitStack() as stack:
        free = stack.enter_context(HubThread(root, host=cluster.node_ip)).hub
        gated = stack.enter_context(HubThread(root, host=cluster.node_ip, token=TOKEN)).hub
        stack.enter_context(running_operator(cluster))
        every = [*OPEN, *GATED, *REFUSED, *AIR_GAPPED]
        apply(cluster, [namespace(name) for name in {way.namespace for way in every}])
        unreachable = f"http://{cluster.node_ip}:9"
        apply(
            cluster,
            [
                *of_open(free.url),
                *of_gated(gated.url),
                *of_refused(),
                cluster_config("site", [endpoint(unreachable), IMPATIENT]),
                *of_air_gapped(),
            ],
        )
        wait_for_all(cluster, [*OPEN, *GATED])
        check_answers(cluster, [*OPEN, *GATED])
        check_refused_and_heal(cluster)

        walled = status_of(cluster, "aimst", "walled", "air-gapped")
        assert walled["status"] == "Available", "discovery needs no hub"
        assert [source.get("size") for source in walled["modelSources"]] == [None]
        direct, cached = AIR_GAPPED
        wait_until_says(cluster, direct, "RuntimeReady", "RuntimeFailed", "set HF_ENDPOINT to a mirror")
        wait_until_says(cluster, cached, "CacheReady", "ListingFailed", "can't reach", cluster.node_ip)
        apply(cluster, [cluster_config("site", [endpoint(free.url)])])
        wait_for_all(cluster, AIR_GAPPED)
        check_answers(cluster, AIR_GAPPED)
        assert {route_owner(cluster, way.namespace, way.name) for way in every} == {"AIMService"}


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
