"""How the API server is reached: from a kubeconfig, or from inside the cluster.

Owns the choice of the source and the TLS context; lightkube's config module reads the format. Every
failure is one UserError. Called by the cli once per process.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Struct, structs

from aim_operator.errors import UserError
from aim_operator.kube.authorization import (
    Anonymous,
    Authorization,
    ExecPlugin,
    Fixed,
    TokenFile,
    load_certificate,
)

if TYPE_CHECKING:
    from lightkube.config.kubeconfig import SingleConfig
    from lightkube.config.models import User

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Connection(Struct, frozen=True, kw_only=True):
    """Everything a client needs to speak to one API server as one user."""

    server: str
    """Base URL, without a trailing slash."""
    authorization: Authorization
    ssl_context: ssl.SSLContext | None = None
    server_hostname: str | None = None
    """Name the server's certificate is for, where that is not the host in `server`."""
    proxy: str | None = None
    namespace: str = "default"
    source: str = ""
    """Where this came from, for people: a context and file, or the cluster itself."""
    impersonated: tuple[tuple[str, str], ...] = ()
    """Headers by which the user acts as another one, as kubectl's --as; the API server decides on it."""


def load(
    kubeconfig: str | None = None,
    context: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
) -> Connection:
    """Connect as kubectl would: `kubeconfig`, $KUBECONFIG, the Pod's service account, ~/.kube/config.

    A `context` is looked for in kubeconfig files only. Raises UserError, in one line, for all that is
    wrong with files, contexts and credentials; nothing is sent to the server. `environment` is the
    process's own unless given.
    """
    environment = os.environ if environment is None else environment
    paths = _paths(kubeconfig, environment)
    in_pod = "KUBERNETES_SERVICE_HOST" in environment and service_account.is_dir()
    if in_pod and not paths and context is None:
        return in_cluster(service_account, environment)
    if not paths:
        paths = [Path(environment.get("HOME", "/")) / ".kube" / "config"]
        if not paths[0].is_file():
            raise UserError(
                "no cluster: give --kubeconfig, set KUBECONFIG, or run inside a cluster "
                f"({paths[0]} does not exist)"
            )
    return _from_files(paths, context)


def impersonating(connection: Connection, user: str, groups: Sequence[str] = ()) -> Connection:
    """Return the connection of the same user who acts as `user`, a member of `groups`, as --as does.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
    """
    headers = (("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups))
    return structs.replace(connection, impersonated=headers)


def in_cluster(directory: Path, environment: Mapping[str, str]) -> Connection:
    """Connect with the service account whose files are in `directory`. Raises UserError."""
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    try:
        ssl_context = ssl.create_default_context(cafile=str(directory / "ca.crt"))
        namespace = (directory / "namespace").read_text().strip()
    except (OSError, ssl.SSLError) as error:
        raise UserError(f"the Pod's service account in {directory} cannot be used: {error}") from error
    return Connection(
        server=server,
        authorization=TokenFile(directory / "token"),
        ssl_context=ssl_context,
        proxy=_proxy(server, ""),
        namespace=namespace or "default",
        source="the Pod's service account",
    )


def _paths(kubeconfig: str | None, environment: Mapping[str, str]) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig).expanduser()]
    listed = environment.get("KUBECONFIG", "").split(os.pathsep)
    paths = [Path(entry).expanduser() for entry in listed if entry]
    # kubectl skips missing files of a list, but one that is missing alone is a mistake.
    existing = [path for path in paths if path.exists()]
    return existing or paths[:1]


def _from_files(paths: list[Path], context: str | None) -> Connection:
    # lightkube imports its HTTP client with its config: 0.3 s that sandbox runs need not pay.
    from lightkube.config.kubeconfig import KubeConfig  # noqa: PLC0415
    from lightkube.core.exceptions import ConfigError  # noqa: PLC0415

    raw = _merged([_read(path) for path in paths], paths)
    source = os.pathsep.join(str(path) for path in paths)
    try:
        config = KubeConfig.from_dict(raw, fname=paths[0])
        chosen = config.get(context)
    except ConfigError as error:
        raise UserError(_context_message(source, raw, context)) from error
    except KeyError as error:
        raise UserError(f"{source}: {error} is referenced or required, but not there") from error
    except (msgspec.ValidationError, AttributeError, TypeError) as error:
        raise UserError(f"{source} is not a kubeconfig: {error}") from error
    if chosen is None:
        raise UserError(_context_message(source, raw, context))
    user = _entry(raw, "users", "user", chosen.context.user)
    if user.get("as") or user.get("as-groups") or user.get("as-uid"):
        raise UserError(f"{source}: user {chosen.context.user!r} impersonates (`as`), which is not supported")
    cluster = _entry(raw, "clusters", "cluster", chosen.context.cluster)
    return _connection(chosen, cluster, user, source)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise UserError(f"kubeconfig {path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"kubeconfig {path} cannot be read: {error}") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"kubeconfig {where} is not YAML: {problem}") from error
    if not isinstance(content, dict):
        raise UserError(f"kubeconfig {path} is empty or not a mapping")
    return content


_FILES = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
    "contexts": ("context", ()),
}


def _merged(contents: list[dict[str, Any]], paths: list[Path]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for content, path in zip(contents, paths, strict=True):
        if content.get("current-context"):
            merged.setdefault("current-context", content["current-context"])
        for section, (entry_key, files) in _FILES.items():
            entries = merged.setdefault(section, [])
            for named in content.get(section) or ():
                if not isinstance(named, dict) or "name" not in named:
                    raise UserError(f"kubeconfig {path}: every entry of {section} needs a name")
                if any(other["name"] == named["name"] for other in entries):
                    continue
                entry = dict(named.get(entry_key) or {})
                for file in files:
                    if entry.get(file):
                        entry[file] = str(path.absolute().parent / str(entry[file]))
                entries.append({"name": named["name"], entry_key: entry})
    return merged


def _entry(raw: dict[str, Any], section: str, key: str, name: str | None) -> dict[str, Any]:
    for named in raw[section]:
        if named["name"] == name:
            entry: dict[str, Any] = named[key]
            return entry
    return {}


def _context_message(source: str, raw: dict[str, Any], context: str | None) -> str:
    names = ", ".join(sorted(str(named["name"]) for named in raw["contexts"])) or "none"
    current = context or raw.get("current-context")
    if not current:
        return f"{source} has no current-context; choose one with --context (known: {names})"
    return f"{source} has no context {current!r} (known: {names})"


def _connection(
    chosen: SingleConfig, cluster: dict[str, Any], user: dict[str, Any], source: str
) -> Connection:
    server = chosen.cluster.server.rstrip("/")
    if urlsplit(server).scheme not in {"http", "https"}:
        raise UserError(f"{source}: server {server!r} of {chosen.context.cluster!r} is no http(s) URL")
    ssl_context = _tls(chosen, source) if server.startswith("https:") else None
    return Connection(
        server=server,
        authorization=_authorization(chosen.user, ssl_context, source, user),
        ssl_context=ssl_context,
        server_hostname=cluster.get("tls-server-name") or None,
        proxy=_proxy(server, str(cluster.get("proxy-url") or "")),
        namespace=chosen.namespace,
        source=f"context {chosen.context_name} of {source}",
    )


def _tls(chosen: SingleConfig, source: str) -> ssl.SSLContext:
    cluster, user = chosen.cluster, chosen.user
    try:
        if cluster.certificate_auth_data:
            context = ssl.create_default_context(cadata=_decoded(cluster.certificate_auth_data, source))
        else:
            context = ssl.create_default_context(cafile=cluster.certificate_auth)
        if cluster.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate = _content(user.client_cert_data, user.client_cert, source) if user else ""
        key = _content(user.client_key_data, user.client_key, source) if user else ""
    except (OSError, ssl.SSLError) as error:
        raise UserError(f"{source}: a certificate cannot be used: {error}") from error
    if certificate:
        load_certificate(context, certificate, key, source)
    return context


def _content(inline: str | None, path: str | None, source: str) -> str:
    if inline:
        return _decoded(inline, source)
    return Path(path).read_text() if path else ""


def _decoded(inline: str, source: str) -> str:
    try:
        return base64.b64decode("".join(inline.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UserError(f"{source}: certificate or key data is not base64 of PEM: {error}") from error


def _authorization(
    user: User | None, ssl_context: ssl.SSLContext | None, source: str, raw: dict[str, Any]
) -> Authorization:
    if user is None:
        return Anonymous()
    # client-go's order: a token file wins over a token, and both over a plugin.
    if user.token_file:
        return TokenFile(Path(user.token_file))
    if user.token:
        return Fixed.bearer(user.token)
    if user.username and user.password:
        return Fixed.basic(user.username, user.password)
    if user.exec:
        environment = {variable.name: variable.value for variable in user.exec.env or ()}
        command = [user.exec.command, *(user.exec.args or ())]
        return ExecPlugin(user.exec.apiVersion, command, environment, ssl_context)
    if raw.get("auth-provider"):
        raise UserError(f"{source}: auth-provider is gone from Kubernetes; use a credential plugin (exec)")
    return Anonymous()


def _proxy(server: str, configured: str) -> str | None:
    """Return the proxy of the kubeconfig, else of the environment; never for this machine, as in Go."""
    if configured:
        return configured
    parts = urlsplit(server)
    host = parts.hostname or ""
    if host in {"localhost", "::1"} or host.startswith("127."):
        return None
    if urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)
