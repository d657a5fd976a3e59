"""Which template a service without templateRef runs on: never a matter of which discovery ended first."""

from __future__ import annotations

import random
from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import INFERENCE_SERVICES, JOBS
from aim_operator.errors import Forbidden
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault, Rates
from aim_operator.sandbox.profiles import SandboxImage
from tests.simulation.catalog import (
    IMAGE,
    NAMESPACE,
    cluster_image,
    cluster_template,
    image,
    service,
    template,
)
from tests.simulation.world import World

LOST = Forbidden("the webhook of services denied it", code=403, reason="Forbidden")


def choice(world: World, name: str = "chat") -> str:
    chosen = [
        c["name"]
        for c in world.status(aim.SERVICES, name, NAMESPACE).get("templateMatching", [])
        if c["chosen"]
    ]
    return chosen[0] if chosen else ""


def runs_on(world: World, name: str = "chat") -> str:
    found = world.find(INFERENCE_SERVICES, name, NAMESPACE)
    return str(found["spec"]["predictor"]["model"]["runtime"]) if found else ""


def resolved(world: World, name: str = "chat") -> tuple[str, str, str]:
    conditions = world.status(aim.SERVICES, name, NAMESPACE).get("conditions", [])
    said = next((c for c in conditions if c["type"] == "Resolved"), {"reason": "", "message": ""})
    return world.state_of(aim.SERVICES, name, NAMESPACE), said["reason"], said["message"]


def lose_statuses(world: World) -> Fault:
    lost = Fault(error=LOST, verb="patch_status", resource="aimservices", times=10**6)
    world.network.fail(lost)
    return lost


async def test_a_better_template_that_is_still_being_discovered_is_waited_for_by_name() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 20
        world.apply([image(), template("slow", metric="throughput")])
        world.start(max_discovery_jobs=1)
        await world.until(lambda: world.state_of(aim.TEMPLATES, "slow", NAMESPACE) == "Available")
        world.apply([template("quick", metric="latency"), service()])
        await world.pass_seconds(10)
        state, reason, message = resolved(world)
        assert (state, reason) == ("Pending", "TemplateNotAvailable")
        assert "quick" in message
        assert "slow" in message
        assert not world.all(INFERENCE_SERVICES)
        await world.until(lambda: resolved(world)[0] == "Running")
        assert (choice(world), runs_on(world)) == ("quick", "quick")


@pytest.mark.parametrize(
    "outcome", [pytest.param("fails", id="fails"), pytest.param("pull error", id="can't be pulled")]
)
async def test_a_better_template_that_fails_holds_nobody_up_for_good(outcome: Any) -> None:
    async with World() as world:
        world.apply([image(), template("slow", metric="throughput")])
        world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "slow", NAMESPACE) == "Available")
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome=outcome, exit_code=1)
        world.apply([template("quick", metric="latency"), service()])
        await world.until(lambda: resolved(world)[0] == "Running", limit_seconds=700)
        assert choice(world) == "slow"


async def test_a_better_template_that_lacks_something_holds_nobody_up() -> None:
    async with World() as world:
        world.apply(
            [image(), template("slow", metric="throughput"), template("quick", runtimeConfigName="gone")]
        )
        world.start()
        world.apply([service()])
        await world.until(lambda: resolved(world)[0] == "Running", limit_seconds=30)
        assert choice(world) == "slow"


@pytest.mark.parametrize("overrides", [{}, {"overrides": {"precision": "fp8"}}], ids=["", "with overrides"])
async def test_a_choice_stays_though_no_status_could_be_written(overrides: dict[str, Any]) -> None:
    """The InferenceService tells what was chosen; a better template comes, and the operator is restarted."""
    async with World() as world:
        world.apply([image(), template("slow", metric="throughput")])
        operator = world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "slow", NAMESPACE) == "Available")
        lose_statuses(world)
        world.apply([service(**overrides)])
        await world.until(lambda: bool(runs_on(world)))
        first = runs_on(world)
        world.apply([template("quick", metric="latency")])
        await world.pass_seconds(60)
        await world.stop(operator)
        world.start()
        lost = lose_statuses(world)
        world.apply([service(replicas=2, **overrides)])
        await world.pass_seconds(700)
        assert world.status(aim.SERVICES, "chat", NAMESPACE) == {}
        assert runs_on(world) == first
        assert world.find(aim.TEMPLATES, first, NAMESPACE), "what a service runs on is in use"
        lost.times = 0
        await world.until(lambda: resolved(world)[0] == "Running", limit_seconds=3600)
        await world.pass_seconds(60)
        assert (choice(world), runs_on(world)) == ("slow", first)


async def test_a_derived_template_stays_until_nothing_runs_on_it_any_more() -> None:
    """Its service moves on to other overrides; and no status can be written that would say where it runs."""
    async with World() as world:
        world.apply([image(), template("slow", metric="throughput")])
        world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "slow", NAMESPACE) == "Available")
        lost = lose_statuses(world)
        world.apply([service(overrides={"precision": "fp8"})])
        await world.until(lambda: bool(runs_on(world)))
        first = runs_on(world)
        world.sandbox.jobs.run_seconds = 300
        world.apply([service(overrides={"precision": "fp4"})])
        await world.pass_seconds(120)
        assert runs_on(world) == first
        assert world.find(aim.TEMPLATES, first, NAMESPACE)
        lost.times = 0
        await world.until(lambda: runs_on(world) not in ("", first), limit_seconds=3600)
        await world.until(lambda: world.find(aim.TEMPLATES, first, NAMESPACE) is None, limit_seconds=60)


@pytest.mark.parametrize("speechless", [False, True], ids=["", "and no status can be written"])
async def test_a_derived_template_stays_while_the_operator_does_not_see_what_runs_on_it(
    speechless: bool,  # noqa: FBT001 - a table
) -> None:
    """The watch of InferenceServices stalls for longer than an own write is waited for (`chaos` story 20055).

    Its service has moved on to other overrides, whose template is still being discovered.
    """
    async with World() as world:
        world.apply([image(), template("slow", metric="throughput")])
        world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "slow", NAMESPACE) == "Available")
        world.network.stall_watches(INFERENCE_SERVICES.plural)
        lost = lose_statuses(world) if speechless else None
        world.apply([service(overrides={"precision": "fp8"})])
        await world.until(lambda: bool(runs_on(world)))
        first = runs_on(world)
        world.sandbox.jobs.run_seconds = 500
        world.apply([service(overrides={"precision": "fp4"})])
        await world.pass_seconds(400)
        assert runs_on(world) == first
        assert world.find(aim.TEMPLATES, first, NAMESPACE), "what a service runs on is in use"
        world.network.calm()
        if lost is not None:
            lost.times = 0
        await world.until(lambda: runs_on(world) not in ("", first), limit_seconds=5000)
        await world.until(lambda: world.find(aim.TEMPLATES, first, NAMESPACE) is None, limit_seconds=60)


Objects = list[dict[str, Any]]


def random_image(chance: random.Random) -> SandboxImage:
    """An image that has most profiles, of types that nobody can guess."""
    entries = [
        {
            "filename": f"vllm-{gpu}-{precision}-tp1-{metric}.yaml".lower(),
            "profile": {
                "aim_id": "sandbox/model",
                "model_id": "sandbox/model",
                "metadata": {
                    "engine": "vllm",
                    "gpu": gpu,
                    "precision": precision,
                    "gpu_count": 1,
                    "metric": metric,
                    "type": chance.choice(["optimized", "optimized", "preview", "unoptimized"]),
                },
                "engine_args": {},
                "env_vars": {},
            },
        }
        for gpu in ("MI300X", "MI325X", "MI210")
        for precision in ("fp4", "fp8", "fp16")
        for metric in ("latency", "throughput")
        if chance.random() < 0.9
    ]
    return SandboxImage({"AIM_ID": "sandbox/model"}, tuple(entries))


def random_catalog(chance: random.Random) -> tuple[Objects, Objects]:
    """Return objects of the catalog, and services that choose among them."""
    made: list[dict[str, Any]] = [chance.choice([image, cluster_image])()]
    for number in range(chance.randint(1, 6)):
        spec: dict[str, Any] = {"metric": chance.choice(["latency", "throughput"])}
        if chance.random() < 0.7:
            spec["precision"] = chance.choice(["fp8", "fp16", "auto"])
        if chance.random() < 0.9:
            spec["gpuSelector"] = {"model": chance.choice(["MI300X", "MI325X", "MI210"]), "count": 1}
        if chance.random() < 0.2:
            spec["runtimeConfigName"] = "gone"
        make = chance.choice([template, template, cluster_template])
        made.append(make(f"t{number}", **spec))
    services = [service("plain"), service("faster", overrides={"precision": "fp4"})]
    return made, services


async def end_state(seed: int, run: int) -> dict[str, Any]:
    """Return how the services of one catalog end, on one of many ways there."""
    made, services = random_catalog(random.Random(seed))
    chance = random.Random(1000 * seed + run)
    async with World(seed=run) as world:
        world.sandbox.jobs.profiles[IMAGE] = random_image(random.Random(seed))
        world.sandbox.jobs.run_seconds = 5
        settings: dict[str, Any] = {"max_discovery_jobs": chance.choice([10, 1])}
        rates = Rates(delivery_seconds=chance.choice([0.0, 1.0]))
        operator = world.start(rates=rates, seed=run, **settings)
        chance.shuffle(made)
        if chance.random() < 0.5:
            for each in made:
                world.apply([each])
                await world.pass_seconds(chance.choice([0, 1, 4]))
        else:
            services = [*made, *services]
        chance.shuffle(services)
        world.apply(services)
        for step in range(chance.randint(0, 3)):
            await world.pass_seconds(chance.choice([1, 3, 8]))
            await world.stop(operator)
            operator = world.start(rates=rates, seed=run + step, **settings)
        await world.pass_seconds(300)
        return {
            name: (*resolved(world, name), choice(world, name), runs_on(world, name))
            for name in ("plain", "faster")
        }


@pytest.mark.parametrize("seed", range(20))
async def test_all_ways_lead_to_the_same_choice(seed: int) -> None:
    want = await end_state(seed, 0)
    for run in range(1, 5):
        assert await end_state(seed, run) == want, f"run {run}"


async def test_random_catalogs_have_all_sorts_of_ends() -> None:
    """So that the above says something."""
    ends = [(await end_state(seed, 0))["plain"] for seed in range(20)]
    assert {"Running", "Degraded"} <= {end[0] for end in ends}
    assert {"TemplateSelectionAmbiguous", "TemplateNotFound"} <= {end[1] for end in ends}


async def test_a_refused_job_is_not_waited_for() -> None:
    """The namespace's quota lets no discovery Job of the better template be created."""
    async with World() as world:
        world.apply([image(), template("slow", metric="throughput")])
        world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "slow", NAMESPACE) == "Available")
        denied = Fault(error=LOST, verb="apply", resource=JOBS.plural, times=10**6)
        world.network.fail(denied)
        world.apply([template("quick", metric="latency"), service()])
        await world.until(lambda: resolved(world)[0] == "Running", limit_seconds=60)
        assert choice(world) == "slow"
