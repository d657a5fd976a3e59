"""Tokens and endpoints: which Pods they reach, what a change of them starts again, and who shares files."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from aim_operator.api.external import INFERENCE_SERVICES, JOBS
from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES, MODEL_CACHES, SERVICES, TEMPLATE_CACHES, TEMPLATES
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import (
    API,
    NAMESPACE,
    cluster_image,
    cluster_template,
    config,
    image,
    service,
    template,
)
from tests.simulation.world import World

SOURCE = "hf://sandbox/model"
OPERATOR_NAMESPACE = "kaiwo-system"
REFUSES = ImageBehaviour(outcome="fails", message="AuthenticationFailed: set HF_TOKEN", exit_code=10)


def token(secret: str) -> dict[str, Any]:
    return {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}


def literal(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value}


MIRROR = literal("HF_ENDPOINT", "https://mirror.example.com")


def cluster_config(name: str = "default", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "AIMClusterRuntimeConfig", "metadata": {"name": name}, "spec": spec}


def cluster_catalog(**template_spec: Any) -> list[dict[str, Any]]:
    return [cluster_image(defaultServiceTemplate="fast"), cluster_template(**template_spec)]


def container_env(world: World, prefix: str, namespace: str) -> list[dict[str, Any]]:
    """Return the environment of the one Job whose name begins so."""
    (job,) = [j for j in world.all(JOBS, namespace) if j["metadata"]["name"].startswith(prefix)]
    env: list[dict[str, Any]] = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return env


def server_env(world: World, name: str = "chat", namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    found = world.find(INFERENCE_SERVICES, name, namespace)
    assert found is not None
    env: list[dict[str, Any]] = found["spec"]["predictor"]["model"]["env"]
    return env


def running(world: World, *names: str, namespace: str = NAMESPACE) -> bool:
    return all(world.state_of(SERVICES, name, namespace) == "Running" for name in names)


def jobs_made(world: World, kind: str) -> int:
    return sum(each.startswith("Job ") and f"/{kind}-" in each for each in world.created)


def failed(world: World) -> bool:
    return any(c.get("status", {}).get("status") == "Failed" for c in world.all(MODEL_CACHES))


async def test_a_token_in_the_cluster_configuration_reaches_discovery_download_and_server() -> None:
    async with World() as world:
        world.start()
        world.apply([cluster_config(env=[token("hugging-face")]), *cluster_catalog()])
        world.apply([service(cacheModel=True), service("direct")])
        await world.until(lambda: running(world, "chat", "direct"))
        assert token("hugging-face") in container_env(world, "discover-", OPERATOR_NAMESPACE)
        assert container_env(world, "download-", NAMESPACE) == [token("hugging-face")]
        assert token("hugging-face") in server_env(world)
        assert token("hugging-face") in server_env(world, "direct")


async def test_configuration_template_and_service_override_each_other_in_this_order_everywhere() -> None:
    of_config = [literal(n, "configuration") for n in ("NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "AWS_REGION")]
    of_template = [literal(n, "template") for n in ("HTTP_PROXY", "HTTPS_PROXY", "AWS_REGION")]
    of_download = [literal(n, "caching") for n in ("HTTPS_PROXY", "AWS_REGION")]
    of_service = [literal("AWS_REGION", "service")]
    async with World() as world:
        world.start()
        world.apply(
            [
                config(env=of_config),
                image(defaultServiceTemplate="fast"),
                template(env=of_template, caching={"enabled": True, "env": of_download}),
                service(env=of_service),
            ]
        )
        await world.until(lambda: running(world, "chat"))
        await world.pass_seconds(5)

        def values(env: list[dict[str, Any]]) -> dict[str, str]:
            names = {v["name"] for v in of_config}
            return {v["name"]: v["value"] for v in env if v["name"] in names}

        below = {"NO_PROXY": "configuration", "HTTP_PROXY": "template"}
        (cache,) = world.all(MODEL_CACHES)
        assert values(container_env(world, "discover-", NAMESPACE)) == {
            **below,
            "HTTPS_PROXY": "template",
            "AWS_REGION": "template",
        }
        assert values(server_env(world)) == {**below, "HTTPS_PROXY": "template", "AWS_REGION": "service"}
        assert values(cache["spec"]["env"]) == {
            "HTTP_PROXY": "template",
            "HTTPS_PROXY": "caching",
            "AWS_REGION": "service",
        }
        assert values(container_env(world, "download-", NAMESPACE))["NO_PROXY"] == "configuration"


async def test_a_cluster_templates_own_token_is_looked_up_where_each_pod_runs() -> None:
    async with World() as world:
        world.start()
        world.apply([*cluster_catalog(env=[token("of-template")]), service(cacheModel=True)])
        await world.until(lambda: running(world, "chat"))
        assert token("of-template") in container_env(world, "discover-", OPERATOR_NAMESPACE)
        assert container_env(world, "download-", NAMESPACE) == [token("of-template")]
        assert token("of-template") in server_env(world)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"env": [token("of-service")]}, id="its environment"),
        pytest.param({"runtimeConfigName": "gated"}, id="its configuration"),
    ],
)
async def test_what_a_service_has_reaches_its_download(given: dict[str, Any]) -> None:
    async with World() as world:
        world.start()
        world.apply([config("gated", env=[token("of-service")]), *cluster_catalog()])
        world.apply([service(cacheModel=True, **given)])
        await world.until(lambda: running(world, "chat"))
        assert container_env(world, "download-", NAMESPACE) == [token("of-service")]
        assert token("of-service") in server_env(world)
        assert jobs_made(world, "discover") == 1, "the template is discovered once, for everybody"


async def test_the_token_of_a_second_service_heals_the_download_that_the_first_could_not_do() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = REFUSES
        world.start()
        world.apply([*cluster_catalog(), service("without", cacheModel=True)])
        await world.until(lambda: failed(world))
        del world.sandbox.jobs.behaviours[SOURCE]
        world.apply([service("with", cacheModel=True, env=[token("mine")])])
        before = world.clock.monotonic()
        await world.until(lambda: running(world, "without", "with"))
        assert world.clock.monotonic() - before < 10, "changed references are tried at once"
        assert container_env(world, "download-", NAMESPACE) == [token("mine")]
        assert token("mine") not in server_env(world, "without"), "files are shared, tokens are not"


async def test_services_with_different_tokens_share_the_files_of_their_namespace_by_the_oldest_ones() -> None:
    async with World() as world:
        world.start()
        world.apply([*cluster_catalog(), service("first", cacheModel=True, env=[token("a")])])
        await world.until(lambda: running(world, "first"))
        world.apply([service("second", cacheModel=True, env=[token("b")])])
        await world.until(lambda: running(world, "second"))
        assert jobs_made(world, "download") == 1
        assert len(world.all(MODEL_CACHES)) == 1
        (cache,) = world.all(MODEL_CACHES)
        assert cache["spec"]["env"] == [token("a")]
        assert token("b") in server_env(world, "second")
        assert token("a") not in server_env(world, "second")
        world.delete(SERVICES, "first", NAMESPACE)
        await world.until(lambda: world.all(MODEL_CACHES)[0]["spec"]["env"] == [token("b")])
        await world.pass_seconds(60)
        assert jobs_made(world, "download") == 1, "a finished download is never done again for other tokens"
        assert running(world, "second")


async def test_between_namespaces_nothing_is_shared() -> None:
    async with World() as world:
        world.start()
        world.apply([cluster_config(env=[token("hugging-face")]), *cluster_catalog()])
        world.apply([service(cacheModel=True), service(cacheModel=True, namespace="other")])
        await world.until(lambda: running(world, "chat") and running(world, "chat", namespace="other"))
        first, second = world.all(MODEL_CACHES)
        assert {first["metadata"]["namespace"], second["metadata"]["namespace"]} == {NAMESPACE, "other"}
        assert jobs_made(world, "download") == 2
        for namespace in (NAMESPACE, "other"):
            assert container_env(world, "download-", namespace) == [token("hugging-face")]


async def test_files_from_another_endpoint_are_other_files() -> None:
    async with World() as world:
        world.start()
        world.apply([*cluster_catalog(), service("hub", cacheModel=True)])
        world.apply([service("mirror", cacheModel=True, env=[MIRROR])])
        await world.until(lambda: running(world, "hub", "mirror"))
        assert len(world.all(MODEL_CACHES)) == 2
        claims = {
            name: [
                v["persistentVolumeClaim"]["claimName"]
                for v in (world.find(INFERENCE_SERVICES, name, NAMESPACE) or {})["spec"]["predictor"][
                    "volumes"
                ]
                if "persistentVolumeClaim" in v
            ]
            for name in ("hub", "mirror")
        }
        assert claims["hub"] != claims["mirror"]
        # The mirror's discovery asks the mirror, too.
        assert MIRROR in container_env(world, "discover-fast-ovr-", NAMESPACE)
        world.delete(SERVICES, "mirror", NAMESPACE)
        await world.until(lambda: not world.all(TEMPLATES) and len(world.all(TEMPLATE_CACHES)) == 1)
        assert len(world.all(MODEL_CACHES)) == 2, "files go with their AIMModelCache only"


async def test_an_air_gapped_download_goes_on_at_the_mirror_that_the_configuration_names_later() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = REFUSES
        world.start()
        world.apply([*cluster_catalog(), service(cacheModel=True)])
        await world.until(lambda: failed(world))
        del world.sandbox.jobs.behaviours[SOURCE]
        world.apply([config(env=[MIRROR])])
        await world.until(lambda: running(world, "chat"))
        (cache,) = world.all(MODEL_CACHES)
        assert cache["status"]["download"]["origin"] != ""
        assert container_env(world, "download-", NAMESPACE) == [MIRROR]


async def test_another_endpoint_moves_a_running_service_only_once_its_files_are_there() -> None:
    async with World() as world:
        world.start()
        world.apply([*cluster_catalog(), service(cacheModel=True)])
        await world.until(lambda: running(world, "chat"))
        before = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
        world.sandbox.jobs.behaviours[SOURCE] = REFUSES
        world.apply([config(env=[MIRROR])])
        await world.until(lambda: failed(world))
        await world.pass_seconds(300)
        now = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
        assert before is not None
        assert now is not None
        assert now["spec"] == before["spec"]
        del world.sandbox.jobs.behaviours[SOURCE]
        await world.until(lambda: running(world, "chat") and MIRROR in server_env(world), limit_seconds=3700)
        assert len(world.all(MODEL_CACHES)) == 2, "the old files stay until somebody deletes them"
        # And back: the files of the hub are still there.
        downloads = jobs_made(world, "download")
        world.apply([config(routing={"enabled": False})])
        await world.until(lambda: running(world, "chat") and MIRROR not in server_env(world))
        assert jobs_made(world, "download") == downloads


async def test_a_change_starts_again_only_what_depends_on_it() -> None:
    async with World() as world:
        world.start()
        world.apply([config("ours", env=[literal("VLLM_LOGGING_LEVEL", "INFO")])])
        world.apply(
            [*cluster_catalog(), service(cacheModel=True, runtimeConfigName="ours"), service("other")]
        )
        await world.until(lambda: running(world, "chat", "other"))
        made = (jobs_made(world, "discover"), jobs_made(world, "download"))
        untouched = server_env(world, "other")
        world.apply([config("ours", env=[literal("VLLM_LOGGING_LEVEL", "DEBUG")])])
        await world.until(lambda: literal("VLLM_LOGGING_LEVEL", "DEBUG") in server_env(world))
        await world.until(lambda: running(world, "chat"))
        assert (jobs_made(world, "discover"), jobs_made(world, "download")) == made
        assert server_env(world, "other") == untouched
        # The cluster's configuration is the one that the cluster template is discovered with.
        world.apply([cluster_config(env=[token("hugging-face")])])
        await world.until(lambda: jobs_made(world, "discover") == made[0] + 1)
        await world.until(lambda: world.state_of(CLUSTER_TEMPLATES, "fast") == "Available")
        await world.until(lambda: token("hugging-face") in server_env(world, "other"))
        await world.until(lambda: running(world, "chat", "other"))
        assert jobs_made(world, "download") == made[1]
        assert token("hugging-face") not in server_env(world), "a configuration of its own replaces that"


async def test_at_rest_nothing_is_written() -> None:
    async with World() as world:
        operator = world.start()
        world.apply([cluster_config(env=[token("c")]), config("mirrored", env=[MIRROR]), *cluster_catalog()])
        world.apply(
            [
                service("a", cacheModel=True, env=[token("a")]),
                service("b", cacheModel=True, env=[token("b")]),
                service("c", cacheModel=True, runtimeConfigName="mirrored"),
                service("d", cacheModel=True, env=[MIRROR, token("d")]),
            ]
        )
        await world.until(lambda: running(world, "a", "b", "c", "d"))
        assert len(world.all(MODEL_CACHES)) == 2
        await world.pass_seconds(700)
        writes = len(world.writes())
        await world.pass_seconds(3600)
        await world.stop(operator)
        world.start()
        await world.pass_seconds(600)
        assert world.writes()[writes:] == []


ORIGINS: dict[str, list[list[dict[str, Any]]]] = {
    "the service's own endpoint": [
        cluster_catalog(),
        [service(cacheModel=True, env=[MIRROR])],
    ],
    "that of the configuration that the service names": [
        cluster_catalog(),
        [config("mirrored", env=[MIRROR])],
        [service(cacheModel=True, runtimeConfigName="mirrored")],
    ],
    "a default that the template inherits and the service does not": [
        cluster_catalog(),
        [config("plain", routing={"enabled": False})],
        [config(env=[MIRROR])],
        [service(cacheModel=True, runtimeConfigName="plain")],
    ],
}


@pytest.mark.parametrize("steps", ORIGINS.values(), ids=ORIGINS)
async def test_other_files_than_the_templates_are_noticed_in_any_order_of_events(
    steps: list[list[dict[str, Any]]],
) -> None:
    for order in itertools.permutations(range(len(steps))):
        async with World() as world:
            world.start()
            for index in order:
                world.apply(steps[index])
                await world.pass_seconds(60)
            await world.until(lambda world=world: running(world, "chat"))  # type: ignore[misc]
            await world.pass_seconds(60)
            derived = world.status(SERVICES, "chat", NAMESPACE)["resolvedTemplate"]["name"]
            assert derived.startswith("fast-ovr-"), order
            assert [c["metadata"]["name"] for c in world.all(TEMPLATE_CACHES)] == [derived], order


async def test_a_default_that_only_the_template_inherits_wakes_a_service_on_a_cache_made_by_hand() -> None:
    by_hand = {"templateRef": "fast", "templateScope": "Cluster", "runtimeConfigName": "plain"}
    metadata = {"name": "by-hand", "namespace": NAMESPACE}
    async with World() as world:
        world.start()
        world.apply([*cluster_catalog(), config("plain", routing={"enabled": False})])
        world.apply([{"apiVersion": API, "kind": "AIMTemplateCache", "metadata": metadata, "spec": by_hand}])
        world.apply([service(cacheModel=True, runtimeConfigName="plain")])
        await world.until(lambda: running(world, "chat"))
        await world.pass_seconds(700)  # the Jobs' TTL: nothing else stirs
        world.apply([config(env=[MIRROR])])
        await world.until(lambda: len(world.all(TEMPLATES)) == 1, limit_seconds=10)
        await world.until(lambda: len(world.all(TEMPLATE_CACHES)) == 2)
