"""Jobs that something keeps breaking: what users read while it lasts, what it costs, and how it heals."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import JOBS, PODS
from aim_operator.core.conditions import timestamp
from aim_operator.core.jobs.attempts import LONGEST_RETRY_SECONDS
from aim_operator.core.jobs.machine import LOG_PATIENCE_SECONDS, SIDECAR_SECONDS
from aim_operator.core.template.desired import DEADLINE_SECONDS
from aim_operator.errors import Invalid
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault
from tests.simulation.catalog import API, IMAGE, NAMESPACE, image, service, template
from tests.simulation.world import World

SOURCE = "hf://sandbox/model"
CACHING: dict[str, Any] = {"caching": {"enabled": True}}
FOREVER = 10**9
NOT_FOUND = Invalid('container "discovery" in pod "p" not found', code=400, reason="BadRequest")


def template_says(world: World, name: str = "fast") -> tuple[str, str, str]:
    """The template's status, the reason of Ready and its message."""
    status = world.status(aim.TEMPLATES, name, NAMESPACE)
    return says(status)


def says(status: dict[str, Any]) -> tuple[str, str, str]:
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    ready = conditions.get("Ready", {})
    return status.get("status", ""), ready.get("reason", ""), ready.get("message", "")


def jobs_created(world: World, prefix: str) -> int:
    return sum(name.startswith("Job ") and f"/{prefix}" in name for name in world.created)


def log_requests(world: World) -> int:
    return sum(entry.verb == "logs" for entry in world.sandbox.server.audit)


def cache_status(world: World) -> dict[str, Any]:
    found = world.all(aim.MODEL_CACHES)
    status: dict[str, Any] = found[0].get("status", {}) if found else {}
    return status


def model_cache() -> dict[str, Any]:
    metadata = {"name": "own", "namespace": NAMESPACE}
    spec = {"sourceUri": SOURCE, "size": "1Gi"}
    return {"apiVersion": API, "kind": "AIMModelCache", "metadata": metadata, "spec": spec}


def broken_logs() -> Fault:
    """Every log is refused, as a kubelet does whose runtime has lost the container."""
    return Fault(NOT_FOUND, verb="logs", when="after", times=FOREVER)


async def test_a_log_that_stays_unreadable_is_told_then_fails_the_attempt_and_the_next_one_is_tried() -> None:
    async with World() as world:
        world.apply([image(), template()])
        world.start()
        world.network.fail(broken_logs())
        await world.until(lambda: template_says(world)[1] == "DiscoveryRunning")
        ended = world.clock.monotonic()
        while world.clock.monotonic() - ended < LOG_PATIENCE_SECONDS - 30:
            await world.pass_seconds(10)
            state, reason, message = template_says(world)
            assert (state, reason) == ("Progressing", "DiscoveryRunning")
            assert message == f"the dry run has ended; its log can't be read yet: {NOT_FOUND}"
        assert log_requests(world) < 40, "a refused read is tried again with backoff"
        assert len(world.all(JOBS)) == 1
        await world.until(lambda: template_says(world)[0] == "Failed", limit_seconds=600)
        assert template_says(world)[1:] == (
            "DiscoveryFailed",
            f"the log of the dry run can't be read: {NOT_FOUND}",
        )
        assert world.status(aim.TEMPLATES, "fast", NAMESPACE)["discovery"]["attempts"] == 1
        await world.until(lambda: jobs_created(world, "discover-") == 2, limit_seconds=60)


async def test_a_log_that_can_be_read_after_a_while_gives_its_result_without_another_job() -> None:
    async with World() as world:
        world.apply([image(), template()])
        world.start()
        fault = broken_logs()
        world.network.fail(fault)
        await world.until(lambda: template_says(world)[1] == "DiscoveryRunning")
        await world.pass_seconds(120)
        fault.times = 0
        await world.until(lambda: template_says(world)[0] == "Available", limit_seconds=300)
        assert jobs_created(world, "discover-") == 1


async def test_an_unreadable_log_of_one_template_keeps_no_other_waiting() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(run_seconds=1)
        world.apply([image(), template()])
        world.start(max_discovery_jobs=1)
        world.network.fail(broken_logs())
        await world.until(lambda: template_says(world)[1] == "DiscoveryRunning")
        world.apply([template("next")])
        await world.until(lambda: template_says(world, "next")[1] == "DiscoveryRunning", limit_seconds=5)


async def test_a_discovery_whose_sidecar_runs_on_keeps_its_result_and_frees_its_slot() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(sidecar=True)
        world.apply([image(), template(), template("next")])
        world.start(max_discovery_jobs=1)
        await world.until(lambda: template_says(world)[0] == "Available", limit_seconds=30)
        await world.until(lambda: template_says(world, "next")[0] == "Available", limit_seconds=30)
        assert len(world.all(PODS)) == 2, "for a while the sidecars keep their Pods, and the logs in them"
        await world.until(
            lambda: not world.all(JOBS) and not world.all(PODS), limit_seconds=SIDECAR_SECONDS + 5
        )
        await world.pass_seconds(3600)
        assert jobs_created(world, "discover-") == 2
        assert template_says(world)[0] == "Available"


async def test_a_discovery_that_fails_beside_a_sidecar_is_told_and_its_job_goes() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(
            outcome="fails", exit_code=3, log=b"no such model", sidecar=True
        )
        world.apply([image(), template()])
        world.start(max_discovery_jobs=1)
        for attempt in range(1, 5):
            await world.until(
                lambda attempt=attempt: (  # type: ignore[misc]
                    world.status(aim.TEMPLATES, "fast", NAMESPACE).get("discovery", {}).get("attempts")
                    == attempt
                )
            )
            await world.pass_seconds(3)
            assert not world.all(JOBS), "nothing else would end it"
            assert template_says(world) == (
                "Failed",
                "DiscoveryFailed",
                "the image's dry run exited with code 3: no such model",
            )


async def test_a_dry_run_that_never_ends_is_stopped_ten_minutes_after_its_start() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="hangs", pull_seconds=1800)
        world.apply([image(), template()])
        world.start()
        await world.pass_seconds(1790)
        assert template_says(world)[1] == "Pulling"
        await world.pass_seconds(DEADLINE_SECONDS - 10)
        assert template_says(world)[:2] == ("Progressing", "DiscoveryRunning")
        await world.until(lambda: template_says(world)[0] == "Failed", limit_seconds=30)
        _, reason, message = template_says(world)
        assert (reason, message.partition(";")[0]) == (
            "JobFailed",
            "the image's dry run did not end within 600 s",
        )
        assert "jobs.discovery.deadlineSeconds" in message
        await world.pass_seconds(3)
        assert not world.all(JOBS)
        assert world.status(aim.TEMPLATES, "fast", NAMESPACE)["discovery"]["attempts"] == 1
        await world.until(lambda: bool(world.all(JOBS)), limit_seconds=10)


async def test_an_image_whose_pull_takes_an_hour_is_discovered_in_one_attempt() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(pull_seconds=3600)
        world.apply([image(), template()])
        world.start()
        await world.pass_seconds(3500)
        [pod] = world.all(PODS)
        since = pod["status"]["startTime"]
        assert template_says(world) == ("Progressing", "Pulling", f"Pulling since {since}: {IMAGE}")
        await world.until(lambda: template_says(world)[0] == "Available", limit_seconds=120)
        assert jobs_created(world, "discover-") == 1


async def test_a_pull_ends_at_its_deadline_which_is_settable() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(pull_seconds=3600)
        world.apply([image(), template()])
        world.start(discovery_pull_deadline=1200)
        await world.pass_seconds(1190)
        assert template_says(world)[0] == "Progressing"
        await world.until(lambda: template_says(world)[0] == "Failed", limit_seconds=30)
        assert template_says(world)[1:] == ("JobFailed", "the discovery Pod did not start within 1200 s")


async def test_an_image_that_cannot_be_pulled_degrades_its_template_for_as_long_as_it_lasts() -> None:
    async with World() as world:
        pull = ImageBehaviour(outcome="pull error", message="manifest unknown")
        world.sandbox.jobs.behaviours["bad:v1"] = pull
        world.apply([image(ref="bad:v1"), template()])
        world.start()
        await world.until(lambda: template_says(world)[0] == "Degraded", limit_seconds=10)
        seen: dict[tuple[str, str, str], int] = {}
        for _ in range(4 * 360):
            await world.pass_seconds(10)
            seen[template_says(world)] = seen.get(template_says(world), 0) + 1
        assert seen.pop(("Degraded", "ImagePullFailed", "manifest unknown")) > 4 * 355
        assert {state for state, _, _ in seen} <= {"Progressing"}, "an attempt that is just starting"
        assert len(world.writes()) < 60, "four hours of it cost a few writes"
        world.apply([image(ref=IMAGE)])
        await world.until(lambda: template_says(world)[0] == "Available", limit_seconds=5)


FINISHED = [
    pytest.param(ImageBehaviour(run_seconds=20), False, "Available", id="it succeeded"),
    pytest.param(
        ImageBehaviour(outcome="fails", message="SourceNotFound: no", run_seconds=20),
        False,
        "Failed",
        id="it failed and waits for its retry",
    ),
    pytest.param(ImageBehaviour(run_seconds=20, sidecar=True), False, "Available", id="its sidecar runs on"),
    pytest.param(
        ImageBehaviour(outcome="fails", message="SourceNotFound: no", run_seconds=20, sidecar=True),
        False,
        "Failed",
        id="it failed and its sidecar runs on",
    ),
    pytest.param(ImageBehaviour(run_seconds=20), True, "", id="its cache is paused"),
]


@pytest.mark.parametrize(("behaviour", "paused", "want"), FINISHED)
async def test_the_log_of_a_finished_download_is_not_asked_for_again(
    behaviour: ImageBehaviour,
    paused: bool,  # noqa: FBT001 - a table's column
    want: str,
) -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = behaviour
        world.apply([model_cache()])
        world.start()
        await world.until(lambda: says(cache_status(world))[1] == "Downloading")
        await world.until(lambda: log_requests(world) > 0)
        if paused:
            mark = {"aim.silogen.ai/reconciliation-paused": "true"}
            world.apply([{**model_cache(), "metadata": {**model_cache()["metadata"], "annotations": mark}}])
        await world.pass_seconds(20.5)
        assert want in ("", cache_status(world)["status"])
        before = log_requests(world)
        # The first retry comes ten seconds after a failure.
        await world.pass_seconds(9 if want == "Failed" else 3600)
        assert log_requests(world) == before


async def test_a_download_beside_a_sidecar_is_done_when_it_is_done() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(sidecar=True)
        world.apply([image(defaultServiceTemplate="fast"), template(**CACHING), service()])
        world.start()
        await world.until(
            lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running", limit_seconds=60
        )
        await world.pass_seconds(SIDECAR_SECONDS + 5)
        assert jobs_created(world, "download-") == 1
        assert not [job for job in world.all(JOBS) if job["metadata"]["name"].startswith("download-")]
        assert cache_status(world)["progress"]["percentage"] == 100


NEVER_READY = {"name": "istio-proxy", "started": False, "state": {"running": {}}}
"""A sidecar that runs before the others, and whose startup probe never succeeds."""


def hold_up(world: World, sidecar: dict[str, Any], *conditions: dict[str, Any]) -> None:
    """Have a sidecar hold the only Pod up, as the kubelet says it."""
    (pod,) = world.all(PODS)
    status: dict[str, Any] = {"initContainerStatuses": [sidecar]}
    if conditions:
        status["conditions"] = list(conditions)
    world.sandbox.server.patch(
        world.sandbox.server.kinds.served(PODS),
        pod["metadata"]["name"],
        {"status": status},
        namespace=pod["metadata"]["namespace"],
        subresource="status",
        manager="kubelet",
    )


async def test_a_download_that_a_sidecar_never_lets_start_says_which_one_it_waits_for() -> None:
    """However long it lasts: a download has no deadline before it has begun, so words are all there is."""
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome="pull error", reason="PodInitializing")
        world.apply([model_cache()])
        world.start()
        await world.until(lambda: bool(world.all(PODS)))
        hold_up(world, NEVER_READY)
        await world.until(lambda: "'istio-proxy'" in says(cache_status(world))[2])
        assert says(cache_status(world))[:2] == ("Progressing", "WaitingForSidecar")
        await world.until(lambda: says(cache_status(world))[0] == "Degraded", limit_seconds=1200)
        before = world.writes()
        await world.pass_seconds(6 * 3600)
        assert world.writes() == before
        state, reason, message = says(cache_status(world))
        assert (state, reason) == ("Degraded", "WaitingForSidecar")
        (pod,) = world.all(PODS)
        assert message == (
            "the download Pod waits for its container 'istio-proxy', which has to start first; see "
            f"kubectl logs -n {NAMESPACE} {pod['metadata']['name']} -c istio-proxy"
        )
        hold_up(world, {**NEVER_READY, "started": True})
        await world.until(lambda: says(cache_status(world))[2] == "the download Pod is starting")


async def test_a_download_beside_an_injected_container_that_never_ends_says_which_one_it_waits_for() -> None:
    """To a kubelet it is started, as a sidecar at work is: a download waited for it without a word."""
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome="pull error", reason="PodInitializing")
        world.apply([model_cache()])
        world.start()
        await world.until(lambda: bool(world.all(PODS)))
        began = timestamp(world.clock.now())
        running = {"name": "vault-agent-init", "started": True, "state": {"running": {"startedAt": began}}}
        words = "containers with incomplete status: [vault-agent-init]"
        uninitialized = {"type": "Initialized", "status": "False", "message": words}
        hold_up(world, running, uninitialized)
        await world.pass_seconds(30)
        assert says(cache_status(world))[2] == "the download Pod is starting"
        await world.until(lambda: says(cache_status(world))[1] == "WaitingForSidecar", limit_seconds=40)
        assert "'vault-agent-init', which has to end first" in says(cache_status(world))[2]
        await world.until(lambda: says(cache_status(world))[0] == "Degraded", limit_seconds=1200)
        before = world.writes()
        await world.pass_seconds(6 * 3600)
        assert world.writes() == before


async def test_a_discovery_that_a_sidecar_never_lets_start_fails_with_its_name() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="pull error", reason="PodInitializing")
        world.apply([image(), template()])
        world.start()
        await world.until(lambda: bool(world.all(PODS)))
        hold_up(world, NEVER_READY)
        await world.until(lambda: "'istio-proxy'" in template_says(world)[2])
        assert template_says(world)[:2] == ("Progressing", "WaitingForSidecar")
        await world.until(lambda: template_says(world)[0] == "Failed", limit_seconds=DEADLINE_SECONDS + 10)
        assert "waits for its container 'istio-proxy', which has to start first" in template_says(world)[2]


async def test_a_failing_download_is_retried_for_ever_and_heals_with_the_content_of_a_secret() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(
            outcome="fails", message="AuthenticationFailed: set HF_TOKEN", exit_code=10
        )
        world.apply([model_cache()])
        world.start()
        await world.until(lambda: cache_status(world).get("status") == "Failed")
        seen: dict[tuple[str, str, str], int] = {}
        for _ in range(24 * 6):
            await world.pass_seconds(600)
            seen[says(cache_status(world))] = seen.get(says(cache_status(world)), 0) + 1
        assert set(seen) == {("Failed", "AuthenticationFailed", "set HF_TOKEN")}
        attempts = jobs_created(world, "download-")
        assert 24 <= attempts <= 34, "ten of them until the pauses are an hour, then one an hour"
        assert cache_status(world)["download"]["attempts"] in (attempts, attempts - 1)
        # What a Secret holds is never read: nobody tells that it was mended.
        del world.sandbox.jobs.behaviours[SOURCE]
        await world.until(
            lambda: cache_status(world).get("status") == "Available", limit_seconds=LONGEST_RETRY_SECONDS + 10
        )


async def test_two_steps_of_a_download_cost_two_writes_however_many_services_wait_for_it() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(run_seconds=4000)
        services = [service(f"chat-{number:02}") for number in range(20)]
        world.apply([image(defaultServiceTemplate="fast"), template(**CACHING), *services])
        world.start()
        await world.until(lambda: says(cache_status(world))[1] == "Downloading")
        await world.until(
            lambda: all(
                world.reason(aim.SERVICES, each["metadata"]["name"], NAMESPACE, "CacheReady") != ""
                for each in services
            )
        )
        await world.pass_seconds(60)
        before = len(world.writes())
        percentages = [cache_status(world)["progress"]["percentage"]]
        for _ in range(2):
            await world.pass_seconds(1000)
            percentages.append(cache_status(world)["progress"]["percentage"])
        assert percentages == [0, 25, 50]
        name = world.all(aim.MODEL_CACHES)[0]["metadata"]["name"]
        assert world.writes()[before:] == [("patch_status", "aimmodelcaches.aim.silogen.ai", name)] * 2


CRASHING = [
    pytest.param(ImageBehaviour(sidecar=True), "Available", id="beside a sidecar"),
    pytest.param(ImageBehaviour(outcome="fails", sidecar=True), "Failed", id="that fails beside a sidecar"),
    pytest.param(ImageBehaviour(outcome="hangs"), "Failed", id="that never ends"),
]


@pytest.mark.parametrize(("behaviour", "want"), CRASHING)
async def test_killed_after_any_write_no_attempt_is_lost_or_counted_twice(
    behaviour: ImageBehaviour, want: str
) -> None:
    for number in range(1, 9):
        async with World() as world:
            world.sandbox.jobs.behaviours[IMAGE] = behaviour
            world.apply([image(), template()])
            doomed = world.start(crash_after_write=number)
            # What never ends is recorded and deleted, and tried again, within the hour.
            await world.until(doomed.done, limit_seconds=3600)
            world.start()
            await world.until(lambda: template_says(world)[0] == want, limit_seconds=DEADLINE_SECONDS + 60)
            attempts = world.status(aim.TEMPLATES, "fast", NAMESPACE)["discovery"]["attempts"]
            counted = attempts + 1 if want == "Available" else attempts
            assert counted == jobs_created(world, "discover-"), f"killed after write {number}"
