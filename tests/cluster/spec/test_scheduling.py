"""Where Pods run: KServe's own schema and the Job's validation take everything that can be said."""

from __future__ import annotations

from typing import Any

from msgspec import convert

from aim_operator.api.v1alpha1 import Jobs
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.model_cache.desired import DownloadOptions, job
from hack.cluster.api import Manifest
from tests.support.cache_builders import make_claim, make_model_cache
from tests.support.spec_world import World

ZONE = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a", "b"]}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
EVERYTHING: dict[str, Any] = {
    "nodeSelector": {"example.com/pool": "gpu"},
    "tolerations": [
        {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "value": "a", "effect": "NoExecute", "tolerationSeconds": 60},
    ],
    "affinity": {
        "nodeAffinity": {
            REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [ZONE]}]},
            PREFERRED: [{"weight": 1, "preference": {"matchExpressions": [ZONE]}}],
        },
        "podAntiAffinity": {REQUIRED: [{"topologyKey": "kubernetes.io/hostname"}]},
        "podAffinity": {
            PREFERRED: [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "topology.kubernetes.io/zone",
                        "labelSelector": {"matchLabels": {"app": "cache"}},
                        "namespaces": ["team-b"],
                    },
                }
            ]
        },
    },
    "priorityClassName": "system-node-critical",
    "runtimeClassName": "kata",
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "minDomains": 2,
            "nodeAffinityPolicy": "Ignore",
            "nodeTaintsPolicy": "Honor",
        }
    ],
    "schedulerName": "volcano",
}
PODS: dict[str, Any] = {
    "labels": {"team": "a"},
    "annotations": {"sidecar.istio.io/inject": "false"},
    "imagePullPolicy": "Always",
    "enableServiceLinks": False,
}
AS_WRITTEN = ("nodeSelector", "tolerations", "priorityClassName", "runtimeClassName", "schedulerName")


def said(found: Manifest, names: tuple[str, ...]) -> Manifest:
    """What is said under these names; tolerations, whose order says nothing, sorted."""
    return {name: in_order(name, found.get(name)) for name in names}


def in_order(name: str, value: Any) -> Any:
    return sorted(value, key=lambda each: str(each["key"])) if name == "tolerations" else value


def test_everything_that_is_said_about_model_servers_reaches_kserve(
    world: World,
) -> None:
    world.apply(*world.catalog(), world.service(scheduling=EVERYTHING, pods=PODS))
    world.until_service("Running")
    predictor = world.need("InferenceService", "chat")["spec"]["predictor"]
    assert said(predictor, AS_WRITTEN) == said(EVERYTHING, AS_WRITTEN)
    own = {"matchLabels": {"serving.kserve.io/inferenceservice": "chat"}}
    assert predictor["topologySpreadConstraints"] == [
        {**EVERYTHING["topologySpreadConstraints"][0], "labelSelector": own}
    ]
    affinity = predictor["affinity"]
    assert affinity["podAntiAffinity"][REQUIRED][0]["labelSelector"] == own
    assert affinity["podAffinity"] == EVERYTHING["affinity"]["podAffinity"]
    terms = affinity["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    assert all(ZONE in term["matchExpressions"] for term in terms)
    assert said(predictor, ("labels", "annotations", "enableServiceLinks")) == said(
        PODS, ("labels", "annotations", "enableServiceLinks")
    )
    assert predictor["model"]["imagePullPolicy"] == "Always"


def test_everything_that_is_said_about_jobs_is_a_job_for_the_api_server(world: World) -> None:
    jobs = convert({"scheduling": EVERYTHING, "pods": PODS, "securityContext": {"runAsUser": 1000}}, Jobs)
    cache = make_model_cache(metadata={"namespace": world.namespace})
    options = DownloadOptions(image="ghcr.io/example/fetch:1", requests={"cpu": "100m"})
    manifest = job(cache, RuntimeConfig(jobs=jobs), make_claim(), options, digest="abcdef12").manifest
    path = f"/apis/batch/v1/namespaces/{world.namespace}/jobs?dryRun=All&fieldValidation=Strict"
    template = world.cluster.api.request("POST", path, manifest)["spec"]["template"]
    assert said(template["spec"], AS_WRITTEN) == said(EVERYTHING, AS_WRITTEN)
    assert set(PODS["labels"]) <= set(template["metadata"]["labels"])
    assert template["metadata"]["annotations"] == {**PODS["annotations"], "linkerd.io/inject": "disabled"}
    assert template["spec"]["enableServiceLinks"] is False
    assert template["spec"]["securityContext"]["runAsUser"] == 1000
    assert [each["imagePullPolicy"] for each in template["spec"]["containers"]] == ["Always"]
