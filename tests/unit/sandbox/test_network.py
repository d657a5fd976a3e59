"""Everything that can go wrong between a client and the server, on command and by seed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aim_operator.api.external import JOBS
from aim_operator.api.v1alpha1 import SERVICES
from aim_operator.errors import (
    ApiError,
    Expired,
    Invalid,
    NotFound,
    NotInstalled,
    TooManyRequests,
    Unavailable,
)
from aim_operator.kube.retries import Retries
from aim_operator.sandbox import Network
from aim_operator.sandbox.network import Fault, Rates
from tests.unit.sandbox.cluster import Cluster, make_job, make_service, running


class Killed(BaseException):
    """The process is gone."""


def names(cluster: Cluster) -> list[str]:
    found = cluster.server.storage.collection(cluster.server.kinds.served(SERVICES).id).objects
    return [key.name for key in found]


async def test_a_call_can_fail_before_the_server_sees_it() -> None:
    async with running() as cluster:
        cluster.client.network.fail(Fault(Unavailable("no route"), verb="apply", resource="aimservices"))
        await cluster.client.apply(JOBS, make_job())
        with pytest.raises(Unavailable, match="no route"):
            await cluster.client.apply(SERVICES, make_service())
        assert names(cluster) == []
        await cluster.client.apply(SERVICES, make_service())
        assert names(cluster) == ["service"]


async def test_an_answer_can_be_lost() -> None:
    async with running() as cluster:
        cluster.client.network.fail(Fault(Unavailable("reset"), name="service", when="after"))
        with pytest.raises(Unavailable):
            await cluster.client.apply(SERVICES, make_service())
        assert names(cluster) == ["service"]


async def test_a_busy_server_says_when_to_come_back() -> None:
    async with running() as cluster:
        cluster.client.network.fail(Fault(TooManyRequests("busy", retry_after_seconds=7), times=2))
        for _ in range(2):
            with pytest.raises(TooManyRequests) as caught:
                await cluster.client.list(SERVICES)
            assert caught.value.retry_after_seconds == 7
        assert (await cluster.client.list(SERVICES)).items == ()


@pytest.mark.parametrize(("boundary", "want"), [("before", ["one"]), ("after", ["one", "two"])])
async def test_the_writer_can_be_killed_at_a_write(boundary: str, want: list[str]) -> None:
    def kill(number: int) -> None:
        if number == 2:
            raise Killed

    async with running() as cluster:
        setattr(cluster.client.network, f"{boundary}_write", kill)
        await cluster.client.apply(SERVICES, make_service("one"))
        await cluster.client.list(SERVICES)
        with pytest.raises(Killed):
            await cluster.client.apply(SERVICES, make_service("two"))
        assert names(cluster) == want


def watched(cluster: Cluster, resource: Any, into: list[str], **options: Any) -> asyncio.Task[None]:
    async def follow(stream: AsyncIterator[Any]) -> None:
        async for event in stream:
            name = event.object.metadata.name if event.object else ""
            into.append(f"{event.type} {name}".strip())

    return asyncio.ensure_future(follow(cluster.client.watch(resource, resource_version="0", **options)))


async def test_a_dropped_watch_breaks() -> None:
    async with running() as cluster:
        seen: list[str] = []
        watch = watched(cluster, SERVICES, seen)
        await cluster.advance()
        await cluster.client.apply(SERVICES, make_service())
        await cluster.advance()
        assert cluster.client.network.drop_watches("jobs") == 0
        assert cluster.client.network.drop_watches() == 1
        with pytest.raises(Unavailable):
            await watch
        assert seen == ["ADDED service"]
        assert cluster.client.network.drop_watches() == 0


async def test_a_stalled_watch_hears_nothing_until_it_is_resumed() -> None:
    async with running() as cluster:
        seen: list[str] = []
        watch = watched(cluster, SERVICES, seen, timeout_seconds=300)
        await cluster.advance()
        cluster.client.network.stall_watches()
        await cluster.client.apply(SERVICES, make_service())
        await cluster.advance(200)
        assert seen == []
        cluster.client.network.resume_watches()
        await cluster.advance()
        assert seen[0] == "ADDED service"
        cluster.client.network.stall_watches("aimservices")
        await cluster.advance(120)
        assert watch.done()
        with pytest.raises(Unavailable, match="silent"):
            await watch


async def test_kinds_can_arrive_out_of_order_and_each_keeps_its_own() -> None:
    async with running(kserve=False) as cluster:
        cluster.client.network.delay("aimservices", 10)
        seen: list[str] = []
        watches = [watched(cluster, SERVICES, seen), watched(cluster, JOBS, seen)]
        await cluster.advance()
        for name in ("one", "two"):
            await cluster.client.apply(SERVICES, make_service(name))
        await cluster.client.create(JOBS, make_job() | {"spec": make_job()["spec"] | {"suspend": True}})
        await cluster.advance(30)
        for watch in watches:
            watch.cancel()
        added = [line for line in seen if line.startswith("ADDED")]
        assert added == ["ADDED job", "ADDED one", "ADDED two"]


async def test_the_same_seed_makes_the_same_faults() -> None:
    async def outcomes(seed: int) -> list[str]:
        rates = Rates(fail_before=0.2, fail_after=0.2, too_many_requests=0.1, call_seconds=0.5)
        found: list[str] = []
        async with running() as cluster:
            client = cluster.sandbox.client(network=Network(cluster.clock, seed=seed, rates=rates))

            async def play() -> None:
                for number in range(50):
                    try:
                        await client.apply(SERVICES, make_service(f"s{number}"))
                        found.append("done")
                    except ApiError as error:
                        found.append(f"{cluster.clock.monotonic():.6f} {error}")

            await cluster.clock.run(play())
        return found

    assert await outcomes(1) == await outcomes(1)
    assert await outcomes(1) != await outcomes(2)


async def test_a_compacted_page_token_has_expired() -> None:
    async with running() as cluster:
        for name in ("a", "b", "c"):
            await cluster.client.apply(SERVICES, make_service(name))
        page = await cluster.client.list(SERVICES, limit=1)
        cluster.server.storage.compact()
        await cluster.client.apply(SERVICES, make_service("d"))
        page = await cluster.client.list(SERVICES, limit=1, continue_token=page.continue_token)
        cluster.server.storage.compact()
        with pytest.raises(Expired):
            await cluster.client.list(SERVICES, limit=1, continue_token=page.continue_token)


async def test_compaction_leaves_open_watches_alone() -> None:
    async with running() as cluster:
        seen: list[str] = []
        watch = watched(cluster, SERVICES, seen)
        await cluster.advance()
        cluster.server.storage.compact()
        await cluster.client.apply(SERVICES, make_service())
        await cluster.advance()
        assert seen == ["ADDED service"]
        watch.cancel()


async def test_an_older_server_knows_no_streamed_lists() -> None:
    async with running() as cluster:
        cluster.server.streaming_lists = False
        with pytest.raises(Invalid, match="sendInitialEvents is forbidden"):
            await anext(cluster.client.watch(SERVICES, send_initial_events=True))


async def test_a_kind_that_is_uninstalled_ends_its_watches_and_takes_its_objects_along() -> None:
    async with running() as cluster:
        seen: list[str] = []
        await cluster.client.apply(SERVICES, make_service())
        watch = watched(cluster, SERVICES, seen)
        await cluster.advance()
        cluster.server.uninstall(SERVICES.qualified)
        await cluster.advance()
        assert watch.done()
        assert seen == ["ADDED service", "DELETED service"]
        with pytest.raises(NotInstalled):
            await cluster.client.get(SERVICES, "service", namespace="default")


async def test_every_request_is_audited_with_its_outcome() -> None:
    async with running() as cluster:
        client = cluster.sandbox.client("alice")
        await client.apply(SERVICES, make_service())
        await client.apply(SERVICES, make_service())
        with pytest.raises(NotFound):
            await client.get(SERVICES, "other", namespace="default")
        got = [entry for entry in cluster.server.audit if entry.user == "alice"]
        service = "aimservices.aim.silogen.ai"
        assert got == [
            ("alice", "apply", service, "default", "service", 200, True),
            ("alice", "apply", service, "default", "service", 200, False),
            ("alice", "get", service, "default", "other", 404, False),
        ]


@pytest.mark.parametrize("steps", range(6))
async def test_a_reader_can_be_cancelled_at_any_moment(steps: int) -> None:
    async with running() as cluster:
        seen: list[str] = []
        watch = watched(cluster, SERVICES, seen)
        await cluster.advance()
        cluster.sandbox.load([make_service()])
        for _ in range(steps):
            await asyncio.sleep(0)
        watch.cancel()
        await cluster.advance()
        assert watch.cancelled()
        assert cluster.server.storage.collection(cluster.server.kinds.served(SERVICES).id).streams == []


@pytest.mark.parametrize(("share", "want"), [(0.0, []), (1.0, ["service"])], ids=["not sent", "sent"])
async def test_a_write_that_is_given_up_on_its_way_may_have_its_effect(share: float, want: list[str]) -> None:
    async with running() as cluster:
        cluster.client.network.rates = Rates(arrive_cancelled=share, call_seconds=60)
        writing = asyncio.create_task(cluster.client.apply(SERVICES, make_service()))
        reading = asyncio.create_task(cluster.client.list(SERVICES))
        await cluster.advance(0.001)
        for task in (writing, reading):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert names(cluster) == want


async def test_a_client_can_repeat_what_failed_as_the_real_one_does() -> None:
    async with running() as cluster:
        network = cluster.client.network
        network.repeats = Retries(cluster.clock.monotonic, cluster.clock.sleep, 30)
        network.fail(Fault(Unavailable("reset"), verb="apply", when="after"))
        network.fail(Fault(TooManyRequests("busy", retry_after_seconds=7), verb="create", times=2))
        await cluster.clock.run(cluster.client.apply(SERVICES, make_service("applied")))
        await cluster.clock.run(cluster.client.create(SERVICES, make_service("created")))
        assert names(cluster) == ["applied", "created"]


async def test_a_create_or_delete_that_may_have_been_carried_out_is_not_repeated() -> None:
    async with running() as cluster:
        network = cluster.client.network
        network.repeats = Retries(cluster.clock.monotonic, cluster.clock.sleep, 30)
        network.fail(Fault(Unavailable("reset"), when="after", times=2))
        with pytest.raises(Unavailable):
            await cluster.clock.run(cluster.client.create(SERVICES, make_service()))
        assert names(cluster) == ["service"]
        with pytest.raises(Unavailable):
            await cluster.clock.run(cluster.client.delete(SERVICES, "service", namespace="default"))
        assert names(cluster) == []
