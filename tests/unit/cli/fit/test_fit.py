"""`aimctl fit`: where a service goes, and what is in the way, by what nodes, quotas, claims and GPUs are."""

from __future__ import annotations

import io
from typing import Any

import pytest
from msgspec import structs
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from aim_operator.cli.fit import nodes as on
from aim_operator.cli.fit.command import draw, exit_code
from aim_operator.cli.fit.demand import Demand
from aim_operator.cli.fit.judge import Fit, Surroundings, Verdict, fit, unknown
from aim_operator.core.hardware import node_affinity
from aim_operator.sandbox.nodes import gpu_node, plain_node
from tests.docs.blocks import shown

GIB = 1024**3
Manifest = dict[str, Any]


def demand(gpus: int = 8, *, replicas: int = 1, model: str = "MI300X", **predictor: Any) -> Demand:
    resources = {
        "requests": {"cpu": "4", "memory": "32Gi", "amd.com/gpu": gpus},
        "limits": {"amd.com/gpu": gpus},
    }
    return Demand(
        namespace="team",
        name="chat",
        replicas=replicas,
        predictor={
            "model": {"resources": resources},
            "affinity": node_affinity(model) or {},
            **predictor,
        },
        gpu_model=model,
        gpu_count=gpus,
        size_bytes=131 * GIB,
    )


def pod(node: str, gpus: int, *, of: str = "", **spec: Any) -> Manifest:
    labels = {"serving.kserve.io/inferenceservice": of} if of else {}
    container = {"name": "c", "resources": {"limits": {"amd.com/gpu": str(gpus)}}}
    return {
        "metadata": {"name": f"on-{node}", "namespace": "team", "labels": labels},
        "spec": {"nodeName": node, "containers": [container], **spec},
        "status": {"phase": "Running"},
    }


def tainted(name: str, effect: str = "NoSchedule") -> Manifest:
    taints = [{"key": "dedicated", "value": "research", "effect": effect}]
    return gpu_node(name) | {"spec": {"taints": taints}}


def around(*nodes: Manifest, pods: tuple[Manifest, ...] | None = (), **more: Any) -> Surroundings:
    base = Surroundings(room=on.room(nodes, pods), quotas=(), claims={})
    return structs.replace(base, **more)


def why(found: Fit) -> dict[str, str]:
    return {node.node: node.why for node in found.nodes}


def problems(found: Fit) -> list[str]:
    return [f"{each.check}: {each.message}" for each in found.findings if each.verdict is Verdict.NO]


def drawn(found: list[Fit], width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, color_system=None).print(draw(found))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_it_goes_where_most_is_taken_already_and_enough_is_left() -> None:
    there = around(gpu_node("empty"), gpu_node("half"), pods=(pod("half", 4),))
    found = fit(demand(2), there)
    assert (found.verdict, found.goes_to) == (Verdict.FITS, ("half",))


NO_NODE = [
    pytest.param((), {}, {}, id="there is no node"),
    pytest.param(
        (plain_node("n"),), {}, {"n": "Insufficient amd.com/gpu: 0 free"}, id="a node without a GPU"
    ),
    pytest.param((gpu_node("n", gpus=4),), {}, {"n": "Insufficient amd.com/gpu: 4 free"}, id="too few GPUs"),
    pytest.param(
        (gpu_node("n", product="AMD_Instinct_MI210"),),
        {},
        {"n": "node(s) didn't match Pod's node affinity/selector"},
        id="another GPU",
    ),
    pytest.param(
        (gpu_node("n"),),
        {"nodeSelector": {"zone": "a"}},
        {"n": "node(s) didn't match Pod's node affinity/selector"},
        id="a selector that no node has",
    ),
    pytest.param(
        (tainted("n"),),
        {},
        {"n": "node(s) had untolerated taint dedicated=research:NoSchedule"},
        id="a taint",
    ),
    pytest.param(
        (gpu_node("n") | {"spec": {"unschedulable": True}},),
        {},
        {"n": "node(s) were unschedulable"},
        id="a cordon",
    ),
]


@pytest.mark.parametrize(("nodes", "predictor", "want"), NO_NODE)
def test_a_node_that_does_not_take_it_says_why(
    nodes: tuple[Manifest, ...], predictor: dict[str, Any], want: dict[str, str]
) -> None:
    found = fit(demand(**predictor), around(*nodes))
    assert found.verdict is Verdict.NO
    assert why(found) == want
    assert exit_code([found]) == 1


@pytest.mark.parametrize(
    ("node", "predictor"),
    [
        pytest.param(tainted("n", "PreferNoSchedule"), {}, id="a taint that only asks"),
        pytest.param(
            tainted("n"), {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}, id="a toleration"
        ),
        pytest.param(gpu_node("n"), {"nodeSelector": {"kubernetes.io/hostname": "n"}}, id="a selector"),
    ],
)
def test_a_node_that_takes_it(node: Manifest, predictor: dict[str, Any]) -> None:
    assert fit(demand(**predictor), around(node)).verdict is Verdict.FITS


def test_what_others_take_is_not_free() -> None:
    found = fit(demand(8), around(gpu_node("n"), pods=(pod("n", 6),)))
    assert why(found) == {"n": "Insufficient amd.com/gpu: 2 free"}
    assert found.nodes[0].free == "2 of 8"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_that_ended_take_nothing(phase: str) -> None:
    ended = pod("n", 8) | {"status": {"phase": phase}}
    assert fit(demand(8), around(gpu_node("n"), pods=(ended,))).verdict is Verdict.FITS


def test_sidecars_and_the_largest_init_container_are_counted() -> None:
    large = {"name": "i", "resources": {"requests": {"cpu": "90"}}}
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "4"}}}
    other = pod("n", 0, initContainers=[sidecar, large])
    found = fit(demand(1), around(gpu_node("n"), pods=(other,)))
    assert why(found) == {"n": "Insufficient cpu: 2 free"}


def test_a_node_takes_no_more_pods_than_its_kubelet() -> None:
    full = gpu_node("n")
    full["status"]["allocatable"] = full["status"]["allocatable"] | {"pods": "1"}
    found = fit(demand(1), around(full, pods=(pod("n", 0),)))
    assert why(found) == {"n": "Too many pods"}


def test_pods_that_have_a_node_keep_it_and_the_rest_is_placed() -> None:
    there = around(gpu_node("a"), gpu_node("b"), pods=(pod("a", 8, of="chat"),))
    found = fit(demand(8, replicas=2), there)
    assert (found.verdict, found.running, found.goes_to) == (Verdict.FITS, 1, ("b",))


def test_some_replicas_have_room_and_others_none() -> None:
    found = fit(demand(8, replicas=3), around(gpu_node("a"), gpu_node("b")))
    assert problems(found)[0].startswith("nodes: room for 2 of 3 Pods")


def test_what_is_in_the_way_of_the_replicas_without_room_is_said() -> None:
    """The node that took the first has no room for the second; `there is no node` was said."""
    found = fit(demand(8, replicas=2), around(gpu_node("n")))
    assert problems(found) == ["nodes: room for 1 of 2 Pods: 1 Insufficient amd.com/gpu"]
    assert found.findings[0].remedy.startswith("free what it lacks")


def test_a_service_all_of_whose_pods_have_a_node_fits_though_nothing_is_left() -> None:
    found = fit(demand(8), around(gpu_node("a"), pods=(pod("a", 8, of="chat"),)))
    assert (found.verdict, found.goes_to) == (Verdict.FITS, ())


def quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> Manifest:
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": {"used": used}}


@pytest.mark.parametrize(
    ("hard", "used", "want"),
    [
        pytest.param(
            {"requests.amd.com/gpu": "8"},
            {"requests.amd.com/gpu": "4"},
            "requests.amd.com/gpu 4 of 8 is used, and 8 more is asked for",
            id="GPUs",
        ),
        pytest.param(
            {"requests.memory": "40Gi"},
            {"requests.memory": "20Gi"},
            "requests.memory 20.0Gi of 40.0Gi is used, and 32.0Gi more is asked for",
            id="memory",
        ),
        pytest.param({"pods": "3"}, {"pods": "3"}, "pods 3 of 3 is used, and 1 more is asked for", id="Pods"),
        pytest.param({"cpu": "4"}, {"cpu": "1"}, "cpu 1 of 4 is used", id="cpu, as it was called"),
    ],
)
def test_a_quota_that_has_no_room(hard: dict[str, str], used: dict[str, str], want: str) -> None:
    found = fit(demand(8), around(gpu_node("n"), quotas=(quota(hard, used),)))
    assert found.verdict is Verdict.NO
    assert want in problems(found)[0]


def test_a_quota_with_room_and_one_about_something_else_are_none() -> None:
    fine = quota({"requests.amd.com/gpu": "16", "count/secrets": "1"}, {"requests.amd.com/gpu": "8"})
    assert fit(demand(8), around(gpu_node("n"), quotas=(fine,))).verdict is Verdict.FITS


def test_whether_a_quota_for_some_pods_is_about_these_is_not_known() -> None:
    some = quota({"pods": "0"}, {}, scopes=["BestEffort"])
    found = fit(demand(8), around(gpu_node("n"), quotas=(some,)))
    assert found.verdict is Verdict.UNKNOWN
    assert exit_code([found]) == 2


def claim(*modes: str, phase: str = "Bound", **more: Any) -> Manifest:
    return {
        "metadata": {"name": "model", **more},
        "spec": {"accessModes": list(modes), "volumeName": "pv", "storageClassName": "standard"},
        "status": {"phase": phase},
    }


MOUNTS: dict[str, Any] = {"volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "model"}}]}


@pytest.mark.parametrize(
    ("claims", "replicas", "want"),
    [
        pytest.param({}, 1, "claim 'model' is not there", id="missing"),
        pytest.param(
            {"model": claim("ReadWriteMany", phase="Lost")},
            1,
            "claim 'model' has lost its volume",
            id="lost",
        ),
        pytest.param(
            {"model": claim("ReadWriteMany", phase="Pending")}, 1, "claim 'model' is not bound", id="unbound"
        ),
        pytest.param(
            {"model": claim("ReadWriteMany", deletionTimestamp="2026-01-01T00:00:00Z")},
            1,
            "claim 'model' is being deleted",
            id="going",
        ),
        pytest.param(
            {"model": claim("ReadWriteOncePod")},
            2,
            "claim 'model' is ReadWriteOncePod, and 2 Pods are wanted",
            id="for one Pod",
        ),
    ],
)
def test_a_claim_that_can_not_be_mounted(claims: dict[str, Manifest], replicas: int, want: str) -> None:
    there = around(gpu_node("a"), gpu_node("b"), claims=claims)
    found = fit(demand(1, replicas=replicas, **MOUNTS), there)
    assert f"claims: {want}" in problems(found)


def test_a_claim_that_waits_for_its_first_pod_is_no_problem() -> None:
    classes = {"standard": {"volumeBindingMode": "WaitForFirstConsumer"}}
    there = around(gpu_node("a"), claims={"model": claim("ReadWriteOnce", phase="Pending")}, classes=classes)
    assert fit(demand(1, **MOUNTS), there).verdict is Verdict.FITS


def test_a_volume_of_another_node_keeps_the_pod_there() -> None:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}]
    volumes = {"pv": {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}}
    there = around(
        gpu_node("a"),
        gpu_node("b"),
        pods=(pod("b", 8),),
        claims={"model": claim("ReadWriteOnce")},
        volumes=volumes,
    )
    found = fit(demand(8, **MOUNTS), there)
    assert why(found) == {"a": "claim 'model' is on b", "b": "Insufficient amd.com/gpu: 0 free"}


def test_a_volume_for_one_node_that_is_mounted_elsewhere_keeps_the_pod_there() -> None:
    user = pod("b", 0, **MOUNTS)
    there = around(gpu_node("a"), gpu_node("b"), pods=(user,), claims={"model": claim("ReadWriteOnce")})
    found = fit(demand(1, **MOUNTS), there)
    assert (found.verdict, found.goes_to) == (Verdict.FITS, ("b",))


def test_a_volume_whose_node_is_gone_is_said_and_what_to_do() -> None:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["gone"]}]}]
    volumes = {"pv": {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}}
    there = around(gpu_node("a"), claims={"model": claim("ReadWriteOnce")}, volumes=volumes)
    found = fit(demand(8, **MOUNTS), there)
    assert why(found) == {"a": "no node has the volumes of its claims"}
    assert found.findings[0].remedy.startswith("delete the AIMModelCache")


def test_a_disk_of_a_zone_is_on_the_node_that_mounts_it() -> None:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}]
    there = around(
        gpu_node("a"),
        gpu_node("b"),
        pods=(pod("b", 1, **MOUNTS),),
        claims={"model": claim("ReadWriteOnce")},
        volumes={"pv": {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}},
    )
    assert why(fit(demand(8, **MOUNTS), there)) == {
        "a": "claim 'model' is on b",
        "b": "Insufficient amd.com/gpu: 7 free",
    }


def test_replicas_whose_claim_one_node_alone_mounts_go_to_one_node() -> None:
    """Nobody mounts it yet; the second Pod would wait for the volume on another node for ever."""
    claims = {"model": claim("ReadWriteOnce")}
    apart = fit(demand(8, replicas=2, **MOUNTS), around(gpu_node("a"), gpu_node("b"), claims=claims))
    assert apart.verdict is Verdict.NO
    assert "room for 1 of 2 Pods" in problems(apart)[0]
    assert "1 claim 'model' is on b" in problems(apart)[0]
    nodes = (gpu_node("a"), gpu_node("b"))
    room = fit(demand(4, replicas=2, **MOUNTS), around(*nodes, pods=(pod("b", 4),), claims=claims))
    assert (room.verdict, room.goes_to) == (Verdict.FITS, ("a", "a"))
    shared = {"model": claim("ReadWriteMany")}
    anywhere = fit(demand(8, replicas=2, **MOUNTS), around(*nodes, claims=shared))
    assert (anywhere.verdict, anywhere.goes_to) == (Verdict.FITS, ("a", "b"))


def test_two_volumes_on_different_nodes_leave_none() -> None:
    both: dict[str, Any] = {
        "volumes": [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in ("model", "draft")]
    }
    pods = (
        pod("a", 0, volumes=[both["volumes"][0]]),
        pod("b", 0, volumes=[both["volumes"][1]]),
    )
    claims = {"model": claim("ReadWriteOnce"), "draft": claim("ReadWriteOnce")}
    found = fit(demand(1, **both), around(gpu_node("a"), gpu_node("b"), pods=pods, claims=claims))
    assert set(why(found).values()) == {"no node has the volumes of its claims"}


def test_files_that_the_gpus_can_not_hold() -> None:
    found = fit(structs.replace(demand(8), size_bytes=2000 * GIB), around(gpu_node("n")))
    assert found.verdict is Verdict.NO
    assert "use more of them" in problems(found)[0]


def test_a_gpu_of_unknown_memory_is_said_and_no_verdict() -> None:
    found = fit(structs.replace(demand(8), gpu_model="MI999"), around(gpu_node("n")))
    assert found.verdict is Verdict.FITS
    assert "is not known here" in found.findings[-1].message


def test_what_may_not_be_seen_is_not_known() -> None:
    unseen = Surroundings(unseen={"nodes": "you may not list nodes", "quotas": "q", "claims": "c"})
    found = fit(demand(8, **MOUNTS), unseen)
    assert found.verdict is Verdict.UNKNOWN
    assert [each.message for each in found.findings[:3]] == ["you may not list nodes", "c", "q"]


def test_nodes_without_their_pods_are_a_maybe_and_those_that_never_fit_a_no() -> None:
    unseen = {"pods": "you may not list pods"}
    found = fit(demand(8), around(gpu_node("n"), pods=None, unseen=unseen))
    assert (found.verdict, found.nodes[0].free) == (Verdict.UNKNOWN, "? of 8")
    assert fit(demand(8), around(plain_node("n"), pods=None, unseen=unseen)).verdict is Verdict.NO


def test_each_service_of_a_file_leaves_less_to_the_next() -> None:
    there = around(gpu_node("n"))
    assert fit(demand(8), there).verdict is Verdict.FITS
    assert fit(structs.replace(demand(8), name="second"), there).verdict is Verdict.NO


def test_each_service_of_a_file_leaves_less_of_a_quota_to_the_next() -> None:
    nodes = [gpu_node(name) for name in ("a", "b", "c")]
    one_more = quota({"requests.amd.com/gpu": "16"}, {"requests.amd.com/gpu": "8"})
    there = around(*nodes, quotas=(one_more,))
    assert fit(demand(8), there).verdict is Verdict.FITS
    second = fit(structs.replace(demand(8), name="second"), there)
    assert second.verdict is Verdict.NO
    assert "requests.amd.com/gpu 16 of 16 is used, and 8 more is asked for" in problems(second)[0]
    # What has no room takes nothing of it.
    assert fit(structs.replace(demand(0), name="third"), there).verdict is Verdict.FITS


PICTURES = {
    "it fits": [
        fit(demand(2, replicas=2), around(gpu_node("gpu-1"), gpu_node("gpu-2"), plain_node("cpu-1")))
    ],
    "nothing fits": [
        fit(
            structs.replace(demand(8, **MOUNTS), size_bytes=3000 * GIB),
            around(
                gpu_node("gpu-1"),
                tainted("gpu-2"),
                gpu_node("gpu-3", product="AMD_Instinct_MI210"),
                plain_node("cpu-1"),
                pods=(pod("gpu-1", 6),),
                quotas=(quota({"requests.amd.com/gpu": "8"}, {"requests.amd.com/gpu": "6"}),),
            ),
        ),
        unknown("team", "other", "it is Degraded: ImageNotFound: no AIMImage 'x'"),
    ],
    "nothing is seen": [
        fit(
            demand(8),
            Surroundings(unseen={"nodes": "you may not list nodes", "quotas": "you may not list quotas"}),
        )
    ],
}


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("name", PICTURES)
def test_the_picture(name: str, width: int, snapshot: SnapshotAssertion) -> None:
    text = drawn(PICTURES[name], width)
    assert max(map(len, text.splitlines())) <= width
    assert text == snapshot


def test_the_picture_of_the_page() -> None:
    nodes = (gpu_node("gpu-1"), tainted("gpu-2"))
    used = quota({"requests.amd.com/gpu": "8"}, {"requests.amd.com/gpu": "6"})
    asked = structs.replace(demand(8), namespace="ml-team")
    found = fit(asked, around(*nodes, pods=(pod("gpu-1", 6),), quotas=(used,)))
    page = shown("docs/guides/command-line.md", "AIMService ml-team/chat: does not fit")
    assert drawn([found], 300).splitlines() == page.splitlines()
