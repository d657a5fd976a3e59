"""A cluster that was not started here: the one that AIM_TEST_KUBECONFIG names.

Never plain KUBECONFIG: nobody shall test on production by accident. Nothing is started or stopped; which
parts it has is asked of it.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hack.cluster import operator_image
from hack.cluster.api import Api, Manifest, condition
from hack.cluster.build import ensure
from hack.cluster.cluster import Cluster
from hack.cluster.components import CONTROL_PLANE
from hack.cluster.errors import ClusterError, Missing
from hack.cluster.instance import ADMIN, OPERATOR, SECOND_PART, Instance
from hack.cluster.progress import Progress

VARIABLE = "AIM_TEST_KUBECONFIG"
GATEWAY_VARIABLE = "AIM_TEST_GATEWAY_URL"
AUDIT_VARIABLE = "AIM_TEST_AUDIT_LOG"
IMAGE_VARIABLE = "AIM_TEST_OPERATOR_IMAGE"
ACCOUNT, ACCOUNT_NAMESPACE = "aim-test-operator", "default"
TOKEN_SECONDS = 24 * 3600
SERVED_BY_PART = {
    "kserve": "/apis/serving.kserve.io/v1beta1",
    "gateway": "/apis/gateway.networking.k8s.io/v1/namespaces/gateways/gateways/inference-gateway",
}


class ExternalCluster(Cluster):
    """Somebody else's cluster, behind the same methods as our own."""

    def __init__(self, kubeconfig: Path) -> None:
        ensure(CONTROL_PLANE, Progress(None))  # for its kubectl
        instance = Instance(Path(tempfile.mkdtemp(prefix="aim-external-")))
        atexit.register(shutil.rmtree, instance.directory, ignore_errors=True)
        instance.kubeconfig.write_text(kubeconfig.read_text())
        self._instance = instance
        entry = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
        self._cluster: dict[str, Any] = entry["clusters"][0]["cluster"]
        self.api = _api(self._cluster, entry["users"][0]["user"])
        instance.parts = [
            part for part in ("control-plane", "node", SECOND_PART, "kserve", "gateway") if self._has(part)
        ]
        instance.gateway_url = os.environ.get(GATEWAY_VARIABLE, "")
        instance.tokens = {ADMIN: "", OPERATOR: self._mint_operator()}
        self._write_operator_kubeconfig()

    @property
    def server(self) -> str:
        return str(self._cluster["server"])

    @property
    def operator_subject(self) -> Manifest:
        return {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": ACCOUNT_NAMESPACE}

    @property
    def operator_image(self) -> str:
        return os.environ.get(IMAGE_VARIABLE, "")

    @property
    def audit_log(self) -> Path:
        return Path(os.environ.get(AUDIT_VARIABLE, ""))

    def missing(self, part: str) -> Missing | None:
        """Why a test that needs the part cannot run; "audit" counts as a part."""
        if part == "audit":
            if self.audit_log.is_file():
                return None
            return Missing(part, "where its audit log is, is not known", f"Set {AUDIT_VARIABLE} to its path.")
        if part == operator_image.PART:
            if self.operator_image:
                return None
            return Missing(
                part,
                "its nodes have no image of this checkout",
                f"Push one, set {IMAGE_VARIABLE} to its name.",
            )
        if part not in self.parts:
            return Missing(
                part, f"the cluster of {VARIABLE} has none", "Install it there, or unset the variable."
            )
        if part == "gateway" and not self.gateway_url:
            return Missing(
                part, "where its gateway answers is not known", f"Set {GATEWAY_VARIABLE} to its URL."
            )
        return None

    def add(self, *parts: str, progress: Progress | None = None) -> None:  # noqa: ARG002
        if parts == (operator_image.PART,) and self.operator_image:
            return
        raise ClusterError(f"nothing is added to the cluster of {VARIABLE}: {', '.join(parts)}")

    def stop(self, *, keep_logs: bool = False) -> None:
        """Leaves it as it is."""

    def _has(self, part: str) -> bool:
        if part == "control-plane":
            return self.api.ready()
        if part in ("node", SECOND_PART):
            nodes = self.api.request("GET", "/api/v1/nodes")["items"]
            ready = sum(condition(node, "Ready") == "True" for node in nodes)
            return ready > (part == SECOND_PART)
        return self.api.get(SERVED_BY_PART[part]) is not None

    def _mint_operator(self) -> str:
        account = {"name": ACCOUNT, "namespace": ACCOUNT_NAMESPACE}
        self.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        path = f"/api/v1/namespaces/{ACCOUNT_NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        answer = self.api.request("POST", path, {"spec": {"expirationSeconds": TOKEN_SECONDS}})
        return str(answer["status"]["token"])

    def _write_operator_kubeconfig(self) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "aim", "cluster": self._cluster}],
            "users": [{"name": OPERATOR, "user": {"token": self.operator_token}}],
            "contexts": [{"name": "aim", "context": {"cluster": "aim", "user": OPERATOR}}],
            "current-context": "aim",
        }
        self.operator_kubeconfig.write_text(json.dumps(config))


@cache
def external_cluster() -> ExternalCluster | None:
    """The cluster of AIM_TEST_KUBECONFIG, if it is set."""
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    if not Path(path).is_file():
        raise ClusterError(f"{VARIABLE} names no file: {path}", "Set it to a kubeconfig, or unset it.")
    return ExternalCluster(Path(path))


def _api(cluster: dict[str, Any], user: dict[str, Any]) -> Api:
    authority = base64.b64decode(cluster.get("certificate-authority-data", "")).decode()
    api = Api(cluster["server"], user.get("token", ""), authority)
    if "client-certificate-data" in user:
        api.use_client_certificate(
            base64.b64decode(user["client-certificate-data"]), base64.b64decode(user["client-key-data"])
        )
    elif "token" not in user:
        raise ClusterError(
            f"the user of {VARIABLE} has neither a token nor a client certificate",
            "Make a kubeconfig with one of the two, for example with `kubectl create token`.",
        )
    return api
