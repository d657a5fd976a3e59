"""The chart on a fresh cluster: install, serve, upgrade under load, uninstall; and what its token can do."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from hack.cluster.cluster import SERVING_PARTS, Cluster
from tests.docs.blocks import commands_for
from tests.support.catalog_yaml import catalog, service
from tests.support.cluster import REPOSITORY, StartCluster
from tests.support.failover import Leadership, kill, leadership, writers, writes
from tests.support.helm import Release, records, run_as_reader
from tests.support.operator_process import apply_yaml, eventually, reasons, status_of
from tests.support.permissions import Act, acts_in_audit_log, declared_acts

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.needs_kserve,
    pytest.mark.needs_gateway,
    pytest.mark.needs_operator_image,
    pytest.mark.needs_helm,
    pytest.mark.needs_audit,
]

THIS = "tests/e2e/test_install.py"
# As the pages have them: what is run here is what readers run.
(INSTALL, TEST) = commands_for(THIS, "docs/operations/install.md")
(UNINSTALL, STOP_MODELS, REMOVE_OBJECTS, LOOK_FOR_CHILDREN, REMOVE_KINDS, KEEP_FILES) = commands_for(
    THIS, "docs/operations/uninstall.md"
)
(UPGRADE,) = commands_for(THIS, "docs/operations/upgrade.md")
(LOAD_IMAGE,) = commands_for(THIS, "hack/cluster/README.md")
QUICKSTART = REPOSITORY / "examples" / "quickstart"
LEASE_SECONDS = 15.0
"""How long a Lease lasts that nobody gives back."""
PUT_RIGHT = ("the Lease was lost, standing by", "a write did not come back by its watch, listing again")
"""What a busy machine may lead to: no reconcile fails by it, and the operator puts it right by itself."""
# What a cluster's life has and this test's few minutes have not.
RARE: dict[Act, str] = {
    ("patch", "events.events.k8s.io"): "an event comes again within minutes",
    ("delete", "aimmodelcaches.aim.silogen.ai"): "unused for days, where a configuration says so",
    **{
        (verb, "scaledobjects.keda.sh"): "KEDA is not installed there"
        for verb in ("watch", "get", "create", "patch", "delete")
    },
    **{
        ("update", f"{owner}.aim.silogen.ai/finalizers"): "nothing is sent: admission asks for the right"
        for owner in ("aimservices", "aimservicetemplates", "aimclusterservicetemplates", "aimmodelcaches")
    },
    **{
        ("delete", f"{kind}.serving.kserve.io"): "nothing is sent: admission asks for the right to adopt them"
        for kind in ("clusterservingruntimes", "inferenceservices", "servingruntimes")
    },
    **{
        ("patch", kind): "a child is brought up to date after its inputs, or somebody else, changed it"
        for kind in (
            "aimmodelcaches.aim.silogen.ai",
            "aimservicetemplates.aim.silogen.ai",
            "aimtemplatecaches.aim.silogen.ai",
            "clusterservingruntimes.serving.kserve.io",
            "inferenceservices.serving.kserve.io",
            "persistentvolumeclaims",
            "poddisruptionbudgets.policy",
            "servingruntimes.serving.kserve.io",
        )
    },
    **{
        ("get", kind): "a stranger has the name, which a test can't foresee"
        for kind in (
            "jobs.batch",
            "persistentvolumeclaims",
            "aimservicetemplates.aim.silogen.ai",
            "aimtemplatecaches.aim.silogen.ai",
            "aimmodelcaches.aim.silogen.ai",
            "clusterservingruntimes.serving.kserve.io",
            "poddisruptionbudgets.policy",
            "servingruntimes.serving.kserve.io",
        )
    },
}


def state(cluster: Cluster, name: str, namespace: str = "ml-team") -> str:
    found: str = status_of(cluster, "aimsvc", name, namespace).get("status", "")
    return found


def answer(cluster: Cluster, path: str) -> int:
    """The HTTP status of a request through the gateway; 0 where no answer came."""
    try:
        with urllib.request.urlopen(f"{cluster.gateway_url}{path}/v1/models", timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_install_serve_upgrade_and_uninstall(
    own_cluster: StartCluster, record_property: Callable[[str, object], None]
) -> None:
    cluster = own_cluster(SERVING_PARTS)
    run_as_reader(cluster, LOAD_IMAGE)
    release = Release(cluster, "aim-operator", "kaiwo-system")
    began = time.monotonic()
    assert "WARNING" not in release.run(INSTALL), "KServe and the Gateway API are there"
    cluster.kubectl("apply", "--server-side", f"--filename={QUICKSTART}")
    eventually(lambda: state(cluster, "llama-chat") == "Running", "the quickstart's service runs", 120)
    path = status_of(cluster, "aimsvc", "llama-chat", "ml-team")["routing"]["path"]
    eventually(lambda: answer(cluster, path) == 200, "the gateway answers with 200", 30)
    record_property("seconds from helm install to HTTP 200", round(time.monotonic() - began, 1))

    the_doctor_finds_no_problem(cluster, release)
    use_everything(cluster)
    upgrade_under_load(cluster, release, path)
    fail_over(cluster, release, record_property)
    compare_with_audit_log(release)
    the_token_reads_no_secret(release)

    release.run(UNINSTALL)
    eventually(lambda: not release.pods(), "its Pods are gone")  # Helm waits for the Deployment only
    kept = cluster.kubectl("get", "crds,aimclimg,aimclst,aimst,aimsvc", "--all-namespaces", "-o", "name")
    assert kept.count("aim.silogen.ai") > 9 + 4
    assert state(cluster, "llama-chat") == "Running"
    assert answer(cluster, path) == 200, "models go on serving without the operator"

    limited_to_namespaces(cluster)
    Release(cluster, "limited", "limited-system").run(limited(UNINSTALL))
    cluster.kubectl("delete", "namespace", "limited-system")  # as the page says of each release
    leave_nothing_but_files(cluster)


def the_doctor_finds_no_problem(cluster: Cluster, release: Release) -> None:
    """It may read all that it judges, and nothing of the test stays."""
    said = release.run(f"{TEST} 2>&1")  # where Helm prints what the Pod says
    assert "Phase:          Succeeded" in said
    assert "problems: 0" in said, said
    assert "you may not" not in said, said
    assert "RBAC          ok" in said, said
    kinds = "pod,serviceaccount,clusterrole,clusterrolebinding"
    left = cluster.kubectl("get", kinds, f"--namespace={release.namespace}", "-o", "name").split()
    assert not [name for name in left if "aim-operator" in name and name.endswith("-test")]


def use_everything(cluster: Cluster) -> None:
    """Whatever the quickstart does not need: overrides, caching, a switched-off route, taken names."""
    stranger = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: crossed, namespace: ml-team}
spec: {parentRefs: [{name: elsewhere}]}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: taken, namespace: ml-team, annotations: {serving.kserve.io/stop: "true"}}
spec: {predictor: {model: {modelFormat: {name: aim}, runtime: none}}}
"""
    apply_yaml(cluster, stranger)
    apply_yaml(
        cluster,
        catalog("ml-team")
        + service("ml-team", "taken")
        + service("ml-team", "crossed")
        + service("ml-team", "derived")
        + "  overrides: {metric: throughput}\n"
        + service("ml-team", "cached").replace("model: model", "model: meta-llama-3-8b-instruct")
        + "  cacheModel: true\n"
        # Each of them waits for a name server that is not there; eight took 92 s.
        + '  env: [{name: AIM_ATTEMPTS, value: "2"}]\n',
    )
    eventually(
        lambda: (
            reasons(status_of(cluster, "aimsvc", "taken", "ml-team")).get("Ready") == "False/NameConflict"
        ),
        "the taken name is told",
    )
    eventually(
        lambda: (
            reasons(status_of(cluster, "aimsvc", "crossed", "ml-team")).get("RoutingReady")
            == "False/NameConflict"
        ),
        "the taken name of a route is told",
    )
    eventually(lambda: state(cluster, "derived") == "Running", "the derived template serves", 90)
    eventually(
        lambda: (
            "discover" not in cluster.kubectl("get", "aimtc", "-n=ml-team")
            and "Failed" in cluster.kubectl("get", "aimmc", "-n=ml-team")
        ),
        "the download fails: there is no hub",
        120,
    )
    again = "aim.silogen.ai/rediscover=again"  # the former Job goes
    cluster.kubectl("annotate", "aimst", "llama-3-8b-experimental", "--namespace=ml-team", again)
    cluster.kubectl("delete", "aimsvc", "taken", "crossed", "cached", "--namespace=ml-team", "--wait=false")
    patch_derived = ("patch", "aimsvc", "derived", "--namespace=ml-team", "--type=merge")
    cluster.kubectl(*patch_derived, '--patch={"spec": {"replicas": 2}}')
    eventually(
        lambda: "derived" in cluster.kubectl("get", "pdb", "--namespace=ml-team", "-o", "name"),
        "two copies have a disruption budget",
    )
    off = '{"spec": {"replicas": 1, "routing": {"enabled": false}}}'
    cluster.kubectl(*patch_derived, f"--patch={off}")
    eventually(
        lambda: "derived" not in cluster.kubectl("get", "pdb", "--namespace=ml-team", "-o", "name"),
        "one copy needs none",
    )
    eventually(
        lambda: "derived" not in cluster.kubectl("get", "httproute", "--namespace=ml-team", "-o", "name"),
        "the route is gone",
    )
    cluster.kubectl("delete", "aimsvc", "derived", "--namespace=ml-team", "--wait=false")
    eventually(
        lambda: "-ovr-" not in cluster.kubectl("get", "aimst", "--namespace=ml-team", "-o", "name"),
        "the derived template is gone",
    )
    eventually(
        lambda: not cluster.kubectl("get", "aimtc", "--namespace=ml-team", "-o", "name").strip(),
        "the cluster template's cache is gone with its last service",
    )


def upgrade_under_load(cluster: Cluster, release: Release, path: str) -> None:
    before = set(release.pods())
    assert len(before) == 2
    with release.followed_logs() as logs, load(cluster, path) as answers:
        release.run(UPGRADE, "operator.workers=16")
        eventually(lambda: not before & set(release.pods()), "the old Pods are gone")
        written = len(answers)
        eventually(lambda: len(answers) > written + 5, "the load goes on")
    last = change_route(cluster, 999)
    eventually(lambda: last in route(cluster), "the new Pods do what is asked of them")
    assert set(answers) == {200}, f"{len(answers)} requests: {sorted(set(answers))}"
    texts = [path.read_text() for path in logs]
    texts += [cluster.kubectl("logs", pod, f"--namespace={release.namespace}") for pod in release.pods()]
    complaints = [entry for text in texts for entry in records(text) if is_complaint(entry)]
    assert not complaints, "\n".join(map(str, complaints))


def is_complaint(entry: dict[str, Any]) -> bool:
    return entry["level"] in {"error", "warning"} and entry["message"] not in PUT_RIGHT


@contextmanager
def load(cluster: Cluster, path: str) -> Iterator[list[int]]:
    """Change the service and ask its model, again and again; the answers so far."""
    answers: list[int] = []
    ended = threading.Event()

    def go_on() -> None:
        for number in count(1):
            change_route(cluster, number)
            answers.append(answer(cluster, path))
            if ended.wait(0.2):
                return

    worker = threading.Thread(target=go_on, daemon=True)
    worker.start()
    try:
        yield answers
    finally:
        ended.set()
        worker.join()


def change_route(cluster: Cluster, number: int) -> str:
    """Give the route another timeout, which costs a reconcile and an apply; the timeout."""
    timeout = f"{100 + number}s"
    cluster.api.request(
        "PATCH",
        "/apis/aim.silogen.ai/v1alpha1/namespaces/ml-team/aimservices/llama-chat",
        {"spec": {"routing": {"requestTimeout": timeout}}},
        "application/merge-patch+json",
    )
    return timeout


def route(cluster: Cluster) -> str:
    return cluster.kubectl("get", "httproute", "llama-chat", "--namespace=ml-team", "-o", "json")


def fail_over(cluster: Cluster, release: Release, record_property: Callable[[str, object], None]) -> None:
    """Kill the leader, then delete the next one: each time the other goes on where it was."""
    # Downloads that fail, for want of a hub, are tried again whenever that is due.
    pause = "aim.silogen.ai/reconciliation-paused=true"
    cluster.kubectl("annotate", "aimmc", "--all", "--all-namespaces", pause)
    rested = quiet(cluster, "llama-chat")
    first = leadership(release)
    assert first is not None
    began = datetime.now(UTC)
    kill(release, first.pod)
    second = next_leader(cluster, release, first, "after-kill")
    seconds = round((second.since - began).total_seconds(), 1)
    record_property("seconds from SIGKILL of the leader to the next", seconds)
    eventually(lambda: len(release.ready_pods()) == 2, "the killed container is back", 30)

    deleted = datetime.now(UTC)
    cluster.kubectl("delete", "pod", second.pod, f"--namespace={release.namespace}", "--wait=false")
    # Until it is told to end, on a busy machine a moment later, it does what is asked of it.
    eventually(lambda: leadership(release) != second, "it leads no longer", 30)
    third = next_leader(cluster, release, second, "after-delete")
    seconds = round((third.since - deleted).total_seconds(), 1)
    record_property("seconds from deletion of the leader to the next", seconds)
    assert seconds < LEASE_SECONDS, "the Lease was given back"

    # One after the other, and nothing but what was asked for meanwhile: nothing is written again.
    written = list(writes(release, since=began))
    assert writers(written) == [second.pod, third.pod]
    for leader, service_name in ((second, "after-kill"), (third, "after-delete")):
        assert {write.name for write in written if write.pod == leader.pod} == {service_name}, written
    assert rested == quiet(cluster, "llama-chat")


def quiet(cluster: Cluster, name: str) -> str:
    """Wait until a service's last change is done; its resourceVersion then."""
    path = f"/apis/aim.silogen.ai/v1alpha1/namespaces/ml-team/aimservices/{name}"
    found = cluster.api.wait_for(
        path,
        lambda s: (
            s["status"]["observedGeneration"] == s["metadata"]["generation"]
            and s["status"]["status"] == "Running"
        ),
        30,
        f"{name} is",
    )
    version: str = found["metadata"]["resourceVersion"]
    return version


def next_leader(cluster: Cluster, release: Release, last: Leadership, service_name: str) -> Leadership:
    """Ask for a service while nobody leads, and wait until it runs; who leads then."""
    apply_yaml(cluster, service("ml-team", service_name))
    led: list[Leadership] = []

    def taken() -> bool:
        now = leadership(release)
        led[:] = [now] if now is not None and now.identity != last.identity else []
        return bool(led)

    eventually(taken, "another replica leads", 40)
    eventually(lambda: state(cluster, service_name) == "Running", "what was asked for meanwhile runs", 60)
    return led[0]


def compare_with_audit_log(release: Release) -> None:
    done = acts_in_audit_log(release.audit())
    declared = declared_acts("everywhere", "lease")
    missing, unused = sorted(done - declared), sorted(declared - done - RARE.keys())
    assert not missing, f"missing in src/aim_operator/permissions.py: {missing}"
    assert not unused, f"declared, and not used: {unused}"
    refused = [e for e in release.audit() if e["responseStatus"]["code"] == 403]
    assert not refused


def the_token_reads_no_secret(release: Release) -> None:
    token = release.token()
    for verb in ("get", "list", "watch", "create", "delete"):
        assert not release.can(token, verb, "secrets", "--all-namespaces")
        assert not release.can(token, verb, "secrets", f"--namespace={release.namespace}")
    assert release.can(token, "create", "jobs.batch", "--namespace=ml-team")
    assert not release.can(token, "*", "*")
    assert not [e for e in release.audit() if (e.get("objectRef") or {}).get("resource") == "secrets"]


def limited(command: str) -> str:
    """A command of the pages for the second release."""
    return command.replace("install aim-operator", "install limited").replace(
        "kaiwo-system", "limited-system"
    )


def limited_to_namespaces(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "team-a")
    release = Release(cluster, "limited", "limited-system")
    settings = ("namespaces={team-a}", "crds.install=false", "replicas=1", "fullnameOverride=limited")
    release.run(limited(INSTALL), *settings)
    for namespace in ("ml-research", "team-a"):  # the one that is served last
        apply_yaml(cluster, catalog(namespace) + service(namespace, "chat"))
    eventually(lambda: state(cluster, "chat", "team-a") == "Running", "what it serves runs", 90)
    assert not status_of(cluster, "aimsvc", "chat", "ml-research"), "what it does not serve is left alone"

    token = release.token()
    assert release.can(token, "create", "jobs.batch", "--namespace=team-a")
    assert release.can(token, "list", "aimclusterimages.aim.silogen.ai")
    for verb, resource, namespace in (
        ("create", "jobs.batch", "ml-research"),
        ("list", "aimservices.aim.silogen.ai", "ml-research"),
        ("create", "jobs.batch", release.namespace),
        ("get", "secrets", "team-a"),
        ("patch", "aimclusterimages.aim.silogen.ai/status", "team-a"),
    ):
        assert not release.can(token, verb, resource, f"--namespace={namespace}"), (verb, resource, namespace)

    done = list(release.audit())
    references = [event.get("objectRef") or {} for event in done]
    assert {r["namespace"] for r in references if "namespace" in r} == {"team-a", release.namespace}
    written = [r for e, r in zip(done, references, strict=True) if e["verb"] not in ("get", "list", "watch")]
    assert {r["resource"] for r in written if r["namespace"] == release.namespace} == {"leases"}
    assert not [event for event in done if event["responseStatus"]["code"] == 403]


def leave_nothing_but_files(cluster: Cluster) -> None:
    """What the page has for a whole cluster, after the operator: kept are the claims, and nothing of ours."""
    claims = ("get", "pvc", "--namespace=ml-research", "-o", "name")
    kept = cluster.kubectl(*claims).split()
    assert kept, "the quickstart caches a model there"
    run_as_reader(cluster, STOP_MODELS)
    run_as_reader(cluster, KEEP_FILES)
    run_as_reader(cluster, REMOVE_OBJECTS)
    eventually(
        lambda: run_as_reader(cluster, LOOK_FOR_CHILDREN).split() == kept, "nothing is left but claims", 60
    )
    run_as_reader(cluster, REMOVE_KINDS)
    assert cluster.kubectl(*claims).split() == kept, "files outlive the kinds"
    names = cluster.kubectl(
        "get", "crd,clusterrole,clusterrolebinding,lease", "--all-namespaces", "-o", "name"
    )
    assert not [name for name in names.split() if "aim.silogen.ai" in name or "aim-operator" in name]
