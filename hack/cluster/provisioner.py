"""A volume provisioner: claims of our storage classes get a directory of this machine, any access mode.

`python -m hack.cluster.provisioner DIR` compares claims and volumes twice a second; level-triggered, so it
may be killed and started at any time. It says what it does in events of the claim, as real ones do.
"""

from __future__ import annotations

import shutil
import sys
import time
import urllib.error
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hack.cluster.api import Api, Manifest
from hack.cluster.errors import ClusterError
from hack.cluster.instance import Instance

PROVISIONER = "aim.silogen.ai/local-directory"
POLL_SECONDS = 0.5
WAIT = "WaitForFirstConsumer"
SELECTED_NODE = "volume.kubernetes.io/selected-node"


def _storage_class(name: str, binding: str = "Immediate", **parameters: str) -> Manifest:
    is_default = "true" if name == "local" else "false"
    annotations = {"storageclass.kubernetes.io/is-default-class": is_default}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": binding,
        "allowVolumeExpansion": name != "local-root",
        "parameters": parameters,
    }


STORAGE_CLASSES = (
    _storage_class("local"),
    _storage_class("local-wait", WAIT),
    # As NFS exports are: root:root, and nobody changes the group for a Pod.
    _storage_class("local-root", mode="0755"),
    # For tests of failure: the reason is shown by the claim's events only.
    _storage_class("local-broken", failWith="no space left in the storage pool"),
)


class Provisioner:
    """Makes and removes the volumes of one instance."""

    def __init__(self, api: Api, root: Path) -> None:
        self._api = api
        self._root = root
        self._failed: set[str] = set()  # uids of claims whose failure was reported

    def step(self) -> None:
        """Provisions every waiting claim, enlarges those that grew and removes every released volume."""
        claims = self._api.request("GET", "/api/v1/persistentvolumeclaims")["items"]
        waiting = [claim for claim in claims if claim.get("status", {}).get("phase") == "Pending"]
        classes = self._classes() if waiting else {}
        for claim in waiting:
            storage_class = classes.get(claim["spec"].get("storageClassName", ""))
            if storage_class is not None and wants_volume(claim, storage_class):
                self._provision(claim, storage_class)
        volumes = self._api.request("GET", "/api/v1/persistentvolumes")["items"]
        for claim in claims:
            if wants_more(claim, volumes):
                self._enlarge(claim)
        for volume in volumes:
            if is_ours_and_released(volume):
                self._remove(volume)

    def _classes(self) -> dict[str, Manifest]:
        answer = self._api.request("GET", "/apis/storage.k8s.io/v1/storageclasses")
        return {entry["metadata"]["name"]: entry for entry in answer["items"]}

    def _provision(self, claim: Manifest, storage_class: Manifest) -> None:
        reason = (storage_class.get("parameters") or {}).get("failWith")
        if reason:
            if claim["metadata"]["uid"] not in self._failed:
                self._failed.add(claim["metadata"]["uid"])
                name = storage_class["metadata"]["name"]
                message = f'failed to provision volume with StorageClass "{name}": {reason}'
                self._event(claim, "Warning", "ProvisioningFailed", message)
            return
        volume = volume_for(claim, self._root)
        if storage_class.get("volumeBindingMode") == WAIT:
            # As a disk of that node has it: no Pod of another node can mount it.
            volume["spec"]["nodeAffinity"] = {"required": on_node(claim["metadata"]["annotations"])}
        path = Path(volume["spec"]["hostPath"]["path"])
        path.mkdir(parents=True, exist_ok=True)
        # hostPath knows no fsGroup, and Pods run as any uid.
        path.chmod(int((storage_class.get("parameters") or {}).get("mode", "0777"), 8))
        self._api.apply(volume)
        name = volume["metadata"]["name"]
        self._event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    def _enlarge(self, claim: Manifest) -> None:
        """As the resizer of a driver does: the volume first, then what the claim says of it."""
        metadata, capacity = claim["metadata"], claim["spec"]["resources"]["requests"]
        patch = "application/merge-patch+json"
        volume = f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}"
        self._api.request("PATCH", volume, {"spec": {"capacity": capacity}}, patch)
        status = (
            f"/api/v1/namespaces/{metadata['namespace']}/persistentvolumeclaims/{metadata['name']}/status"
        )
        self._api.request("PATCH", status, {"status": {"capacity": capacity}}, patch)

    def _remove(self, volume: Manifest) -> None:
        path = Path(volume["spec"]["hostPath"]["path"])
        if path.parent == self._root:
            shutil.rmtree(path, ignore_errors=True)
        self._api.delete(f"/api/v1/persistentvolumes/{volume['metadata']['name']}")

    def _event(self, claim: Manifest, kind: str, reason: str, message: str) -> None:
        metadata = claim["metadata"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name'][:200]}.", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": PROVISIONER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self._api.request("POST", f"/api/v1/namespaces/{metadata['namespace']}/events", event)
        except urllib.error.HTTPError as error:
            print(
                f"no event for {metadata['namespace']}/{metadata['name']}: {error}"
            )  # its namespace may be going


def wants_volume(claim: Manifest, storage_class: Manifest) -> bool:
    """Whether a claim waits for us: not yet bound, and its consumer known if its class asks for that."""
    if storage_class["provisioner"] != PROVISIONER or claim["metadata"].get("deletionTimestamp"):
        return False
    if claim["spec"].get("volumeName"):
        return False
    annotations = claim["metadata"].get("annotations") or {}
    return storage_class.get("volumeBindingMode") != WAIT or SELECTED_NODE in annotations


def on_node(annotations: Mapping[str, str]) -> Manifest:
    """The node that the scheduler has chosen for the claim's first Pod."""
    host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [annotations[SELECTED_NODE]]}
    return {"nodeSelectorTerms": [{"matchExpressions": [host]}]}


def wants_more(claim: Manifest, volumes: Iterable[Manifest]) -> bool:
    """Whether a bound claim of ours asks for another size than it has; the API server lets none shrink."""
    if claim.get("status", {}).get("phase") != "Bound":
        return False
    annotations = [
        volume["metadata"].get("annotations") or {}
        for volume in volumes
        if volume["metadata"]["name"] == claim["spec"]["volumeName"]
    ]
    ours = any(each.get("pv.kubernetes.io/provisioned-by") == PROVISIONER for each in annotations)
    return ours and claim["spec"]["resources"]["requests"] != claim["status"].get("capacity")


def is_ours_and_released(volume: Manifest) -> bool:
    annotations = volume["metadata"].get("annotations") or {}
    ours = annotations.get("pv.kubernetes.io/provisioned-by") == PROVISIONER
    spec, phase = volume["spec"], volume.get("status", {}).get("phase")
    return bool(ours and phase == "Released" and spec["persistentVolumeReclaimPolicy"] == "Delete")


def volume_for(claim: Manifest, root: Path) -> dict[str, Any]:
    """The volume of a claim, already pointing at it, so that no other claim can take it."""
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{metadata['uid']}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": str(root / name), "type": "Directory"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{key: metadata[key] for key in ("name", "namespace", "uid")},
            },
        },
    }


def main() -> None:
    instance = Instance.load(Path(sys.argv[1]))
    if instance is None:
        sys.exit(f"no cluster in {sys.argv[1]}")
    provisioner = Provisioner(instance.api(), instance.directory / "volumes")
    while True:
        try:
            provisioner.step()
        except (OSError, ClusterError) as error:
            print(f"will try again: {error}", flush=True)
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
