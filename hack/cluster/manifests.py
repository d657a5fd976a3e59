"""Reads the manifests that came with KServe and the Gateway API, as the API server shall get them."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from hack.cluster.api import Api, Manifest, explain
from hack.cluster.build import ensure
from hack.cluster.components import (
    GATEWAY_MANIFESTS,
    KSERVE_MANIFESTS,
    OLDEST_KSERVE_MANIFESTS,
    OLDEST_KSERVE_PART,
    ModuleManifests,
)
from hack.cluster.errors import ClusterError
from hack.cluster.progress import Progress

CRDS_OF_PART = {
    OLDEST_KSERVE_PART: OLDEST_KSERVE_MANIFESTS,
    "kserve": KSERVE_MANIFESTS,
    "gateway": GATEWAY_MANIFESTS,
}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ESTABLISHED_SECONDS = 60.0
PARALLEL_REQUESTS = 4


def crd_manifests(part: str, progress: Progress | None = None) -> list[Manifest]:
    """The CRDs of KServe ("kserve") or the Gateway API ("gateway"), for tests that install them later."""
    crds = read_manifests(CRDS_OF_PART[part], "crds", progress)
    for crd in crds:
        # Conversion by a webhook in the cluster: there is one version of each kind only.
        crd["spec"].pop("conversion", None)
        crd.pop("status", None)
    return crds


def read_manifests(component: ModuleManifests, name: str, progress: Progress | None = None) -> list[Manifest]:
    directory = ensure(component, progress or Progress(None))
    manifests: list[Manifest] = json.loads((directory / f"{name}.json").read_text())
    return manifests


def install_crds(api: Api, crds: Sequence[Manifest]) -> None:
    """Creates the CRDs that are not there yet and returns when discovery lists all of them."""
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        # Consumed for the exceptions.
        list(pool.map(lambda crd: _create(api, crd), crds))
    for crd in crds:
        names, group = crd["spec"]["names"], crd["spec"]["group"]
        version = next(entry["name"] for entry in crd["spec"]["versions"] if entry["served"])
        # Not a list of the objects: the first one makes the server compile the schema, and each change of
        # the CRD's status, of which there are several now, makes it do so again.
        api.wait_for(
            f"/apis/{group}/{version}",
            partial(_lists, names["plural"]),
            ESTABLISHED_SECONDS,
            f"CRD {crd['metadata']['name']} is",
        )


def replace_crds(api: Api, crds: Sequence[Manifest]) -> None:
    """Put these in the place of what is installed of them, and install what is not."""
    for crd in crds:
        path = f"{CRDS}/{crd['metadata']['name']}"
        installed = api.get(path)
        if installed is not None:
            metadata = {**crd["metadata"], "resourceVersion": installed["metadata"]["resourceVersion"]}
            api.request("PUT", path, {**crd, "metadata": metadata})
    install_crds(api, crds)


def _create(api: Api, crd: Manifest) -> None:
    try:
        # Not server-side apply: tracking the fields of KServe's 700 kB costs seconds.
        api.request("POST", CRDS, crd)
    except urllib.error.HTTPError as error:
        if error.code != 409:
            name = crd["metadata"]["name"]
            raise ClusterError(f"the API server refused the CRD {name}: {explain(error)}") from error


def _lists(plural: str, discovery: Manifest) -> bool:
    return any(resource["name"] == plural for resource in discovery["resources"])
