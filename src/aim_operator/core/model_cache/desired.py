"""A model cache's children: the claim that holds the files, and the Job that downloads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING

from msgspec import Struct

from aim_operator.api.external import PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim
from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    AIMModelCache,
    EnvVar,
    ExistingClaim,
    LocalObjectReference,
    Quantity,
)
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.core import canonical, file_patterns, labels, quantity
from aim_operator.core.catalog import RuntimeConfig, kind_of, union_pull_secrets
from aim_operator.core.environment import of_download
from aim_operator.core.expansion import literal
from aim_operator.core.hardware import NodeGpus
from aim_operator.core.jobs import rendering
from aim_operator.core.manifests import child, owner_reference, plain
from aim_operator.core.model_cache import placement
from aim_operator.core.model_cache.placement import Place
from aim_operator.core.naming import (
    claim_name,
    download_job_name,
    label_value,
    listing_job_name,
)

MOUNT_PATH = "/model-cache"
CONTAINER = "download"
LISTING_CONTAINER = "list"
TERMINATION_LOG = "/dev/termination-log"
HEADROOM_PERCENT = 10
ACCESS_MODES = ("ReadWriteMany",)
_GIB = 1024**3
_TMP = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - the only writable path beside the volume


class DownloadOptions(Struct, frozen=True, kw_only=True):
    """What an administrator chooses about download Jobs."""

    image: str
    requests: Manifest
    ttl_seconds: int = 600


LIMITS: Manifest = {"cpu": "4", "memory": "1Gi"}
"""Of downloads, unless the configuration says otherwise. They take a tenth of the memory."""
DEADLINE_SECONDS = 86_400
"""How long an attempt may take: a day moves 8 TB at 100 MB/s, and the next one continues."""


def claim_size(size: Quantity, headroom_percent: int) -> str:
    """Return `size` and the headroom, in whole Gi. Raises SpecError for what is no quantity."""
    gibibytes = quantity.parse(size) * (100 + headroom_percent) / (100 * _GIB)
    return f"{max(1, int(gibibytes.to_integral_value(ROUND_CEILING)))}Gi"


def storage_class(cache: AIMModelCache, config: RuntimeConfig) -> str:
    """Return the class that a new claim asks for: the cache's, else the configuration's, else ""."""
    return cache.spec.storage_class_name or config.storage_class_name


def pull_secrets(cache: AIMModelCache, config: RuntimeConfig) -> tuple[LocalObjectReference, ...]:
    return union_pull_secrets(config.image_pull_secrets, cache.spec.image_pull_secrets or ())


def env(cache: AIMModelCache, config: RuntimeConfig) -> tuple[EnvVar, ...]:
    """Return the environment of the download: the configuration's, overridden by the cache's."""
    return canonical.env(env_as_written(cache, config))


def env_as_written(cache: AIMModelCache, config: RuntimeConfig) -> tuple[EnvVar, ...]:
    return of_download(config.env, cache.spec.env or ())


def claim(
    cache: AIMModelCache, config: RuntimeConfig, listed_bytes: int = 0, nodes: Iterable[NodeGpus] = ()
) -> Child:
    """Render the claim, of spec.size or else of what was listed. `nodes` are those there are.

    Raises SpecError for what is no quantity.
    """
    size: Quantity = listed_bytes if cache.spec.size is None else cache.spec.size
    spec: Manifest = {
        "accessModes": list(
            ACCESS_MODES if config.storage.access_modes is None else config.storage.access_modes
        ),
        "resources": {"requests": {"storage": claim_size(size, headroom(config))}},
    }
    if name := storage_class(cache, config):
        spec["storageClassName"] = name
    known = placement.claim_annotations(cache, nodes)
    name = claim_name(cache.metadata.name, cache.metadata.uid)
    return child(PERSISTENT_VOLUME_CLAIMS, metadata=_claim_metadata(cache, name, size, known), spec=spec)


def adopted(cache: AIMModelCache, claim: PersistentVolumeClaim) -> Child:
    """Render a claim that is there and has lost its owner, as it is, with its owner."""
    size = claim.metadata.annotation(labels.SIZE) or "0"
    return _as_it_is(cache, claim, size, (claim.spec.resources.requests or {}).get("storage", "0"))


def enlarged(cache: AIMModelCache, claim: PersistentVolumeClaim, to: str) -> Child:
    """Render the live claim with another size: nothing else of it can be changed."""
    size: Quantity = 0 if cache.spec.size is None else cache.spec.size
    return _as_it_is(cache, claim, size, to)


def _as_it_is(cache: AIMModelCache, claim: PersistentVolumeClaim, size: Quantity, to: Quantity) -> Child:
    spec: Manifest = {
        "accessModes": list(claim.spec.access_modes or ACCESS_MODES),
        "resources": {"requests": {"storage": to}},
    }
    if claim.spec.storage_class_name is not None:
        spec["storageClassName"] = claim.spec.storage_class_name
    gpu = claim.metadata.annotation(labels.KNOWN_GPU)
    known = {labels.KNOWN_GPU: gpu} if gpu is not None else {}
    metadata = _claim_metadata(cache, claim.metadata.name, size, known)
    return child(PERSISTENT_VOLUME_CLAIMS, metadata=metadata, spec=spec)


def headroom(config: RuntimeConfig) -> int:
    """Return how much larger than the model a claim is, in percent."""
    percent = config.storage.headroom_percent
    return HEADROOM_PERCENT if percent is None else percent


def _claim_metadata(cache: AIMModelCache, name: str, size: Quantity, known: Mapping[str, str]) -> Manifest:
    metadata = _metadata(cache, name)
    return {**metadata, "annotations": {**known, labels.SIZE: str(size)}}


def job(
    cache: AIMModelCache,
    config: RuntimeConfig,
    claim: PersistentVolumeClaim,
    options: DownloadOptions,
    *,
    digest: str,
    place: Place | None = None,
) -> Child:
    """Render the download Job, or the check of a claim that exists.

    `digest` is that of all that it depends on.
    """
    existing = cache.spec.existing_claim
    if existing is not None:
        return _check_job(cache, config, existing, options, digest=digest, place=place)
    requested = (claim.spec.resources.requests or {}).get("storage")
    capacity = ["--capacity", str(int(quantity.parse(requested)))] if requested is not None else []
    container = _container(cache, config, options, CONTAINER, [MOUNT_PATH, *capacity])
    container["volumeMounts"] = [{"name": "model", "mountPath": MOUNT_PATH}, _TMP]
    volume = {"name": "model", "persistentVolumeClaim": {"claimName": claim.metadata.name}}
    return _job(
        _metadata(cache, download_job_name(cache.metadata.name, digest)),
        _pod(container, volumes=[volume], security=rendering.pod_security(config, writes=True)),
        cache=cache,
        config=config,
        place=place,
    )


def _check_job(
    cache: AIMModelCache,
    config: RuntimeConfig,
    existing: ExistingClaim,
    options: DownloadOptions,
    *,
    digest: str,
    place: Place | None,
) -> Child:
    """Render the check. It mounts read-only, and has no fsGroup: a kubelet would change the files' group."""
    container = _container(cache, config, options, CONTAINER, [MOUNT_PATH, "--check"])
    where = {} if existing.sub_path is None else {"subPath": existing.sub_path}
    container["volumeMounts"] = [
        {"name": "model", "mountPath": MOUNT_PATH, "readOnly": True, **where},
        _TMP,
    ]
    claim_source = {"claimName": existing.name, "readOnly": True}
    volume = {"name": "model", "persistentVolumeClaim": claim_source}
    return _job(
        _metadata(cache, download_job_name(cache.metadata.name, digest)),
        _pod(container, volumes=[volume], security=rendering.pod_security(config)),
        cache=cache,
        config=config,
        place=place,
    )


def listing_job(
    cache: AIMModelCache, config: RuntimeConfig, options: DownloadOptions, *, digest: str
) -> Child:
    """Render the Job that asks the source how large its files are. `digest` is of all that it depends on."""
    container = _container(cache, config, options, LISTING_CONTAINER, ["--list"])
    container["volumeMounts"] = [_TMP]
    return _job(
        _metadata(cache, listing_job_name(cache.metadata.name, digest)),
        _pod(container, volumes=[], security=rendering.pod_security(config)),
        cache=cache,
        config=config,
        place=None,
    )


def run_seconds(config: RuntimeConfig) -> int:
    """Return how long an attempt may take."""
    return rendering.deadline(config.jobs.download, DEADLINE_SECONDS)


def _container(
    cache: AIMModelCache, config: RuntimeConfig, options: DownloadOptions, name: str, arguments: list[str]
) -> Manifest:
    return {
        "name": name,
        "image": options.image,
        "command": ["aimctl"],
        "args": [
            *("fetch", literal(cache.spec.source_uri), *arguments),
            *map(literal, file_patterns.of_model_cache(cache.spec).arguments),
            *("--termination-log", TERMINATION_LOG),
        ],
        "env": plain(env(cache, config)),
        "resources": rendering.resources(options.requests, LIMITS, config.jobs.download),
        "terminationMessagePath": TERMINATION_LOG,
        "securityContext": {**rendering.CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
    }


def _pod(container: Manifest, *, volumes: list[Manifest], security: Manifest) -> Manifest:
    return {
        # A service account is there for its pull secrets and cloud identity; the API is none of its business.
        "automountServiceAccountToken": False,
        "securityContext": security,
        "containers": [container],
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }


def _job(
    metadata: Manifest,
    pod_spec: Manifest,
    *,
    cache: AIMModelCache,
    config: RuntimeConfig,
    place: Place | None,
) -> Child:
    # A drained node does not count as a failure: the Job makes another Pod, which continues from there.
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return rendering.job(
        metadata,
        pod_spec,
        config=config,
        made_for=cache.metadata,
        pull_secrets=pull_secrets(cache, config),
        nodes=() if place is None else place.nodes(),
        served=None if place is None else place.scheduling(),
        spec={"podFailurePolicy": {"rules": [disrupted]}},
    )


def _metadata(cache: AIMModelCache, name: str) -> Manifest:
    return {
        "name": name,
        "namespace": cache.metadata.namespace,
        "labels": {
            labels.NAME: "aim-model-cache",
            labels.COMPONENT: "model-cache",
            labels.MANAGED_BY: labels.CONTROLLER,
            labels.MODEL_CACHE: label_value(cache.metadata.name),
        },
        "ownerReferences": [owner_reference(API_VERSION, kind_of(cache), cache.metadata)],
    }
