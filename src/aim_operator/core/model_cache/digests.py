"""What a download and a listing depend on, as hashes. These are in the names of their Jobs.

Another hash is another Job, at once; the same is tried after a pause. Neither depends on how an input is
written, nor on which version of the operator asks: an upgrade starts nothing anew that is at work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import AIMModelCache, AIMModelCacheStatus, Attempts, Jobs
from aim_operator.core import canonical, file_patterns, labels
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.jobs import rendering
from aim_operator.core.jobs.at_work import AtWork
from aim_operator.core.manifests import plain
from aim_operator.core.model_cache import desired
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.placement import Place
from aim_operator.core.naming import download_job_name, listing_job_name, short_hash


def download(
    cache: AIMModelCache,
    config: RuntimeConfig,
    claim: PersistentVolumeClaim,
    options: DownloadOptions,
    place: Place | None = None,
    *,
    at_work: Sequence[AtWork] = (),
) -> str:
    """Hash what a download depends on: another of these is tried at once, the same after a pause.

    `at_work` are its Jobs that are: what their makers made of the same inputs is as good.
    """
    more = {
        "claim": claim.metadata.uid,
        "capacity": str((claim.spec.resources.requests or {}).get("storage")),
        **({} if place is None else {"place": place.inputs()}),
    }
    recorded = (cache.status or AIMModelCacheStatus()).download
    return _hash(cache, config, options, more, recorded=recorded, at_work=at_work, job_name=download_job_name)


def listing(
    cache: AIMModelCache, config: RuntimeConfig, options: DownloadOptions, at_work: Sequence[AtWork] = ()
) -> str:
    """Hash what a listing depends on: another of these is tried at once, the same after a pause."""
    recorded = (cache.status or AIMModelCacheStatus()).listing
    return _hash(cache, config, options, {}, recorded=recorded, at_work=at_work, job_name=listing_job_name)


def _hash(
    cache: AIMModelCache,
    config: RuntimeConfig,
    options: DownloadOptions,
    more: Manifest,
    *,
    recorded: Attempts | None,
    at_work: Sequence[AtWork],
    job_name: Callable[[str, str], str],
) -> str:
    """Hash inputs, however they are written. What an earlier version did, by their text, is kept by that.

    So is what it does: the image is the operator's own and another with each version, and once there were no
    resources in the hash. A Job that has to be made again is made by what is now.
    """
    amounts = _amounts(config, options)
    for job in at_work:
        uniform, by_text = _forms(cache, config, job.image, more)
        forms = [short_hash({**uniform, **amounts}), short_hash(by_text), short_hash(uniform)]
        for form in forms:
            if job_name(cache.metadata.name, form) == job.name:
                return form
    uniform, by_text = _forms(cache, config, options.image, more)
    if not amounts and recorded is not None and recorded.spec_hash == (kept := short_hash(by_text)):
        return kept
    return short_hash({**uniform, **amounts})


def _forms(
    cache: AIMModelCache, config: RuntimeConfig, image: str, more: Manifest
) -> tuple[Manifest, Manifest]:
    """Return the inputs in the one form, and by their text, as an earlier version hashed them."""
    secrets, where = desired.pull_secrets(cache, config), _where(config.jobs)
    as_written = {
        **_inputs(cache, config, image),
        "env": plain(desired.env_as_written(cache, config)),
        "imagePullSecrets": [secret.name for secret in secrets],
        # Left out where unset: what was downloaded before there were such settings is not tried again.
        **({"jobs": where} if where else {}),
        **more,
    }
    where = canonical.fields(where)
    uniform = {**as_written, "env": canonical.pod_env(plain(desired.env(cache, config)))}
    uniform["imagePullSecrets"] = canonical.secret_names(secrets)
    uniform.pop("jobs", None)
    if "place" in uniform:
        uniform["place"] = {**uniform["place"], "served": canonical.fields(uniform["place"]["served"])}
    return {**uniform, **({"jobs": where} if where else {})}, as_written


def _inputs(cache: AIMModelCache, config: RuntimeConfig, image: str) -> Manifest:
    """Return what downloads and listings have in common. The default choice of files is not in it."""
    return {
        "cache": cache.metadata.uid,
        "source": cache.spec.source_uri,
        "image": image,
        "serviceAccountName": config.service_account_name,
        "retry": cache.metadata.annotation(labels.RETRY),
        **({"existingClaim": plain(existing)} if (existing := cache.spec.existing_claim) else {}),
        **file_patterns.of_model_cache(cache.spec).as_spec(),
    }


def _where(jobs: Jobs) -> Manifest:
    """Return what of the settings of Jobs may keep a Pod from starting: another is tried at once."""
    where: Manifest = plain(
        Jobs(scheduling=jobs.scheduling, pods=jobs.pods, security_context=jobs.security_context)
    )
    return where


def _amounts(config: RuntimeConfig, options: DownloadOptions) -> Manifest:
    """Return the resources that were chosen, likewise: a quota refuses a Pod for its limits."""
    usual, chosen = (
        {
            kind: canonical.amounts(each)
            for kind, each in rendering.resources(options.requests, desired.LIMITS, settings).items()
        }
        for settings in (None, config.jobs.download)
    )
    return {} if chosen == usual else {"resources": chosen}
