"""Behaviour "overrides ⇒ a derived AIMServiceTemplate": what is derived, shared, moved to, and cleaned up."""

from __future__ import annotations

from typing import Any

import pytest

from hack.cluster.api import Manifest
from tests.support.spec_world import IMAGE, World, message, served_image, told

OTHER_IMAGE = "ghcr.io/example/other-model:v2"
FP8 = {"precision": "fp8"}


def derived(world: World) -> list[Manifest]:
    """Return the derived templates of the namespace, by name."""
    label = "aim.silogen.ai/derived-template"
    found = [t for t in world.all("AIMServiceTemplate") if label in t["metadata"].get("labels", {})]
    return sorted(found, key=lambda t: str(t["metadata"]["name"]))


def used(world: World, name: str = "chat") -> str:
    template: str = world.status(name=name)["resolvedTemplate"]["name"]
    return template


def runs_on(service: Manifest, template: str) -> bool:
    runtime: str = service["spec"]["predictor"]["model"]["runtime"]
    return runtime == template


def test_a_derived_template_is_the_base_with_the_overrides_laid_over_field_by_field(world: World) -> None:
    base = world.template(
        metric="latency",
        precision="fp16",
        gpuSelector={"count": 1, "model": "MI300X"},
        resources={"requests": {"cpu": "1"}},
        env=[{"name": "A", "value": "base"}, {"name": "B", "value": "base"}],
        imagePullSecrets=[{"name": "of-base"}],
    )
    world.run(
        world.image(defaultServiceTemplate="fast"),
        base,
        world.config(),
        world.config("ours"),
        world.service(
            overrides={"metric": "throughput", "gpuSelector": {"count": 2}},
            env=[{"name": "B", "value": "service"}, {"name": "C", "value": "service"}],
            imagePullSecrets=[{"name": "of-service"}],
            runtimeConfigName="ours",
        ),
    )
    (template,) = derived(world)
    assert template["spec"] == {
        "aimImageName": world.model,
        "runtimeConfigName": "ours",
        "metric": "throughput",
        "precision": "fp16",
        "gpuSelector": {"count": 2, "model": "MI300X"},
        "resources": {"requests": {"cpu": "1"}},
        "env": [
            {"name": "A", "value": "base"},
            {"name": "B", "value": "service"},
            {"name": "C", "value": "service"},
        ],
        "imagePullSecrets": [{"name": "of-base"}, {"name": "of-service"}],
    }
    metadata = template["metadata"]
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "aim",
        "aim.silogen.ai/derived-template": "true",
    }
    assert "ownerReferences" not in metadata
    name, _, digest = metadata["name"].partition("-ovr-")
    assert (name, len(digest)) == ("fast", 8)
    assert used(world) == metadata["name"]
    assert template["status"]["profile"]["metadata"]["gpu_count"] == 2
    assert runs_on(world.need("InferenceService", "chat"), metadata["name"])


def test_a_long_name_is_cut_so_that_the_derived_one_has_at_most_63_characters(world: World) -> None:
    base = "a-template-with-a-name-that-takes-almost-all-of-sixty-three-char"
    world.run(
        world.image(defaultServiceTemplate=base),
        world.template(base),
        world.config(),
        world.service(overrides=FP8),
    )
    assert len(base) == 64
    assert len(used(world)) <= 63


def test_a_cluster_template_is_derived_from_into_the_services_namespace(world: World) -> None:
    base = world.shared("base")
    world.run(
        world.cluster_image(defaultServiceTemplate=base),
        world.cluster_template(base, precision="fp16"),
        world.config(),
        world.service(overrides=FP8),
    )
    (template,) = derived(world)
    assert template["spec"] == {"aimImageName": world.model, **FP8}
    assert world.status()["resolvedTemplate"]["scope"] == "Namespace"


def test_a_namespaced_image_under_a_cluster_template_derives_even_without_overrides(world: World) -> None:
    base = world.shared("base")
    namespaced = world.image(ref=OTHER_IMAGE, defaultServiceTemplate=base)
    world.run(
        world.cluster_image(defaultServiceTemplate=base),
        world.cluster_template(base, metric="latency"),
        world.config(),
        world.service(),
    )
    assert used(world) == base
    world.apply(namespaced)
    moved = world.until(
        "InferenceService", "chat", lambda s: not runs_on(s, base), "moves to another template"
    )
    (template,) = derived(world)
    assert runs_on(moved, template["metadata"]["name"])
    assert served_image(moved) == OTHER_IMAGE
    world.delete(namespaced)
    world.until("InferenceService", "chat", lambda s: runs_on(s, base), "moves back")
    world.until_gone("AIMServiceTemplate", template["metadata"]["name"])


def test_services_with_equal_results_share_one_and_it_goes_with_the_last(world: World) -> None:
    one, two = world.service("one", overrides=FP8), world.service("two", overrides=FP8)
    world.apply(*world.catalog(precision="fp16"), one, two)
    for name in ("one", "two"):
        world.until_service("Running", name=name)
    (template,) = derived(world)
    name = template["metadata"]["name"]
    assert used(world, "one") == used(world, "two") == name
    assert len(world.all("Job")) == 2, "one discovery of the base, one of what both share"
    world.delete(one)
    world.until_gone("InferenceService", "one")
    assert world.get("AIMServiceTemplate", name) is not None
    assert world.status(name="two")["status"] == "Running"
    world.delete(two)
    world.until_gone("AIMServiceTemplate", name)
    assert world.get("AIMServiceTemplate", "fast") is not None


DIFFERENT: list[Any] = [
    pytest.param({"env": [{"name": "A", "value": "b"}]}, id="other environment variables"),
    pytest.param({"imagePullSecrets": [{"name": "registry"}]}, id="other pull secrets"),
    pytest.param({"runtimeConfigName": "ours"}, id="another runtime configuration"),
]


@pytest.mark.parametrize("different", DIFFERENT)
def test_services_that_differ_in_what_is_derived_never_fight_over_one(
    world: World, different: dict[str, Any]
) -> None:
    world.apply(*world.catalog(), world.config("ours"))
    world.apply(world.service("one", overrides=FP8), world.service("two", overrides=FP8, **different))
    for name in ("one", "two"):
        world.until_service("Running", name=name)
    assert used(world, "one") != used(world, "two")
    templates = derived(world)
    assert len(templates) == 2
    assert [t["metadata"]["generation"] for t in templates] == [1, 1], "neither was rewritten"


def test_an_equal_template_that_a_user_made_is_used_and_outlives_the_service(world: World) -> None:
    mine, alike = world.template("mine", **FP8), world.template("also-mine", **FP8)
    service = world.service(overrides=FP8)
    world.run(*world.catalog(), mine, alike, service)
    assert used(world) == "also-mine", "of several the smallest name"
    assert derived(world) == []
    world.delete(service)
    world.until_gone("InferenceService", "chat")
    assert {t["metadata"]["name"] for t in world.all("AIMServiceTemplate")} == {"fast", "mine", "also-mine"}


def test_the_name_default_written_out_and_another_order_make_no_second_template(world: World) -> None:
    """There is no configuration of that name; the API server keeps what was written as it was written."""
    one, other = {"name": "VLLM_XA", "value": "1"}, {"name": "VLLM_XB", "value": "2"}
    secrets = [{"name": "a"}, {"name": "b"}]
    image = world.image(defaultServiceTemplate="fast")
    base = world.template(env=[one, other], imagePullSecrets=secrets)
    mine = world.template(
        "mine",
        env=[other, one],
        imagePullSecrets=secrets[::-1],
        runtimeConfigName="default",
        **FP8,
    )
    world.run(image, base, mine, world.service(overrides=FP8, runtimeConfigName="default"))
    assert used(world) == "mine"
    assert derived(world) == []
    world.until_template("Available", name="mine")


def test_an_equal_cluster_template_is_used_if_the_namespace_has_none(world: World) -> None:
    base, equal = world.shared("base"), world.shared("equal")
    world.run(
        world.cluster_image(defaultServiceTemplate=base),
        world.cluster_template(base),
        world.cluster_template(equal, **FP8),
        world.config(),
        world.service(overrides=FP8),
    )
    assert used(world) == equal
    world.apply(world.template("namespaced", **FP8))
    world.until("InferenceService", "chat", lambda s: runs_on(s, "namespaced"), "prefers the namespaced one")


CHANGES: list[Any] = [
    pytest.param("overrides", id="the overrides change"),
    pytest.param("base", id="the base template changes"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_service_moves_once_the_new_template_is_available_and_is_not_disturbed_before(
    world: World, change: str
) -> None:
    world.run(*world.catalog(), world.service(overrides=FP8))
    first, before = used(world), world.need("InferenceService", "chat")
    world.hold("node")
    if change == "overrides":
        world.apply(world.service(overrides={"precision": "fp4"}))
    else:
        world.apply(world.template(metric="throughput"))
    world.until(
        "AIMService",
        "chat",
        lambda s: (
            told(s["status"], "Resolved") == "False/TemplateNotAvailable"
            and "the image's dry run is running" in message(s["status"], "Resolved")
        ),
        "waits for its new template",
    )
    status = world.status()
    assert status["status"] == "Running"
    assert used(world) == first, "it tells what it runs on"
    assert world.need("InferenceService", "chat") == before
    assert world.get("AIMServiceTemplate", first) is not None

    world.hold("node", on=False)
    moved = world.until("InferenceService", "chat", lambda s: not runs_on(s, first), "moves")
    now = moved["spec"]["predictor"]["model"]["runtime"]
    world.until_gone("AIMServiceTemplate", first)
    world.until_service("Running")
    assert used(world) == now
    assert world.need("AIMServiceTemplate", now)["status"]["status"] == "Available"


def test_a_new_image_reference_is_discovered_before_the_service_moves_to_it(world: World) -> None:
    world.run(*world.catalog(), world.service(overrides=FP8))
    template, before = used(world), world.need("InferenceService", "chat")
    world.hold("node")
    world.apply(world.image(ref=OTHER_IMAGE, defaultServiceTemplate="fast"))
    world.until_template("Progressing", name=template)
    assert world.need("InferenceService", "chat") == before
    assert served_image(before) == IMAGE
    world.hold("node", on=False)
    world.until("InferenceService", "chat", lambda s: served_image(s) == OTHER_IMAGE, "moves")
    world.until_service("Running")


def test_without_overrides_any_more_the_service_returns_to_its_base(world: World) -> None:
    world.run(*world.catalog(), world.service(overrides=FP8))
    first = used(world)
    world.apply(world.service())
    world.until("InferenceService", "chat", lambda s: runs_on(s, "fast"), "returns to its base")
    world.until_gone("AIMServiceTemplate", first)


def test_a_derived_template_that_was_edited_or_deleted_comes_back(world: World) -> None:
    world.run(*world.catalog(), world.service(overrides=FP8))
    name = used(world)
    uid = world.need("AIMServiceTemplate", name)["metadata"]["uid"]
    world.patch("AIMServiceTemplate", name, {"spec": {"precision": "int8"}})
    world.until("AIMServiceTemplate", name, lambda t: t["spec"]["precision"] == "fp8", "is repaired")
    world.until_template("Available", name=name)
    world.delete(world.template(name))
    world.until("AIMServiceTemplate", name, lambda t: t["metadata"]["uid"] != uid, "is made anew")
    world.until_template("Available", name=name)
    world.until_service("Running")


def test_a_name_that_a_users_template_has_is_a_conflict_and_that_template_stays(world: World) -> None:
    world.run(*world.catalog(), world.service(overrides=FP8))
    name = used(world)
    service = world.service(overrides=FP8)
    world.delete(service)
    world.until_gone("AIMServiceTemplate", name)
    mine = world.template(name, precision="int4")
    world.apply(mine, service)
    status = world.until_service("Degraded", "NameConflict")
    assert f"would be named '{name}'" in message(status, "Resolved")
    assert world.need("AIMServiceTemplate", name)["spec"]["precision"] == "int4"
    world.delete(mine)
    world.until_service("Running")
    assert used(world) == name


def test_until_its_template_is_available_a_service_is_pending(world: World) -> None:
    world.hold("node")
    world.apply(*world.catalog(), world.service(overrides=FP8))
    status = world.until_service("Pending", "TemplateNotAvailable")
    assert told(status, "Progressing") == "True/TemplateNotAvailable"
    assert told(status, "Failure") == "False/TemplateNotAvailable"
    assert world.get("InferenceService", "chat") is None
    world.hold("node", on=False)
    world.until_service("Running")


def test_a_failed_template_degrades_the_service_with_its_own_reason_and_words(world: World) -> None:
    broken = world.image(ref="ghcr.io/example/garbage:v1", defaultServiceTemplate="fast")
    world.apply(broken, world.template(), world.config(), world.service(overrides=FP8))
    status = world.until_service("Degraded", "DiscoveryParseFailed")
    assert told(status, "Failure") == "True/DiscoveryParseFailed"
    assert 'it ends with "this is no JSON"' in message(status, "Failure")
    world.apply(world.image(defaultServiceTemplate="fast"))
    world.until_service("Running")
