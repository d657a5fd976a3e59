"""`aimctl serve`: an AIMService by flags, written or applied, as docs/guides/command-line.md has it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aim_operator.api import v1alpha1 as aim
from aim_operator.cli import main
from aim_operator.cli.everyday.new_service import Wish, apply, manifest
from aim_operator.errors import Forbidden, UserError
from aim_operator.sandbox.network import Fault
from tests.simulation.test_why import CATALOG
from tests.simulation.world import World

TEAM: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}


def written(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    assert main(["serve", "llama-3.1-8b", *flags]) == 0
    said = capsys.readouterr()
    parsed: dict[str, Any] = yaml.safe_load(said.out)
    return parsed


def test_a_model_alone_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert written(capsys) == {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMService",
        "metadata": {"name": "llama-3-1-8b"},
        "spec": {"model": "llama-3.1-8b"},
    }


def test_a_context_in_a_variable_keeps_nobody_from_writing() -> None:
    """It is for the other commands; only a flag asks for a cluster here."""
    command = [str(Path(sys.executable).with_name("aimctl")), "serve", "llama"]
    environment = {"AIM_CONTEXT": "prod", "PATH": "/usr/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout)["spec"] == {"model": "llama"}


def test_every_flag_is_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--name chat -n team --template fast --replicas 2 --gpus 4 --gpu-model MI300X --metric latency"
    made = written(capsys, *flags.split(), *["--precision", "fp8", "--cache", "--path", "/team/chat"])
    assert made["metadata"] == {"name": "chat", "namespace": "team"}
    assert made["spec"] == {
        "model": "llama-3.1-8b",
        "templateRef": "fast",
        "replicas": 2,
        "overrides": {
            "metric": "latency",
            "precision": "fp8",
            "gpuSelector": {"count": 4, "model": "MI300X"},
        },
        "cacheModel": True,
        "routing": {"enabled": True, "routeTemplate": "/team/chat"},
    }


def test_what_is_written_is_what_plan_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "llama", "--no-route"]) == 0
    (tmp_path / "chat.yaml").write_text(CATALOG + "---\n" + capsys.readouterr().out)
    assert main(["plan", str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize(
    ("flags", "want"),
    [
        pytest.param(["--metric", "speed"], "spec.overrides.metric", id="a metric that there is not"),
        pytest.param(["--name", "Chat"], "metadata.name", id="a name that is none"),
        pytest.param(["--replicas", "many"], "--replicas", id="a count that is none"),
        pytest.param(["--path", "/a", "--no-route"], "choose one", id="a path and no route"),
        pytest.param(["--context", "c"], "--context is for --apply", id="a cluster that nobody asks"),
        pytest.param(["-n", "A_b"], "--namespace", id="a namespace that is none"),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_before(
    flags: list[str], want: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "llama", *flags]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert want in said.err


async def test_what_is_applied_runs_and_can_be_changed() -> None:
    async with World() as world:
        world.apply([TEAM])
        world.apply(CATALOG)
        world.start()
        client = world.sandbox.client("somebody", field_manager="aimctl")
        wish = Wish(model="llama", name="chat", cache=True)
        assert await world.clock.run(apply(client, manifest(wish, "team")))
        await world.pass_seconds(120)
        found = world.find(aim.SERVICES, "chat", "team")
        assert found is not None
        assert found["status"]["status"] == "Running"
        assert not await world.clock.run(apply(client, manifest(Wish(model="llama", name="chat"), "team")))
        found = world.find(aim.SERVICES, "chat", "team")
        assert found is not None
        assert "cacheModel" not in found["spec"]


async def test_a_service_of_somebody_else_stays_as_it_is() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply([manifest(Wish(model="llama", name="chat", replicas=3), "team")])
        client = world.sandbox.client("somebody", field_manager="aimctl")
        wish = Wish(model="llama", name="chat", replicas=1)
        with pytest.raises(UserError, match=r"is somebody else's already.*\.spec\.replicas.*--name"):
            await world.clock.run(apply(client, manifest(wish, "team")))


async def test_a_model_that_is_not_in_the_catalog_is_said_before_anything_is_made() -> None:
    async with World() as world:
        client = world.sandbox.client("somebody", field_manager="aimctl")
        with pytest.raises(UserError, match="the catalog has none; apply an AIMClusterImage"):
            await world.clock.run(apply(client, manifest(Wish(model="lama"), "team")))
        world.apply(CATALOG)
        with pytest.raises(UserError, match=r"no model 'lama' for namespace team: did you mean llama\?"):
            await world.clock.run(apply(client, manifest(Wish(model="lama"), "team")))
        with pytest.raises(UserError, match="there is llama; see aimctl models"):
            await world.clock.run(apply(client, manifest(Wish(model="whisper"), "team")))
        assert world.find(aim.SERVICES, "lama", "team") is None


async def test_who_may_not_read_the_catalog_may_serve_where_there_is_a_namespace() -> None:
    async with World() as world:
        world.apply(CATALOG)
        client = world.sandbox.client("somebody", field_manager="aimctl")
        with pytest.raises(UserError, match="there is no namespace team; name another with -n"):
            await world.clock.run(apply(client, manifest(Wish(model="llama"), "team")))
        world.apply([TEAM])
        denied = Forbidden("you may not list aimclusterimages")
        client.network.fail(Fault(error=denied, verb="list", resource="aimclusterimages", times=10_000))
        assert await world.clock.run(apply(client, manifest(Wish(model="llama"), "team")))
