"""Metrics over TLS, for whom a real API server lets read them; and a flood of those whom it does not."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from aim_operator.api.meta import Manifest
from hack.cluster.cluster import Cluster
from tests.support.cluster import StartCluster, aim_crds
from tests.support.operator_process import (
    OPERATOR_NAMESPACE,
    OperatorProcess,
    eventually,
    grant_roles,
    running_operator,
)
from tests.support.permissions import rules_of

pytestmark = pytest.mark.needs_control_plane
RBAC = "rbac.authorization.k8s.io"


def grant(cluster: Cluster, name: str, rules: list[dict[str, list[str]]], subject: Manifest) -> None:
    for kind, more in (
        ("ClusterRole", {"rules": rules}),
        (
            "ClusterRoleBinding",
            {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}, "subjects": [subject]},
        ),
    ):
        cluster.api.apply({"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, **more})


def token_of(cluster: Cluster, account: str) -> str:
    """Return a token of a service account that is made for it."""
    cluster.kubectl("create", "serviceaccount", account, "-n", OPERATOR_NAMESPACE)
    return cluster.kubectl("create", "token", account, "-n", OPERATOR_NAMESPACE).strip()


def port_of(operator: OperatorProcess, path: str) -> int:
    """Return the port that the operator says it listens on."""
    for line in operator.log.read_text().splitlines():
        entry = json.loads(line)
        if entry.get("message") == "listening" and path in entry["paths"].split():
            return int(re.findall(r"\d+$", entry["address"])[0])
    raise AssertionError(f"nobody listens for {path}")


def scrape(port: int, trust: ssl.SSLContext, token: str | None) -> tuple[int, str]:
    connection = http.client.HTTPSConnection("localhost", port, context=trust, timeout=30)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        connection.request("GET", "/metrics", headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def probe(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def test_metrics_are_for_whom_the_api_server_lets_read_them_also_during_a_flood(
    own_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = own_cluster(crds=aim_crds())
    grant_roles(cluster)
    grant(cluster, "scraping", rules_of("scraping"), cluster.operator_subject)
    reader = {"kind": "ServiceAccount", "name": "prometheus", "namespace": OPERATOR_NAMESPACE}
    grant(cluster, "metrics-reader", [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}], reader)
    allowed, stranger = token_of(cluster, "prometheus"), token_of(cluster, "stranger")

    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    made = authority.issue_cert("localhost")
    made.private_key_pem.write_to_path(tmp_path / "tls.key")
    for number, blob in enumerate(made.cert_chain_pems):
        blob.write_to_path(tmp_path / "tls.crt", append=number > 0)

    flags = (
        "--metrics-address=localhost:0",
        "--probe-address=127.0.0.1:0",
        f"--metrics-tls-cert={tmp_path / 'tls.crt'}",
        f"--metrics-tls-key={tmp_path / 'tls.key'}",
        "--metrics-authorization",
    )
    with running_operator(cluster, *flags) as operator:
        eventually(operator.synced, "the operator is at work")
        port, probes = port_of(operator, "/metrics"), port_of(operator, "/healthz")
        assert scrape(port, trust, None)[0] == 401
        assert scrape(port, trust, "made-up")[0] == 401
        assert scrape(port, trust, stranger)[0] == 403
        status, text = scrape(port, trust, allowed)
        assert status == 200
        assert "aim_reconcile" in text
        held = [socket.create_connection(("127.0.0.1", each)) for each in (port, probes) for _ in range(100)]
        try:
            assert probe(probes, "/healthz") == 200
            assert probe(probes, "/readyz") == 200
            assert scrape(port, trust, allowed)[0] == 200
        finally:
            for each in held:
                each.close()
        assert allowed not in operator.log.read_text()
