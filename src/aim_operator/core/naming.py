"""Names, hashes and label values of the objects we create.

Owns every rule by which a name is derived; the same inputs give the same name in every version.
Knows nothing of what the names are for. Called by the desired modules of core.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

NAME_LIMIT = 63
"""Names go into labels, Pod names and host names, so all of ours keep to the limit of a DNS label."""
HASH_DIGITS = 8

_LISTING = "list-"
_DERIVED_NAME = re.compile(rf".-ovr-([0-9a-f]{{{HASH_DIGITS}}})$")
_HASH = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def cut(name: str, suffix: str, limit: int = NAME_LIMIT, *, label: bool = False) -> str:
    """Shorten `name` so that `<result>-<suffix>` has at most `limit` characters and stays valid.

    The result does not include the suffix. A valid DNS-1123 subdomain stays one; with `label` dots
    become '-', so that it is a DNS-1123 label too.
    """
    kept = name.replace(".", "-") if label else name
    return kept[: limit - len(suffix) - 1].rstrip("-.")


def short_hash(value: Any, digits: int = HASH_DIGITS) -> str:
    """Return the first hex digits of the SHA-256 of `value` as canonical JSON.

    Equal values have equal hashes: fields that are None do not count, nor does the order of keys.
    """
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:digits]


@lru_cache(1024)
def label_value(text: str) -> str:
    """Return `text` as a valid label value: unchanged where it is one, or empty; else with a hash.

    The hash keeps two texts apart that would read the same once changed or cut.
    """
    if text == "" or (len(text) <= NAME_LIMIT and _LABEL_VALUE.fullmatch(text)):
        return text
    digest = short_hash(text)
    readable = re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-_.")
    readable = readable[: NAME_LIMIT - len(digest) - 1].rstrip("-_.")
    return f"{readable}-{digest}" if readable else digest


def discovery_job_name(template: str, digest: str) -> str:
    """Return `discover-<template, cut>-<8 hex>`; a DNS label, because Pods are named and hosted by it."""
    return _job_name("discover-", template, digest)


def download_job_name(cache: str, digest: str) -> str:
    """Return `download-<cache, cut>-<8 hex>`; a DNS label, because Pods are named and hosted by it."""
    return _job_name("download-", cache, digest)


def listing_job_name(cache: str, digest: str) -> str:
    """Return `list-<cache, cut>-<8 hex>`; a DNS label, because Pods are named and hosted by it."""
    return _job_name(_LISTING, cache, digest)


def is_discovery_job_name(name: str, template: str) -> bool:
    """Whether a discovery Job of a template of that name could have this name."""
    return name == discovery_job_name(template, name[-HASH_DIGITS:])


def is_download_job_name(name: str, cache: str) -> bool:
    """Whether a download Job of a model cache of that name could have this name."""
    return name == download_job_name(cache, name[-HASH_DIGITS:])


def is_listing_job_name(name: str, cache: str) -> bool:
    """Whether a listing Job of a model cache of that name could have this name."""
    return name == listing_job_name(cache, name[-HASH_DIGITS:])


def _job_name(prefix: str, name: str, digest: str) -> str:
    suffix = digest[:HASH_DIGITS]
    return f"{prefix}{cut(name, suffix, NAME_LIMIT - len(prefix), label=True)}-{suffix}"


def derived_template_name(base: str, digest: str) -> str:
    """Return `<base, cut>-ovr-<8 hex>`."""
    suffix = f"ovr-{digest[:HASH_DIGITS]}"
    return f"{cut(base, suffix)}-{suffix}"


def is_derived_template_name(name: str, digest: str = "") -> bool:
    """Whether a derived template (of that spec, if `digest` is given) could have this name."""
    match = _DERIVED_NAME.search(name)
    return match is not None and digest[:HASH_DIGITS] in ("", match[1])


def model_cache_name(
    source_uri: str,
    storage_class: str,
    origin: str = "",
    *,
    patterns: Sequence[str] = (),
    others: int = 0,
) -> str:
    """Return `<source, cut>-<8 hex of URI, storage class, origin and patterns>`, a DNS label.

    "" is the default class, and the public origin (core/environment.py); no `patterns` are the default choice
    of files. `others` counts the caches that have the names before this one.
    """
    key: list[Any] = [source_uri, storage_class]
    if origin or others or patterns:
        key.append(origin)
    if patterns:
        key.append(list(patterns))
    if others:
        key.append(others)
    suffix = short_hash(key)
    return f"{_readable_source(source_uri, suffix)}-{suffix}"


def is_model_cache_name(name: str, source_uri: str) -> bool:
    """Whether a model cache that the operator makes for a source could have this name."""
    stem, _, suffix = name.rpartition("-")
    return _HASH.fullmatch(suffix) is not None and stem == _readable_source(source_uri, suffix)


def _readable_source(source_uri: str, suffix: str) -> str:
    source = re.sub(r"[^a-z0-9]+", "-", source_uri.partition("://")[2].lower()).strip("-")
    return cut(source, suffix) or "model"


def claim_name(cache: str, uid: str) -> str:
    """Return `<cache, cut>-<8 hex of its uid>`: a lingering old claim never blocks the new one."""
    suffix = short_hash(uid)
    return f"{cut(cache, suffix, label=True)}-{suffix}"


def is_claim_name(name: str, cache: str) -> bool:
    """Whether a claim that the operator makes for a cache of that name could have this name."""
    stem, _, suffix = name.rpartition("-")
    return _HASH.fullmatch(suffix) is not None and stem == cut(cache, suffix, label=True)
