"""The pure bits of hack.cluster that decide what is sent to the API server."""

from pathlib import Path
from typing import Any

import pytest

from hack.cluster.api import object_path, plural
from hack.cluster.build import without_helm_actions
from hack.cluster.provisioner import PROVISIONER, SELECTED_NODE, volume_for, wants_more, wants_volume


@pytest.mark.parametrize(
    ("kind", "want"),
    [
        ("Gateway", "gateways"),
        ("GatewayClass", "gatewayclasses"),
        ("StorageClass", "storageclasses"),
        ("NetworkPolicy", "networkpolicies"),
        ("InferenceService", "inferenceservices"),
    ],
)
def test_plural(kind: str, want: str) -> None:
    assert plural(kind) == want


@pytest.mark.parametrize(
    ("api_version", "namespace", "want"),
    [
        ("v1", "a", "/api/v1/namespaces/a/services/x"),
        ("serving.kserve.io/v1beta1", "a", "/apis/serving.kserve.io/v1beta1/namespaces/a/services/x"),
        ("apps/v1", None, "/apis/apps/v1/services/x"),
    ],
)
def test_object_path(api_version: str, namespace: str | None, want: str) -> None:
    metadata = {"name": "x"} | ({"namespace": namespace} if namespace else {})
    assert object_path({"apiVersion": api_version, "kind": "Service", "metadata": metadata}) == want


def test_only_whole_lines_of_a_chart_template_are_removed() -> None:
    text = '{{- if $render }}\nname: a\ntemplate: "{{ .Name }}"\n  {{- end -}}\n'
    assert without_helm_actions(text).split() == ["name:", "a", "template:", '"{{', ".Name", '}}"']


def _claim(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "models", "namespace": "team", "uid": "u1"}
    default = {"accessModes": ["ReadWriteMany"], "storageClassName": "local"}
    resources = {"requests": {"storage": "10Gi"}}
    return {
        "metadata": metadata,
        "spec": {**default, "resources": resources, **spec},
        "status": {"phase": "Pending"},
    }


def test_a_volume_is_made_for_its_claim_alone() -> None:
    got = volume_for(_claim(), Path("/volumes"))
    assert got["spec"]["claimRef"]["uid"] == "u1"
    assert got["spec"]["hostPath"]["path"] == "/volumes/pvc-u1"
    assert got["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize(
    ("storage_class", "claim", "want"),
    [
        ({"provisioner": PROVISIONER}, _claim(), True),
        ({"provisioner": "somebody.else/nfs"}, _claim(), False),
        ({"provisioner": PROVISIONER}, _claim(volumeName="pv"), False),
        ({"provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer"}, _claim(), False),
    ],
    ids=["waiting", "another provisioner's", "already has a volume", "its consumer is not there yet"],
)
def test_which_claims_get_a_volume(storage_class: dict[str, Any], claim: dict[str, Any], want: bool) -> None:  # noqa: FBT001
    assert wants_volume(claim, storage_class) is want


def test_a_claim_whose_consumer_is_scheduled_gets_its_volume() -> None:
    claim = _claim()
    claim["metadata"]["annotations"] = {SELECTED_NODE: "node1"}
    storage_class = {"provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer"}
    assert wants_volume(claim, storage_class)


@pytest.mark.parametrize(
    ("phase", "capacity", "provisioner", "want"),
    [
        ("Bound", "5Gi", PROVISIONER, True),
        ("Bound", "10Gi", PROVISIONER, False),
        ("Bound", "5Gi", "somebody.else/nfs", False),
        ("Pending", "5Gi", PROVISIONER, False),
    ],
    ids=["it grew", "as it is", "another provisioner's", "not bound yet"],
)
def test_which_claims_are_enlarged(phase: str, capacity: str, provisioner: str, want: bool) -> None:  # noqa: FBT001
    claim = _claim(volumeName="pv") | {"status": {"phase": phase, "capacity": {"storage": capacity}}}
    annotations = {"pv.kubernetes.io/provisioned-by": provisioner}
    assert wants_more(claim, [{"metadata": {"name": "pv", "annotations": annotations}}]) is want
