"""Never two leaders, whatever their clocks and the API server do; and somebody leads in the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from aim_operator import errors
from aim_operator.runtime.clock import Timer
from aim_operator.runtime.leader import LEASES, RELEASE_SECONDS, LeaderElector
from tests.support.fake_client import Call, FakeClient
from tests.support.virtual_clock import VirtualClock


class Skewed:
    """The same time as everybody's, read from a clock that is wrong."""

    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self._clock = clock
        self._skew = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self._clock.now() + self._skew

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._skew.total_seconds()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self._clock.call_later(seconds, callback)


class Cut:
    """A client whose line to the server can be cut."""

    def __init__(self, client: FakeClient, clock: VirtualClock) -> None:
        self._client = client
        self._clock = clock
        self.cut = False
        self.loses = False
        """Calls are carried out, and their answers never come."""
        self.hangs = False
        self.late_seconds = 0.0
        """How long an answer takes to arrive after the call was carried out."""
        self.began: Callable[[float], None] = lambda _when: None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def call(*args: Any, **options: Any) -> Any:
            if self.hangs:
                await self._clock.sleep(10_000)
            if self.cut:
                raise errors.Unavailable("cut off")
            self.began(self._clock.monotonic())
            answer = await method(*args, **options)
            if self.late_seconds:
                await self._clock.sleep(self.late_seconds)
            if self.loses:
                raise errors.Unavailable("the connection broke before the answer")
            return answer

        return call


class Candidate:
    def __init__(self, name: str, client: FakeClient, clock: VirtualClock, skew: float = 0) -> None:
        self.clock = clock
        self.name = name
        self.line = Cut(client, clock)
        self.elector = LeaderElector(
            self.line, clock=Skewed(clock, skew), namespace="ns", name="op", identity=name
        )
        self.working = False
        self.unwinds_seconds = 0.0
        """How long its work takes to end once it is cancelled."""
        self.terms = 0
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.elector.run(self._work))

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _work(self) -> None:
        self.terms += 1
        self.working = True
        try:
            await self.clock.sleep(1e9)
        finally:
            if self.unwinds_seconds:
                await self.clock.sleep(self.unwinds_seconds)
            self.working = False

    @property
    def may_write(self) -> bool:
        try:
            self.elector.fence()
        except errors.NotLeader:
            return False
        return True


RELEASED = {"holderIdentity": "", "leaseDurationSeconds": 1}


def put_lease(client: FakeClient, **fields: Any) -> None:
    client.put(LEASES, {"metadata": {"name": "op", "namespace": "ns"}, "spec": fields})


def make(*skews: float, installed: bool = True) -> tuple[VirtualClock, FakeClient, list[Candidate]]:
    """Candidates for a Lease that the last leader released; where not `installed`, for one that never was."""
    clock, client = VirtualClock(), FakeClient()
    if installed:
        put_lease(client, **RELEASED)
    names = ("one", "two", "three")
    return clock, client, [Candidate(n, client, clock, s) for n, s in zip(names, skews, strict=False)]


def spec(client: FakeClient) -> Any:
    lease = client.manifest(LEASES, "op", "ns")
    assert lease is not None
    return lease["spec"]


async def stop(*candidates: Candidate) -> None:
    for candidate in candidates:
        await candidate.stop()


async def test_the_first_one_leads_and_renews() -> None:
    """Every two seconds, and the record says who and since when."""
    clock, client, (one, two) = make(0, 0)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(60)
    assert (one.working, two.working) == (True, False)
    assert spec(client)["holderIdentity"] == "one"
    assert spec(client)["leaseTransitions"] == 0
    renewals = sum(call.verb == "replace" for call in client.calls)
    assert 25 <= renewals <= 35
    await stop(one, two)


async def test_the_record_says_since_when_its_holder_leads() -> None:
    """Renewals leave that, and count no change of leader; `kubectl get lease` shows it."""
    clock, client, (one,) = make(0)
    one.start()
    await clock.settle()
    assert one.working, "a Lease that was released is waited for by nobody"
    taken = spec(client)
    await clock.advance(60)
    assert spec(client)["acquireTime"] == taken["acquireTime"] == taken["renewTime"]
    assert spec(client)["renewTime"] > taken["renewTime"]
    assert spec(client)["leaseTransitions"] == taken["leaseTransitions"]
    await stop(one)


async def test_work_that_takes_long_to_end_has_the_lease_until_then() -> None:
    """It may be in the middle of a write: nobody else begins before, and its own writes pass the fence."""
    clock, _, (one, two) = make(0, 0)
    one.unwinds_seconds = 40
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(10)
    assert one.task is not None
    one.task.cancel()
    for _ in range(39):
        await clock.advance(1)
        assert (one.may_write, two.working) == (True, False)
    await clock.advance(3)
    assert (one.working, two.working) == (False, True)
    await stop(two)


async def test_who_releases_the_lease_writes_no_more() -> None:
    """Not even until the answer comes: another may have read what was released."""
    clock, client, (one,) = make(0)
    one.start()
    await clock.advance(10)
    one.line.late_seconds = 2
    assert one.task is not None
    one.task.cancel()
    await clock.run_until(lambda: spec(client)["holderIdentity"] == "")
    assert not one.may_write
    await stop(one)


async def test_a_release_that_has_no_answer_does_not_keep_the_process() -> None:
    """A Pod that is deleted has some seconds."""
    clock, _, (one,) = make(0)
    one.start()
    await clock.advance(10)
    one.line.hangs = True
    assert one.task is not None
    one.task.cancel()
    await clock.advance(RELEASE_SECONDS + 0.1)
    assert one.task.cancelled()


async def test_a_release_that_fails_is_no_error_of_the_work() -> None:
    """The Lease runs out then."""
    clock, client, (one,) = make(0)

    async def work() -> None:
        one.line.cut = True

    await clock.run(one.elector.run(work))
    assert spec(client)["holderIdentity"] == "one"
    assert not one.may_write


async def test_a_stopped_leader_lets_the_next_one_lead_at_once() -> None:
    """The Lease is released, so nobody waits for it to run out."""
    clock, client, (one, two) = make(0, 0)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(10)
    await one.stop()
    assert spec(client)["holderIdentity"] == ""
    await clock.advance(3)
    assert two.working
    assert spec(client)["leaseTransitions"] == 1
    await stop(two)


async def test_a_renewal_that_is_made_good_is_no_warning_and_a_lost_lease_is() -> None:
    """Whoever reads warnings only need not hear of a line that was cut for seconds."""
    clock, _, (one, *_) = make(0)
    one.start()
    await clock.advance(10)
    with capture_logs() as logs:
        one.line.cut = True
        await clock.advance(5)
        one.line.cut = False
        await clock.advance(30)
        assert (one.terms, {entry["log_level"] for entry in logs}) == (1, {"info"})
        one.line.cut = True
        await clock.advance(30)
        assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
            "the Lease was lost, standing by"
        ]
    await stop(one)


@pytest.mark.parametrize("seed", range(20))
async def test_a_crashed_leader_is_replaced_when_its_lease_runs_out(seed: int) -> None:
    """15 s after the standby saw the last renewal, for which it looks every 1.2 to 1.6 s."""
    random.seed(seed)
    clock, client, (one, two) = make(0, 0)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(10)
    renewed = spec(client)["renewTime"]
    # Right after a renewal, which the standby has yet to see.
    await clock.run_until(lambda: spec(client)["renewTime"] != renewed)
    one.line.cut = True  # and never says so
    lost_at = clock.monotonic()
    await clock.run_until(lambda: two.working)
    assert 13 <= clock.monotonic() - lost_at <= 15 + 1.6 + 0.1
    assert not one.working
    await stop(one, two)


async def test_a_leader_that_is_cut_off_stops_before_another_begins() -> None:
    """Its fence closes first, its work is cancelled, and it leads again when it can."""
    clock, _, (one, two) = make(0, 0)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(10)
    one.line.cut = True
    await clock.run_until(lambda: not one.may_write)
    assert not two.working
    await clock.run_until(lambda: two.working)
    one.line.cut = False
    await two.stop()
    await clock.run_until(lambda: one.working)
    assert one.terms == 2
    await stop(one)


async def test_a_renewal_that_hangs_counts_from_when_it_began() -> None:
    """A call without an answer does not lengthen the term."""
    clock, _, (one,) = make(0)
    one.start()
    await clock.advance(10)
    one.line.hangs = True
    began = clock.monotonic()
    await clock.run_until(lambda: not one.may_write)
    assert clock.monotonic() - began <= 10
    await clock.settle()
    assert not one.working
    await stop(one)


async def test_a_late_answer_does_not_lengthen_the_term() -> None:
    """Others may have seen the record as soon as it was written, long before we heard of it."""
    clock, _, (one,) = make(0)
    one.start()
    await clock.advance(10)
    one.line.late_seconds = 7
    calls: list[float] = []
    one.line.began = calls.append
    await clock.run_until(lambda: len(calls) > 1)
    last = calls[-1]
    one.line.hangs = True
    await clock.run_until(lambda: not one.may_write)
    assert clock.monotonic() - last <= 10
    await stop(one)


async def test_the_first_leader_of_all_works_after_the_duration_of_a_lease() -> None:
    """Whether the Lease never was or was deleted cannot be told. It is held meanwhile, by one only."""
    clock, client, (one, two) = make(0, 0, installed=False)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(14.9)
    assert spec(client)["holderIdentity"] == "one"
    assert not one.may_write
    await clock.advance(0.2)
    assert (one.working, two.working) == (True, False)
    await stop(one, two)


async def test_a_leader_whose_lease_is_deleted_goes_on_if_it_notices_first() -> None:
    """It makes the Lease again at its next renewal: nobody's work is interrupted."""
    clock, client, (one,) = make(0)
    one.start()
    await clock.advance(10)
    client.remove(LEASES, "op", "ns")
    for _ in range(40):
        await clock.advance(1)
        assert one.may_write
    assert spec(client)["holderIdentity"] == "one"
    assert one.terms == 1
    await stop(one)


async def test_a_leader_whose_lease_another_made_again_stops() -> None:
    """It finds the name taken in the moment in which it makes the Lease itself."""
    clock, client, (one,) = make(0)
    one.start()
    await clock.advance(10)

    async def other_is_first(call: Call) -> None:
        if call.verb == "create":
            client.gate = None
            put_lease(client, holderIdentity="somebody", leaseDurationSeconds=15)

    client.gate = other_is_first
    client.remove(LEASES, "op", "ns")
    await clock.run_until(lambda: client.gate is None)
    assert not one.may_write
    await stop(one)


async def test_kubectl_delete_lease_does_not_let_two_leaders_write() -> None:
    """A standby is first to make it again, while the leader can't reach the server and does not know."""
    clock, client, (one, two) = make(0, 0)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(10)
    one.line.hangs = True
    client.remove(LEASES, "op", "ns")
    while not two.may_write:
        await clock.advance(0.1)
        assert not (one.may_write and two.may_write)
    assert spec(client)["holderIdentity"] == "two"
    await stop(one, two)


@pytest.mark.parametrize("late_seconds", [0, 60], ids=["broken off", "given up"])
async def test_a_lease_that_was_made_by_a_call_without_an_answer_gives_no_right_to_work_at_once(
    late_seconds: float,
) -> None:
    """The standby finds its own name in it; the leader whose Lease was deleted may still write."""
    clock, client, (one, two) = make(0, 0)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(10)
    one.line.hangs = True
    two.line.loses, two.line.late_seconds = not late_seconds, late_seconds
    client.remove(LEASES, "op", "ns")
    while client.manifest(LEASES, "op", "ns") is None:
        await clock.advance(0.1)
        assert not (one.may_write and two.may_write)
    two.line.loses, two.line.late_seconds = False, 0
    while not two.may_write:
        await clock.advance(0.1)
        assert not (one.may_write and two.may_write)
    assert spec(client)["holderIdentity"] == "two"
    await stop(one, two)


async def test_a_candidate_that_stops_while_it_waits_releases_nothing() -> None:
    """Else the next one would work at once, and a leader whose Lease was deleted may still write."""
    clock, client, (one, two) = make(0, 0, installed=False)
    one.start()
    await clock.advance(5)
    await one.stop()
    assert spec(client)["holderIdentity"] == "one"
    two.start()
    await clock.advance(14)
    assert not two.may_write
    await stop(two)


async def test_a_holder_that_was_erased_is_not_taken_for_a_release() -> None:
    """`kubectl edit lease`: the leader writes its name again; others wait as for any holder."""
    clock, client, (one, two) = make(0, 0)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(10)
    one.line.hangs = True
    put_lease(client, holderIdentity="", leaseDurationSeconds=15)
    while not two.may_write:
        await clock.advance(0.1)
        assert not (one.may_write and two.may_write)
    await stop(one, two)


@pytest.mark.parametrize(
    ("record", "lasts"),
    [
        pytest.param({"leaseDurationSeconds": 30}, 30, id="longer than ours, as an older release's may be"),
        pytest.param({"leaseDurationSeconds": 5}, 5, id="shorter than ours"),
        pytest.param({}, 15, id="not stated, which is no time at all to nobody: as ours"),
    ],
)
async def test_a_lease_lasts_as_long_as_its_holder_says(record: dict[str, int], lasts: float) -> None:
    """The holder reckons with that; a standby that took its own duration would lead beside it."""
    clock, client, (one,) = make(0)
    put_lease(client, holderIdentity="somebody", **record)
    one.start()
    await clock.advance(lasts - 0.1)
    assert not one.may_write
    await clock.advance(0.2)
    assert one.may_write
    await stop(one)


async def test_standbys_do_not_look_at_the_same_moment() -> None:
    """Of a fleet of operators that one outage stopped, each looks when it likes, within known bounds."""
    clock, _, (one, two) = make(0, 0)
    looks: list[float] = []
    one.start()
    await clock.settle()
    two.line.began = looks.append
    two.start()
    await clock.advance(60)
    pauses = {round(after - before, 6) for before, after in pairwise(looks)}
    assert len(pauses) > 10
    assert min(pauses) >= 1.2
    assert max(pauses) <= 1.6
    await stop(one, two)


async def test_rights_that_are_withdrawn_cost_the_lease_until_they_are_given_back() -> None:
    """The process goes on: whoever mends the role need not restart it."""
    clock, client, (one,) = make(0)
    one.start()
    await clock.advance(10)
    client.fail("replace", LEASES, *[errors.Forbidden("may not", code=403) for _ in range(10)])
    await clock.run_until(lambda: not one.may_write)
    await clock.run_until(lambda: one.may_write)
    assert one.terms == 2
    await stop(one)


async def test_a_leader_that_finds_another_name_in_its_lease_stops() -> None:
    """`kubectl edit lease`: whoever is named there may write by now, so it does not wait for its own term."""
    clock, client, (one,) = make(0)
    one.start()
    await clock.advance(10)
    assert one.may_write
    put_lease(client, holderIdentity="somebody", leaseDurationSeconds=15)
    await clock.advance(5)
    assert (one.may_write, one.working) == (False, False)
    await stop(one)


async def test_wrong_clocks_change_nothing() -> None:
    """A standby an hour ahead does not find the Lease expired: it watches the record, not the time in it."""
    clock, _, (one, two) = make(0, 3600)
    one.start()
    await clock.settle()
    two.start()
    await clock.advance(120)
    assert (one.working, two.working) == (True, False)
    await stop(one, two)


async def test_work_that_ends_ends_the_run() -> None:
    """And releases the Lease."""
    clock, client, (one,) = make(0)
    ran: list[str] = []

    async def work() -> None:
        ran.append("once")

    await clock.run(one.elector.run(work))
    assert ran == ["once"]
    assert spec(client)["holderIdentity"] == ""


async def test_work_that_fails_ends_the_run_with_its_error() -> None:
    """The process must not linger as a leader that does nothing."""
    clock, client, (one,) = make(0)

    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await clock.run(one.elector.run(work))
    assert spec(client)["holderIdentity"] == ""


async def test_what_others_wrote_into_the_lease_stays() -> None:
    """A PUT replaces everything, so it carries their labels."""
    clock, client, (one,) = make(0)
    client.put(
        LEASES,
        {"metadata": {"name": "op", "namespace": "ns", "labels": {"team": "x"}}, "spec": RELEASED},
    )
    one.start()
    await clock.advance(10)
    lease = client.manifest(LEASES, "op", "ns")
    assert lease is not None
    assert lease["metadata"]["labels"] == {"team": "x"}
    assert one.working
    await stop(one)


@pytest.mark.parametrize("seed", range(16))
async def test_never_two_leaders(seed: int) -> None:
    """Wrong clocks, lines cut and hanging at random, people who delete and edit the Lease, for an hour."""
    rng = random.Random(seed)
    random.seed(seed)
    clock, client, candidates = make(*(rng.uniform(-3600, 3600) for _ in range(3)))
    for candidate in candidates:
        candidate.start()
    for _ in range(400):
        await clock.advance(rng.uniform(0.1, 9))
        assert sum(candidate.may_write for candidate in candidates) <= 1
        assert sum(candidate.working for candidate in candidates) <= 1
        unlucky = rng.choice(candidates)
        unlucky.line.cut = rng.random() < 0.4
        unlucky.line.hangs = rng.random() < 0.2
        unlucky.line.loses = rng.random() < 0.2
        if client.manifest(LEASES, "op", "ns") is not None:
            if rng.random() < 0.1:
                client.remove(LEASES, "op", "ns")
            elif rng.random() < 0.1:
                put_lease(client, holderIdentity="", leaseDurationSeconds=15)
    for candidate in candidates:
        candidate.line.cut = candidate.line.hangs = candidate.line.loses = False
    await clock.advance(30)
    await clock.run_until(lambda: any(candidate.working for candidate in candidates))
    await stop(*candidates)
