"""Discovery slots are shared: what one namespace does never keeps another's templates waiting for long."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import JOBS
from aim_operator.controllers.slot_table import REFUSED_SECONDS
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.template import desired
from aim_operator.core.template.desired import DEADLINE_SECONDS
from aim_operator.errors import ApiError, Forbidden, Invalid, Unavailable
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault, Network
from tests.simulation.catalog import NAMESPACE, cluster_image, cluster_template, image, template
from tests.simulation.world import World, decoded

SLOW = "registry.example/slow:v1"
GREEDY = "greedy"


def greedy(number: int, *, ref: str = SLOW) -> list[dict[str, Any]]:
    """A namespace with so many templates of an image that never comes."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GREEDY}}
    templates = [template(f"t{each:03}", namespace=GREEDY) for each in range(number)]
    return [namespace, image(namespace=GREEDY, ref=ref), *templates]


def forged(world: World, name: str, *, owner: dict[str, Any] | None, **changed: Any) -> dict[str, Any]:
    """A Job of `greedy` that never ends and looks like a discovery of `owner`."""
    job = desired.job(
        decoded(owner or template(name, namespace=GREEDY), aim.AIMServiceTemplate),
        decoded(image(namespace=GREEDY), aim.AIMImage),
        RuntimeConfig(),
        namespace=GREEDY,
        digest="0123456789",
        requests={},
    ).manifest
    job["metadata"]["name"] = f"discover-{name}-01234567"
    job["spec"]["suspend"] = True
    if owner is None:
        del job["metadata"]["ownerReferences"]
    else:
        job["metadata"]["ownerReferences"][0] |= {"kind": owner["kind"], **changed}
    return job


def available(world: World, name: str, namespace: str = NAMESPACE) -> bool:
    return world.state_of(aim.TEMPLATES, name, namespace) == "Available"


@pytest.mark.parametrize(
    "claimed_owner",
    [
        pytest.param("nobody", id="that belong to nobody"),
        pytest.param("another namespace's", id="that name a template of another namespace"),
        pytest.param("the cluster's", id="that name a cluster template"),
        pytest.param("made up", id="that name a template that never was"),
    ],
)
async def test_jobs_with_our_labels_hold_no_slot(claimed_owner: str) -> None:
    async with World() as world:
        world.apply([*greedy(0), image(), template("old"), cluster_image(), cluster_template()])
        owners = {
            "nobody": None,
            "another namespace's": world.find(aim.TEMPLATES, "old", NAMESPACE),
            "the cluster's": world.find(aim.CLUSTER_TEMPLATES, "fast"),
            "made up": template("made-up", namespace=GREEDY),
        }
        owner = owners[claimed_owner]
        changed = {} if owner is None or "uid" in owner["metadata"] else {"uid": "never-was"}
        names = ["fast", "old", *(f"forged{each}" for each in range(5))]
        world.apply([forged(world, name, owner=owner, **changed) for name in names])
        world.start(max_discovery_jobs=2)
        await world.pass_seconds(30)
        assert available(world, "old")
        assert world.state_of(aim.CLUSTER_TEMPLATES, "fast") == "Available"
        world.apply([template("new")])
        await world.until(lambda: available(world, "new"), limit_seconds=5)
        assert not [write for write in world.writes() if write[0] == "delete"], "strangers are left alone"


async def test_jobs_beside_the_one_of_a_template_hold_no_slot_of_their_own() -> None:
    async with World() as world:
        world.apply([*greedy(1), image()])
        owner = world.find(aim.TEMPLATES, "t000", GREEDY)
        jobs = [forged(world, f"forged{each}", owner=owner) for each in range(5)]
        for job in jobs:
            job["metadata"]["finalizers"] = ["example.com/never"]
        world.apply(jobs)
        world.start(max_discovery_jobs=2)
        world.apply([template()])
        await world.until(lambda: available(world, "fast"), limit_seconds=5)


async def test_a_namesake_elsewhere_frees_no_slot() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="hangs")
        world.apply([*greedy(0), cluster_image(ref=SLOW), cluster_template()])
        world.start(max_discovery_jobs=1)
        await world.until(lambda: bool(world.all(JOBS)))
        (job,) = world.all(JOBS)
        namesake = forged(world, "fast", owner=world.find(aim.CLUSTER_TEMPLATES, "fast"))
        namesake["metadata"]["name"] = job["metadata"]["name"]
        world.apply([namesake, cluster_template("waits")])
        await world.pass_seconds(5)
        world.delete(JOBS, job["metadata"]["name"], GREEDY)
        await world.pass_seconds(5)
        assert world.reason(aim.CLUSTER_TEMPLATES, "waits", "", "Discovered") == "False/AwaitingDiscoverySlot"


async def test_a_download_holds_no_discovery_slot() -> None:
    async with World() as world:
        source = "hf://sandbox/model"
        world.sandbox.jobs.behaviours[source] = ImageBehaviour(outcome="hangs")
        world.apply([image(), template("cached", caching={"enabled": True})])
        world.start(max_discovery_jobs=1)
        await world.until(lambda: any("/download-" in name for name in world.created))
        world.apply([template("next")])
        await world.until(lambda: available(world, "next"), limit_seconds=5)


async def test_a_job_that_its_namespace_suspends_frees_its_slot() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="hangs")
        world.apply([*greedy(1), image()])
        world.start(max_discovery_jobs=1)
        await world.until(lambda: bool(world.all(JOBS)))
        (job,) = world.all(JOBS)
        world.apply([{**job, "spec": {**job["spec"], "suspend": True}}])
        world.apply([template("waits")])
        await world.until(lambda: available(world, "waits"), limit_seconds=60)


async def test_a_namespace_of_hundreds_of_broken_templates_delays_another_by_one_deadline_at_most() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="pull error")
        world.apply([*greedy(200), image()])
        world.start(max_discovery_jobs=3)
        await world.pass_seconds(30)
        assert len(world.all(JOBS)) == 3
        names = [f"team{each}" for each in range(6)]
        world.apply([template(name) for name in names])
        asked = world.clock.monotonic()
        await world.until(lambda: all(available(world, name) for name in names), limit_seconds=700)
        assert world.clock.monotonic() - asked <= DEADLINE_SECONDS
        # What the others leave is not kept empty for them.
        await world.pass_seconds(5)
        assert sum(not job["status"].get("conditions") for job in world.all(JOBS)) == 3


async def test_free_slots_go_to_the_namespaces_in_turn() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 5
        world.apply(greedy(6, ref="registry.example/quick:v1"))
        await world.pass_seconds(10)
        world.apply([image(), *(template(f"late{each}") for each in range(2))])
        await world.pass_seconds(10)
        world.apply([cluster_image(), cluster_template("latest")])
        world.start(max_discovery_jobs=2)
        await world.until(lambda: all(available(world, f"t{each:03}", GREEDY) for each in range(6)))
        jobs = [name.removeprefix("Job ") for name in world.created if name.startswith("Job ")]
        spaces = [name.partition("/")[0] for name in jobs]
        # Two slots are free each time: for the two namespaces that have waited longest.
        assert [sorted(spaces[i : i + 2]) for i in (0, 2)] == [[GREEDY, NAMESPACE]] * 2
        assert sorted(spaces[4:6]) == [GREEDY, "kaiwo-system"]
        assert spaces[6:] == [GREEDY] * 3


async def test_what_held_slots_is_known_again_after_a_restart() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="hangs")
        world.apply(greedy(4))
        first = world.start(max_discovery_jobs=2)
        await world.pass_seconds(5)
        await world.stop(first)
        world.start(max_discovery_jobs=2)
        await world.pass_seconds(5)
        assert len(world.all(JOBS)) == 2
        world.delete(aim.TEMPLATES, "t000", GREEDY)
        await world.pass_seconds(5)
        assert len(world.all(JOBS)) == 2, "the template took its Job along, the next one has the slot"
        assert {job["metadata"]["labels"]["aim.silogen.ai/template"] for job in world.all(JOBS)} == {
            "t001",
            "t002",
        }


async def test_a_job_whose_creation_had_no_answer_keeps_its_slot() -> None:
    """The next in turn had it too: the Job was there, and its event some seconds late."""
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="hangs")
        world.apply(greedy(3))
        lost = Unavailable("the connection broke before the answer came")
        network = Network(world.clock)
        network.fail(Fault(error=lost, verb="apply", resource="jobs", when="after"))
        network.delay("jobs", 3.0)
        world.start(max_discovery_jobs=1, network=network)
        await world.pass_seconds(60)
        assert len(world.all(JOBS)) == 1


class Quota:
    """Admits no Job into one namespace, while `on`."""

    def __init__(self, world: World, namespace: str, error: ApiError) -> None:
        self.on, self.attempts, self.varies = True, 0, False
        self._namespace, self._error = namespace, error
        world.sandbox.server.validating[world.sandbox.server.kinds.served(JOBS).id] = self._admit

    def _admit(self, job: dict[str, Any]) -> None:
        if self.on and job["metadata"].get("namespace") == self._namespace:
            self.attempts += 1
            if self.varies:
                raise Forbidden(f"{self._error} (request {self.attempts})", code=403, reason="Forbidden")
            raise self._error


REFUSALS = [
    pytest.param(Forbidden("exceeded quota: count/jobs.batch=0", code=403, reason="Forbidden"), id="quota"),
    pytest.param(Invalid("violates PodSecurity", code=422, reason="Invalid"), id="Pod Security"),
    pytest.param(
        Unavailable("webhook timed out", code=500, reason="InternalError"), id="a webhook that is down"
    ),
]


@pytest.mark.parametrize("number", [20, 60], ids=["fewer than workers", "more than workers"])
@pytest.mark.parametrize("error", REFUSALS)
async def test_a_namespace_whose_jobs_are_refused_keeps_no_slot_from_others(
    error: ApiError, number: int
) -> None:
    """Nor does it keep the operator busy: with more than 24, they handed the slot to each other for ever."""
    async with World() as world:
        quota = Quota(world, GREEDY, error)
        world.apply([*greedy(number, ref="registry.example/quick:v1"), image()])
        world.start(max_discovery_jobs=1)
        await world.pass_seconds(30)
        for each in range(10):
            world.apply([template(f"new{each}")])
            await world.until(lambda name=f"new{each}": available(world, name), limit_seconds=1)  # type: ignore[misc]
            await world.pass_seconds(120)
            refused = world.status(aim.TEMPLATES, "t000", GREEDY)
            assert refused["status"] in ("Failed", "Degraded")
            assert any(str(error) in c["message"] for c in refused["conditions"])
        tried = quota.attempts
        await world.pass_seconds(3600)
        assert quota.attempts - tried <= 20 * number, "no busy loop: the backoff doubles up to minutes"
        quota.on = False
        await world.until(
            lambda: all(available(world, f"t{each:03}", GREEDY) for each in range(number)), limit_seconds=1200
        )


async def test_a_quota_that_words_each_refusal_differently_makes_no_busy_loop() -> None:
    """Each new message changes the status, and the change of the status wakes the template."""
    async with World() as world:
        quota = Quota(world, GREEDY, Forbidden("exceeded quota", code=403, reason="Forbidden"))
        quota.varies = True
        world.apply([*greedy(5, ref="registry.example/quick:v1"), image(), template("new")])
        world.start(max_discovery_jobs=1)
        await world.until(lambda: available(world, "new"), limit_seconds=5)
        await world.pass_seconds(3600)
        assert quota.attempts <= 5 * 2 * 3600 / REFUSED_SECONDS


async def test_a_namespace_of_500_templates_whose_images_never_come_delays_another_by_nothing() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="hangs")
        world.apply([*greedy(500), image()])
        world.start()
        await world.pass_seconds(30)
        assert len(world.all(JOBS)) == 8, "of ten slots two are for those that use none"
        for each in range(5):
            world.apply([template(f"new{each}")])
            await world.until(lambda name=f"new{each}": available(world, name), limit_seconds=15)  # type: ignore[misc]


@pytest.mark.parametrize("discovered", [False, True], ids=["never discovered", "whose image has changed"])
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
async def test_templates_that_are_going_for_long_keep_no_slot_from_others(
    discovered: bool,  # noqa: FBT001 - a table
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    """Somebody's finalizer holds them."""
    async with World() as world:
        world.apply([*greedy(10, ref="registry.example/quick:v1"), image()])
        names = [f"t{each:03}" for each in range(10)]
        for name in names:
            world.patch(aim.TEMPLATES, name, GREEDY, {"metadata": {"finalizers": ["example.com/backup"]}})
        if discovered:
            first = world.start(max_discovery_jobs=2)
            await world.until(lambda: all(available(world, name, GREEDY) for name in names))
            if restarted:
                await world.stop(first)
        for name in names:
            world.delete(aim.TEMPLATES, name, GREEDY)
        world.apply([image(namespace=GREEDY, ref=SLOW)])
        if restarted or not discovered:
            world.start(max_discovery_jobs=2)
        world.apply([template("new")])
        await world.until(lambda: available(world, "new"), limit_seconds=1)
        await world.pass_seconds(60)
        jobs = [
            job["metadata"]["name"] for job in world.all(JOBS, GREEDY) if "conditions" not in job["status"]
        ]
        assert not jobs, "what is going is not discovered"
        for name in names:
            world.patch(aim.TEMPLATES, name, GREEDY, {"metadata": {"finalizers": None}})
        await world.pass_seconds(60)
        assert not world.all(aim.TEMPLATES, GREEDY)


async def test_paused_templates_keep_no_slot_from_others() -> None:
    async with World() as world:
        made = greedy(10)
        for each in made[2:]:
            each["metadata"]["annotations"] = {"aim.silogen.ai/reconciliation-paused": "true"}
        world.apply([*made, image(), template("new")])
        world.start(max_discovery_jobs=1)
        await world.until(lambda: available(world, "new"), limit_seconds=1)
