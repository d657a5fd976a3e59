"""Where a download runs whose volume belongs to a node or a zone: where the model can be served.

Such a volume is bound by its first Pod, which is the download, and every model server must follow it there.
What is decided rests on what does not change under a running download: the cache's spec, the configuration
and the claim. Called by the cache's plan and its controller.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from aim_operator.api.external import PersistentVolumeClaim, StorageClass
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import AIMModelCache, Placement, Scheduling
from aim_operator.core import hardware, labels, scheduling
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.hardware import NodeGpus
from aim_operator.core.manifests import plain

WAITS_FOR_CONSUMER = "WaitForFirstConsumer"
_MANY_NODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})
_SELECTED_NODE = "volume.kubernetes.io/selected-node"


class Place(Struct, frozen=True, kw_only=True):
    """Where model servers run. `known` tells that nodes are labelled with that GPU: no other will do then."""

    gpu_model: str | None = None
    known: bool = False
    served: Scheduling | None = None

    def inputs(self) -> Manifest:
        """Return what of this a download depends on."""
        return {"gpu": self.gpu_model, "known": self.known, "served": plain(self.served)}

    def nodes(self) -> tuple[Manifest, ...]:
        """Return the affinities that a node must fit, each of them."""
        own = plain(self.served or Scheduling()).get("affinity", {}).get("nodeAffinity", {})
        gpu = None
        if self.gpu_model is not None:
            affinity = hardware.known_affinity if self.known else hardware.node_affinity
            gpu = affinity(self.gpu_model)
        required = {"nodeAffinity": own} if scheduling.REQUIRED in own else None
        return tuple(each for each in (required, gpu) if each is not None)

    def scheduling(self) -> Scheduling:
        """Return what else of the model servers' settings keeps a Pod off a node."""
        served = self.served or Scheduling()
        return Scheduling(node_selector=served.node_selector, tolerations=served.tolerations)


def place(
    cache: AIMModelCache,
    config: RuntimeConfig,
    claim: PersistentVolumeClaim,
    storage_class: StorageClass | None,
) -> Place | None:
    """Return where the download must run; None where any node can mount the volume."""
    if not _belongs_to_a_node(claim, storage_class):
        return None
    placement = cache.spec.placement or Placement()
    gpu = placement.gpu_model
    out = Place(
        gpu_model=gpu,
        known=gpu is not None and claim.metadata.annotation(labels.KNOWN_GPU) == gpu,
        served=scheduling.layered(placement.scheduling, config.scheduling),
    )
    return None if out == Place() else out


def claim_annotations(cache: AIMModelCache, nodes: Iterable[NodeGpus]) -> dict[str, str]:
    """Return what a new claim remembers: whether there were nodes with the label of the GPU.

    Nodes come and go. A download that was placed by their labels stays so, and one that could not be placed
    by them is not moved when the first is labelled.
    """
    gpu = (cache.spec.placement or Placement()).gpu_model
    return {labels.KNOWN_GPU: gpu} if gpu is not None and hardware.is_known(gpu, nodes) else {}


def many_nodes(config: RuntimeConfig) -> bool:
    """Whether Pods of several nodes can mount the volumes that a configuration asks for."""
    modes = config.storage.access_modes
    return modes is None or bool(_MANY_NODES & set(modes))


def _belongs_to_a_node(claim: PersistentVolumeClaim, storage_class: StorageClass | None) -> bool:
    """Whether its volume is bound where its first Pod is, or mounted by one node only.

    The class may be deleted under a claim; the scheduler's choice stays on it.
    """
    if claim.metadata.annotation(_SELECTED_NODE) is not None:
        return True
    waits = storage_class is not None and storage_class.volume_binding_mode == WAITS_FOR_CONSUMER
    modes = claim.spec.access_modes or ()
    return waits or (bool(modes) and not _MANY_NODES & set(modes))
