"""Beside policies that change what is written: writes are bounded, and the status is true.

Stand-ins for what Kyverno, Gatekeeper, meshes and defaulting webhooks do: at admission, at each write of
each child; and for controllers that change an object again as soon as it is written.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
)
from aim_operator.api.resource import Resource
from tests.simulation.catalog import NAMESPACE, config, image, routed, service, template
from tests.simulation.world import World

CHILDREN: tuple[Resource[Any], ...] = (
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
    INFERENCE_SERVICES,
    HTTP_ROUTES,
    aim.TEMPLATE_CACHES,
    aim.MODEL_CACHES,
)
SECONDS = 1800
Policy = Callable[[dict[str, Any]], dict[str, Any]]


def metadata_of_another(obj: dict[str, Any]) -> dict[str, Any]:
    """Labels and annotations of a policy."""
    metadata = obj["metadata"]
    metadata["labels"] = {**metadata.get("labels", {}), "policy.example.com/checked": "true"}
    metadata["annotations"] = {**metadata.get("annotations", {}), "policies.kyverno.io/last-applied": "x"}
    return obj


def counter() -> Policy:
    """A mark that differs at each write, as of a webhook that notes when it was asked."""
    numbers = itertools.count()

    def mark(obj: dict[str, Any]) -> dict[str, Any]:
        annotations = obj["metadata"].get("annotations", {})
        obj["metadata"]["annotations"] = {**annotations, "policy.example.com/seen": str(next(numbers))}
        return obj

    return mark


def pod_spec_of(obj: dict[str, Any]) -> dict[str, Any] | None:
    spec = obj.get("spec", {})
    if obj["kind"] == "Job":
        found: dict[str, Any] = spec["template"]["spec"]
        return found
    if obj["kind"] == "ServingRuntime":
        runtime: dict[str, Any] = spec
        return runtime
    return spec.get("predictor") if obj["kind"] == "InferenceService" else None


def sidecars(obj: dict[str, Any]) -> dict[str, Any]:
    """A native sidecar and a container beside ours, in Pod templates, as a policy for Jobs may add them."""
    if obj["kind"] == "Job" and "resourceVersion" not in obj["metadata"]:
        pod = obj["spec"]["template"]["spec"]
        proxy = {"name": "istio-proxy", "image": "proxy:v1", "restartPolicy": "Always"}
        pod["initContainers"] = [*pod.get("initContainers", []), proxy]
        pod["containers"] = [*pod["containers"], {"name": "agent", "image": "agent:v1"}]
    return obj


def rewrites(obj: dict[str, Any]) -> dict[str, Any]:
    """Fields of ours, to other values: a mirror of registries, another pull policy, other tolerations."""
    pod = pod_spec_of(obj)
    if pod is None or (obj["kind"] == "Job" and "resourceVersion" in obj["metadata"]):
        return obj
    for container in (*pod.get("containers", ()), *([pod["model"]] if "model" in pod else ())):
        if not container.get("image", "").startswith("mirror.example.com/"):
            container["image"] = f"mirror.example.com/{container.get('image', '')}"
        container["imagePullPolicy"] = "Always"
    pod["tolerations"] = [{"key": "policy", "operator": "Exists"}]
    return obj


def removes(obj: dict[str, Any]) -> dict[str, Any]:
    """Takes fields of ours away."""
    for name in ("aim.silogen.ai/model-id", "aim.silogen.ai/template"):
        obj["metadata"].get("labels", {}).pop(name, None)
    if obj["kind"] == "InferenceService":
        obj["spec"]["predictor"].pop("volumes", None)
    return obj


POLICIES: list[Any] = [
    pytest.param(lambda: metadata_of_another, id="labels and annotations of a policy"),
    pytest.param(counter, id="a mark that differs at each write"),
    pytest.param(lambda: sidecars, id="sidecars in Pod templates"),
    pytest.param(lambda: rewrites, id="fields of ours rewritten"),
    pytest.param(lambda: removes, id="fields of ours removed"),
]


def catalog() -> list[dict[str, Any]]:
    return [
        config(storage={"accessModes": ["ReadWriteOnce"]}),
        image(defaultServiceTemplate="fast"),
        template(caching={"enabled": True}),
        service(routing=routed("/chat"), cacheModel=True),
    ]


def state(world: World) -> str:
    return world.state_of(aim.SERVICES, "chat", NAMESPACE)


def children_written(world: World) -> Counter[tuple[str, str]]:
    return Counter((resource, name) for verb, resource, name in world.writes() if verb == "apply")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
async def test_what_is_changed_at_admission_is_accepted(
    policy: Callable[[], Policy],
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    """Each child is written a few times at most, the service runs, and then nothing is written."""
    async with World() as world:
        server, change = world.sandbox.server, policy()
        for resource in CHILDREN:
            server.mutating[server.kinds.served(resource).id] = change
        world.apply(catalog())
        operator = world.start()
        await world.until(lambda: state(world) == "Running")
        await world.pass_seconds(SECONDS)
        assert state(world) == "Running"
        most = max(children_written(world).values())
        assert most <= 3, children_written(world)
        if restarted:
            await world.stop(operator)
            world.start()
            # It has no memory of what came back, and finds out with one write of each child.
            await world.pass_seconds(60)
            assert max(children_written(world).values()) <= most + 2
        quiet = world.writes()
        await world.pass_seconds(SECONDS)
        assert world.writes() == quiet
        assert state(world) == "Running"


@pytest.mark.parametrize(
    "resource", [INFERENCE_SERVICES, HTTP_ROUTES, SERVING_RUNTIMES], ids=lambda r: r.kind
)
async def test_a_controller_that_undoes_each_write_is_answered_ever_less_often_and_named(
    resource: Resource[Any],
) -> None:
    """It changes the object after the write, as controllers do that mutate what exists already."""
    async with World() as world:
        world.apply(catalog())
        world.start()
        await world.until(lambda: state(world) == "Running")

        def fight() -> None:
            for found in world.all(resource, NAMESPACE):
                labels = found["metadata"]["labels"]
                if labels.get("app.kubernetes.io/component") != "theirs":
                    change = {"metadata": {"labels": {"app.kubernetes.io/component": "theirs"}}}
                    world.patch(resource, found["metadata"]["name"], NAMESPACE, change)

        before = sum(children_written(world).values())
        for _ in range(SECONDS // 5):
            fight()
            await world.pass_seconds(5)
        number = sum(children_written(world).values()) - before
        assert 3 <= number <= 20, number
        said = [
            condition
            for kind, name in ((aim.SERVICES, "chat"), (aim.TEMPLATES, "fast"))
            for condition in world.status(kind, name, NAMESPACE)["conditions"]
            if condition["reason"] == "ChangedByOthers"
        ]
        assert said
        assert all("something changes it back as soon as it is written" in each["message"] for each in said)
        await world.pass_seconds(3600)
        assert state(world) == "Running", "it heals once nobody changes it any more"


async def test_foreign_labels_and_annotations_of_children_stay() -> None:
    """Also when a child is written again, for a reason of its own."""
    theirs = {"argocd.argoproj.io/instance": "somebody", "team": "a"}
    async with World() as world:
        world.apply(catalog())
        world.start()
        await world.until(lambda: state(world) == "Running")
        for resource in (INFERENCE_SERVICES, HTTP_ROUTES, SERVING_RUNTIMES, PERSISTENT_VOLUME_CLAIMS):
            for found in world.all(resource, NAMESPACE):
                patch = {"metadata": {"labels": theirs, "annotations": theirs}}
                world.patch(resource, found["metadata"]["name"], NAMESPACE, patch)
        quiet = world.writes()
        await world.pass_seconds(60)
        assert world.writes() == quiet, "nobody fights about them"
        world.apply([service(routing=routed("/other"), cacheModel=True, replicas=2)])
        await world.until(lambda: state(world) == "Running" and world.writes() != quiet)
        for resource in (INFERENCE_SERVICES, HTTP_ROUTES):
            metadata = next(iter(world.all(resource, NAMESPACE)))["metadata"]
            assert theirs.items() <= metadata["labels"].items()
            assert theirs.items() <= metadata["annotations"].items()
