"""Services under virtual time: what they wait for, what moves them, and what never touches them."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, SERVING_RUNTIMES
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import (
    NAMESPACE,
    cluster_image,
    cluster_template,
    config,
    image,
    routed,
    service,
    template,
)
from tests.simulation.world import World


def state(world: World, name: str = "chat") -> tuple[str, str]:
    """(status, reason of Ready)."""
    return (
        world.state_of(aim.SERVICES, name, NAMESPACE),
        world.reason(aim.SERVICES, name, NAMESPACE, "Ready").split("/")[-1],
    )


def running(world: World, *names: str) -> bool:
    return all(world.state_of(aim.SERVICES, name, NAMESPACE) == "Running" for name in names or ("chat",))


MISSING: list[Any] = [
    pytest.param(
        [],
        [image(defaultServiceTemplate="fast"), template()],
        ("Degraded", "ImageNotFound"),
        id="without its image",
    ),
    pytest.param(
        [image(defaultServiceTemplate="fast")],
        [template()],
        ("Degraded", "TemplateNotFound"),
        id="without its template",
    ),
    pytest.param(
        [image(defaultServiceTemplate="fast"), template(runtimeConfigName="ours")],
        [config("ours")],
        ("Degraded", "RuntimeConfigMissing"),
        id="without its runtime configuration",
    ),
    pytest.param(
        [image(), template("one"), template("two")],
        [image(defaultServiceTemplate="one")],
        ("Degraded", "TemplateSelectionAmbiguous"),
        id="with two templates that fit equally well",
    ),
    pytest.param(
        [image(defaultServiceTemplate="fast"), template(model="else")],
        [image(defaultServiceTemplate="other"), template("other")],
        ("Degraded", "TemplateImageMismatch"),
        id="with a default template of another image",
    ),
]


@pytest.mark.parametrize(("before", "cure", "want"), MISSING)
async def test_a_service_says_what_it_lacks_and_runs_once_it_is_there(
    before: list[dict[str, Any]], cure: list[dict[str, Any]], want: tuple[str, str]
) -> None:
    async with World() as world:
        world.apply([*before, service()])
        world.start()
        await world.until(lambda: state(world) == want)
        assert not world.all(INFERENCE_SERVICES)
        world.apply(cure)
        await world.until(lambda: running(world), limit_seconds=5)


async def test_missing_inputs_never_touch_what_runs() -> None:
    async with World() as world:
        catalog = [image(defaultServiceTemplate="fast"), template(), config(routing={"enabled": True})]
        world.apply([*catalog, service(routing=routed("/chat"))])
        world.start()
        await world.until(lambda: running(world))
        before = [world.find(r, "chat", NAMESPACE) for r in (INFERENCE_SERVICES, HTTP_ROUTES)]
        world.delete(aim.IMAGES, "model", NAMESPACE)
        await world.until(lambda: state(world) == ("Degraded", "ImageNotFound"))
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RuntimeReady") == "True/RuntimeReady"
        assert [world.find(r, "chat", NAMESPACE) for r in (INFERENCE_SERVICES, HTTP_ROUTES)] == before
        world.apply(catalog)
        await world.until(lambda: running(world))


async def test_rediscovery_leaves_a_running_service_alone() -> None:
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        world.start()
        await world.until(lambda: running(world))
        world.sandbox.jobs.run_seconds = 60
        world.apply([image(ref="ghcr.io/example/model:v2", defaultServiceTemplate="fast")])
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Progressing")
        await world.pass_seconds(20)
        assert running(world)
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        await world.pass_seconds(5)
        assert running(world)


async def test_services_with_equal_overrides_share_a_derived_template_that_goes_with_the_last() -> None:
    async with World() as world:
        overrides = {"precision": "fp8", "gpuSelector": {"count": 2}}
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template(precision="fp16")])
        world.apply([service("one", overrides=overrides), service("two", overrides=overrides)])
        world.start()
        await world.until(lambda: running(world, "one", "two"))
        derived = world.all(aim.TEMPLATES)
        assert len(derived) == 1
        assert derived[0]["spec"]["precision"] == "fp8"
        assert derived[0]["spec"]["gpuSelector"] == {"count": 2}
        used = {world.status(aim.SERVICES, n, NAMESPACE)["resolvedTemplate"]["name"] for n in ("one", "two")}
        assert used == {derived[0]["metadata"]["name"]}
        world.delete(aim.SERVICES, "one", NAMESPACE)
        await world.pass_seconds(60)
        assert len(world.all(aim.TEMPLATES)) == 1
        world.delete(aim.SERVICES, "two", NAMESPACE)
        await world.until(lambda: not world.all(aim.TEMPLATES))


async def test_a_service_moves_to_its_new_template_only_once_that_is_available() -> None:
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template(precision="fp16"), service()])
        world.start()
        await world.until(lambda: running(world))
        world.sandbox.jobs.run_seconds = 60
        world.apply([service(overrides={"precision": "fp8"})])
        await world.pass_seconds(30)
        live = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
        assert live is not None
        assert live["spec"]["predictor"]["model"]["runtime"] == "fast"
        assert running(world)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Resolved") == "False/TemplateNotAvailable"

        def moved() -> bool:
            found = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
            return found is not None and found["spec"]["predictor"]["model"]["runtime"].startswith(
                "fast-ovr-"
            )

        await world.until(moved)
        await world.until(lambda: running(world))


async def test_an_equal_template_of_a_user_is_used_instead_of_a_derived_one() -> None:
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template(precision="fp16")])
        world.apply([template("mine", precision="fp8"), service(overrides={"precision": "fp8"})])
        world.start()
        await world.until(lambda: running(world))
        assert world.status(aim.SERVICES, "chat", NAMESPACE)["resolvedTemplate"]["name"] == "mine"
        assert {t["metadata"]["name"] for t in world.all(aim.TEMPLATES)} == {"fast", "mine"}


async def test_the_older_of_two_services_keeps_a_path_and_the_younger_takes_it_over() -> None:
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template()])
        world.apply([service("older", routing=routed("/same"))])
        await world.pass_seconds(2)
        world.apply([service("younger", routing=routed("/same"))])
        world.start()
        await world.until(
            lambda: running(world, "older") and state(world, "younger") == ("Degraded", "RouteConflict")
        )
        assert [r["metadata"]["name"] for r in world.all(HTTP_ROUTES)] == ["older"]
        world.delete(aim.SERVICES, "older", NAMESPACE)
        await world.until(lambda: running(world, "younger"))
        assert [r["metadata"]["name"] for r in world.all(HTTP_ROUTES)] == ["younger"]


async def test_routing_switched_off_takes_the_route_away() -> None:
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template(), service(routing=routed("/x"))])
        world.start()
        await world.until(lambda: running(world) and bool(world.all(HTTP_ROUTES)))
        world.apply([service(routing={"enabled": False})])
        await world.until(lambda: not world.all(HTTP_ROUTES))
        await world.pass_seconds(1)
        assert running(world)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RoutingReady") == ""


async def test_an_invalid_route_template_degrades_the_service_and_heals() -> None:
    async with World() as world:
        bad = routed("/{.metadata.labels['team']}")
        world.apply([image(defaultServiceTemplate="fast"), template(), service(routing=bad)])
        world.start()
        await world.until(lambda: state(world) == ("Degraded", "RouteTemplateInvalid"))
        assert world.find(INFERENCE_SERVICES, "chat", NAMESPACE) is not None
        assert not world.all(HTTP_ROUTES)
        labelled = service(routing=bad)
        labelled["metadata"]["labels"] = {"team": "Blue_Team"}
        world.apply([labelled])
        await world.until(lambda: running(world), limit_seconds=5)
        assert world.status(aim.SERVICES, "chat", NAMESPACE)["routing"]["path"] == "/blue_team"


@pytest.mark.parametrize("resource", [INFERENCE_SERVICES, HTTP_ROUTES], ids=lambda r: r.kind)
async def test_a_foreign_namesake_is_reported_never_touched_and_waited_for(resource: Any) -> None:
    async with World() as world:
        foreign = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": "chat", "namespace": NAMESPACE, "annotations": {"theirs": "yes"}},
            "spec": {"predictor": {}} if resource is INFERENCE_SERVICES else {"parentRefs": []},
        }
        world.apply([image(defaultServiceTemplate="fast"), template(), foreign])
        before = world.find(resource, "chat", NAMESPACE)
        world.apply([service(routing=routed("/chat"))])
        world.start()
        await world.until(lambda: state(world) == ("Degraded", "NameConflict"))
        await world.pass_seconds(60)
        after = world.find(resource, "chat", NAMESPACE)
        assert before is not None
        assert after is not None
        assert (after["spec"], after["metadata"]["annotations"]) == (
            before["spec"],
            before["metadata"]["annotations"],
        )
        if resource is INFERENCE_SERVICES:
            assert not world.all(HTTP_ROUTES), "a route would lead to the stranger's model"
        world.delete(resource, "chat", NAMESPACE)
        await world.until(lambda: running(world), limit_seconds=10)


@pytest.mark.parametrize("managed_by", ["somebody", "aim-controller"])
async def test_a_runtime_that_kserve_would_take_instead_is_waited_for(managed_by: str) -> None:
    async with World() as world:
        shadow = {
            "apiVersion": SERVING_RUNTIMES.api_version,
            "kind": SERVING_RUNTIMES.kind,
            "metadata": {
                "name": "fast",
                "namespace": NAMESPACE,
                "labels": {"app.kubernetes.io/managed-by": managed_by},
            },
            "spec": {"containers": [{"name": "kserve-container", "image": "theirs"}]},
        }
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template(), shadow, service()])
        world.start()
        await world.until(lambda: state(world) == ("Degraded", "NameConflict"))
        assert not world.all(INFERENCE_SERVICES)
        world.delete(SERVING_RUNTIMES, "fast", NAMESPACE)
        await world.until(lambda: running(world), limit_seconds=10)


async def test_kserve_and_gateway_api_are_waited_for() -> None:
    async with World(kserve=False, gateway=False) as world:
        world.apply([image(defaultServiceTemplate="fast"), template(), service(routing=routed("/chat"))])
        world.start()
        await world.until(lambda: state(world) == ("Degraded", "KServeNotInstalled"))
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RoutingReady") == "False/GatewayAPINotInstalled"
        world.sandbox.install_kserve()
        await world.until(
            lambda: world.find(INFERENCE_SERVICES, "chat", NAMESPACE) is not None, limit_seconds=30
        )
        world.install_gateway()
        await world.until(lambda: running(world), limit_seconds=30)


async def test_drift_is_repaired_and_unwanted_fields_are_removed() -> None:
    async with World() as world:
        world.apply(
            [image(defaultServiceTemplate="fast"), template(), service(env=[{"name": "A", "value": "b"}])]
        )
        world.start()
        await world.until(lambda: running(world))
        await world.admin.patch(
            INFERENCE_SERVICES,
            "chat",
            {"spec": {"predictor": {"minReplicas": 7, "maxReplicas": 7}}},
            namespace=NAMESPACE,
        )

        def replicas() -> int | None:
            live = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
            return live["spec"]["predictor"]["minReplicas"] if live else None

        await world.until(lambda: replicas() == 1, limit_seconds=10)
        world.apply([service()])

        def env() -> set[str]:
            live = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
            return {each["name"] for each in live["spec"]["predictor"]["model"]["env"]} if live else set()

        await world.until(lambda: "A" not in env(), limit_seconds=10)
        assert "AIM_METRIC" in env()


async def test_of_two_leaders_only_one_writes_and_the_other_takes_over() -> None:
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template(), service("one")])
        first = world.start(user="operator-a", leader_elect=True)
        await world.until(lambda: running(world, "one"))
        world.start(user="operator-b", leader_elect=True)
        await world.pass_seconds(60)
        writers = {e.user for e in world.sandbox.server.audit if e.verb in ("apply", "patch_status")}
        assert writers == {"operator-a", "kubectl"} & writers
        await world.stop(first)
        world.apply([service("two")])
        await world.until(lambda: running(world, "one", "two"), limit_seconds=60)


async def test_a_failed_template_degrades_its_service_with_its_own_words() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours["bad:v1"] = ImageBehaviour(log=b"nothing")
        world.apply([image(ref="bad:v1", defaultServiceTemplate="fast"), template(), service()])
        world.start()
        await world.until(lambda: state(world) == ("Degraded", "DiscoveryParseFailed"))
