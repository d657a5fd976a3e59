"""Model caches on a real cluster: claims, downloads by real Pods, a served Pod that reads the files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import catalog, service
from tests.support.cluster import StartCluster, aim_crds
from tests.support.model_hub import MIB, MODEL, WEIGHTS, ModelHub, model_hub
from tests.support.operator_process import (
    OperatorProcess,
    apply_yaml,
    eventually,
    grant_roles,
    reasons,
    running_operator,
    status_of,
)

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_operator_image]

CHUNK_BYTES = 8 * MIB
CONNECTIONS = 8
LARGE = "meta-llama/Too-Large"


@pytest.fixture
def cluster(own_cluster: StartCluster) -> Cluster:
    started = own_cluster(("node", "kserve", "gateway", "operator-image"), crds=aim_crds())
    grant_roles(started)
    return started


def caching(namespace: str, hub: ModelHub) -> str:
    """The catalog of one namespace, with a template that caches from the hub."""
    return catalog(namespace) + (
        f"  caching:\n    enabled: true\n    env: [{{name: HF_ENDPOINT, value: {hub.hub.url}}}]\n"
    )


def the_cache(cluster: Cluster, namespace: str) -> dict[str, Any]:
    items = json.loads(cluster.kubectl("get", "aimmc", f"--namespace={namespace}", "-o", "json"))["items"]
    return items[0] if items else {}


def percentage(cluster: Cluster, namespace: str) -> int | None:
    progress = the_cache(cluster, namespace).get("status", {}).get("progress", {})
    found: int | None = progress.get("percentage")
    return found


def state(cluster: Cluster, namespace: str) -> str:
    found: str = the_cache(cluster, namespace).get("status", {}).get("status", "")
    return found


def serves(cluster: Cluster, namespace: str, name: str = "chat") -> bool:
    return status_of(cluster, "aimsvc", name, namespace).get("status") == "Running"


def served_checksums(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """The checksums of the model's files as the model server's container reads them, through its mount."""
    selector = f"serving.kserve.io/inferenceservice={name}"
    pod = cluster.kubectl("get", "pods", f"--namespace={namespace}", f"--selector={selector}", "-o", "name")
    script = f"cd $AIM_CACHE_PATH/{MODEL} && sha256sum *.json *.safetensors"
    lines = cluster.kubectl("exec", f"--namespace={namespace}", pod.split()[0], "--", "sh", "-c", script)
    return {file: checksum for checksum, file in (line.split() for line in lines.splitlines())}


def rising(percentages: Iterator[int | None]) -> list[int]:
    """Each new percentage; fails where one falls."""
    seen: list[int] = []
    for found in percentages:
        if found is not None and (not seen or found != seen[-1]):
            assert not seen or found > seen[-1], f"progress fell: {seen}, {found}"
            seen.append(found)
    return seen


def watched(cluster: Cluster, namespace: str, timeout_seconds: float = 120) -> Iterator[int | None]:
    """The percentage, again and again, until the cache is available."""
    deadline = time.monotonic() + timeout_seconds
    while state(cluster, namespace) != "Available":
        assert time.monotonic() < deadline, the_cache(cluster, namespace)
        yield percentage(cluster, namespace)
        time.sleep(0.2)
    yield percentage(cluster, namespace)


def test_a_caching_template_warms_serves_is_shared_and_comes_back_when_its_files_are_deleted(
    full_cluster: Cluster, operator_image: str, tmp_path: Path
) -> None:
    cluster = full_cluster
    grant_roles(cluster)
    with (
        # More chunks than streams: those that begin together end together, and only then is there progress.
        model_hub(cluster, tmp_path, weights_mib=160) as hub,
        cluster.namespace() as namespace,
        running_operator(cluster, f"--namespaces={namespace}", f"--downloader-image={operator_image}"),
    ):
        hub.slow_down(1_000_000)
        apply_yaml(cluster, caching(namespace, hub) + service(namespace, "chat"))
        eventually(lambda: state(cluster, namespace) != "", "there is a model cache")
        assert not cluster.kubectl("get", "isvc", f"--namespace={namespace}", "-o", "name").strip()
        seen = rising(watched(cluster, namespace))
        assert len(seen) >= 3, f"progress can be followed: {seen}"
        assert seen[-1] == 100
        eventually(lambda: serves(cluster, namespace), "the service runs", timeout_seconds=90)
        assert served_checksums(cluster, namespace, "chat") == hub.checksums
        assert hub.sent_bytes == hub.total_bytes, "every byte was fetched once"

        apply_yaml(cluster, service(namespace, "second"))
        eventually(lambda: serves(cluster, namespace, "second"), "a second service runs")
        assert served_checksums(cluster, namespace, "second") == hub.checksums
        assert hub.sent_bytes == hub.total_bytes, "it fetched nothing"

        hub.speed_up()
        old = the_cache(cluster, namespace)["status"]["persistentVolumeClaim"]
        cluster.kubectl("delete", "aimmc", "--all", f"--namespace={namespace}")
        lost = "False/CacheLost"
        eventually(
            lambda: (
                reasons(status_of(cluster, "aimsvc", "chat", namespace)).get("CacheReady") == lost
                or the_cache(cluster, namespace).get("status", {}).get("persistentVolumeClaim", old) != old
            ),
            "who mounts the files says that they are lost",
        )
        eventually(
            lambda: state(cluster, namespace) == "Available" and serves(cluster, namespace),
            "the files are fetched again",
            timeout_seconds=120,
        )
        eventually(
            lambda: f"/{old}" not in cluster.kubectl("get", "pvc", f"--namespace={namespace}", "-o", "name"),
            "the old claim is gone once no Pod mounts it",
            timeout_seconds=120,
        )
        cluster.kubectl("delete", "namespace", namespace, "--wait=true", "--timeout=120s")


def test_killed_at_any_point_a_download_finishes_and_fetches_next_to_nothing_twice(
    cluster: Cluster, tmp_path: Path
) -> None:
    with model_hub(cluster, tmp_path, weights_mib=160) as hub, cluster.namespace() as namespace:
        hub.slow_down(800_000)
        operator = OperatorProcess(cluster)
        apply_yaml(cluster, caching(namespace, hub) + service(namespace, "chat"))

        def sent(share: float) -> None:
            eventually(lambda: hub.sent_bytes > share * hub.total_bytes, f"{share:.0%} is sent", 120)

        sent(0.1)
        operator.kill()
        sent(0.2)
        with running_operator(cluster):
            sent(0.35)
            cluster.crash_containerd()
            sent(0.5)
            downloads = (
                "pods",
                f"--namespace={namespace}",
                "--selector=app.kubernetes.io/name=aim-model-cache",
            )
            cluster.kubectl("delete", *downloads, "--grace-period=0", "--force")
            seen = rising(watched(cluster, namespace))
            assert seen[-1] == 100
            eventually(lambda: serves(cluster, namespace), "the service runs", timeout_seconds=90)
            assert served_checksums(cluster, namespace, "chat") == hub.checksums
            # Only the download itself was killed once: what its open streams had not finished is lost.
            assert hub.sent_bytes <= hub.total_bytes + CONNECTIONS * CHUNK_BYTES
            assert WEIGHTS in hub.checksums


FAILURES = {
    "refused": ({}, "status:code=401,path=/api/*", "AuthenticationFailed"),
    "missing": ({"sourceUri": f"hf://{MODEL}:no-such-branch"}, "", "SourceNotFound"),
    "too-large": ({"sourceUri": f"hf://{LARGE}"}, "", "InsufficientSpace"),
    "homeless": ({"storageClassName": "local-broken"}, "", "ProvisioningFailed"),
}


def test_a_failure_says_why_and_heals_once_its_cause_is_gone(
    full_cluster: Cluster, operator_image: str, tmp_path: Path
) -> None:
    """Each cache has a cause of its own; a token that is refused is mended, and tried again when asked."""
    cluster = full_cluster
    grant_roles(cluster)
    large = tmp_path / LARGE
    large.mkdir(parents=True)
    with (large / "model.safetensors").open("wb") as weights:
        weights.truncate(1100 * MIB)
    with (
        model_hub(cluster, tmp_path, weights_mib=1) as hub,
        cluster.namespace() as namespace,
        running_operator(cluster, f"--namespaces={namespace}", f"--downloader-image={operator_image}"),
    ):
        for name, (spec, fault, reason) in FAILURES.items():
            if fault:
                hub.hub.faults.add(fault)
            apply_yaml(cluster, json.dumps(model_cache(name, namespace, hub, **spec)))

            def told(name: str = name, reason: str = reason) -> bool:
                return (
                    reasons(status_of(cluster, "aimmc", name, namespace)).get("Failure") == f"True/{reason}"
                )

            eventually(told, f"{name}: {reason}", timeout_seconds=90)
            hub.hub.faults.clear()
        message = status_of(cluster, "aimmc", "homeless", namespace)["conditions"][0]["message"]
        assert "failed to provision volume with StorageClass" in message, "the provisioner's own words"
        mended = "aim.silogen.ai/retry=now"
        cluster.kubectl("annotate", "aimmc", "refused", mended, f"--namespace={namespace}")
        eventually(
            lambda: status_of(cluster, "aimmc", "refused", namespace).get("status") == "Available",
            "it is fetched once the hub lets it",
        )


def test_a_cache_without_a_size_asks_the_hub_and_leaves_out_what_doubles_the_weights(
    full_cluster: Cluster, operator_image: str, tmp_path: Path
) -> None:
    """A real listing Pod; and one whose hub nobody reaches, until HF_ENDPOINT names one that is there."""
    cluster = full_cluster
    grant_roles(cluster)
    with (
        model_hub(cluster, tmp_path, weights_mib=8) as hub,
        cluster.namespace() as namespace,
        running_operator(cluster, f"--namespaces={namespace}", f"--downloader-image={operator_image}"),
    ):
        (tmp_path / MODEL / "original").mkdir()
        (tmp_path / MODEL / "original" / "consolidated.00.pth").write_bytes(bytes(3 * MIB))
        apply_yaml(cluster, json.dumps(model_cache("listed", namespace, hub, size=None)))
        nowhere = [{"name": "HF_ENDPOINT", "value": "http://127.0.0.1:9"}, *IMPATIENT]
        apply_yaml(cluster, json.dumps(model_cache("isolated", namespace, hub, size=None, env=nowhere)))

        def status(name: str) -> dict[str, Any]:
            return status_of(cluster, "aimmc", name, namespace)

        eventually(lambda: status("listed").get("status") == "Available", "it is fetched", 120)
        listed = status("listed")
        assert (listed["files"], listed["progress"]["totalBytes"]) == (3, hub.total_bytes)
        assert listed["listing"]["totalBytes"] == hub.total_bytes
        assert listed["leftOut"] == [{"pattern": "original/*", "files": 1, "totalBytes": 3 * MIB}]
        assert hub.sent_bytes == hub.total_bytes, "the listing fetched nothing, the download no more than it"

        eventually(
            lambda: reasons(status("isolated")).get("Failure") == "True/ListingFailed",
            "a hub that can't be reached is told",
            timeout_seconds=120,
        )
        assert "can't reach 127.0.0.1" in status("isolated")["listing"]["message"]
        claims = cluster.kubectl("get", "pvc", f"--namespace={namespace}", "-o", "name").split()
        assert len(claims) == 1, "there is no claim before its size is known"
        mended = json.dumps(model_cache("isolated", namespace, hub, size=None, include=["*.json"]))
        cluster.kubectl("delete", "aimmc", "isolated", f"--namespace={namespace}")
        apply_yaml(cluster, mended)
        eventually(lambda: status("isolated").get("status") == "Available", "a part of it is fetched", 120)
        assert status("isolated")["files"] == 2
        left = cluster.kubectl("get", "jobs", f"--namespace={namespace}", "-o", "name").split()
        assert not [job for job in left if "/list-" in job], "what was found is in the status"


def test_a_volume_of_root_that_takes_no_fsgroup_says_what_to_set_and_works_once_it_is(
    full_cluster: Cluster, operator_image: str, tmp_path: Path
) -> None:
    cluster = full_cluster
    grant_roles(cluster)
    with (
        model_hub(cluster, tmp_path, weights_mib=1) as hub,
        cluster.namespace() as namespace,
        running_operator(cluster, f"--namespaces={namespace}", f"--downloader-image={operator_image}"),
    ):
        apply_yaml(cluster, json.dumps(model_cache("export", namespace, hub, storageClassName="local-root")))

        def message() -> str:
            conditions = status_of(cluster, "aimmc", "export", namespace).get("conditions", [])
            return next((str(c["message"]) for c in conditions if c["type"] == "Ready"), "")

        eventually(lambda: "jobs.securityContext" in message(), "it says what to set", timeout_seconds=90)
        assert "that uid 65532 may write to" in message()
        as_root = {
            "apiVersion": "aim.silogen.ai/v1alpha1",
            "kind": "AIMRuntimeConfig",
            "metadata": {"name": "default", "namespace": namespace},
            "spec": {"jobs": {"securityContext": {"runAsUser": 0}}},
        }
        apply_yaml(cluster, json.dumps(as_root))
        eventually(
            lambda: status_of(cluster, "aimmc", "export", namespace).get("status") == "Available",
            "root writes to its own export",
            timeout_seconds=90,
        )

        # The files are on a claim now: another cache takes them as they are, from a folder nobody writes to.
        claim = status_of(cluster, "aimmc", "export", namespace)["persistentVolumeClaim"]
        existing = model_cache("as-it-is", namespace, hub, size=None, existingClaim={"name": claim})
        apply_yaml(cluster, json.dumps(existing))
        sent = hub.sent_bytes
        eventually(
            lambda: status_of(cluster, "aimmc", "as-it-is", namespace).get("status") == "Available",
            "a claim that exists is checked",
            timeout_seconds=90,
        )
        assert hub.sent_bytes == sent, "and nothing is fetched"
        cluster.kubectl("delete", "aimmc", "as-it-is", f"--namespace={namespace}")
        assert claim in cluster.kubectl("get", "pvc", f"--namespace={namespace}", "-o", "name")


def test_a_budget_holds_back_the_second_model_and_lets_it_go_when_the_first_is_removed(
    full_cluster: Cluster, operator_image: str, tmp_path: Path
) -> None:
    """And then that one grows, once there is room for it."""
    cluster = full_cluster
    grant_roles(cluster)
    with (
        model_hub(cluster, tmp_path, weights_mib=8) as hub,
        cluster.namespace() as namespace,
        running_operator(cluster, f"--namespaces={namespace}", f"--downloader-image={operator_image}"),
    ):

        def ready(name: str) -> tuple[str, str]:
            told = status_of(cluster, "aimmc", name, namespace).get("conditions", [])
            found = next((c for c in told if c["type"] == "Ready"), {"reason": "", "message": ""})
            return found["reason"], found["message"]

        def budget(amount: str) -> str:
            return json.dumps(
                {
                    "apiVersion": "aim.silogen.ai/v1alpha1",
                    "kind": "AIMRuntimeConfig",
                    "metadata": {"name": "default", "namespace": namespace},
                    "spec": {"defaultStorageClassName": "local", "storage": {"budget": amount}},
                }
            )

        apply_yaml(cluster, budget("1Gi"))
        apply_yaml(cluster, json.dumps(model_cache("first", namespace, hub)))
        eventually(lambda: ready("first")[0] == "Downloaded", "the first model is there", timeout_seconds=90)
        apply_yaml(cluster, json.dumps(model_cache("second", namespace, hub)))
        eventually(lambda: ready("second")[0] == "AwaitingStorageBudget", "the second one waits")
        assert "1 claim has 1Gi of it" in ready("second")[1]
        claims = cluster.kubectl("get", "pvc", f"--namespace={namespace}", "-o", "name").split()
        assert len(claims) == 1
        cluster.kubectl("delete", "aimmc", "first", f"--namespace={namespace}")
        eventually(lambda: ready("second")[0] == "Downloaded", "the second one goes", timeout_seconds=90)

        apply_yaml(cluster, json.dumps(model_cache("second", namespace, hub, size="2Gi")))

        def claim() -> dict[str, Any]:
            items = json.loads(cluster.kubectl("get", "pvc", f"--namespace={namespace}", "-o", "json"))[
                "items"
            ]
            found: dict[str, Any] = items[0]
            return found

        def storage() -> str:
            told = status_of(cluster, "aimmc", "second", namespace).get("conditions", [])
            return next((c["reason"] for c in told if c["type"] == "StorageReady"), "")

        eventually(lambda: storage() == "ExceedsStorageBudget", "there is no room to grow")
        apply_yaml(cluster, budget("4Gi"))
        eventually(lambda: claim()["status"]["capacity"]["storage"] == "3Gi", "the claim has grown")
        eventually(lambda: storage() == "StorageReady", "and the cache says so")
        assert ready("second")[0] == "Downloaded", "the files were there all the while"


IMPATIENT = [{"name": "AIM_ATTEMPTS", "value": "2"}]


def model_cache(name: str, namespace: str, hub: ModelHub, **spec: Any) -> dict[str, Any]:
    """A cache made by hand, of the hub's model unless told otherwise; `size` None is one without."""
    fields = {
        "sourceUri": f"hf://{MODEL}",
        "size": "900Mi",
        "shared": True,
        "env": [{"name": "HF_ENDPOINT", "value": hub.hub.url}],
        **spec,
    }
    return {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMModelCache",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {field: value for field, value in fields.items() if value is not None},
    }
