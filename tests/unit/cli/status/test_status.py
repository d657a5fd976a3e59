"""`aimctl status`: what is read with whose rights, and what it looks like on which screen."""

import io
import json
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import yaml
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from aim_operator.api.meta import Condition
from aim_operator.cli.printing import age, console, structured
from aim_operator.cli.status.command import follow
from aim_operator.cli.status.gather import read
from aim_operator.cli.status.rows import Status, Unseen, collected, decisive_condition
from aim_operator.cli.status.view import draw
from aim_operator.errors import ApiError, Forbidden, NotInstalled, Unavailable
from aim_operator.runtime.clock import SystemClock
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.client import SandboxClient
from aim_operator.sandbox.network import Fault

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
OBJECTS = """
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterImage
metadata: {name: llama-3-8b}
spec: {image: "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0", defaultServiceTemplate: llama-3-8b-latency}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterServiceTemplate
metadata: {name: llama-3-8b-latency}
spec: {aimImageName: llama-3-8b}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterRuntimeConfig
metadata: {name: default}
spec: {routing: {enabled: true, gatewayRef: {name: inference-gateway, namespace: gateways}}}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {name: chat, namespace: ml-team}
spec: {model: llama-3-8b, replicas: 2}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {name: a-service-of-which-the-name-is-as-long-as-names-may-be, namespace: other-team}
spec: {model: llama-3-8b}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata:
  {name: fresh, namespace: ml-team, annotations: {aim.silogen.ai/reconciliation-paused: "true"}}
spec: {model: llama-3-8b}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMModelCache
metadata: {name: llama, namespace: ml-team}
spec: {sourceUri: "hf://meta-llama/Llama-3.1-8B-Instruct"}
"""
STATUSES: dict[str, Any] = {
    "chat": {
        "status": "Running",
        "conditions": [("Ready", "True", "RuntimeReady", "the InferenceService is ready")],
        "resolvedTemplate": {"kind": "AIMClusterServiceTemplate", "name": "llama-3-8b-latency"},
        "routing": {"path": "/ml-team/research/llama-3-8b"},
        "active": {"image": "ghcr.io/example/llama:v1", "gpuCount": 4, "gpuModel": "MI300X"},
    },
    "a-service-of-which-the-name-is-as-long-as-names-may-be": {
        "status": "Degraded",
        "conditions": [
            ("Ready", "False", "RouteConflict", "not ready"),
            (
                "Failure",
                "True",
                "RouteConflict",
                "the path /ml-team/research/llama-3-8b is AIMService ml-team/chat's on this gateway",
            ),
        ],
    },
    "llama-3-8b": {"status": "Ready", "conditions": [("Ready", "True", "Valid", "")]},
    "llama-3-8b-latency": {
        "status": "Available",
        "conditions": [("Ready", "True", "Available", "")],
        "profile": {
            "metadata": {
                "engine": "vllm",
                "metric": "latency",
                "precision": "fp8",
                "gpu": "MI300X",
                "gpu_count": 2,
            }
        },
    },
    "default": {"status": "Ready", "conditions": [("Ready", "True", "Valid", "")]},
    "llama": {
        "status": "Progressing",
        "conditions": [("Ready", "False", "Downloading", "1.2 of 15.0 GiB")],
        "size": "16106127360",
        "progress": {"totalBytes": 16106127360, "downloadedBytes": 1288490188, "percentage": 8},
        "persistentVolumeClaim": "llama-model",
    },
}


def client_of_a_cluster() -> SandboxClient:
    sandbox = Sandbox(SystemClock(), evaluate_rules=False)
    for manifest in yaml.safe_load_all(OBJECTS):
        stored = sandbox.load([manifest])[0]
        status = STATUSES.get(manifest["metadata"]["name"])
        if status is None:
            continue
        conditions = [
            {
                "type": type_,
                "status": value,
                "reason": reason,
                "message": message,
                "lastTransitionTime": "2026-01-31T11:00:00Z",
            }
            for type_, value, reason, message in status["conditions"]
        ]
        patch: dict[str, Any] = {"status": status | {"conditions": conditions, "observedGeneration": 1}}
        for section in ("active", "resolvedTemplate"):
            if section in patch["status"]:
                patch["status"][section] = _complete(patch["status"][section])
        sandbox.server.patch(
            sandbox.server.kinds.of(stored.key.id),
            stored.key.name,
            patch,
            namespace=stored.key.namespace,
            subresource="status",
        )
    return sandbox.client("somebody")


def _complete(section: dict[str, Any]) -> dict[str, Any]:
    """What the CRD asks for besides."""
    reference = {"kind": "AIMClusterImage", "name": "llama-3-8b", "scope": "Cluster"}
    if "image" not in section:
        return {"scope": "Cluster"} | section
    return section | {"resolvedImage": reference, "resolvedTemplate": reference}


def drawn(status: Status, *, width: int, wide: bool = False, bars: bool = False, namespace: str = "") -> str:
    out = io.StringIO()
    screen = Console(file=out, width=width, highlight=False, color_system=None)
    screen.print(draw(without_ages(status), namespace=namespace, now=NOW, wide=wide, bars=bars))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def without_ages(status: Status) -> Status:
    """The sandbox's clock is the machine's."""
    text = json.loads(structured(status, "json"))
    created = "2026-01-31T09:00:00Z"
    rows = {
        name: [row | {"created": created} if "created" in row else row for row in rows]
        for name, rows in text.items()
    }
    return msgspec.convert(rows, Status)


@pytest.mark.parametrize(
    ("width", "wide", "bars"),
    [
        pytest.param(80, False, False, id="80 columns, no terminal"),
        pytest.param(80, False, True, id="80 columns, with bars"),
        pytest.param(60, False, False, id="60 columns"),
        pytest.param(200, True, False, id="wide"),
    ],
)
async def test_the_picture(*, width: int, wide: bool, bars: bool, snapshot: SnapshotAssertion) -> None:
    text = drawn(await read(client_of_a_cluster(), ""), width=width, wide=wide, bars=bars)
    assert max(map(len, text.splitlines())) <= width
    assert text == snapshot


async def test_to_a_pipe_no_line_is_filled_up_with_spaces() -> None:
    status, out = await read(client_of_a_cluster(), ""), io.StringIO()
    with redirect_stdout(out):
        console().print(draw(status, namespace="", now=NOW, wide=True, bars=False))
    assert max(map(len, out.getvalue().splitlines())) < 300


async def test_one_namespace_shows_its_own_and_the_clusters_catalog() -> None:
    status = await read(client_of_a_cluster(), "ml-team")
    assert [row.name for row in status.services] == ["chat", "fresh"]
    assert [row.name for row in status.images] == ["llama-3-8b"]


async def test_what_no_operator_has_looked_at_is_said_to_be_unknown() -> None:
    status = await read(client_of_a_cluster(), "ml-team")
    (fresh,) = [row for row in status.services if row.name == "fresh"]
    assert (fresh.status, fresh.paused) == ("Unknown", True)


async def test_json_has_reasons_and_numbers_for_programs() -> None:
    status = await read(client_of_a_cluster(), "")
    parsed = json.loads(structured(status, "json"))
    assert yaml.safe_load(structured(status, "yaml")) == parsed
    degraded = next(row for row in parsed["services"] if row["status"] == "Degraded")
    assert degraded["reason"] == "RouteConflict"
    chat = next(row for row in parsed["services"] if row["name"] == "chat")
    assert (chat["gpus"], chat["replicas"], chat["path"]) == (8, 2, "/ml-team/research/llama-3-8b")
    (cache,) = parsed["caches"]
    assert (cache["sizeBytes"], cache["percentage"]) == (16106127360, 8)


async def test_kinds_that_may_not_be_read_are_named_and_the_rest_is_shown() -> None:
    client = client_of_a_cluster()
    denied = Forbidden(
        'the operator may not "list" aimclusterimages.aim.silogen.ai in the whole cluster: add it to its role'
    )
    client.network.fail(Fault(error=denied, verb="list", resource="aimclusterimages", times=9))
    status = await read(client, "ml-team")
    assert [row.name for row in status.services] == ["chat", "fresh"]
    text = drawn(status, width=120, namespace="ml-team")
    assert "NOT SHOWN" in text
    assert (
        'AIMClusterImage: you may not "list" aimclusterimages.aim.silogen.ai in the whole cluster: '
        "ask for a role that has it" in text
    )


@pytest.mark.parametrize(
    "error", [Forbidden("no"), NotInstalled("not installed")], ids=["no rights at all", "no CRDs"]
)
async def test_where_nothing_can_be_read_that_is_the_error(error: ApiError) -> None:
    client = client_of_a_cluster()
    client.network.fail(Fault(error=error, verb="list", times=99))
    with pytest.raises(type(error)):
        await read(client, "")


def test_an_empty_cluster_is_one_line() -> None:
    assert drawn(Status(), width=80) == "all namespaces: no services"
    assert collected([]) == Status()


@pytest.mark.parametrize(
    ("timestamp", "want"),
    [
        ("2026-01-31T11:59:15Z", "45s"),
        ("2026-01-31T11:48:00Z", "12m"),
        ("2026-01-31T07:00:00Z", "5h"),
        ("2026-01-28T12:00:00Z", "3d"),
        ("2026-02-01T12:00:00Z", "0s"),
        ("yesterday", ""),
        (None, ""),
    ],
)
def test_ages(timestamp: str | None, want: str) -> None:
    assert age(timestamp, NOW) == want


def test_a_condition_is_what_it_is() -> None:
    ready = Condition(type="Ready", status="False", reason="Starting")
    no_failure = Condition(type="Failure", status="False", reason="None")
    assert decisive_condition([no_failure, ready]) is ready
    failure = Condition(type="Failure", status="True", reason="RouteConflict")
    assert decisive_condition([ready, failure]) is failure


async def test_where_nobody_answers_nobody_is_asked_again() -> None:
    """Each request takes five seconds there; `aimctl status` took 26."""
    client = client_of_a_cluster()
    fault = Fault(error=Unavailable("no answer in time"), verb="list", times=99)
    client.network.fail(fault)
    with pytest.raises(Unavailable):
        await read(client, "")
    assert fault.times == 98


class _EnoughError(Exception):
    pass


@pytest.mark.parametrize("terminal", ["dumb", None], ids=["a dumb terminal", "a pipe"])
async def test_watch_shows_each_change_below_the_last_where_nothing_can_be_drawn_over(
    terminal: str | None,
) -> None:
    """Under TERM=dumb, as in Emacs, `--watch` was silent until Ctrl-C."""
    states = [Status(), Status(), Status(unseen=(Unseen("AIMService", "you may not"),))]
    shown = io.StringIO()
    screen = Console(
        file=shown, force_terminal=terminal is not None, _environ={"TERM": terminal or "xterm"}, width=80
    )
    seen = []

    async def look() -> Status:
        if not states:
            seen.append(shown.getvalue())
            raise _EnoughError
        return states.pop(0)

    with pytest.raises(_EnoughError):
        await follow(look, screen, "team", wide=False, seconds=0)
    assert seen[0].count("namespace team: no services") == 2
    assert "AIMService: you may not" in seen[0]
    assert "\x1b[1A" not in seen[0]


async def test_watch_draws_over_what_it_has_drawn_where_a_terminal_can() -> None:
    states = [Status(), Status(unseen=(Unseen("AIMService", "you may not"),))]
    shown = io.StringIO()
    screen = Console(file=shown, force_terminal=True, _environ={"TERM": "xterm"}, width=80)

    async def look() -> Status:
        if not states:
            raise _EnoughError
        return states.pop(0)

    with pytest.raises(_EnoughError):
        await follow(look, screen, "team", wide=False, seconds=0)
    assert "\x1b[2K" in shown.getvalue()
