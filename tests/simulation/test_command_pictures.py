"""What commands for people print, as they see it: on 80 columns, on 60, on a wide screen, and to a file.

Those of `status`, `models`, `doctor`, `fit`, `init` and of a change to a cluster are beside their own tests.
"""

from __future__ import annotations

import io
from contextlib import chdir, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType
from syrupy.assertion import SnapshotAssertion

from aim_operator.cli.everyday import new_service
from aim_operator.cli.everyday.event_list import read
from aim_operator.cli.everyday.happenings import draw as draw_events
from aim_operator.cli.everyday.waiting import until_ready
from aim_operator.cli.objects import find
from aim_operator.cli.plan import documents, view, world
from aim_operator.cli.plan.planning import planned
from aim_operator.cli.printing import PIPED_COLUMNS, age, console
from aim_operator.cli.why.chain import Chain, draw
from aim_operator.cli.why.look import explain
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.docs.blocks import ROOT
from tests.simulation.test_why import CATALOG, HUB, IMAGE, service
from tests.simulation.world import World

SCREENS = pytest.mark.parametrize("width", [80, 60, 140, None], ids=["80", "60", "wide", "a file"])
LONG = "a-service-whose-name-is-as-long-as-the-name-of-one-is"
UNAUTHORIZED = "rpc error: code = Unknown desc = failed to pull and unpack image: 401 Unauthorized"


def printed(drawn: RenderableType, width: int | None) -> str:
    """Return what a screen of that width shows, or what is in a file, which is no terminal."""
    out = io.StringIO()
    if width is None:
        with redirect_stdout(out):
            console().print(drawn)
    else:
        Console(file=out, width=width, highlight=False, color_system=None).print(drawn)
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    assert "\x1b" not in text
    if width is not None:
        assert max(map(len, text.splitlines())) <= width
    return text


async def chain_of(
    behaviour: ImageBehaviour, of: str, name: str, **spec: Any
) -> tuple[Chain, dict[str, str]]:
    async with World() as cluster:
        cluster.sandbox.jobs.behaviours[of] = behaviour
        cluster.apply(CATALOG)
        (made,) = service(**spec)
        cluster.apply([made | {"metadata": {"name": name, "namespace": "team"}}])
        cluster.start()
        await cluster.pass_seconds(90)
        found = await cluster.clock.run(explain(cluster.sandbox.client("somebody"), find(name, "team")))
        now = cluster.clock.now()
    return found, {hop.since: age(hop.since, now) for hop in found.hops if hop.since}


@SCREENS
async def test_why_an_image_is_not_pulled(width: int | None, snapshot: SnapshotAssertion) -> None:
    found = await chain_of(ImageBehaviour(outcome="pull error", message=UNAUTHORIZED), IMAGE, LONG)
    assert printed(draw(*found), width) == snapshot


@SCREENS
async def test_why_a_model_is_not_downloaded(width: int | None, snapshot: SnapshotAssertion) -> None:
    refused = ImageBehaviour(outcome="fails", message="AuthenticationFailed: the hub answered 401")
    found = await chain_of(refused, HUB, "chat", cacheModel=True)
    assert printed(draw(*found), width) == snapshot


@SCREENS
async def test_the_events_of_a_service(width: int | None, snapshot: SnapshotAssertion) -> None:
    async with World() as cluster:
        cluster.sandbox.kserve.broken["team", "chat"] = "Deployment exceeded its progress deadline"
        cluster.apply(CATALOG)
        cluster.apply(service())
        cluster.start()
        await cluster.pass_seconds(60)
        found = await cluster.clock.run(read(cluster.admin, find("chat", "team")))
        now = cluster.clock.now() + timedelta(minutes=9)
    assert printed(draw_events(found, now, width or PIPED_COLUMNS), width) == snapshot


@SCREENS
@pytest.mark.parametrize("example", ["quickstart", "gated-model"])
async def test_the_plan_of_an_example(width: int | None, example: str, snapshot: SnapshotAssertion) -> None:
    paths = [str(ROOT / "examples" / example)]
    images = world.images(documents.profile_folders(paths))
    plan, _ = await planned(documents.read(paths), images, "default", None)
    assert printed(view.tree(plan), width) == snapshot


@SCREENS
async def test_the_plan_of_files_with_mistakes(
    width: int | None, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    file = tmp_path / "services.yaml"
    head = "apiVersion: aim.silogen.ai/v1alpha1\nkind: AIMService\nmetadata: {name: %s, namespace: team}\n"
    file.write_text(
        f"{CATALOG}---\n{head % 'chat'}spec: {{model: lama}}\n"
        f"---\n{head % LONG}spec: {{model: llama, replicas: -1}}\n"
        f"---\n{head % 'other'}spec: {{modell: llama}}\n"
    )
    with chdir(tmp_path):
        plan, _ = await planned(documents.read([file.name]), {}, "default", None)
    assert printed(view.tree(plan), width) == snapshot


async def test_the_lines_of_wait_and_of_what_was_applied(snapshot: SnapshotAssertion) -> None:
    """Lines are as long as they are, on every screen: a terminal goes on below, a script reads them whole."""
    said: list[str] = []
    async with World() as cluster:
        cluster.sandbox.jobs.run_seconds = 5.0
        cluster.apply(CATALOG)
        cluster.apply(service(cacheModel=True))
        cluster.start()
        client = cluster.sandbox.client("somebody")
        waiting = until_ready(client, cluster.clock, find("chat", "team"), 300, said.append)
        assert await cluster.clock.run(waiting)
        missing = until_ready(client, cluster.clock, find("cache/none", "team"), 1, said.append)
        with pytest.raises(Exception, match="there is no") as error:
            await cluster.clock.run(missing)
    said += [str(error.value), *new_service.applied("team", "chat", new=False)]
    assert "\n".join(said) == snapshot
