"""Each panel shows something on a real Prometheus that asks a real operator and what model servers expose."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from aim_operator.app import Operator
from aim_operator.core import labels
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.metrics import Metrics
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.aim_image.metrics import Metrics as ServerMetrics
from aim_operator.settings import Settings
from hack.cluster.ports import pick_ports
from tests.simulation.catalog import image, service, template
from tests.support.http_serving import Serving
from tests.support.prometheus import Prometheus, prometheus

CHART = Path(__file__).parents[2] / "charts" / "aim-operator"
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
GOLDEN = Path(__file__).parents[1] / "cluster" / "chart" / "golden" / "monitoring.yaml"
POD = {
    "__meta_kubernetes_pod_label_serving_kserve_io_inferenceservice": "chat",
    "__meta_kubernetes_pod_label_aim_silogen_ai_model_id": "llama",
    "__meta_kubernetes_pod_label_aim_silogen_ai_template": "fast",
    "namespace": "team",
    "pod": "chat-predictor-0",
    "job": "model-servers",
}
"""Of a model server's Pod, as Prometheus finds it."""


def monitor() -> dict[str, Any]:
    """The chart's PodMonitor."""
    rendered = yaml.safe_load_all(GOLDEN.read_text())
    (found,) = (each for each in rendered if each and each["kind"] == "PodMonitor")
    spec: dict[str, Any] = found["spec"]
    return spec


def relabelings() -> list[dict[str, Any]]:
    """Those of the PodMonitor, in Prometheus' spelling."""
    (endpoint,) = monitor()["podMetricsEndpoints"]
    return [
        {"source_labels": each["sourceLabels"], "target_label": each["targetLabel"]}
        for each in endpoint["relabelings"]
    ]


def queries() -> Iterator[tuple[str, str, set[str]]]:
    """Each query with the panel it is of, and the labels of its legend."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                expression = re.sub(r"\$\w+", ".*", target["expr"])
                used = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                yield f"{path.stem}: {panel['title']}", expression, used


async def shown(server: Prometheus, expression: str, used: set[str]) -> bool:
    """Whether a query has series with the labels that the legend shows; `or vector(0)` has none."""
    found = await server.query(expression.removesuffix(" or vector(0)"))
    if not found and expression.endswith(" or vector(0)"):
        return True
    return bool(found) and all(used <= set(each["metric"]) for each in found)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_lie_beside_each_other_and_have_names_of_their_own(path: Path) -> None:
    board = json.loads(path.read_text())
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    titles = [panel["title"] for panel in board["panels"]]
    assert len(titles) == len(set(titles))
    assert board["uid"] == path.stem


def test_the_pod_monitor_selects_the_model_servers() -> None:
    chosen = monitor()["selector"]["matchLabels"]
    assert chosen == {labels.MANAGED_BY: labels.CONTROLLER, labels.COMPONENT: "inference-service"}
    (endpoint,) = monitor()["podMetricsEndpoints"]
    assert endpoint["port"] == "http"


@pytest.mark.needs_prometheus
async def test_no_panel_is_empty(tmp_path: Path) -> None:
    port = pick_ports(["operator"])["operator"]
    sandbox = Sandbox(SystemClock())
    sandbox.load([image(), template(), service("chat")])
    operator = Operator(
        sandbox.client(), Settings(metrics_address=f"127.0.0.1:{port}"), metrics=Metrics(), identity="a"
    )
    tasks = [asyncio.create_task(operator.run()), asyncio.create_task(sandbox.run())]
    models = ServerMetrics("llama")
    with models.request() as numbers:
        numbers.prompt = numbers.generated = 3

    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(text=models.render())

    serving = await Serving.start(web.Server(answer))
    targets = [(port, {"job": "release", "pod": "a", "namespace": "aim"}), (serving.port, POD)]
    try:
        async with prometheus(tmp_path, rules={}, targets=targets, relabelings=relabelings()) as server:
            await server.until('aim_objects{status="Running"}', 1)
            await server.until('rate(vllm:request_success_total{service="chat", model="llama"}[5m])', 1)
            await server.until("rate(aim_reconciles_total[5m])", 1)
            empty = [
                f"{where}: {query}"
                for where, query, used in queries()
                if not await shown(server, query, used)
            ]
            assert empty == []
    finally:
        operator.stop()
        await asyncio.wait(tasks[:1], timeout=5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await serving.close()
