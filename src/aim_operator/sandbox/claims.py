"""Stand-in for volume binding: claims are bound, wait for a Pod, or fail, as their storage class says.

Claims that are mounted are protected from deletion, as the API server's admission and controller do. Built by
sandbox.py.
"""

from __future__ import annotations

from functools import partial

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.agenda import Agenda
from aim_operator.sandbox.builtin import claim_size
from aim_operator.sandbox.kinds import KindId
from aim_operator.sandbox.kserve import INFERENCE_SERVICE
from aim_operator.sandbox.refusals import forbidden
from aim_operator.sandbox.scheduler import SELECTED_NODE, STORAGE_CLASS, WAIT
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.stand_in import StandIn
from aim_operator.sandbox.storage import Change, Key, Stored

CLAIM = KindId("", "PersistentVolumeClaim")
PROTECTION = "kubernetes.io/pvc-protection"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_POD = KindId("", "Pod")
_EVENT = KindId("", "Event")
_NODE = KindId("", "Node")


def storage_class(
    name: str = "standard", *, default: bool = True, wait: bool = False, expands: bool = False
) -> Manifest:
    """A class whose claims this stand-in binds: `wait` for their first Pod. `expands` lets them grow."""
    metadata: Manifest = {"name": name}
    if default:
        metadata["annotations"] = {DEFAULT_CLASS: "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": metadata,
        "provisioner": "sandbox",
        "volumeBindingMode": WAIT if wait else "Immediate",
        "allowVolumeExpansion": expands,
    }


class ClaimBinder(StandIn):
    """`failing` says by storage class why its claims can't be provisioned, `stuck` why not enlarged.

    Volumes of classes that are `offline` grow when a Pod mounts them.
    """

    manager = "kube-controller-manager"

    def __init__(self, server: SandboxServer, agenda: Agenda, *, bind_seconds: float = 0.0) -> None:
        super().__init__(server, agenda)
        self.bind_seconds = bind_seconds
        self.failing: dict[str, str] = {}
        self.stuck: dict[str, str] = {}
        self.offline: set[str] = set()
        server.creation[CLAIM] = self._created
        server.admission[CLAIM] = self._admit
        server.storage.listen(self._changed)

    def bind_all(self) -> None:
        """Looks at every claim again, after `failing` was changed."""
        for claim in self.all(CLAIM):
            self._later(claim.key, claim.uid)

    def _changed(self, change: Change) -> None:
        kind = change.new.key.id
        if kind == CLAIM and change.type != "DELETED":
            self._later(change.new.key, change.new.uid)
        elif kind in (_POD, INFERENCE_SERVICE, STORAGE_CLASS):
            self.bind_all()

    def _later(self, key: Key, uid: str) -> None:
        look = partial(self._look, key, uid)
        self.agenda.put(("claim", uid), look, after_seconds=self.bind_seconds)

    def _look(self, key: Key, uid: str) -> None:
        claim = self.live(key, uid)
        if claim is None:
            return
        finalizers = claim.obj["metadata"].get("finalizers") or []
        if claim.obj["metadata"].get("deletionTimestamp"):
            if PROTECTION in finalizers and not self._mounted(claim):
                self._patch(claim, {"metadata": {"finalizers": None}})
            return
        phase = claim.obj.get("status", {}).get("phase")
        if phase == "Pending":
            self._bind(self._with_class(claim))
        elif phase == "Bound":
            self._enlarge(claim)

    def _created(self, claim: Manifest) -> Manifest:
        """The admission plugins DefaultStorageClass and StorageObjectInUseProtection."""
        metadata, spec = claim["metadata"], claim.get("spec") or {}
        metadata["finalizers"] = list(dict.fromkeys([*(metadata.get("finalizers") or ()), PROTECTION]))
        default = self._default_class()
        if spec.get("storageClassName") is None and default:
            claim["spec"] = spec | {"storageClassName": default}
        return claim

    def _default_class(self) -> str:
        """The newest, and of several the first by name, as GetDefaultClass in its volume/util has it."""
        classes = [
            (each.obj["metadata"]["creationTimestamp"], each.key.name)
            for each in self.all(STORAGE_CLASS)
            if (each.obj["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
        ]
        newest = max(classes, default=("", ""))[0]
        return min((name for created, name in classes if created == newest), default="")

    def _admit(self, claim: Manifest, old: Manifest | None) -> None:
        """The admission plugin PersistentVolumeClaimResize."""
        specs = [each["spec"]["resources"] for each in (claim, old or claim)]
        sizes = [claim_size(spec.get("requests") or {}) for spec in specs]
        name = claim["spec"].get("storageClassName", "")
        storage_class = self.server.storage.get(Key(STORAGE_CLASS, "", name))
        if sizes[0] > sizes[1] and not (storage_class and storage_class.obj.get("allowVolumeExpansion")):
            raise forbidden(
                "persistentvolumeclaims",
                claim["metadata"]["name"],
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the "
                "pvc must support resize",
            )

    def _enlarge(self, claim: Stored) -> None:
        """What the resizer of a CSI driver, and the kubelet after it, say and do."""
        requests = claim.obj["spec"]["resources"].get("requests") or {}
        status, name = claim.obj["status"], claim.obj["spec"].get("storageClassName", "")
        if claim_size(requests) <= claim_size(status.get("capacity") or {}):
            return
        if name in self.stuck:
            condition = {"type": "ControllerResizeError", "status": "True", "message": self.stuck[name]}
        elif name in self.offline and not self._mounted(claim):
            condition = {"type": "FileSystemResizePending", "status": "True"}
        else:
            self.set_status(claim, {"phase": "Bound", "capacity": requests, "conditions": None})
            return
        if status.get("conditions") != [condition]:
            self.set_status(claim, {**status, "conditions": [condition]})

    def _with_class(self, claim: Stored) -> Stored:
        """A claim that was made before there was a default class gets it, too."""
        default = self._default_class()
        if claim.obj["spec"].get("storageClassName") is not None or not default:
            return claim
        return self._patch(claim, {"spec": {"storageClassName": default}})

    def _bind(self, claim: Stored) -> None:
        name = claim.obj["spec"].get("storageClassName", "")
        storage_class = self.server.storage.get(Key(STORAGE_CLASS, "", name))
        if storage_class is None:
            return
        if storage_class.obj.get("volumeBindingMode") == WAIT:
            chosen = SELECTED_NODE in (claim.obj["metadata"].get("annotations") or {})
            if not self._mounted(claim) or (self._scheduled(claim) and not chosen):
                return
        if name in self.failing:
            self._tell(claim, self.failing[name])
            return
        claim = self._patch(claim, {"spec": {"volumeName": f"pvc-{claim.uid}"}})
        self.set_status(claim, {"phase": "Bound", "capacity": claim.obj["spec"]["resources"]["requests"]})

    def _scheduled(self, claim: Stored) -> bool:
        """Whether the scheduler chooses where the volume is made: there are nodes, and Pods that mount it."""
        pods = [pod for pod in self.all(_POD) if pod.key.namespace == claim.key.namespace]
        return bool(self.all(_NODE)) and any(claim.key.name in _claims(pod.obj["spec"]) for pod in pods)

    def _mounted(self, claim: Stored) -> bool:
        for stored in (*self.all(_POD), *self.all(INFERENCE_SERVICE)):
            if stored.key.namespace != claim.key.namespace:
                continue
            spec = stored.obj["spec"].get("predictor", stored.obj["spec"])
            ended = stored.obj.get("status", {}).get("phase") in ("Succeeded", "Failed")
            if claim.key.name in _claims(spec) and not ended:
                return True
        return False

    def _tell(self, claim: Stored, message: str) -> None:
        about = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "uid": claim.uid}
        event = {
            "metadata": {"generateName": f"{claim.key.name}."},
            "involvedObject": {**about, "namespace": claim.key.namespace, "name": claim.key.name},
            "type": "Warning",
            "reason": "ProvisioningFailed",
            "message": message,
            "source": {"component": "sandbox"},
            "firstTimestamp": self.now(),
            "lastTimestamp": self.now(),
            "count": 1,
        }
        kind = self.server.kinds.of(_EVENT)
        self.server.create(kind, event, namespace=claim.key.namespace, manager=self.manager)

    def _patch(self, claim: Stored, patch: Manifest) -> Stored:
        kind = self.server.kinds.of(claim.key.id)
        return self.server.patch(
            kind, claim.key.name, patch, namespace=claim.key.namespace, manager=self.manager
        )


def _claims(spec: Manifest) -> list[str]:
    """The claims that a Pod's spec mounts."""
    volumes = spec.get("volumes") or ()
    return [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]
