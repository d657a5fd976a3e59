"""A team's configuration over the platform's: what a service gets, and that both wake what they concern."""

from __future__ import annotations

from typing import Any

from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.api.v1alpha1 import RUNTIME_CONFIGS, SERVICES
from tests.simulation.catalog import API, NAMESPACE, config, image, service, template
from tests.simulation.world import World


def platform(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "AIMClusterRuntimeConfig",
        "metadata": {"name": "default"},
        "spec": spec,
    }


def team(**spec: Any) -> dict[str, Any]:
    return config(**spec) | {"spec": spec}


def variables(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def server_values(world: World) -> dict[str, str]:
    found = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
    env = [] if found is None else found["spec"]["predictor"]["model"]["env"]
    return {each["name"]: each.get("value", "") for each in env if each["name"].startswith("VLLM_X")}


def inherited(world: World) -> list[str]:
    found = world.find(SERVICES, "chat", NAMESPACE) or {}
    fields: list[str] = found.get("status", {}).get("resolvedRuntimeConfig", {}).get("fromCluster", [])
    return fields


async def test_a_team_overrides_one_value_and_keeps_the_platforms_others() -> None:
    async with World() as world:
        world.start()
        world.apply([platform(env=variables(VLLM_XA="platform", VLLM_XB="platform"))])
        world.apply([team(env=variables(VLLM_XB="team"))])
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        want = {"VLLM_XA": "platform", "VLLM_XB": "team"}
        await world.until(lambda: server_values(world) == want)
        assert inherited(world) == ["env[VLLM_XA]"]
        (ready,) = world.status(RUNTIME_CONFIGS, "default", NAMESPACE)["conditions"]
        assert ready["message"].endswith("from the AIMClusterRuntimeConfig of this name: env[VLLM_XA]")


async def test_variables_of_the_platform_refer_to_no_secret_of_the_team() -> None:
    async with World() as world:
        world.start()
        world.apply([platform(env=variables(VLLM_XA="$(HF_TOKEN)"))])
        world.apply([team(env=variables(VLLM_XB="$(HF_TOKEN)"))])
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        want = {"VLLM_XA": "$$(HF_TOKEN)", "VLLM_XB": "$(HF_TOKEN)"}
        await world.until(lambda: server_values(world) == want)


async def test_a_change_of_the_platforms_configuration_reaches_a_service_under_a_teams() -> None:
    async with World() as world:
        world.start()
        world.apply([platform(), team(env=variables(VLLM_XB="team"))])
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        await world.until(lambda: server_values(world) == {"VLLM_XB": "team"})
        world.apply([platform(env=variables(VLLM_XA="later"))])
        await world.until(lambda: server_values(world) == {"VLLM_XA": "later", "VLLM_XB": "team"})
        world.apply([team(env=variables(VLLM_XB="team"), merge="Replace")])
        await world.until(lambda: server_values(world) == {"VLLM_XB": "team"})
        assert inherited(world) == []
        await world.pass_seconds(5)
        before = world.writes()
        await world.pass_seconds(600)
        assert world.writes() == before
