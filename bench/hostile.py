"""One namespace attacks in every way it has (bench/attacks.py) while another creates, changes and serves.

python -m bench.hostile [--quiet SECONDS] [--attacked SECONDS] [--json FILE]

The operator runs as it is installed: deploy/, two replicas, its limits, on a real node with KServe and a
gateway. Needs root on Linux. Exit code 1: a change of the victim's waited over 2 s longer than without the
attacks (p99), an operator restarted or had more memory than its limit, or a request did not reach the
victim's own model.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp
from msgspec import Struct

from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.api.v1alpha1 import CLUSTER_IMAGES, CLUSTER_TEMPLATES, SERVICES
from bench import report, scene
from bench.api import Api
from bench.attacks import Target, at_work
from hack.cluster import control_plane, operator_image
from hack.cluster.cluster import SERVING_PARTS, Cluster
from hack.cluster.errors import CANNOT
from hack.cluster.progress import Progress
from hack.cluster.requirements import missing_parts

PARTS = (*SERVING_PARTS, operator_image.PART)
IMAGE = "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0"
MODEL = "the-victims-model"
VICTIM, HOSTILE, USER = "victim", "hostile", "mallory"
BARE = "bare"
PATH = f"/{VICTIM}/chat"
OPERATOR_FLAG = f"--operator-namespace={scene.OPERATOR_NAMESPACE}".encode()
LIMIT_MIB = 1024.0
"""Of memory, in the chart's values."""
MARGIN_SECONDS = 2.0
CHANGES_PER_SECOND, REQUESTS_PER_SECOND = 4, 10
READY_SECONDS = 240.0
SMALL = {
    "requests": {"cpu": "5m", "memory": "16Mi", "amd.com/gpu": "1"},
    "limits": {"cpu": "1", "memory": "128Mi", "amd.com/gpu": "1"},
}


class Phase(Struct, frozen=True, kw_only=True):
    """What the victim saw: seconds from a change to its InferenceService, and who answered its requests."""

    changes: list[float]
    bare: list[float]
    """The same two hops without an operator: a ConfigMap patched and seen, in turn with the changes."""
    answers: dict[str, int]

    @property
    def p99(self) -> float:
        return quantiles(self.changes, n=100)[-1]


class Result(Struct, frozen=True, kw_only=True):
    machine: report.Machine
    quiet: Phase
    attacked: Phase
    attacks: dict[str, int]
    peak_mib: float
    """The largest resident set that an operator of the release had."""
    restarts: int
    leader_kept: bool

    @property
    def faults(self) -> list[str]:
        """What must not be, in words; empty where the namespace held."""
        limit = self.quiet.p99 + MARGIN_SECONDS
        others = {who: count for who, count in self.attacked.answers.items() if who != MODEL}
        checks = (
            (self.attacked.p99 > limit, f"changes took {self.attacked.p99:.2f} s (p99), over {limit:.2f} s"),
            (not 0 < self.peak_mib <= LIMIT_MIB, f"an operator had {self.peak_mib:.0f} MiB"),
            (self.restarts > 0, f"operators restarted {self.restarts} times"),
            (not self.leader_kept, "another replica became the leader"),
            (bool(others), f"requests were answered by {others}"),
            (self.attacks.get("requests accepted", 0) == 0, "no attack got through to the API server"),
        )
        return [text for wrong, text in checks if wrong]


async def measure(cluster: Cluster, quiet_seconds: float, attacked_seconds: float) -> Result:
    """Install, measure without and with the attacks. The cluster has PARTS."""
    await asyncio.to_thread(_install, cluster)
    async with Api(cluster) as api:
        await scene.make_namespaces(api, [VICTIM, HOSTILE])
        await _admit(api)
        await _catalog(api)
        bare = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": BARE}, "data": {"turn": ""}}
        await api.create(f"/api/v1/namespaces/{VICTIM}/configmaps", bare)
        await api.create(SERVICES.collection_path(VICTIM), _service("chat"))
        await _answers(cluster.gateway_url, MODEL)
        leader = await _leader(api)
        quiet = await _phase(cluster, api, "quiet", quiet_seconds)
        listeners = [(pod["status"]["podIP"], port) for pod in await _pods(api) for port in (8080, 8081)]
        target = Target(
            directory=str(cluster.directory), user=USER, namespace=HOSTILE, path=PATH, listeners=listeners
        )
        try:
            async with at_work(target) as counts:
                attacked = await _phase(cluster, api, "attacked", attacked_seconds)
        except BaseException:
            await asyncio.to_thread(_explain, cluster)
            raise
        states = [s for pod in await _pods(api) for s in pod["status"].get("containerStatuses", [])]
        return Result(
            machine=report.machine(),
            quiet=quiet,
            attacked=attacked,
            attacks=dict(counts),
            peak_mib=await asyncio.to_thread(_peak_mib),
            restarts=sum(state["restartCount"] for state in states),
            leader_kept=await _leader(api) == leader,
        )


def _install(cluster: Cluster) -> None:
    manifests = scene.REPOSITORY / "deploy"
    cluster.api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.OPERATOR_NAMESPACE}}
    )
    for path in ("crds", "aim-operator.yaml"):
        cluster.kubectl("apply", "--server-side", f"--filename={manifests / path}")
    namespace = f"--namespace={scene.OPERATOR_NAMESPACE}"
    timeout = f"--timeout={READY_SECONDS:.0f}s"
    cluster.kubectl("rollout", "status", "deployment/aim-operator", namespace, timeout)


async def _admit(api: Api) -> None:
    """Give the hostile user what an administrator of one namespace has."""
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    }
    await api.create(f"/apis/{group}/v1/namespaces/{HOSTILE}/rolebindings", binding)


async def _catalog(api: Api) -> None:
    await scene.publish_config(api)
    image = {"image": IMAGE, "defaultServiceTemplate": "template-0"}
    template = {"aimImageName": "model", "metric": "latency", "gpuSelector": {"count": 1, "model": "MI300X"}}
    for resource, name, spec in (
        (CLUSTER_IMAGES, "model", image),
        (CLUSTER_TEMPLATES, "template-0", template),
    ):
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        await api.create(resource.collection_path(), manifest | {"metadata": {"name": name}})
    await scene.templates_available(api, 1)


def _service(name: str, *, replicas: int = 1, **routing: Any) -> dict[str, Any]:
    manifest = scene.service_manifest(scene.Name(VICTIM, name, "model"))
    manifest["spec"] |= {
        "resources": SMALL,
        "replicas": replicas,
        "env": [{"name": "AIM_CUSTOM_MODEL_NAME", "value": MODEL}],
        "routing": {"enabled": True, **routing},
    }
    return manifest


async def _phase(cluster: Cluster, api: Api, name: str, seconds: float) -> Phase:
    """Create services, change them and ask the one that serves, for so long."""
    answers: Counter[str] = Counter()
    changes: list[float] = []
    bare: list[float] = []
    end = time.monotonic() + seconds
    _say(f"{name}: {seconds:.0f} s")

    async def ask() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            while time.monotonic() < end:
                answers[await _model(session, cluster.gateway_url)] += 1
                await asyncio.sleep(1 / REQUESTS_PER_SECOND)

    async def change() -> None:
        for i in itertools.count():
            if time.monotonic() > end:
                return
            bare.append(await _bare_change(api, i))
            changes.append(await _one_change(api, name, i))
            await asyncio.sleep(1 / CHANGES_PER_SECOND)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        group.create_task(change())
    return Phase(changes=changes, bare=bare, answers=dict(answers))


async def _one_change(api: Api, phase: str, number: int) -> float:
    """Seconds until the InferenceService has a change. Every tenth is a new service, the others are edits.

    No node has the 900 CPUs that they ask for: only `chat` is to serve.
    """
    name = f"{phase}-{number // 10}"
    value = str(number)

    def changed(child: dict[str, Any]) -> bool:
        env = child["spec"]["predictor"]["model"].get("env", [])
        return any(each == {"name": "TURN", "value": value} for each in env)

    async with api.watching(
        INFERENCE_SERVICES.collection_path(VICTIM), f"fieldSelector=metadata.name={name}"
    ) as children:
        began = time.monotonic()
        env = [{"name": "TURN", "value": value}]
        if number % 10 == 0:
            manifest = _service(name)
            manifest["spec"]["env"] = env
            manifest["spec"]["resources"] = {part: sizes | {"cpu": "900"} for part, sizes in SMALL.items()}
            await api.create(SERVICES.collection_path(VICTIM), manifest)
        else:
            await api.merge(SERVICES.object_path(name, VICTIM), {"spec": {"env": env}})
        await asyncio.wait_for(children.until(changed), 120)
        return time.monotonic() - began


async def _bare_change(api: Api, number: int) -> float:
    """Two writes one after the other, each until its watch shows it: a service and its InferenceService."""
    path = f"/api/v1/namespaces/{VICTIM}/configmaps"
    values = (f"{number}-service", f"{number}-child")
    async with api.watching(path, f"fieldSelector=metadata.name={BARE}") as changes:
        began = time.monotonic()
        for value in values:
            await api.merge(f"{path}/{BARE}", {"data": {"turn": value}})
            await changes.until(_has_turn(value))
        return time.monotonic() - began


def _has_turn(value: str) -> Callable[[dict[str, Any]], bool]:
    return lambda obj: obj["data"].get("turn") == value


async def _model(session: aiohttp.ClientSession, gateway: str) -> str:
    try:
        async with session.get(f"{gateway}{PATH}/v1/models") as response:
            if response.status != 200:
                return f"status {response.status}"
            return str((await response.json())["data"][0]["id"])
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return type(error).__name__


async def _answers(gateway: str, model: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while await _model(session, gateway) != model:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{gateway}{PATH} is not served")
            await asyncio.sleep(0.5)


async def _pods(api: Api) -> list[dict[str, Any]]:
    path = f"/api/v1/namespaces/{scene.OPERATOR_NAMESPACE}/pods"
    found = await api.get(f"{path}?labelSelector=app.kubernetes.io%2Fname%3Daim-operator")
    items: list[dict[str, Any]] = found["items"]
    return items


async def _leader(api: Api) -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{scene.OPERATOR_NAMESPACE}/leases"
    (lease,) = (await api.get(path))["items"]
    return str(lease["spec"]["holderIdentity"])


def _peak_mib() -> float:
    """Return the largest resident set that an operator of the release has had: the kernel's own mark."""
    peaks = [0.0]
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes().split(b"\0")
            text = status.read_text()
        except OSError:
            continue
        # The image's own interpreter, with the namespace that the release is in.
        if command[0].startswith(b"/opt/") and OPERATOR_FLAG in command:
            line = next(line for line in text.splitlines() if line.startswith("VmHWM:"))
            peaks.append(int(line.split()[1]) / 1024)
    return max(peaks)


def _explain(cluster: Cluster) -> None:
    """Say what became of the operators, where a measurement could not be made."""
    namespace = f"--namespace={scene.OPERATOR_NAMESPACE}"
    _say(cluster.kubectl("get", "pods", namespace, "--output=wide"))
    _say(cluster.kubectl("get", "aimsvc", f"--namespace={VICTIM}", "--output=wide"))
    _say(cluster.kubectl("logs", namespace, "--selector=app.kubernetes.io/name=aim-operator", "--tail=40"))
    _say(f"{_peak_mib():.0f} MiB at most")


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def tables(result: Result) -> str:
    phases = (result.quiet, result.attacked)
    rows: list[tuple[str, list[Any]]] = [
        ("changes", [len(p.changes) for p in phases]),
        ("  p50, s", [median(p.changes) for p in phases]),
        ("  p99, s", [p.p99 for p in phases]),
        ("  the API server's own p50, s", [median(p.bare) for p in phases]),
        ("  the API server's own p99, s", [quantiles(p.bare, n=100)[-1] for p in phases]),
        ("requests answered by the victim's model", [p.answers.get(MODEL, 0) for p in phases]),
        ("  by anything else", [sum(p.answers.values()) - p.answers.get(MODEL, 0) for p in phases]),
    ]
    table = report.table("The victim", ("", "quiet", "attacked"), [(name, *values) for name, values in rows])
    attacks = ", ".join(f"{count} {what}" for what, count in sorted(result.attacks.items()))
    kept = "kept" if result.leader_kept else "CHANGED"
    return (
        f"{table}\n\nThe attacks: {attacks}\nThe operators: {result.peak_mib:.0f} MiB at most of "
        f"{LIMIT_MIB:.0f}, {result.restarts} restarts, leader {kept}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quiet", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--attacked", type=float, default=600, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    options = parser.parse_args()
    progress = Progress(sys.stderr)
    missing = missing_parts((control_plane.PART, *PARTS), install=True, progress=progress)
    for entry in missing:
        print(f"{entry.part} can't run on this machine: {entry.reason}\n  {entry.remedy}", file=sys.stderr)
    if missing:
        return CANNOT
    with Cluster.start(PARTS, progress=progress) as cluster:
        result = asyncio.run(measure(cluster, options.quiet, options.attacked))
    print(tables(result))
    if options.json is not None:
        report.dump(options.json, result)
    for fault in result.faults:
        print(f"NOT HELD: {fault}")
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
