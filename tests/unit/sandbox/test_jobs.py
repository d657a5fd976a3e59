"""Jobs in the sandbox: their Pods, logs and ends, as the Job controller and a kubelet would make them."""

from __future__ import annotations

import json

import pytest

from aim_operator.api.external import EVENTS, JOBS, PODS
from aim_operator.errors import Invalid
from aim_operator.sandbox.aim_image.tables import LLAMA_8B
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.profiles import SandboxImage
from tests.support.aim_image import model_env
from tests.unit.sandbox.cluster import IMAGE, make_job, running


async def test_a_job_gets_a_labelled_pod_runs_and_completes() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.start_seconds, cluster.sandbox.jobs.run_seconds = 2, 5
        await cluster.client.apply(JOBS, make_job())
        await cluster.advance(1)
        assert await cluster.pods() == ()
        await cluster.advance(2)
        [pod] = await cluster.pods()
        assert pod.status.phase == "Running"
        assert pod.metadata.label("app") == "x"
        assert pod.metadata.label("job-name") == pod.metadata.label("batch.kubernetes.io/job-name") == "job"
        assert pod.metadata.controller() is not None
        job = await cluster.client.get(JOBS, "job", namespace="default")
        assert (job.status.active, job.status.ready) == (1, 1)
        await cluster.advance(5)
        assert cluster.conditions(JOBS, "job")["Complete"][0] == "True"
        [pod] = await cluster.pods()
        assert pod.status.phase == "Succeeded"
        job = await cluster.client.get(JOBS, "job", namespace="default")
        assert job.status.completion_time == "2026-01-31T12:00:07Z"
        assert (job.status.active or 0) == 0


async def test_an_image_nobody_described_prints_what_the_job_asks_for() -> None:
    env = {
        "AIM_METRIC": "throughput",
        "AIM_PRECISION": "fp8",
        "AIM_GPU_COUNT": "4",
        "AIM_GPU_MODEL": "MI325X",
    }
    async with running() as cluster:
        await cluster.client.apply(JOBS, make_job(env=env))
        await cluster.advance()
        [pod] = await cluster.pods()
        [entry] = json.loads(await cluster.log(pod.metadata.name))
        got = entry["profile"]["metadata"]
        assert (got["metric"], got["precision"], got["gpu_count"], got["gpu"]) == (
            "throughput",
            "fp8",
            4,
            "MI325X",
        )
        assert entry["models"] == [{"name": "sandbox/model", "source": "hf://sandbox/model", "size_gb": 1.0}]


async def test_a_described_image_refuses_as_the_real_one_does() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(LLAMA_8B))
        await cluster.client.apply(JOBS, make_job("both", env={"AIM_MODEL_ID": "org/model"}))
        await cluster.client.apply(JOBS, make_job("no-gpu"))
        await cluster.advance()
        assert cluster.conditions(JOBS, "both")["Failed"][0] == "True"
        assert cluster.conditions(JOBS, "no-gpu")["Complete"][0] == "True"
        logs = {
            (pod.metadata.labels or {})["job-name"]: await cluster.log(pod.metadata.name)
            for pod in await cluster.pods()
        }
        assert logs["both"].startswith(b"error: cannot set both AIM_ID")
        assert logs["no-gpu"].endswith(b"16 gpu_mismatch, 8 metric_mismatch\n[]\n")


async def test_an_image_can_print_anything() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(log=b"x" * 100_000)
        await cluster.client.apply(JOBS, make_job())
        await cluster.advance()
        [pod] = await cluster.pods()
        assert await cluster.log(pod.metadata.name) == b"x" * 100_000


async def test_a_failing_image_fails_the_job_with_its_last_words() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(
            outcome="fails", exit_code=3, log=b"no GPU profile fits"
        )
        await cluster.client.apply(JOBS, make_job())
        await cluster.advance()
        assert cluster.conditions(JOBS, "job")["Failed"] == (
            "True",
            "Job has reached the specified backoff limit",
        )
        [pod] = await cluster.pods()
        [container] = pod.status.container_statuses or ()
        ended = container.state.terminated
        assert ended is not None
        assert (ended.exit_code, ended.message) == (3, "no GPU profile fits")


async def test_an_image_that_cannot_be_pulled_waits_until_the_deadline() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(
            outcome="pull error", message="401 Unauthorized"
        )
        await cluster.client.apply(JOBS, make_job(activeDeadlineSeconds=600))
        await cluster.advance(599)
        [pod] = await cluster.pods()
        [container] = pod.status.container_statuses or ()
        waiting = container.state.waiting
        assert waiting is not None
        assert (waiting.reason, waiting.message) == ("ErrImagePull", "401 Unauthorized")
        with pytest.raises(Invalid, match="waiting to start"):
            await cluster.log(pod.metadata.name)
        await cluster.advance(1)
        assert cluster.conditions(JOBS, "job")["Failed"] == (
            "True",
            "Job was active longer than specified deadline",
        )
        assert await cluster.pods() == ()


async def test_an_unschedulable_pod_says_why() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="unschedulable", message="no GPU")
        await cluster.client.apply(JOBS, make_job())
        await cluster.advance(60)
        [pod] = await cluster.pods()
        [condition] = pod.status.conditions or ()
        assert (condition.type, condition.reason, condition.message) == (
            "PodScheduled",
            "Unschedulable",
            "no GPU",
        )


async def test_a_refused_pod_is_told_by_an_event_only() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(
            outcome="quota", message="exceeded quota: small"
        )
        await cluster.client.apply(JOBS, make_job())
        await cluster.advance(60)
        assert await cluster.pods() == ()
        selector = "involvedObject.kind=Job,reason=FailedCreate"
        [event] = (await cluster.client.list(EVENTS, field_selector=selector)).items
        assert event.involved_object.name == "job"
        assert event.message == "Error creating: exceeded quota: small"


async def test_a_finished_job_goes_once_its_ttl_is_over() -> None:
    async with running() as cluster:
        await cluster.client.apply(JOBS, make_job())
        await cluster.advance(100)
        assert (await cluster.client.list(JOBS)).items
        await cluster.client.apply(JOBS, make_job(ttlSecondsAfterFinished=120))
        await cluster.advance(19)
        assert (await cluster.client.list(JOBS)).items
        await cluster.advance(1)
        assert (await cluster.client.list(JOBS)).items == ()
        assert await cluster.pods() == ()


async def test_a_pod_that_is_deleted_fails_its_job() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="hangs")
        await cluster.client.apply(JOBS, make_job())
        await cluster.advance()
        [pod] = await cluster.pods()
        await cluster.client.delete(PODS, pod.metadata.name, namespace="default")
        await cluster.advance()
        assert cluster.conditions(JOBS, "job")["Failed"][0] == "True"


async def test_a_job_in_a_namespace_that_ends_meanwhile_harms_nobody() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.start_seconds = 5
        cluster.sandbox.load([make_job() | {"metadata": {"name": "job", "namespace": "ending"}}, make_job()])
        namespaces = cluster.server.kinds.named("v1", "Namespace")
        assert namespaces is not None
        cluster.server.delete(namespaces, "ending")
        await cluster.advance(10)
        assert cluster.conditions(JOBS, "job")["Complete"][0] == "True"
        assert [job.metadata.namespace for job in (await cluster.client.list(JOBS)).items] == ["default"]


async def test_a_suspended_job_starts_once_it_is_resumed() -> None:
    async with running() as cluster:
        await cluster.client.apply(JOBS, make_job(suspend=True))
        await cluster.advance(60)
        assert cluster.conditions(JOBS, "job") == {"Suspended": ("True", "Job suspended")}
        assert await cluster.pods() == ()
        await cluster.client.apply(JOBS, make_job(suspend=False))
        await cluster.advance()
        assert cluster.conditions(JOBS, "job")["Complete"][0] == "True"


async def test_a_suspended_job_has_no_deadline_until_it_is_resumed() -> None:
    async with running() as cluster:
        cluster.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="hangs")
        await cluster.client.apply(JOBS, make_job(suspend=False, activeDeadlineSeconds=600))
        await cluster.advance(500)
        await cluster.client.apply(JOBS, make_job(suspend=True, activeDeadlineSeconds=600))
        await cluster.advance(3600)
        assert "Failed" not in cluster.conditions(JOBS, "job")
        await cluster.client.apply(JOBS, make_job(suspend=False, activeDeadlineSeconds=600))
        await cluster.advance(599)
        assert "Failed" not in cluster.conditions(JOBS, "job")
        await cluster.advance(1)
        assert "Failed" in cluster.conditions(JOBS, "job")


async def test_a_suspended_job_that_never_started_can_be_placed_as_queues_do_and_no_other() -> None:
    async with running() as cluster:
        server = cluster.sandbox.server
        kind = server.kinds.served(JOBS)
        await cluster.client.apply(JOBS, make_job("queued", suspend=True))
        await cluster.client.apply(JOBS, make_job("job"))
        await cluster.advance(1)
        placed = {"spec": {"template": {"spec": {"nodeSelector": {"flavor": "spot"}}}}}
        server.patch(kind, "queued", placed, namespace="default", manager="kueue")
        with pytest.raises(Invalid, match="immutable"):
            server.patch(kind, "job", placed, namespace="default", manager="kueue")
        other = {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}
        with pytest.raises(Invalid, match="immutable"):
            server.patch(kind, "queued", other, namespace="default", manager="kueue")
