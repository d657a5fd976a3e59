"""What may be written after a flag or in its environment variable: from text to Settings.

Each function refuses with the flag, the value and what to write instead. Pure but for the Pod's own
namespace file. Called by the commands that run the operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from aim_operator.errors import UserError
from aim_operator.settings import Settings

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
LOG_FORMATS = ("json", "console")
LOG_LEVELS = ("debug", "info", "warning", "error")
MOST_WORKERS = 512
MOST_DISCOVERY_JOBS = 1000
MOST_DOWNLOAD_JOBS = 1000
LONGEST_PULL_SECONDS = 7 * 24 * 3600

_IMAGE = re.compile(r"[a-z0-9][-a-zA-Z0-9_.:/@]{0,511}")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9.]{0,251}[a-zA-Z0-9])?")

Kubeconfig = Annotated[
    str | None,
    typer.Option(
        envvar="AIM_KUBECONFIG",
        show_envvar=False,
        metavar="FILE",
        help="Kubeconfig; else $KUBECONFIG, the Pod's service account, or ~/.kube/config.",
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        envvar="AIM_CONTEXT",
        show_envvar=False,
        metavar="NAME",
        help="Context of the kubeconfig; its current one if left out.",
    ),
]
OperatorNamespace = Annotated[
    str | None,
    typer.Option(
        envvar="AIM_OPERATOR_NAMESPACE",
        show_envvar=False,
        metavar="NAMESPACE",
        help="Where the Lease and the discovery Jobs of cluster templates are; "
        "the Pod's own namespace, else kaiwo-system.",
    ),
]
LogLevel = Annotated[
    str,
    typer.Option(
        envvar="AIM_LOG_LEVEL", show_envvar=False, metavar="|".join(LOG_LEVELS), help="What to log."
    ),
]


def namespaces(text: str | None) -> tuple[str, ...]:
    """Return the names in a comma-separated list, each once; () for none."""
    if text is None or not text.strip():
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        _check_namespace("--namespaces", name, "separate several by commas, as in --namespaces team-a,team-b")
    return names


def namespace(flag: str, text: str) -> str:
    """Return the name of one namespace."""
    if not _DNS_LABEL.fullmatch(text):
        remedy = "write the name of a namespace: lower-case letters, digits and '-', at most 63"
        raise UserError(f"{flag} is {text!r}: {remedy}")
    return text


def operator_namespace(text: str | None, pod_namespace: Path = POD_NAMESPACE) -> str:
    """Return the operator's namespace: as given, else the Pod's own, else kaiwo-system."""
    if text:
        _check_namespace("--operator-namespace", text)
        return text
    try:
        return pod_namespace.read_text().strip() or Settings().operator_namespace
    except OSError:
        return Settings().operator_namespace


def count(flag: str, text: str, most: int) -> int:
    """Return a whole number from 1 to `most`."""
    number = int(text) if re.fullmatch(r"[0-9]{1,19}", text) else 0
    if not 1 <= number <= most:
        raise _refused(flag, text, f"write a whole number from 1 to {most}")
    return number


def count_of(flag: str, text: str, most: int) -> int:
    """Return a whole number from 1 to `most`, of a flag that no environment variable sets."""
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise UserError(f"{flag} is {text!r}: write a whole number from 1 to {most}")
    return int(text)


def seconds(flag: str, text: str, most: float) -> float:
    """Return a length of time above 0 and up to `most`."""
    number = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0
    if not 0 < number <= most:
        raise _refused(flag, text, f"write seconds above 0, at most {most:g}")
    return number


def seconds_of(flag: str, text: str, most: float) -> float:
    """Return a length of time above 0, of a flag that no environment variable sets."""
    number = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0
    if not 0 < number <= most:
        raise UserError(f"{flag} is {text!r}: write seconds above 0, at most {most:g}")
    return number


def size(flag: str, text: str, most: int) -> int:
    """Return a number of bytes, at least 1: a whole number, or a quantity such as 10Gi."""
    from aim_operator.api.quantity import parse as parse_quantity  # noqa: PLC0415 - as below

    amount = parse_quantity(text)
    if amount is None or not 1 <= amount <= most:
        raise _refused(flag, text, "write a size, such as 10Gi, 500M, or a number of bytes")
    return int(amount)


def image(flag: str, text: str) -> str:
    """Return a reference to a container image."""
    if not _IMAGE.fullmatch(text):
        raise _refused(flag, text, "write an image as in ghcr.io/silogen/aim-operator:0.1.0")
    return text


def quantity(flag: str, text: str) -> str:
    """Return a quantity of CPU or memory above 0."""
    # The API's types come with it, which `aimctl --help` need not load.
    from aim_operator.api.quantity import MAX as MAX_QUANTITY  # noqa: PLC0415
    from aim_operator.api.quantity import parse as parse_quantity  # noqa: PLC0415

    amount = parse_quantity(text)
    if amount is None or not 0 < amount <= MAX_QUANTITY:
        raise _refused(flag, text, "write a quantity above 0, such as 100m or 256Mi")
    return text


def address(flag: str, text: str | None) -> str:
    """Return an address to listen on, as host:port; "" for none."""
    if not text:
        return ""
    host, colon, port = text.rpartition(":")
    fits = bool(colon) and re.fullmatch(r"[0-9]{1,5}", port) is not None and int(port) <= 65535
    if not fits or not _is_host(host):
        raise _refused(flag, text, "write HOST:PORT or :PORT, such as :8080, 127.0.0.1:8080 or [::1]:8080")
    return text


def otlp_endpoint(flag: str, text: str | None) -> str:
    """Return the URL that OTLP is posted to: as given, with /v1/traces where it has no path; "" for none."""
    if not text:
        return ""
    remedy = "write a URL, such as http://collector.monitoring:4318"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _refused(flag, text, remedy) from None
    if "@" in parts.netloc:
        # Not shown: it may be a password.
        raise UserError(
            f"{flag} has a user name: write headers into OTEL_EXPORTER_OTLP_HEADERS, from a Secret"
        )
    host = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
    usable = parts.scheme in {"http", "https"} and port != 0 and bool(host) and _is_host(host)
    if not usable or parts.query or parts.fragment or re.search(r"[^!-~]", text):
        raise _refused(flag, text, remedy)
    return f"{parts.scheme}://{parts.netloc}{parts.path if parts.path not in ('', '/') else '/v1/traces'}"


def ratio(flag: str, text: str) -> float:
    """Return a number from 0 to 1."""
    number = float(text) if re.fullmatch(r"[0-9](\.[0-9]{1,17})?(e-[0-9]{1,2})?", text) else -1.0
    if not 0 <= number <= 1:
        raise _refused(flag, text, "write a number from 0 to 1, such as 0.1")
    return number


def metrics_security(address: str, certificate: str | None, key: str | None, *, authorization: bool) -> None:
    """Refuse a half of what TLS and authorization of scrapes need."""
    if bool(certificate) != bool(key):
        given, missing = ("--metrics-tls-cert", "--metrics-tls-key")[:: 1 if certificate else -1]
        raise UserError(f"{given} needs {missing}: a certificate and its key are two files")
    if authorization and not certificate:
        raise UserError(
            "--metrics-authorization needs --metrics-tls-cert and --metrics-tls-key: "
            "over plain HTTP anybody on the way could read the tokens of those who scrape"
        )
    if certificate and not address:
        raise UserError("--metrics-tls-cert needs --metrics-address, such as :8080")


def choice(flag: str, text: str, allowed: Iterable[str]) -> str:
    """Return `text` if it is one of `allowed`."""
    if text not in allowed:
        *others, last = allowed
        raise _refused(flag, text, f"write {', '.join(others)} or {last}")
    return text


def one_of(flag: str, text: str, allowed: Iterable[str]) -> str:
    """Return `text` if it is one of `allowed`; for what is set by no environment variable."""
    if text not in allowed:
        *others, last = allowed
        raise UserError(f"{flag} is {text!r}: write {', '.join(others)} or {last}")
    return text


def _check_namespace(flag: str, name: str, more: str = "") -> None:
    if not _DNS_LABEL.fullmatch(name):
        remedy = "write the name of a namespace: lower-case letters, digits and '-', at most 63"
        raise _refused(flag, name, f"{remedy}; {more}" if more else remedy)


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            return ip_address(host[1:-1]).version == 6
        except ValueError:
            return False
    return not host or _DNS_NAME.fullmatch(host) is not None


def _refused(flag: str, value: str, remedy: str) -> UserError:
    variable = f"AIM_{flag.removeprefix('--').replace('-', '_').upper()}"
    return UserError(f"{flag} (or {variable}) is {value!r}: {remedy}")
