"""`aimctl why` in broken situations on the sandbox: the same table as on a real API server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aim_operator.api.meta import Manifest
from aim_operator.cli.objects import find
from aim_operator.cli.why.look import explain
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.storage import Stored
from tests.simulation.world import World as Simulated
from tests.support.counted import Counted
from tests.support.spec_world import World
from tests.support.stand_ins.images import BROKEN, MISSING
from tests.support.why_situations import MOST_REQUESTS, OTHERS, REAL_ONLY, SERVED, SITUATIONS, lacks

NAMESPACE = "why-1"
PLURALS = {"inferenceservices": "InferenceService", "pods": "Pod", "events": "Event"}
SECONDS = 5


class SandboxApi:
    """As much of hack.cluster.api.Api as the situations use."""

    def __init__(self, world: Simulated) -> None:
        self._world = world

    def apply_when_served(self, manifest: Manifest) -> None:
        self._world.apply([manifest])

    def get(self, path: str) -> Manifest | None:
        found = self._find(path)
        return found.obj if found is not None else None

    def request(self, method: str, path: str, body: Manifest, _type: str = "") -> Manifest:
        if method == "POST":
            self._world.apply([body])
            return self.get(f"{path}/{body['metadata']['name']}") or {}
        found = self._find(path.removesuffix("/status"))
        assert found is not None, path
        kind = self._world.sandbox.server.kinds.of(found.key.id)
        part = {"subresource": "status"} if path.endswith("/status") else {}
        self._world.sandbox.server.patch(kind, found.key.name, body, namespace=found.key.namespace, **part)
        return body

    def _find(self, path: str) -> Stored | None:
        namespace, plural, name = path.split("/")[-3:]
        stored = self._world.sandbox.server.storage.everything()
        want = (PLURALS[plural], namespace, name)
        return next((s for s in stored if (s.key.id.kind, *s.key[1:]) == want), None)


class Corner(World):
    """The namespace of one situation."""

    def __init__(self, world: Simulated) -> None:
        cluster: Any = SimpleNamespace(api=SandboxApi(world))
        super().__init__(cluster, NAMESPACE)

    def hold(self, who: str, *, on: bool = True) -> None:
        """Do nothing: KServe's stand-in here is told beforehand, the others say no more than is true."""


def test_there_are_forty_and_a_third_is_not_about_our_kinds() -> None:
    assert len(SITUATIONS) >= 40
    assert 3 * len(OTHERS) >= len(SITUATIONS)
    assert SITUATIONS.keys() >= REAL_ONLY


@pytest.mark.parametrize("name", [name for name in SITUATIONS if name not in REAL_ONLY])
async def test_the_root_and_the_remedy_of_a_situation(name: str) -> None:
    situation = SITUATIONS[name]
    async with Simulated() as world:
        images = world.sandbox.jobs.behaviours
        images[f"{MISSING}:v1"] = ImageBehaviour(outcome="pull error", message="not found")
        images[f"{BROKEN}:v1"] = ImageBehaviour(outcome="fails", log=b"no\n")
        if situation.begin is SERVED:
            world.sandbox.kserve.broken[NAMESPACE, "chat"] = "not looked at"
        world.start()
        await world.pass_seconds(1)
        mine = Corner(world)
        situation.begin(mine)
        await world.pass_seconds(SECONDS)
        if situation.then is not None:
            assert situation.then(mine)
            await world.pass_seconds(SECONDS)
        named = find(situation.subject, NAMESPACE)
        client = Counted(world.sandbox.client("somebody"))
        chain = await world.clock.run(explain(client.as_client, named))
    assert lacks(chain, situation) == ""
    assert client.requests <= MOST_REQUESTS
