"""Environment variables: which override which, what a download gets of them, and whose files it gets.

One order for discovery, downloads, serving: configuration, template, cache, service; docs/guides/tokens.md.
Values are never resolved: a reference is compared as it is written.
"""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.v1alpha1 import EnvVar
from aim_operator.api.v1alpha1.environment import DOWNLOAD_VARIABLES
from aim_operator.core.manifests import plain
from aim_operator.core.naming import short_hash

_ENDPOINTS = {"hf": ("HF_ENDPOINT",), "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")}
"""Who is asked for a source, by its scheme; the first that is set is the one that is used."""
_READ_BY_DOWNLOADS = frozenset(DOWNLOAD_VARIABLES)


def lay_over(*layers: Iterable[EnvVar]) -> tuple[EnvVar, ...]:
    """Merge environments by name: a later layer overrides, the order of first mention stays."""
    return tuple({variable.name: variable for layer in layers for variable in layer}.values())


def of_download(*layers: Iterable[EnvVar]) -> tuple[EnvVar, ...]:
    """Merge environments, and keep what the downloader reads: anything else is no business of its process."""
    return tuple(variable for variable in lay_over(*layers) if variable.name in _READ_BY_DOWNLOADS)


def origin(source_uri: str, *layers: Iterable[EnvVar]) -> str:
    """Return a hash of the endpoint that is asked for a source; "" where that is the public one.

    Files of one URI from two endpoints are different files. The token is not part of it: it decides who may
    fetch them, not what they are.
    """
    variables = {variable.name: variable for variable in lay_over(*layers)}
    for name in _ENDPOINTS.get(source_uri.partition("://")[0], ()):
        if name in variables and (value := plain(variables[name])).keys() != {"name"}:
            return "" if value.get("value") == "" else short_hash({**value, "name": name})
    return ""
