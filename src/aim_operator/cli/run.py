"""`aimctl run`: the operator on a cluster, from a terminal or as a Pod. Parses; serving.py does the rest."""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from typing import Annotated

import typer

from aim_operator.cli import flags
from aim_operator.settings import Settings

DEFAULT = Settings()
INTERRUPTED = 130


def run(
    *,
    namespaces: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_NAMESPACES",
            show_envvar=False,
            metavar="A,B",
            help="Watch only these; such an instance reads cluster kinds and never writes them.",
        ),
    ] = None,
    operator_namespace: flags.OperatorNamespace = None,
    leader_elect: Annotated[
        bool,
        typer.Option(
            envvar="AIM_LEADER_ELECT",
            show_envvar=False,
            help="Elect a leader by a Lease; other replicas stand by.",
        ),
    ] = DEFAULT.leader_elect,
    workers: Annotated[
        str,
        typer.Option(
            envvar="AIM_WORKERS", show_envvar=False, metavar="N", help="Reconciles that may run at once."
        ),
    ] = str(DEFAULT.workers),
    max_discovery_jobs: Annotated[
        str,
        typer.Option(
            envvar="AIM_MAX_DISCOVERY_JOBS",
            show_envvar=False,
            metavar="N",
            help="Discovery Jobs that may run at once.",
        ),
    ] = str(DEFAULT.max_discovery_jobs),
    max_download_jobs: Annotated[
        str,
        typer.Option(
            envvar="AIM_MAX_DOWNLOAD_JOBS",
            show_envvar=False,
            metavar="N",
            help="Download Jobs of model caches that may run at once.",
        ),
    ] = str(DEFAULT.max_download_jobs),
    downloader_image: Annotated[
        str,
        typer.Option(
            envvar="AIM_DOWNLOADER_IMAGE",
            show_envvar=False,
            metavar="IMAGE",
            help="What runs in the download Jobs of model caches: this program's own image.",
        ),
    ] = DEFAULT.downloader_image,
    discovery_cpu_request: Annotated[
        str,
        typer.Option(
            envvar="AIM_DISCOVERY_CPU_REQUEST",
            show_envvar=False,
            metavar="QUANTITY",
            help="CPU that a discovery Pod requests.",
        ),
    ] = DEFAULT.discovery_cpu_request,
    discovery_memory_request: Annotated[
        str,
        typer.Option(
            envvar="AIM_DISCOVERY_MEMORY_REQUEST",
            show_envvar=False,
            metavar="QUANTITY",
            help="Memory that a discovery Pod requests.",
        ),
    ] = DEFAULT.discovery_memory_request,
    discovery_pull_deadline: Annotated[
        str,
        typer.Option(
            envvar="AIM_DISCOVERY_PULL_DEADLINE",
            show_envvar=False,
            metavar="SECONDS",
            help="How long pulling a model image for its discovery may take.",
        ),
    ] = str(DEFAULT.discovery_pull_deadline),
    download_cpu_request: Annotated[
        str,
        typer.Option(
            envvar="AIM_DOWNLOAD_CPU_REQUEST",
            show_envvar=False,
            metavar="QUANTITY",
            help="CPU that a download Pod requests.",
        ),
    ] = DEFAULT.download_cpu_request,
    download_memory_request: Annotated[
        str,
        typer.Option(
            envvar="AIM_DOWNLOAD_MEMORY_REQUEST",
            show_envvar=False,
            metavar="QUANTITY",
            help="Memory that a download Pod requests.",
        ),
    ] = DEFAULT.download_memory_request,
    metrics_address: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_METRICS_ADDRESS", show_envvar=False, metavar="HOST:PORT", help="Serve /metrics here."
        ),
    ] = None,
    metrics_tls_cert: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_METRICS_TLS_CERT",
            show_envvar=False,
            metavar="FILE",
            help="Serve /metrics over TLS with this certificate (PEM); read again when it changes.",
        ),
    ] = None,
    metrics_tls_key: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_METRICS_TLS_KEY", show_envvar=False, metavar="FILE", help="Its private key (PEM)."
        ),
    ] = None,
    metrics_authorization: Annotated[
        bool,
        typer.Option(
            envvar="AIM_METRICS_AUTHORIZATION",
            show_envvar=False,
            help="Serve /metrics only to bearer tokens that may get that URL, by the API server's word.",
        ),
    ] = DEFAULT.metrics_authorization,
    probe_address: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_PROBE_ADDRESS",
            show_envvar=False,
            metavar="HOST:PORT",
            help="Serve /healthz and /readyz here.",
        ),
    ] = None,
    tracing_endpoint: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_TRACING_ENDPOINT",
            show_envvar=False,
            metavar="URL",
            help="Send a trace of each reconcile here, as OTLP over HTTP.",
        ),
    ] = None,
    tracing_sample_ratio: Annotated[
        str,
        typer.Option(
            envvar="AIM_TRACING_SAMPLE_RATIO",
            show_envvar=False,
            metavar="0..1",
            help="Of all reconciles, how many are traced.",
        ),
    ] = f"{DEFAULT.tracing_sample_ratio:g}",
    log_format: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_LOG_FORMAT",
            show_envvar=False,
            metavar="|".join(flags.LOG_FORMATS),
            help="console on a terminal, json elsewhere, if left out.",
        ),
    ] = None,
    log_level: flags.LogLevel = "info",
    kubeconfig: flags.Kubeconfig = None,
    context: flags.Context = None,
) -> None:
    """Run the operator on a cluster.

    You rarely need this: the Helm chart runs it.

    Every option can also be set in the environment: --workers as AIM_WORKERS, and so on.
    """
    settings = Settings(
        operator_namespace=flags.operator_namespace(operator_namespace),
        namespaces=flags.namespaces(namespaces),
        leader_elect=leader_elect,
        workers=flags.count("--workers", workers, flags.MOST_WORKERS),
        max_discovery_jobs=flags.count("--max-discovery-jobs", max_discovery_jobs, flags.MOST_DISCOVERY_JOBS),
        max_download_jobs=flags.count("--max-download-jobs", max_download_jobs, flags.MOST_DOWNLOAD_JOBS),
        downloader_image=flags.image("--downloader-image", downloader_image),
        discovery_cpu_request=flags.quantity("--discovery-cpu-request", discovery_cpu_request),
        discovery_memory_request=flags.quantity("--discovery-memory-request", discovery_memory_request),
        discovery_pull_deadline=flags.count(
            "--discovery-pull-deadline", discovery_pull_deadline, flags.LONGEST_PULL_SECONDS
        ),
        download_cpu_request=flags.quantity("--download-cpu-request", download_cpu_request),
        download_memory_request=flags.quantity("--download-memory-request", download_memory_request),
        metrics_address=flags.address("--metrics-address", metrics_address),
        metrics_tls_cert=metrics_tls_cert or "",
        metrics_tls_key=metrics_tls_key or "",
        metrics_authorization=metrics_authorization,
        tracing_endpoint=flags.otlp_endpoint("--tracing-endpoint", tracing_endpoint),
        tracing_sample_ratio=flags.ratio("--tracing-sample-ratio", tracing_sample_ratio),
        probe_address=flags.address("--probe-address", probe_address),
    )
    flags.metrics_security(
        settings.metrics_address, metrics_tls_cert, metrics_tls_key, authorization=metrics_authorization
    )
    default_format = "console" if sys.stderr.isatty() else "json"
    chosen_format = flags.choice("--log-format", log_format or default_format, flags.LOG_FORMATS)
    level = flags.choice("--log-level", log_level.lower(), flags.LOG_LEVELS)

    # What can be refused without them comes before the imports that take time.
    _import_structlog_without_rich()
    from aim_operator.cli.serving import serve  # noqa: PLC0415
    from aim_operator.kube import credentials  # noqa: PLC0415
    from aim_operator.runtime import logs, tracing  # noqa: PLC0415

    connection = credentials.load(kubeconfig, context)
    tracer = tracing.open_tracer(
        settings.tracing_endpoint,
        settings.tracing_sample_ratio,
        namespace=settings.operator_namespace,
        instance=socket.gethostname(),
    )
    logs.configure(chosen_format, level, also=[tracer.correlate] if tracer.tracing else ())
    if serve(connection, settings, tracer).interrupted:
        raise typer.Exit(INTERRUPTED)


def _import_structlog_without_rich() -> None:
    """Keep rich out of a process that draws nothing: structlog imports it wherever it is installed.

    3 MiB, and a fifth of a second of each start.
    """
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # makes `import rich` raise ImportError
    try:
        import_module("structlog")  # from now on every import of it finds this one
    finally:
        del sys.modules["rich"]
