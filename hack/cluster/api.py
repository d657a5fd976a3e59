"""A very small Kubernetes API client, enough to set up and watch over a test cluster.

Plain standard library, because `up` runs before the project has any dependency installed. The operator's
own client is aim_operator.kube; nothing here is meant for it.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from hack.cluster.errors import ClusterError
from hack.cluster.patience import Patience

FIELD_MANAGER = "aim-cluster"
RETRY_SECONDS = 0.1

Manifest = dict[str, Any]


class Api:
    """Speaks to one API server as one user."""

    def __init__(self, server: str, token: str, authority: str) -> None:
        self.server = server
        self._token = token
        self._context = ssl.create_default_context(cadata=authority or None)
        # No proxy: the environment's is for the internet, this server is on loopback.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )

    def use_client_certificate(self, certificate: bytes, key: bytes) -> None:
        """For servers that know their users by certificate. Python's TLS reads it from a file only."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            self._context.load_cert_chain(file.name)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        timeout_seconds: float = 30,
    ) -> Any:
        """The decoded JSON answer, or plain text. Raises urllib's HTTPError for any error status."""
        request = self._request(method, path, body, content_type)
        with self._opener.open(request, timeout=timeout_seconds) as response:
            text = response.read().decode()
            is_json = response.headers.get_content_type() == "application/json"
        return json.loads(text) if is_json else text

    def stream(self, path: str, timeout_seconds: float = 60) -> Iterator[Any]:
        """The JSON lines of a watch, as they come, until the server ends it."""
        with self._opener.open(self._request("GET", path), timeout=timeout_seconds) as response:
            for line in response:
                yield json.loads(line)

    def _request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> urllib.request.Request:
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return urllib.request.Request(  # noqa: S310 - always an https server of ours
            self.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
        )

    def get(self, path: str) -> Any:
        """The object at a path; None if there is none."""
        try:
            return self.request("GET", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def delete(self, path: str) -> None:
        try:
            self.request("DELETE", path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def apply(self, manifest: Manifest) -> Any:
        """Server-side apply: creates the object or takes over the fields given."""
        path = f"{object_path(manifest)}?fieldManager={FIELD_MANAGER}&force=true"
        try:
            return self.request("PATCH", path, manifest, "application/apply-patch+yaml")
        except urllib.error.HTTPError as error:
            name = f"{manifest['kind']} {manifest['metadata']['name']}"
            raise ClusterError(f"the API server refused {name}: {explain(error)}") from error

    def apply_when_served(self, manifest: Manifest, timeout_seconds: float = 10) -> Any:
        """Like apply, for a kind or a namespace that was created a moment ago and may not be served yet."""
        patience = Patience(timeout_seconds)
        while True:
            try:
                return self.apply(manifest)
            except ClusterError as error:
                cause = error.__cause__
                young = isinstance(cause, urllib.error.HTTPError) and cause.code in {403, 404, 429, 503}
                if not young or patience.ended:
                    raise
                time.sleep(RETRY_SECONDS)

    def ready(self) -> bool:
        """Whether /readyz says ok."""
        try:
            return bool(self.request("GET", "/readyz", timeout_seconds=2) == "ok")
        except OSError:  # refused, reset, timed out, or an error status (HTTPError is an OSError)
            return False

    def wait_for(self, path: str, fits: Callable[[Manifest], bool], timeout_seconds: float, what: str) -> Any:
        """The object at `path` once it exists and `fits`."""
        patience = Patience(timeout_seconds)
        while True:
            try:
                found = self.get(path)
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise
                found = None  # a resource that is not served quite yet
            if found is not None and fits(found):
                return found
            if patience.ended:
                status = (found or {}).get("status") or found
                raise ClusterError(f"{what} not ready after {timeout_seconds:.0f} s; last seen: {status}")
            time.sleep(RETRY_SECONDS)


def explain(error: urllib.error.HTTPError) -> str:
    """The message of the Status object in an error answer."""
    text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text or str(error)


def object_path(manifest: Manifest) -> str:
    """Where an object lives, from its kind's regular plural."""
    group_version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    root = "/apis/" if "/" in group_version else "/api/"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{group_version}{namespace}/{plural(kind)}/{metadata['name']}"


def plural(kind: str) -> str:
    """A kind's resource name by the rule that all built-in and our kinds follow."""
    name = kind.lower()
    if name.endswith(("s", "x", "ch")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def condition(manifest: Manifest, kind: str) -> str:
    """The status of a condition: True, False, Unknown, or empty if there is none."""
    conditions: list[dict[str, str]] = manifest.get("status", {}).get("conditions") or []
    return next((entry["status"] for entry in conditions if entry["type"] == kind), "")
