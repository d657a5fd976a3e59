"""Discovery under virtual time: slots, retries, changed inputs, failures in their own words."""

from __future__ import annotations

import json

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import CLUSTER_SERVING_RUNTIMES, JOBS, SERVING_RUNTIMES
from aim_operator.kube.translate import Call, failure
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault, Network
from tests.simulation.catalog import (
    IMAGE,
    NAMESPACE,
    cluster_image,
    cluster_template,
    config,
    image,
    template,
)
from tests.simulation.world import World

FAILURES = [
    pytest.param(
        ImageBehaviour(outcome="fails", exit_code=3, log=b"no such model\n"),
        ("Failed", "False/DiscoveryFailed"),
        id="a dry run that exits with an error is told with its exit code",
    ),
    pytest.param(
        ImageBehaviour(log=b"hello, I am not JSON\n"),
        ("Failed", "False/DiscoveryParseFailed"),
        id="garbage is a parse failure",
    ),
    pytest.param(
        ImageBehaviour(outcome="pull error", message="manifest unknown"),
        ("Degraded", "False/ImagePullFailed"),
        id="an image that is not there is told with the registry's message",
    ),
    pytest.param(
        ImageBehaviour(outcome="pull error", message="401 Unauthorized"),
        ("Degraded", "False/ImagePullAuthFailed"),
        id="missing pull credentials are told apart",
    ),
    pytest.param(
        ImageBehaviour(outcome="unschedulable", message="0/1 nodes are available"),
        ("Progressing", "False/Unschedulable"),
        id="a Pod without a node says so",
    ),
    pytest.param(
        ImageBehaviour(outcome="quota", message="exceeded quota: pods=0"),
        ("Progressing", "False/JobRefused"),
        id="a refused Pod is told with the quota's message",
    ),
]


@pytest.mark.parametrize(("behaviour", "want"), FAILURES)
async def test_failures_are_told_and_heal_with_the_image(
    behaviour: ImageBehaviour, want: tuple[str, str]
) -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours["bad:v1"] = behaviour
        world.apply([image(ref="bad:v1"), template()])
        world.start()
        await world.until(
            lambda: (
                (
                    world.state_of(aim.TEMPLATES, "fast", NAMESPACE),
                    world.reason(aim.TEMPLATES, "fast", NAMESPACE, "Discovered"),
                )
                == want
            )
        )
        world.apply([image(ref=IMAGE)])
        await world.until(
            lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available", limit_seconds=5
        )


async def test_a_failed_discovery_is_retried_with_growing_pauses_and_one_job_at_a_time() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="fails")
        world.apply([image(), template()])
        world.start()
        pauses = []
        last = world.clock.monotonic()
        for attempt in range(1, 6):
            await world.until(
                lambda attempt=attempt: (  # type: ignore[misc]
                    world.status(aim.TEMPLATES, "fast", NAMESPACE).get("discovery", {}).get("attempts")
                    == attempt
                ),
                limit_seconds=4000,
            )
            assert len(world.all(JOBS)) == 1
            pauses.append(round(world.clock.monotonic() - last))
            last = world.clock.monotonic()
        assert pauses[1:] == pytest.approx([10, 20, 40, 80], abs=2)


async def test_a_failure_outlives_the_operator_and_is_not_counted_twice() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="fails")
        world.apply([image(), template()])
        first = world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Failed")
        await world.stop(first)
        world.start()
        await world.pass_seconds(3)
        assert world.status(aim.TEMPLATES, "fast", NAMESPACE)["discovery"]["attempts"] == 1


async def test_a_result_found_while_the_operator_was_down_is_kept() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 30
        world.apply([image(), template()])
        first = world.start()
        await world.until(lambda: bool(world.all(JOBS)))
        await world.stop(first)
        await world.pass_seconds(3600)
        world.start()
        await world.until(
            lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available", limit_seconds=5
        )
        assert sum(name.startswith("Job ") for name in world.created) == 1


async def test_no_more_jobs_run_at_once_than_there_are_slots_and_the_oldest_come_first() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 5
        names = [f"t{number:02}" for number in range(12)]
        world.apply([image()])
        for name in reversed(names):
            world.apply([template(name)])
            await world.pass_seconds(1)
        world.start(max_discovery_jobs=3)
        most = 0

        def all_available() -> bool:
            nonlocal most
            most = max(most, sum(not job["status"].get("completionTime") for job in world.all(JOBS)))
            return all(world.state_of(aim.TEMPLATES, name, NAMESPACE) == "Available" for name in names)

        await world.until(all_available)
        assert most == 3
        jobs = [name for name in world.created if name.startswith("Job ")]
        got = [name.split("discover-")[1][:3] for name in jobs]
        assert [set(got[i : i + 3]) for i in range(0, 12, 3)] == [
            set(list(reversed(names))[i : i + 3]) for i in range(0, 12, 3)
        ]


async def test_who_waits_for_a_slot_says_so() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="hangs")
        world.apply([image(), template("one"), template("two")])
        world.start(max_discovery_jobs=1)
        await world.pass_seconds(5)
        states = sorted(world.state_of(aim.TEMPLATES, name, NAMESPACE) for name in ("one", "two"))
        assert states == ["Pending", "Progressing"]
        # The deadline frees the slot of an image that never ends.
        await world.until(
            lambda: (
                {world.state_of(aim.TEMPLATES, n, NAMESPACE) for n in ("one", "two")}
                == {"Failed", "Progressing"}
            ),
            limit_seconds=700,
        )


async def test_each_input_that_matters_discovers_again_and_nothing_else_does() -> None:
    async with World() as world:
        world.apply([image(), config(), template()])
        world.start()
        runs = 1

        async def settled() -> int:
            await world.pass_seconds(5)
            assert world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available"
            return sum(name.startswith("Job ") for name in world.created)

        assert await settled() == runs
        changes = {
            "the image": image(ref="ghcr.io/example/model:v2"),
            "the precision": template(precision="fp8"),
            "the environment": template(precision="fp8", env=[{"name": "A", "value": "b"}]),
            "the service account": config(serviceAccountName="puller"),
            "the pull secrets": config(serviceAccountName="puller", imagePullSecrets=[{"name": "registry"}]),
        }
        for what, change in changes.items():
            world.apply([change])
            runs += 1
            assert await settled() == runs, f"{what} is an input of discovery"
        resources = {"limits": {"cpu": "4"}}
        world.apply([template(precision="fp8", env=[{"name": "A", "value": "b"}], resources=resources)])
        assert await settled() == runs, "resources are no input of discovery"


async def test_a_cluster_template_is_discovered_in_the_operator_namespace() -> None:
    async with World() as world:
        world.apply([cluster_image(), cluster_template()])
        world.start()
        await world.until(lambda: world.state_of(aim.CLUSTER_TEMPLATES, "fast") == "Available")
        assert [job["metadata"]["namespace"] for job in world.all(JOBS)] == ["kaiwo-system"]
        assert world.find(CLUSTER_SERVING_RUNTIMES, "fast") is not None


async def test_an_instance_limited_to_namespaces_leaves_cluster_kinds_and_others_alone() -> None:
    async with World() as world:
        world.apply([cluster_image(), cluster_template(), image(), template()])
        world.apply([image(namespace="other"), template(namespace="other")])
        world.start(namespaces=(NAMESPACE,))
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        await world.pass_seconds(30)
        assert not world.status(aim.CLUSTER_TEMPLATES, "fast")
        assert not world.status(aim.TEMPLATES, "fast", "other")
        assert [r["metadata"]["namespace"] for r in world.all(SERVING_RUNTIMES)] == [NAMESPACE]


async def test_the_job_goes_after_its_time_and_is_not_missed() -> None:
    async with World() as world:
        world.apply([image(), template()])
        world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        await world.pass_seconds(300)
        assert len(world.all(JOBS)) == 1
        await world.pass_seconds(600)
        assert not world.all(JOBS)
        assert world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available"
        assert sum(name.startswith("Job ") for name in world.created) == 1


def output(**model: object) -> bytes:
    """A dry run's output with one model, changed by `model`."""
    source = {"name": "org/model", "source": "hf://org/model", "size_gb": 8.47, **model}
    profile = {
        "model": "org/model",
        "quantized_model": "org/model",
        "metadata": {"engine": "vllm", "gpu_count": 1},
    }
    return json.dumps([{"filename": "p.yaml", "profile": profile, "models": [source]}]).encode()


BROKEN_OUTPUTS = [
    pytest.param(b"Traceback: no model today\n", id="garbage"),
    pytest.param(output()[:-20], id="truncated"),
    pytest.param(b"x" * 50 * 1024 * 1024, id="50 MB of noise"),
    pytest.param(output() + b"x" * 50 * 1024 * 1024, id="50 MB of noise after the result"),
    pytest.param(output(size_gb="large"), id="a size that is no number"),
    pytest.param(output(size_gb=-1), id="a negative size"),
    pytest.param(output(source="file:///etc/passwd"), id="a file:// source"),
    pytest.param(output(name="../../etc"), id="a name that leaves its directory"),
    pytest.param(output(name="{{ .Secrets }}"), id="a Go template in a name"),
    pytest.param(b"\xff\xfe[{]\x00" * 1000, id="bytes that are no text"),
    pytest.param(b"[" * 100_000, id="nothing but brackets"),
]


@pytest.mark.parametrize("log", BROKEN_OUTPUTS)
async def test_broken_output_fails_the_template_with_one_line_of_reason(log: bytes) -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(log=log)
        world.apply([image(), template()])
        world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Failed")
        assert world.reason(aim.TEMPLATES, "fast", NAMESPACE, "Failure") == "True/DiscoveryParseFailed"
        message = world.status(aim.TEMPLATES, "fast", NAMESPACE)["discovery"]["message"]
        assert 0 < len(message) <= 1024
        assert "\n" not in message


async def test_of_two_arrays_the_last_counts_and_log_lines_do_not_matter() -> None:
    log = (
        output(name="org/first")
        + b"\nINFO: [1/2] almost there\n"
        + output(name="org/second")
        + b"\nbye [x]\n"
    )
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(log=log)
        world.apply([image(), template()])
        world.start()
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        sources = world.status(aim.TEMPLATES, "fast", NAMESPACE)["modelSources"]
        assert [source["name"] for source in sources] == ["org/second"]


async def test_a_node_that_cannot_give_a_log_for_a_while_does_not_end_a_discovery() -> None:
    """Its kubelet answers 400 while the container runtime restarts: the template goes on by itself."""
    async with World() as world:
        network = Network(world.clock)
        answer = {"message": "container not found", "reason": "BadRequest", "code": 400}
        call = Call("get", "pods/log", NAMESPACE, "discover")
        fault = Fault(error=failure(call, 400, json.dumps(answer).encode()), verb="logs", times=1000)
        network.fail(fault)
        world.apply([image(), template()])
        world.run(world.sandbox.client("operator", network=network))
        await world.until(lambda: fault.times < 1000)
        for _ in range(10):
            await world.pass_seconds(60)
            assert world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Progressing"
        assert 5 < 1000 - fault.times < 30, "it is asked for at the backoff"
        fault.times = 0
        await world.until(
            lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available", limit_seconds=301
        )
