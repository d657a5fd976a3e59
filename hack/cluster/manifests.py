"""Reads the manifests that came with KServe and the Gateway API, as the API server shall get them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hack.cluster.api import Api, Manifest, condition
from hack.cluster.build import ensure
from hack.cluster.components import GATEWAY_MANIFESTS, KSERVE_MANIFESTS, ModuleManifests
from hack.cluster.progress import Progress

CRDS_OF_PART = {"kserve": KSERVE_MANIFESTS, "gateway": GATEWAY_MANIFESTS}
ESTABLISHED_SECONDS = 30.0


def crd_manifests(part: str, progress: Progress | None = None) -> list[Manifest]:
    """The CRDs of KServe ("kserve") or the Gateway API ("gateway"), for tests that install them later."""
    crds = read_manifests(CRDS_OF_PART[part], "crds", progress)
    for crd in crds:
        # Conversion by a webhook in the cluster: there is one version of each kind only.
        crd["spec"].pop("conversion", None)
        crd.pop("status", None)
    return crds


def read_manifests(
    component: ModuleManifests, name: str, progress: Progress | None = None
) -> list[Manifest]:
    directory = ensure(component, progress or Progress(None))
    manifests: list[Manifest] = json.loads((directory / f"{name}.json").read_text())
    return manifests


def install_crds(api: Api, crds: Sequence[Manifest]) -> None:
    """Applies CRDs and returns when all are served."""
    for crd in crds:
        api.apply(crd)
    for crd in crds:
        name = crd["metadata"]["name"]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        api.wait_for(path, is_established, ESTABLISHED_SECONDS, f"CRD {name} is")


def is_established(crd: Manifest) -> bool:
    return condition(crd, "Established") == "True"
