"""A control plane of one test module's own, with two replicas of the operator behind proxies, to be broken.

Node, KServe and gateway are stand-ins. Each replica is a service account of its own, whose token is a file
that a test replaces; the audit log tells who asked for what. Tests wait for what the API server shows.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from aim_operator.app import LEASE_NAME
from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from hack.cluster.errors import ClusterError
from tests.support.api_proxy import ApiProxy
from tests.support.catalog_yaml import catalog
from tests.support.etcd import Etcd
from tests.support.operator_process import (
    OPERATOR_NAMESPACE,
    OperatorProcess,
    apply_yaml,
    eventually,
    grant_roles,
)
from tests.support.spec_cluster import start_stand_ins

NAMESPACE = "models"
SERVICES_VARIABLE = "AIM_FAULTS_SERVICES"
SERVICES = int(os.environ.get(SERVICES_VARIABLE, "24"))
SECONDS = 120.0 + SERVICES / 5
"""The longest that anything may take: long, for machines that are busy with other tests."""
VARIABLE = "FAULT"
"""What edits set in a service's environment, and its InferenceService has when it has followed."""
OURS = f"/apis/aim.silogen.ai/v1alpha1/namespaces/{NAMESPACE}/aimservices"
THEIRS = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"
ROUTES = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases/{LEASE_NAME}"
MERGE = "application/merge-patch+json"
_BESIDE = {"leases", "events", "subjectaccessreviews"}
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/operator-everywhere"
Rule = dict[str, list[str]]


class Replica:
    """One process of the operator, with its proxy, its account and its token."""

    def __init__(self, cluster: Cluster, name: str, directory: Path) -> None:
        self._cluster, self.name = cluster, name
        self.user = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{name}"
        self._directory = directory
        self._token = directory / f"{name}.token"
        self._secrets = 0
        self.proxy = ApiProxy(int(cluster.server.rpartition(":")[2]), cluster.certificates)
        self.process: OperatorProcess

    @property
    def subject(self) -> Manifest:
        return {"kind": "ServiceAccount", "name": self.name, "namespace": OPERATOR_NAMESPACE}

    @property
    def log(self) -> str:
        return self.process.log.read_text()

    def start(self) -> None:
        self.rotate()
        config = json.loads(self._cluster.operator_kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = self.proxy.url
        config["users"][0]["user"] = {"tokenFile": str(self._token)}
        kubeconfig = self._directory / f"{self.name}.kubeconfig"
        kubeconfig.write_text(json.dumps(config))
        flags = ("--leader-elect", "--probe-address=127.0.0.1:0")
        self.process = OperatorProcess(self._cluster, *flags, kubeconfig=kubeconfig)

    def kill(self) -> None:
        """SIGKILL, as the kernel does to one that takes too much memory."""
        self.process.kill()

    def rotate(self) -> None:
        """Put a new token into the file, as the kubelet does long before the old one ends."""
        self._secrets += 1
        api, secret = self._cluster.api, f"{self.name}-{self._secrets}"
        where = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}"
        api.request("POST", f"{where}/secrets", {"metadata": {"name": secret}})
        bound = {"apiVersion": "v1", "kind": "Secret", "name": secret}
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600, "boundObjectRef": bound},
        }
        answer = api.request("POST", f"{where}/serviceaccounts/{self.name}/token", asked)
        fresh = self._token.with_suffix(".new")
        fresh.write_text(answer["status"]["token"])
        fresh.replace(self._token)

    def expire_tokens(self, *, but_the_last: bool = False) -> None:
        """Have the API server reject the tokens given so far, within the ten seconds that it remembers them.

        A token ends with the Secret that it is bound to, as it does with its time, which is an hour at least.
        """
        last = self._secrets - but_the_last
        for number in range(1, last + 1):
            self._cluster.api.delete(f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/secrets/{self.name}-{number}")

    def alive(self) -> bool:
        """Whether a kubelet would leave it running."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.endswith("}")]
        ports = [line["address"].rpartition(":")[2] for line in lines if line["message"] == "listening"]
        if not ports:
            return False
        [port] = ports
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
            return bool(answer.status == 200)


class Since:
    """What the replicas asked the API server for from a moment on."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._offset = site.cluster.audit_log.stat().st_size

    def _entries(self, *replicas: Replica) -> Iterator[dict[str, Any]]:
        users = {replica.user for replica in replicas or self._site.replicas}
        with self._site.cluster.audit_log.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                entry = json.loads(line)
                if entry["user"].get("username") in users:
                    yield entry

    def writes(self, *replicas: Replica) -> list[tuple[str, str, int]]:
        """(resource, name, HTTP code) of each write but the Lease's and of Events."""
        return [
            (entry["objectRef"]["resource"], entry["objectRef"].get("name", ""), _code(entry))
            for entry in self._entries(*replicas)
            if entry["verb"] not in ("get", "list", "watch")
            and entry["stage"] == "ResponseComplete"
            and entry["objectRef"]["resource"] not in _BESIDE
        ]

    def repeated(self, edits: Counter[str]) -> list[tuple[str, int]]:
        """InferenceServices that were written more often than their service was edited, and how often."""
        carried_out = Counter(
            name for resource, name, code in self.writes() if resource == "inferenceservices" and code < 300
        )
        return [(name, count) for name, count in carried_out.items() if count > edits[name]]

    def written(self, *replicas: Replica) -> set[str]:
        """The names of the objects that were written."""
        return {name for _, name, code in self.writes(*replicas) if code < 300}

    def looked_at_the_lease(self, replica: Replica) -> bool:
        """Whether the API server gave or took the Lease: the replica's token is accepted."""
        return any(
            entry["objectRef"]["resource"] == "leases" and _code(entry) == 200
            for entry in self._entries(replica)
            if "objectRef" in entry
        )

    def lists(self) -> Counter[tuple[str, str]]:
        """How often each replica read all of a collection, by its path and selectors."""
        asked: dict[str, tuple[str, str]] = {}
        for entry in self._entries():
            path, _, query = entry["requestURI"].partition("?")
            # Of one object only when a replica starts: whether it may read the kind at all.
            parts = query.split("&")
            first_page = entry["verb"] == "list" and "continue=" not in query and "limit=1" not in parts
            # Of a watch, when it began: its end is in the log as well.
            streamed = "sendInitialEvents=true" in query and entry["stage"] == "ResponseStarted"
            if (first_page or streamed) and _code(entry) == 200:
                chosen = "&".join(sorted(part for part in parts if "Selector=" in part))
                asked[entry["auditID"]] = (entry["user"]["username"], f"{path}?{chosen}")
        return Counter(asked.values())


def _code(entry: dict[str, Any]) -> int:
    return int((entry.get("responseStatus") or {}).get("code", 0))


class Site:
    """Started once, broken by each test, and put right by it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.api = cluster, cluster.api
        self.etcd = Etcd(cluster.etcd_url)
        self.names = [f"s{number:04}" for number in range(SERVICES)]
        self._edits = 0
        self.edits: Counter[str] = Counter()
        """How often each service was edited, also where the API server may not have taken it."""
        self._stack = ExitStack()
        directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="aim-faults-")))
        self.replicas = [Replica(cluster, name, directory) for name in ("one", "two")]

    def start(self) -> None:
        grant_roles(self.cluster, *(replica.subject for replica in self.replicas))
        # As one that was given back: of one that is not there nobody knows who had it.
        given_back = {"holderIdentity": "", "leaseDurationSeconds": 1}
        lease = {"metadata": {"name": LEASE_NAME}, "spec": given_back}
        self.api.request("POST", LEASE.rpartition("/")[0], lease)
        start_stand_ins(self.cluster)
        where = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}"
        for replica in self.replicas:
            self.api.request("POST", f"{where}/serviceaccounts", {"metadata": {"name": replica.name}})
            self._stack.enter_context(replica.proxy)
            replica.start()
            self._stack.callback(replica.kill)
        self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        apply_yaml(self.cluster, catalog(NAMESPACE))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._create, self.names))
        self.settled()

    def stop(self) -> None:
        self._stack.close()

    def _create(self, name: str) -> None:
        manifest = {
            "apiVersion": "aim.silogen.ai/v1alpha1",
            "kind": "AIMService",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"model": "model", "env": [{"name": VARIABLE, "value": ""}]},
        }
        self.api.request("POST", OURS, manifest)

    # Edits

    def edit(self, *names: str) -> None:
        """Change what the model servers of these services are given. Raises where the API server is away."""
        for name in names:
            self._edits += 1
            self.edits[name] += 1
            value = str(self._edits)
            spec = {"env": [{"name": VARIABLE, "value": value}]}
            self.api.request("PATCH", f"{OURS}/{name}", {"spec": spec}, MERGE, timeout_seconds=10)

    @contextmanager
    def load(self, *names: str) -> Iterator[None]:
        """Edit these all the while, also when the API server takes nothing."""
        ended = threading.Event()

        def work() -> None:
            while not ended.wait(0.05):
                for name in names:
                    try:
                        self.edit(name)
                    except OSError:
                        ended.wait(0.2)

        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(work)
            try:
                yield
            finally:
                ended.set()
            working.result()

    # Waiting

    def settled(self, what: str = "every service runs as it was last edited") -> None:
        """Wait until each InferenceService is as wanted, KServe has seen it, and the status says so."""
        try:
            eventually(lambda: not self.unsettled(), what, SECONDS)
        except AssertionError as error:
            left = self.unsettled()[:3]
            raise AssertionError(f"{error}; not so: {[(n, self.status(n)) for n in left]}") from error

    def unsettled(self) -> list[str]:
        """The services that have not followed yet; all while the API server is away."""
        try:
            services = {each["metadata"]["name"]: each for each in self._all(OURS)}
            theirs = {each["metadata"]["name"]: each for each in self._all(THEIRS)}
        except (OSError, ValueError):
            return self.names
        return [
            name
            for name in self.names
            if name not in theirs
            or not _is_told(services[name])
            or theirs[name].get("status", {}).get("observedGeneration")
            != theirs[name]["metadata"]["generation"]
            or _variable(theirs[name]) != services[name]["spec"]["env"][0]["value"]
        ]

    def follows(self, name: str) -> None:
        """Wait until one more edit of a service under load has reached its InferenceService."""
        seen: set[int] = set()

        def followed() -> bool:
            try:
                seen.add(int(_variable(self.api.request("GET", f"{THEIRS}/{name}")) or 0))
            except OSError:
                return False
            return max(seen) > min(seen)

        eventually(followed, f"another edit of {name} is carried out", SECONDS)

    def says(self, name: str, words: str) -> None:
        """Wait until a condition of the service has these words in its message."""
        eventually(lambda: any(words in m for m in self.messages(name)), f"{name} says: {words}", SECONDS)

    def messages(self, name: str) -> list[str]:
        status = self.status(name)
        return [c["message"] for c in status.get("conditions", [])]

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.api.request("GET", f"{OURS}/{name}").get("status", {})
        return status

    def models(self) -> dict[str, tuple[str, str]]:
        """uid and resourceVersion of each InferenceService: what changes when somebody writes it."""
        found = (isvc["metadata"] for isvc in self._all(THEIRS))
        return {each["name"]: (each["uid"], each["resourceVersion"]) for each in found}

    def _all(self, path: str) -> list[Manifest]:
        items: list[Manifest] = self.api.request("GET", path)["items"]
        return items

    # Who leads

    def leadership(self) -> tuple[Replica, datetime] | None:
        """The replica that holds the Lease, and since when; None while none of the two does."""
        lease = self.api.get(LEASE)
        if lease is None:
            return None
        holder = lease["spec"].get("holderIdentity") or ""
        for replica in self.replicas:
            if holder and f'"identity": "{holder}"' in replica.log:
                return replica, datetime.fromisoformat(lease["spec"]["acquireTime"])
        return None

    def leader(self) -> Replica:
        found: list[Replica] = []

        def known() -> bool:
            leadership = self.leadership()
            found[:] = [leadership[0]] if leadership else []
            return bool(found)

        eventually(known, "a replica leads", SECONDS)
        return found[0]

    def leading_since(self) -> datetime:
        leadership = self.leadership()
        assert leadership is not None
        return leadership[1]

    def renewed_since(self, moment: datetime) -> float:
        """Wait until a replica that has the Lease renewed it after a moment; how many seconds after."""
        renewed: list[datetime] = []

        def known() -> bool:
            if self.leadership() is not None:
                lease = self.api.request("GET", LEASE)
                renewed[:] = [datetime.fromisoformat(lease["spec"]["renewTime"])]
            return bool(renewed) and renewed[0] > moment

        eventually(known, "a replica leads", SECONDS)
        return (renewed[0] - moment).total_seconds()

    def leads(self, replica: Replica) -> bool:
        leadership = self.leadership()
        return leadership is not None and leadership[0] is replica

    def all_alive(self) -> bool:
        return all(replica.process.running and replica.alive() for replica in self.replicas)

    # Faults

    def rules(self) -> list[Rule]:
        """What the operator's role allows."""
        rules: list[Rule] = self.api.request("GET", ROLE)["rules"]
        return rules

    def grant(self, rules: list[Rule]) -> None:
        """Have the role allow this and nothing else."""
        self.api.request("PUT", ROLE, self.api.request("GET", ROLE) | {"rules": rules})

    def start_apiserver(self) -> None:
        """Start it until it stays, as a kubelet does: it ends where its etcd is not there in time."""
        for _ in range(5):
            try:
                self.cluster.start_apiserver()
            except ClusterError as error:
                last = error
            else:
                return
        raise last


def _is_told(service: Manifest) -> bool:
    status = service.get("status", {})
    current = status.get("observedGeneration") == service["metadata"]["generation"]
    return bool(current and status.get("status") == "Running")


def _variable(isvc: Manifest) -> str | None:
    env = isvc["spec"]["predictor"]["model"].get("env", [])
    return next((each.get("value", "") for each in env if each["name"] == VARIABLE), None)
