"""Behaviour "Resolution": what a name means, by scope and by inheritance, and who learns of a change."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from tests.support.operator_process import eventually, running_operator, status_of, writes
from tests.support.spec_world import (
    IMAGE,
    World,
    message,
    names,
    routed,
    served_image,
    told,
    variables,
)

OTHER_IMAGE = "ghcr.io/example/other-model:v2"


def resolved(world: World, what: str, name: str = "chat") -> tuple[str, str]:
    """Return (scope, name) of what the service uses now."""
    found = world.status(name=name).get(f"resolved{what}", {})
    return found.get("scope", ""), found.get("name", "")


def until_resolved(world: World, what: str, scope: str, name: str) -> None:
    want = (scope, name)

    def uses(service: Manifest) -> bool:
        found = service.get("status", {}).get(f"resolved{what}", {})
        return (found.get("scope", ""), found.get("name", "")) == want

    world.until("AIMService", "chat", uses, f"uses {want} as its {what}")


def test_a_namespaced_image_wins_over_the_cluster_image_of_its_name(world: World) -> None:
    default = {"defaultServiceTemplate": "fast"}
    namespaced = world.image(ref=OTHER_IMAGE, **default)
    world.run(world.cluster_image(**default), world.template(), world.config(), world.service())
    assert resolved(world, "Image") == ("Cluster", world.model)

    world.apply(namespaced)
    until_resolved(world, "Image", "Namespace", world.model)
    world.until(
        "InferenceService", "chat", lambda s: served_image(s) == OTHER_IMAGE, "runs the namespaced image"
    )

    world.delete(namespaced)
    until_resolved(world, "Image", "Cluster", world.model)
    world.until("InferenceService", "chat", lambda s: served_image(s) == IMAGE, "runs the cluster's image")
    world.until_service("Running")


def test_a_cluster_template_sees_cluster_images_only(world: World) -> None:
    name = world.shared("shared")
    world.apply(world.image(), world.cluster_template(name))
    missing = world.until(
        "AIMClusterServiceTemplate", name, lambda t: t.get("status", {}).get("status") == "Degraded"
    )
    assert told(missing["status"], "Failure") == "True/ImageNotFound"
    assert told(missing["status"], "Ready") == "False/ImageNotFound"
    assert "no AIMClusterImage is named" in message(missing["status"], "Ready")
    world.apply(world.cluster_image())
    found = world.until(
        "AIMClusterServiceTemplate", name, lambda t: t["status"]["status"] == "Available", "is Available"
    )
    assert found["status"]["resolvedImage"]["scope"] == "Cluster"


def test_a_template_ref_means_the_namespaced_template_first_then_the_cluster_one(world: World) -> None:
    name = world.shared("both")
    namespaced = world.template(name)
    world.run(
        world.cluster_image(),
        world.config(),
        world.cluster_template(name),
        world.service(templateRef=name),
    )
    assert resolved(world, "Template") == ("Cluster", name)
    world.apply(namespaced)
    until_resolved(world, "Template", "Namespace", name)
    world.until_service("Running")
    world.delete(namespaced)
    until_resolved(world, "Template", "Cluster", name)


def test_without_a_template_ref_the_default_template_of_the_image_is_used(world: World) -> None:
    world.run(*world.catalog(), world.template("other"), world.service())
    assert resolved(world, "Template") == ("Namespace", "fast")
    assert "templateMatching" not in world.status()
    world.apply(world.image(defaultServiceTemplate="other"))
    until_resolved(world, "Template", "Namespace", "other")
    world.apply(world.service(templateRef="fast"))
    until_resolved(world, "Template", "Namespace", "fast")


def test_a_template_of_another_image_is_told_and_not_used(world: World) -> None:
    other = world.template("other")
    other["spec"]["aimImageName"] = world.shared("another-model")
    world.apply(*world.catalog(), other, world.service(templateRef="other"))
    status = world.until_service("Degraded", "TemplateImageMismatch")
    assert "spec.templateRef: template 'other' is for image" in message(status, "Resolved")
    assert told(status, "Failure") == "True/TemplateImageMismatch"
    assert world.get("InferenceService", "chat") is None
    world.apply(world.service())
    world.until_service("Running")


def test_the_name_of_the_runtime_config_is_inherited_from_template_then_image_then_default(
    world: World,
) -> None:
    image: dict[str, Any] = {"defaultServiceTemplate": "fast"}
    configs = [world.config(name) for name in ("of-service", "of-template", "of-image", "default")]
    world.run(
        *configs,
        world.image(runtimeConfigName="of-image", **image),
        world.template(runtimeConfigName="of-template"),
        world.service(runtimeConfigName="of-service"),
    )
    assert resolved(world, "RuntimeConfig") == ("Namespace", "of-service")
    world.apply(world.service())
    until_resolved(world, "RuntimeConfig", "Namespace", "of-template")
    world.apply(world.template())
    until_resolved(world, "RuntimeConfig", "Namespace", "of-image")
    world.apply(world.image(**image))
    until_resolved(world, "RuntimeConfig", "Namespace", "default")
    world.until_service("Running")


def test_a_namespaced_config_is_laid_over_the_cluster_one_unless_it_replaces_it(world: World) -> None:
    name = world.shared("config")
    namespaced = world.config(name, securityContext={"runAsUser": 1000})
    alone = world.config(name, securityContext={"runAsUser": 1000}, merge="Replace")
    world.apply(
        *world.catalog(),
        world.cluster_config(name, routing=routed("/whole/{.metadata.namespace}")),
        alone,
    )
    status = world.run(world.service(runtimeConfigName=name))
    assert resolved(world, "RuntimeConfig") == ("Namespace", name)
    assert told(status, "RoutingReady") == "", "nothing of the cluster configuration is merged in"
    assert world.get("HTTPRoute", "chat") is None
    world.apply(namespaced)
    eventually(lambda: world.get("HTTPRoute", "chat") is not None, "the cluster's routing counts")
    status = world.until_service("Running")
    assert status["resolvedRuntimeConfig"]["fromCluster"] == ["routing"]
    assert status["routing"]["path"] == f"/whole/{world.namespace}"
    world.delete(namespaced)
    until_resolved(world, "RuntimeConfig", "Cluster", name)
    status = world.until_service("Running")
    assert status["routing"]["path"] == f"/whole/{world.namespace}"
    assert world.get("HTTPRoute", "chat") is not None


def test_lists_of_both_configurations_are_merged_by_name_and_the_status_says_where_each_is_from(
    world: World,
) -> None:
    """Model servers and Jobs have both; what the namespace says of one field leaves the next one alone."""
    name = world.shared("merged")
    platform: dict[str, Any] = {
        "env": _variables(VLLM_XA="platform", VLLM_XB="platform"),
        "serving": {
            "drainSeconds": 5,
            "startupTimeoutSeconds": 900,
            "volumes": [_volume("ca", "platform"), _volume("words", "platform")],
        },
        "jobs": {"pods": {"labels": {"team": "platform"}}, "discovery": {"deadlineSeconds": 300}},
    }
    team: dict[str, Any] = {
        "env": _variables(VLLM_XB="team", VLLM_XC="team"),
        "imagePullSecrets": [{"name": "team"}],
        "serving": {"drainSeconds": 7, "volumes": [_volume("words", "team")]},
        "jobs": {"pods": {"labels": {"cost": "team"}}},
    }
    image, template, _ = world.catalog(runtimeConfigName=name)
    world.apply(world.cluster_config(name, **platform), world.config(name, **team))
    status = world.run(image, template, world.service(runtimeConfigName=name))
    assert resolved(world, "RuntimeConfig") == ("Namespace", name)
    assert sorted(status["resolvedRuntimeConfig"]["fromCluster"]) == [
        "env[VLLM_XA]",
        "jobs.discovery",
        "serving.startupTimeoutSeconds",
        "serving.volumes[ca]",
    ]
    want = {"VLLM_XA": "platform", "VLLM_XB": "team", "VLLM_XC": "team"}
    predictor = world.need("InferenceService", "chat")["spec"]["predictor"]
    assert want.items() <= variables(predictor["model"]).items()
    assert names(predictor["imagePullSecrets"]) == ["team"], "a cluster-wide configuration has none"
    mounted = {v["name"]: v["configMap"]["name"] for v in predictor["volumes"] if "configMap" in v}
    assert mounted == {"of-ca": "platform", "of-words": "team"}
    assert predictor["terminationGracePeriodSeconds"] == 37
    (job,) = world.all("Job")
    pod = job["spec"]["template"]
    assert want.items() <= variables(pod["spec"]["containers"][0]).items()
    assert names(pod["spec"]["imagePullSecrets"]) == ["team"]
    assert pod["metadata"]["labels"]["cost"] == "team"
    assert "team" not in pod["metadata"]["labels"], "a map of labels is taken whole"

    world.apply(world.config(name, **team, merge="Replace"))
    world.until(
        "InferenceService",
        "chat",
        lambda s: "VLLM_XA" not in variables(s["spec"]["predictor"]["model"]),
        "has nothing of the cluster's",
    )
    status = world.until_service("Running")
    assert "fromCluster" not in status["resolvedRuntimeConfig"]


def _volume(name: str, config_map: str) -> dict[str, Any]:
    return {"name": name, "mountPath": f"/config/{name}", "configMap": {"name": config_map, "optional": True}}


def _variables(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def test_an_explicit_config_that_is_found_nowhere_is_told_for_service_and_template(world: World) -> None:
    world.apply(*world.catalog(runtimeConfigName="gone"), world.service(runtimeConfigName="gone-too"))
    status = world.until_service("Degraded", "RuntimeConfigMissing")
    assert told(status, "Failure") == "True/RuntimeConfigMissing"
    assert told(status, "RuntimeReady") == "False/RuntimeConfigMissing"
    assert "no AIMRuntimeConfig 'gone-too'" in message(status, "Failure")
    template = world.until_template("Degraded", "RuntimeConfigMissing")
    assert told(template, "Failure") == "True/RuntimeConfigMissing"
    world.apply(world.config("gone"), world.config("gone-too"))
    world.until_service("Running")


def test_a_missing_default_is_fine_told_once_and_picked_up_when_it_comes(world: World) -> None:
    image, template, default = world.catalog()
    status = world.run(image, template, world.service())
    assert "resolvedRuntimeConfig" not in status
    warning = ("Warning", "DefaultRuntimeConfigNotFound")
    eventually(lambda: warning in world.events("chat"), "the event is there")

    cluster_default = world.cluster_config("default")
    world.apply(cluster_default)
    until_resolved(world, "RuntimeConfig", "Cluster", "default")
    world.apply(default)
    until_resolved(world, "RuntimeConfig", "Namespace", "default")
    world.delete(default)
    world.delete(cluster_default)
    until_resolved(world, "RuntimeConfig", "", "")
    world.until_service("Running")
    eventually(
        lambda: ("Normal", "RuntimeConfigResolved") in world.events("chat"), "so is that of the new one"
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_outcome_is_the_same_in_whatever_order_the_objects_are_created(world: World, seed: int) -> None:
    shared = world.shared("base")
    objects = [
        world.cluster_image(defaultServiceTemplate=shared, runtimeConfigName="of-image"),
        world.cluster_template(shared, metric="latency", precision="fp16"),
        world.cluster_config("of-image"),
        world.config("of-image", routing=routed("/order/{.metadata.namespace}/{.metadata.name}")),
        world.image(ref=OTHER_IMAGE, defaultServiceTemplate=shared),
        world.config(),
        world.service(overrides={"precision": "fp8"}, env=[{"name": "A", "value": "b"}]),
    ]
    # Cluster-wide names are the tests' own, but this one.
    objects[2]["metadata"]["name"] = world.shared("of-image")
    random.Random(seed).shuffle(objects)
    world.apply(*objects)
    status = world.until_service("Running")
    derived = status["resolvedTemplate"]
    assert derived["name"].startswith(f"{shared}-ovr-")
    assert status["resolvedImage"]["scope"] == "Namespace"
    assert resolved(world, "RuntimeConfig") == ("Namespace", "default")
    assert [t["metadata"]["name"] for t in world.all("AIMServiceTemplate")] == [derived["name"]]
    assert served_image(world.need("InferenceService", "chat")) == OTHER_IMAGE
    assert len(world.all("Job")) == 1, "nothing was discovered twice"


BREAKING = [
    pytest.param("image", "ImageNotFound", id="the image is deleted"),
    pytest.param("config", "RuntimeConfigMissing", id="the configuration is deleted"),
    pytest.param("template", "TemplateNotFound", id="the template is deleted"),
]


@pytest.mark.parametrize(("what", "reason"), BREAKING)
def test_missing_inputs_never_change_what_runs(world: World, what: str, reason: str) -> None:
    template = world.template(runtimeConfigName="ours")
    inputs = {
        "image": world.image(defaultServiceTemplate="fast"),
        "template": template,
        "config": world.config("ours", routing=routed("/keep/{.metadata.namespace}")),
    }
    world.run(*inputs.values(), world.service())
    # The statuses stay as they are from here on, also where a runtime goes with its template.
    world.hold("kserve")
    before, route = world.need("InferenceService", "chat"), world.need("HTTPRoute", "chat")
    active = world.status()["active"]
    world.delete(inputs[what])
    status = world.until_service("Degraded", reason)
    assert told(status, "RuntimeReady") == "True/RuntimeReady", "it goes on following the InferenceService"
    assert told(status, "RoutingReady") == "True/RouteReady"
    assert status["active"] == active
    assert world.need("HTTPRoute", "chat") == route
    after = world.need("InferenceService", "chat")
    if what == "template":
        # Its runtime goes with it: the service has one of its own, of the same shape, and changes no Pod.
        after = world.until("InferenceService", "chat", lambda s: runtime_of(s) == "chat-active")
        own = world.need("ServingRuntime", "chat-active")
        assert (
            own["metadata"]["ownerReferences"][0]["uid"]
            == world.need("AIMService", "chat")["metadata"]["uid"]
        )
        assert after["metadata"]["labels"] == before["metadata"]["labels"]
        assert without_runtime(after) == without_runtime(before)
    else:
        assert after == before
    # It can be worked on meanwhile.
    world.apply(world.service(replicas=2, env=[{"name": "A", "value": "b"}]))
    changed = world.until(
        "InferenceService", "chat", lambda s: s["spec"]["predictor"]["minReplicas"] == 2, "is scaled"
    )
    assert served_image(changed) == IMAGE
    assert variables(changed["spec"]["predictor"]["model"])["A"] == "b"
    world.delete(before)
    again = world.until(
        "InferenceService",
        "chat",
        lambda s: s["metadata"]["uid"] != before["metadata"]["uid"],
        "is made anew",
    )
    assert served_image(again) == IMAGE
    world.hold("kserve", on=False)
    world.apply(inputs[what])
    world.until("InferenceService", "chat", lambda s: runtime_of(s) == "fast", "is back on the template's")
    world.until_service("Running")


def runtime_of(inference_service: Manifest) -> str:
    name: str = inference_service["spec"]["predictor"]["model"]["runtime"]
    return name


def without_runtime(inference_service: Manifest) -> Manifest:
    spec: Manifest = copy.deepcopy(inference_service["spec"])
    del spec["predictor"]["model"]["runtime"]
    return spec


def test_a_failed_template_never_changes_what_runs(world: World) -> None:
    world.run(*world.catalog(), world.service())
    before = world.need("InferenceService", "chat")
    world.apply(world.image(ref="ghcr.io/example/broken:v1", defaultServiceTemplate="fast"))
    status = world.until_service("Degraded", "DiscoveryFailed")
    assert told(status, "RuntimeReady") == "True/RuntimeReady"
    assert "exited with code 3" in message(status, "Failure")
    after = world.need("InferenceService", "chat")
    assert after["spec"] == before["spec"]
    assert served_image(after) == IMAGE
    world.apply(world.image(ref=OTHER_IMAGE, defaultServiceTemplate="fast"))
    world.until_service("Running")


def test_rediscovery_alone_leaves_a_service_running(world: World) -> None:
    world.run(*world.catalog(), world.service())
    before = world.need("InferenceService", "chat")
    world.hold("node")
    world.annotate("AIMServiceTemplate", "fast", rediscover="again")
    template = world.until_template("Progressing")
    assert template["modelSources"], "the last result stays while a new one is looked for"
    world.until("AIMService", "chat", lambda s: told(s["status"], "Resolved") == "False/TemplateNotAvailable")
    assert world.status()["status"] == "Running"
    assert world.need("InferenceService", "chat") == before
    world.hold("node", on=False)
    world.until_template("Available")
    world.until("AIMService", "chat", lambda s: told(s["status"], "Resolved") == "True/Resolved")
    assert world.status()["status"] == "Running"


def test_a_change_reaches_what_depends_on_it_and_leaves_the_rest_alone(world: World) -> None:
    bystander = world.template("bystander")
    bystander["spec"]["aimImageName"] = "another-model"
    other_image = world.image(defaultServiceTemplate="bystander")
    other_image["metadata"]["name"] = "another-model"
    other = world.service("other", model="another-model")
    world.apply(*world.catalog(), bystander, other_image, world.service(), other)
    world.until_service("Running")
    world.until_service("Running", name="other")
    before = len(list(writes(world.cluster, namespace=world.namespace)))
    world.apply(world.image(ref=OTHER_IMAGE, defaultServiceTemplate="fast"))
    world.until("InferenceService", "chat", lambda s: served_image(s) == OTHER_IMAGE)
    label = "aim.silogen.ai/aim-image"
    world.until(
        "InferenceService",
        "chat",
        lambda i: i["metadata"]["labels"][label].startswith("ghcr.io-example-other"),
    )
    world.until("AIMService", "chat", lambda s: told(s["status"], "Resolved") == "True/Resolved")
    written = {name for _, _, name, _ in list(writes(world.cluster, namespace=world.namespace))[before:]}
    assert {"fast", "chat"} <= written
    assert not written & {"other", "bystander", "another-model"}


def test_a_limited_instance_reads_cluster_kinds_and_never_writes_them(control_plane: Cluster) -> None:
    with control_plane.namespace() as namespace, control_plane.namespace() as elsewhere:
        world, outside = World(control_plane, namespace), World(control_plane, elsewhere)
        shared = world.shared("limited")
        world.apply(
            world.cluster_image(defaultServiceTemplate=shared),
            world.cluster_template(shared),
            world.image(),
            world.service(templateRef=shared),
        )
        outside.apply(outside.image())
        flags = (f"--namespaces={namespace}",)
        with running_operator(control_plane, *flags, kubeconfig=control_plane.kubeconfig) as operator:
            eventually(operator.synced, "the operator is at work")
            # The service needs a derived template, because the namespace has an image of its own.
            world.until_service("Degraded", "KServeNotInstalled")
            found = world.until("AIMService", "chat", lambda s: "resolvedTemplate" in s["status"])
            assert found["status"]["resolvedTemplate"]["scope"] == "Namespace"
            derived = found["status"]["resolvedTemplate"]["name"]
            world.until_template("Progressing", name=derived)
            assert status_of(control_plane, "aimclimg", world.model) == {}
            assert status_of(control_plane, "aimclst", shared) == {}
            assert outside.status("AIMImage", outside.model) == {}
        world.clear()
