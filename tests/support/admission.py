"""What changes objects at admission on a real API server, said in CEL, for one namespace."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hack.cluster.api import Manifest, object_path
from hack.cluster.cluster import Cluster
from hack.cluster.patience import Patience

GROUP = "admissionregistration.k8s.io/v1beta1"
ACTIVE_SECONDS = 30


def policy(
    name: str,
    namespace: str,
    mutation: str,
    *,
    resources: Sequence[tuple[str, str]],
    operations: Sequence[str] = ("CREATE",),
    where: str = "",
) -> tuple[Manifest, Manifest]:
    """Return a policy and its binding to the namespace.

    `mutation` is CEL: an Object{…} that is laid over, or a list of JSONPatch{…}. `resources` are pairs of
    group and plural; `where` is CEL that must hold.
    """
    laid_over = mutation.lstrip().startswith("Object{")
    patch = ("ApplyConfiguration", "applyConfiguration") if laid_over else ("JSONPatch", "jsonPatch")
    unique = f"{name}-{namespace}"
    spec: Manifest = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [group],
                    "apiVersions": ["*"],
                    "operations": [*operations],
                    "resources": [plural],
                }
                for group, plural in resources
            ]
        },
        "mutations": [{"patchType": patch[0], patch[1]: {"expression": mutation}}],
    }
    if where:
        spec["matchConditions"] = [{"name": "where", "expression": where}]
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {"policyName": unique, "matchResources": {"namespaceSelector": selector}}
    return (
        {
            "apiVersion": GROUP,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": unique},
            "spec": spec,
        },
        {
            "apiVersion": GROUP,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": unique},
            "spec": binding,
        },
    )


@contextmanager
def admission(cluster: Cluster, namespace: str, *policies: tuple[Manifest, Manifest]) -> Iterator[None]:
    """Have the policies at work in the namespace; the API server takes a moment until it knows of them."""
    probe = policy(
        "probe",
        namespace,
        'Object{metadata: Object.metadata{labels: {"probed": "true"}}}',
        resources=[("", "configmaps")],
    )
    manifests = [manifest for each in (*policies, probe) for manifest in each]
    for manifest in manifests:
        cluster.api.apply_when_served(manifest)
    try:
        _wait(cluster, namespace)
        yield
    finally:
        for manifest in reversed(manifests):
            cluster.api.delete(object_path(manifest))


def _wait(cluster: Cluster, namespace: str) -> None:
    """Return once the last of the policies is at work: it is known when those before it are."""
    path = f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}}
    patience = Patience(ACTIVE_SECONDS)
    while "probed" not in (cluster.api.request("POST", path, body)["metadata"].get("labels") or {}):
        assert not patience.ended, "the policies are not at work"
        time.sleep(0.1)
