"""The operator's settings: one frozen object, read once from flags and environment by the cli room.

A dataclass: nothing is decoded into it, and importing msgspec takes a quarter of what `aimctl --help` does.
"""

from __future__ import annotations

from dataclasses import dataclass

DOWNLOADER_IMAGE = "ghcr.io/silogen/aim-operator:0.1.0"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be chosen about a running operator. Durations are in seconds."""

    operator_namespace: str = "kaiwo-system"
    """Where discovery Jobs of cluster templates run, and the Lease lives."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to watch; () is all of them. A limited instance never writes cluster kinds."""
    leader_elect: bool = False
    workers: int = 24
    max_discovery_jobs: int = 10
    max_download_jobs: int = 20
    metrics_address: str = ""
    """host:port of /metrics; "" serves none."""
    metrics_tls_cert: str = ""
    """A PEM file with the certificate that /metrics is served with; "" is plain HTTP."""
    metrics_tls_key: str = ""
    metrics_authorization: bool = False
    """Whether the API server is asked, for each scrape, whether its bearer token may get /metrics."""
    tracing_endpoint: str = ""
    """URL that traces of reconciles are sent to, as OTLP over HTTP; "" traces nothing."""
    tracing_sample_ratio: float = 1.0
    """Of all reconciles, how many are traced."""
    probe_address: str = ""
    """host:port of /healthz and /readyz; "" serves none."""
    discovery_cpu_request: str = "50m"
    discovery_memory_request: str = "64Mi"
    discovery_pull_deadline: int = 7200
    """How long the Pod of a discovery may take to start: images have tens of GB."""
    downloader_image: str = DOWNLOADER_IMAGE
    """What runs in the Jobs of model caches: this very program, as `aimctl fetch`."""
    download_cpu_request: str = "100m"
    download_memory_request: str = "256Mi"
    job_ttl_seconds: int = 600
