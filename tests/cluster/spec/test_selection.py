"""Behaviour on GPUs and the choice of a template: what nodes have, who wins and why, and that it stays so."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from hack.cluster.api import Manifest
from tests.support.node_affinity import admits
from tests.support.spec_world import World, message, told

PRODUCT = "amd.com/gpu.product-name"


def gpu_node(world: World, name: str, **labels: str) -> Manifest:
    """Return a Node that nothing is scheduled on: only its labels count."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": world.shared(name), "labels": labels},
        "spec": {"unschedulable": True},
    }


def typed(world: World, name: str, type_: str = "", **spec: Any) -> Manifest:
    """Return a template whose dry run prints a profile of this type."""
    env = [{"name": "AIM_TEST_TYPE", "value": type_}] if type_ else []
    return world.template(name, **({"env": env} if env else {}), **spec)


def hardware(world: World, name: str) -> str:
    return told(world.status("AIMServiceTemplate", name), "HardwareAvailable")


def has_hardware(want: str, template: Manifest) -> bool:
    return told(template["status"], "HardwareAvailable") == want


def matching(status: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    """Return by name whether a candidate was chosen, and why or why not; in their order."""
    return {c["name"]: (c.get("chosen", False), c["reason"]) for c in status["templateMatching"]}


def test_hardware_available_follows_the_labels_of_nodes(world: World) -> None:
    # A model that no other test's node has.
    world.apply(
        world.image(),
        world.config(),
        world.template("here", gpuSelector={"model": "MI300X"}),
        world.template("elsewhere", gpuSelector={"model": "MI100"}),
    )
    for name in ("here", "elsewhere"):
        world.until_template("Available", name=name)
    assert hardware(world, "here") == "True/HardwareFound"
    assert hardware(world, "elsewhere") == "False/HardwareNotFound", "and discovery was not held up"
    for labels, want in (
        ({PRODUCT: "AMD_Instinct_MI100"}, "True/HardwareFound"),
        ({"amd.com/gpu.device-id": "738c"}, "True/HardwareFound"),
        ({PRODUCT: "AMD_Instinct_MI999"}, "Unknown/HardwareUnknown"),
    ):
        node = gpu_node(world, "other", **labels)
        world.apply(node)
        world.until("AIMServiceTemplate", "elsewhere", partial(has_hardware, want), "sees the node")
        world.delete(node)
        world.until(
            "AIMServiceTemplate",
            "elsewhere",
            partial(has_hardware, "False/HardwareNotFound"),
            "sees the node go",
        )


RANKED: list[Any] = [
    pytest.param({"type_": "optimized"}, {"type_": "preview"}, "profile type", id="optimized over preview"),
    pytest.param(
        {"type_": "preview"}, {"type_": "unoptimized"}, "profile type", id="preview over unoptimized"
    ),
    pytest.param(
        {"gpuSelector": {"model": "MI300X"}},
        {"gpuSelector": {"model": "MI355X"}},
        "GPUs that nodes have",
        id="GPUs that nodes have over newer ones that none has",
    ),
    pytest.param({"metric": "latency"}, {"metric": "throughput"}, "metric", id="latency over throughput"),
    pytest.param({"precision": "fp8"}, {"precision": "fp16"}, "precision", id="fp8 over fp16"),
    pytest.param(
        {"type_": "optimized", "precision": "fp32", "metric": "throughput"},
        {"type_": "preview", "precision": "fp4", "metric": "latency"},
        "profile type",
        id="the earlier criterion over all later ones",
    ),
]


def best(better: dict[str, Any]) -> str:
    """What is said of the best, which may be of a type that is not optimized."""
    type_ = better.get("type_", "optimized")
    return "best match" if type_ == "optimized" else f"best match; its profile is {type_}, not optimized"


@pytest.mark.parametrize(("better", "worse", "criterion"), RANKED)
def test_without_a_name_or_default_the_better_template_is_chosen(
    world: World, better: dict[str, Any], worse: dict[str, Any], criterion: str
) -> None:
    world.apply(
        world.image(), world.config(), typed(world, "z-better", **better), typed(world, "a-worse", **worse)
    )
    for name in ("z-better", "a-worse"):
        world.until_template("Available", name=name)
    status = world.run(world.service())
    assert status["resolvedTemplate"]["name"] == "z-better"
    assert matching(status) == {
        "z-better": (True, best(better)),
        "a-worse": (False, f"worse by {criterion}"),
    }


def test_gpu_generations_and_scopes_rank_too(world: World) -> None:
    """MI325X over MI300X where nodes have both; a namespaced template over any cluster template."""
    world.apply(gpu_node(world, "newer", **{"amd.com/gpu.device-id": "74a5"}))
    cluster = world.shared("cluster")
    world.apply(
        world.cluster_image(),
        world.config(),
        world.cluster_template(cluster, gpuSelector={"model": "MI325X"}),
        world.template("old", gpuSelector={"model": "MI300X"}),
        world.template("new", gpuSelector={"model": "MI325X"}),
    )
    for name in ("old", "new"):
        world.until(
            "AIMServiceTemplate",
            name,
            lambda t: told(t.get("status", {}), "HardwareAvailable") == "True/HardwareFound",
        )
        world.until_template("Available", name=name)
    world.until(
        "AIMClusterServiceTemplate", cluster, lambda t: t.get("status", {}).get("status") == "Available"
    )
    status = world.run(world.service())
    assert matching(status) == {
        "new": (True, "best match"),
        "old": (False, "worse by GPU generation"),
        cluster: (False, "worse by scope"),
    }
    scopes = {c["name"]: c["scope"] for c in status["templateMatching"]}
    assert scopes == {"new": "Namespace", "old": "Namespace", cluster: "Cluster"}


def test_only_an_optimized_template_is_chosen_where_nothing_else_is_allowed(world: World) -> None:
    world.apply(world.image(), world.config(allowUnoptimized=False), typed(world, "preview", "preview"))
    world.until_template("Available", name="preview")
    world.apply(world.service())
    status = world.until_service("Degraded", "NoOptimizedTemplate")
    assert "only preview; set spec.allowUnoptimized to true" in message(status, "Failure")
    world.apply(typed(world, "optimized", "optimized", metric="throughput"))
    status = world.run(world.service())
    assert status["resolvedTemplate"]["name"] == "optimized"


def test_a_tie_is_told_and_never_guessed(world: World) -> None:
    world.apply(
        world.image(),
        world.config(),
        world.template("one", env=[{"name": "A", "value": "1"}]),
        world.template("two", env=[{"name": "A", "value": "2"}]),
    )
    for name in ("one", "two"):
        world.until_template("Available", name=name)
    world.apply(world.service())
    status = world.until_service("Degraded", "TemplateSelectionAmbiguous")
    assert "templates one, two fit image" in message(status, "Failure")
    assert set(matching(status).values()) == {(False, "tied with another template")}
    assert world.get("InferenceService", "chat") is None
    world.apply(world.service(templateRef="two"))
    status = world.until_service("Running")
    assert status["resolvedTemplate"]["name"] == "two"
    assert "templateMatching" not in status


def test_a_choice_once_made_stays_while_its_template_exists(world: World) -> None:
    first = world.template("first", precision="fp16")
    world.run(world.image(), world.config(), first, world.service())
    assert world.status()["resolvedTemplate"]["name"] == "first"
    world.apply(world.template("better", precision="fp8"))
    world.until_template("Available", name="better")
    status = world.until(
        "AIMService",
        "chat",
        lambda s: matching(s["status"]).get("better", (False, "not available"))[1].startswith("came"),
        "has seen the new one",
    )["status"]
    assert matching(status) == {
        "first": (True, "best match"),
        "better": (False, "came after the choice, which stays"),
    }
    # Neither other hardware nor another discovery moves it.
    world.apply(gpu_node(world, "more", **{PRODUCT: "AMD_Instinct_MI210"}))
    before = world.need("InferenceService", "chat")
    world.annotate("AIMServiceTemplate", "first", rediscover="again")
    world.until("AIMServiceTemplate", "first", lambda t: len(t["status"]["discovery"]) > 0)
    world.until_template("Available", name="first")
    assert world.need("InferenceService", "chat")["spec"] == before["spec"]
    world.delete(first)
    world.until(
        "InferenceService",
        "chat",
        lambda s: s["spec"]["predictor"]["model"]["runtime"] == "better",
        "moves on",
    )


def test_without_any_template_it_says_so_and_takes_the_first_that_comes(world: World) -> None:
    world.apply(world.image(), world.config(), world.service())
    status = world.until_service("Degraded", "TemplateNotFound")
    assert "has no available template" in message(status, "Failure")
    world.hold("node")
    world.apply(world.template("first"))
    waiting = world.until_service("Pending", "TemplateNotAvailable")
    assert matching(waiting)["first"][1].startswith("not available: P"), "Pending or Progressing"
    world.hold("node", on=False)
    assert world.until_service("Running")["resolvedTemplate"]["name"] == "first"


def test_failed_and_derived_templates_are_no_candidates(world: World) -> None:
    none = [{"name": "AIM_TEST_MODELS", "value": "none"}]
    world.apply(world.image(), world.config(), world.template("good"))
    world.until_template("Available", name="good")
    other = world.service("other", templateRef="good", overrides={"precision": "fp4"})
    world.run(other, name="other")
    derived = world.status(name="other")["resolvedTemplate"]["name"]
    status = world.run(world.service())
    assert set(matching(status)) == {"good"}
    assert derived.startswith("good-ovr-")
    # One without model sources may be chosen, but nothing is started on it.
    world.apply(world.template("good", env=none))
    world.until_service("Degraded", "NoModelSources")


def test_a_gpu_model_keeps_services_off_nodes_that_have_another(world: World) -> None:
    world.run(*world.catalog(gpuSelector={"model": "MI300X"}), world.service())
    before = world.need("InferenceService", "chat")
    affinity = before["spec"]["predictor"]["affinity"]
    admitted = [
        device for device in ("74a1", "74a5", "ffff") if admits(affinity, {"amd.com/gpu.device-id": device})
    ]
    assert admitted == ["74a1", "ffff"], "MI300X, not MI325X, and what nobody knows"
    # Nodes that come and go change nothing.
    node = gpu_node(world, "more", **{PRODUCT: "AMD_Instinct_MI325X_OAM"})
    world.apply(node)
    world.delete(node)
    world.annotate("AIMServiceTemplate", "fast", rediscover="again")
    world.until("AIMServiceTemplate", "fast", lambda t: t["status"]["status"] == "Progressing")
    world.until_template("Available")
    for kind, name in (("ServingRuntime", "fast"), ("InferenceService", "chat")):
        assert world.need(kind, name)["metadata"]["generation"] == 1, "nothing of it was changed"
