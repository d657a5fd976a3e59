"""What pages show as printed by a command, without running it there, is what it prints.

Console blocks are run by tests/docs, on a real cluster. These are of situations that such a cluster does not
have: a model that can't be pulled, a KServe that is too old, an image that is bumped.
"""

from __future__ import annotations

import io
from contextlib import chdir
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from rich.console import Console, RenderableType

from aim_operator.api.external import InferenceServicesCrd
from aim_operator.cli import main
from aim_operator.cli.doctor.checks import judge
from aim_operator.cli.doctor.gather import read
from aim_operator.cli.everyday import catalog, new_service
from aim_operator.cli.plan import view
from aim_operator.cli.versions import Installed, Versions
from aim_operator.core.model_cache.report import parse_progress
from aim_operator.sandbox.scheduler import place
from tests.docs.blocks import shown
from tests.docs.output import difference
from tests.simulation.test_plan_of_a_change import planned_on
from tests.simulation.world import World
from tests.unit.cli.doctor.test_doctor import drawn, whole
from tests.unit.cli.everyday.test_catalog import CATALOG
from tests.unit.core.serving import test_handover as handover
from tests.unit.sandbox import test_scheduler as scheduler

COMMANDS = "docs/guides/command-line.md"
PLAN = "docs/guides/plan.md"
OLD_PREDICTOR: dict[str, Any] = {
    "properties": {"spec": {"properties": {"predictor": {"properties": {"model": {}}}}}}
}
OLD_KSERVE = {
    "metadata": {"name": "inferenceservices"},
    "spec": {"versions": [{"name": "v1beta1", "schema": {"openAPIV3Schema": OLD_PREDICTOR}}]},
}
BUMPED = """
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterImage
metadata: {name: llama}
spec: {image: "ghcr.io/example/llama:VERSION", defaultServiceTemplate: fast}
"""
USED = """
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterServiceTemplate
metadata: {name: fast}
spec: {aimImageName: llama, metric: latency, precision: fp16, gpuSelector: {model: MI300X, count: 1}}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {name: chat, namespace: team-a}
spec: {model: llama}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {name: search, namespace: team-b}
spec: {model: llama}
"""


def printed(drawn: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=200, highlight=False, color_system=None).print(drawn)
    return out.getvalue()


def test_the_models_of_a_catalog() -> None:
    got = printed(catalog.draw(catalog.models(CATALOG, ""), namespace="", wide=False))
    assert difference(shown("docs/guides/command-line.md", "NAMESPACE  MODEL"), got) == ""


def test_a_service_that_was_applied() -> None:
    got = "\n".join(new_service.applied("team", "chat", new=True))
    assert difference(shown(COMMANDS, "AIMService team/chat"), got) == ""


async def test_a_cluster_with_an_old_kserve() -> None:
    found = await read(whole().client("somebody"), "team", "0.1.0")
    crd = msgspec.json.decode(msgspec.json.encode(OLD_KSERVE), type=InferenceServicesCrd)
    got = drawn(judge(msgspec.structs.replace(found, kserve_crd=crd, denied=())), 200)
    assert difference(shown(COMMANDS, "CHECK "), got) == ""


def test_the_versions() -> None:
    image = "ghcr.io/silogen/aim-operator:0.1.0"
    operator = Installed(namespace="kaiwo-system", name="aim-operator", image=image)
    found = Versions(client="0.1.0", operators=(operator,), crds="v1alpha1, those of this aimctl")
    got = "\n".join([f"aimctl    {found.client}", *found.lines])
    assert difference(shown(COMMANDS, "aimctl    0.1.0"), got) == ""


def test_mistakes_in_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template, service, _ = USED.split("---\n")
    misspelt = service.replace("spec: {model: llama}", "spec:\n  modell: llama")
    unknown = service.replace("chat", "search").replace("model: llama", "model: lama")
    (tmp_path / "services.yaml").write_text(f"{misspelt}---\n{unknown}---\n{BUMPED}---\n{template}")
    with chdir(tmp_path):
        assert main(["plan", "services.yaml"]) == 3
    said = capsys.readouterr()
    got = [line for line in (said.out + said.err).splitlines() if line.startswith("services.yaml")]
    assert difference(shown("docs/guides/plan.md", "services.yaml"), "\n".join(got)) == ""


async def test_an_image_that_is_bumped(tmp_path: Path) -> None:
    async with World() as world:
        world.apply(BUMPED.replace("VERSION", "v1"))
        world.apply(USED)
        world.start()
        await world.pass_seconds(120)
        plan = await planned_on(world, tmp_path, yaml.safe_load(BUMPED.replace("VERSION", "v2")))
    assert difference(shown(PLAN, "Changed"), printed(view.tree(plan))) == ""


def test_a_roll_out_without_room_in_the_words_of_the_scheduler() -> None:
    got = handover.decide(handover.OLD, handover.unplaced()).message
    assert difference(shown("docs/guides/scaling.md", "there is no room"), got) == ""


def test_why_no_node_fits_in_the_words_of_the_scheduler() -> None:
    nodes = [scheduler.node("gpu", taints=[scheduler.GPU]), scheduler.node("plain")]
    _, got = place({"nodeSelector": {"zone": "b"}}, nodes)
    assert difference(shown("docs/guides/scheduling.md", "0/2 nodes"), got) == ""


def test_a_line_of_progress_is_one_that_the_operator_reads() -> None:
    found = parse_progress(shown("docs/reference/fetch.md", "progress "))
    assert found is not None
