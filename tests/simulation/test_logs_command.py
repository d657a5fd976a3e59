"""`aimctl logs`: the log of discovery, download and model server, or why there is none."""

import io
from typing import Any

import pytest

from aim_operator.cli.everyday.log_source import Part
from aim_operator.cli.everyday.logs import show
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE
from aim_operator.errors import Forbidden, Unavailable, UserError
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault
from tests.simulation.test_why import CATALOG, HUB, IMAGE, service
from tests.simulation.world import World


async def log_of(world: World, part: Part, *, name: str = "chat", **how: Any) -> str:
    written = io.StringIO()
    client = world.sandbox.client("somebody")
    await world.clock.run(show(client, "team", name, part, to=written, **how))
    return written.getvalue()


def server_pod(state: dict[str, Any], *, restarts: int = 0) -> dict[str, Any]:
    """As KServe's Deployment makes it; the sandbox has no model servers of its own."""
    status = {"name": "kserve-container", "restartCount": restarts, "state": state}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "chat-1", "namespace": "team", "labels": {OF_INFERENCE_SERVICE: "chat"}},
        "spec": {"containers": [{"name": "kserve-container", "image": IMAGE}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


async def test_a_failed_discovery_tells_what_the_image_wrote() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(
            outcome="fails", log=b"loading\rno \x1b[31mGPU\x1b[0m \xff here\n"
        )
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        written = await log_of(world, Part.DISCOVERY)
    # Without what would colour or move; a bar's state is a line.
    assert written == "loading\nno GPU \ufffd here\n"


async def test_a_download_is_followed_to_its_end() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[HUB] = ImageBehaviour(run_seconds=300)
        world.apply(CATALOG)
        world.apply(service(cacheModel=True))
        world.start()
        await world.pass_seconds(60)
        so_far = await log_of(world, Part.DOWNLOAD)
        whole = await log_of(world, Part.DOWNLOAD, follow=True)
    assert "progress" in so_far
    assert whole.startswith(so_far)
    assert len(whole) > len(so_far)


async def test_a_discovery_that_is_done_says_how_to_run_it_again() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(4000)
        with pytest.raises(UserError, match="aimctl rediscover clustertemplate/fast"):
            await log_of(world, Part.DISCOVERY)
        with pytest.raises(UserError, match="has no model cache"):
            await log_of(world, Part.DOWNLOAD)
        with pytest.raises(UserError, match="no model server yet; see aimctl why chat"):
            await log_of(world, Part.SERVER)


async def test_a_server_that_crashes_has_the_log_of_its_last_time() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        world.apply([server_pod({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=3)])
        world.sandbox.server.logs["team", "chat-1", "kserve-container"] = b"a\nb\nout of memory"
        assert await log_of(world, Part.SERVER, tail=2) == "b\nout of memory"


async def test_a_server_whose_image_never_comes_is_told_with_the_registrys_words() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        world.apply([server_pod({"waiting": {"reason": "ErrImagePull", "message": "401 Unauthorized"}})])
        want = r"Pod team/chat-1 has not started \(ImagePullAuthFailed: 401 Unauthorized\)"
        with pytest.raises(UserError, match=want):
            await log_of(world, Part.SERVER, follow=True)


async def test_a_log_that_may_not_be_read_and_a_service_that_is_not_there() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="fails", log=b"x")
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        with pytest.raises(UserError, match="there is no AIMService other in namespace team"):
            await log_of(world, Part.SERVER, name="other")
        client = world.sandbox.client("somebody")
        denied = Forbidden('the operator may not "get" pods/log in namespace "kaiwo-system"')
        client.network.fail(Fault(error=denied, verb="logs", resource="pods", times=9))
        with pytest.raises(Forbidden, match="pods/log"):
            await world.clock.run(show(client, "team", "chat", Part.DISCOVERY, to=io.StringIO()))
        client = world.sandbox.client("somebody")
        away = Unavailable("dial tcp 10.0.0.9:10250: connect: no route to host")
        client.network.fail(Fault(error=away, verb="logs", resource="pods", times=9))
        with pytest.raises(UserError, match=r"container discovery can't be read .*: dial tcp"):
            await world.clock.run(show(client, "team", "chat", Part.DISCOVERY, to=io.StringIO()))
