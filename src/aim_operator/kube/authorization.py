"""What proves to the API server who we are: a token, a token file, an exec plugin, a password, or nothing.

Each `header` is asked for before every request, and again with `rejected` after a 401: expiry is learnt
from the server, not from a clock that may differ from its. Built by kube.credentials, used by kube.transport.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import tempfile
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from aim_operator.errors import UserError

TOKEN_FILE_SECONDS = 60.0
"""How long a token file is trusted unread; the kubelet rotates with minutes to spare."""
PLUGIN_TIMEOUT_SECONDS = 60.0
EXEC_API_VERSIONS = tuple(f"client.authentication.k8s.io/{version}" for version in ("v1", "v1beta1"))


class Authorization(Protocol):
    async def header(self, *, rejected: bool = False) -> str:
        """Value of the Authorization header, "" for none. `rejected`: the last one was answered by 401."""
        ...

    def can_renew(self) -> bool:
        """Whether asking again after a 401 can give another answer."""
        ...


class Anonymous:
    """No header: a client certificate speaks for us, or nobody does."""

    async def header(self, *, rejected: bool = False) -> str:
        del rejected
        return ""

    def can_renew(self) -> bool:
        return False


class Fixed:
    """A header that never changes."""

    def __init__(self, header: str) -> None:
        self._header = header

    @classmethod
    def bearer(cls, token: str) -> Fixed:
        return cls(f"Bearer {token}")

    @classmethod
    def basic(cls, username: str, password: str) -> Fixed:
        return cls("Basic " + base64.b64encode(f"{username}:{password}".encode()).decode())

    async def header(self, *, rejected: bool = False) -> str:
        del rejected
        return self._header

    def can_renew(self) -> bool:
        return False


class TokenFile:
    """A file that the kubelet rotates: read again every minute, and after a 401."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header = self._read()
        self._read_at: float | None = None

    async def header(self, *, rejected: bool = False) -> str:
        now = asyncio.get_running_loop().time()
        if self._read_at is None:
            self._read_at = now
        if rejected or now - self._read_at >= TOKEN_FILE_SECONDS:
            self._header = self._read()
            self._read_at = now
        return self._header

    def can_renew(self) -> bool:
        return True

    def _read(self) -> str:
        try:
            token = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"token file {self._path} cannot be read: {error}") from error
        if not token:
            raise UserError(f"token file {self._path} is empty")
        return f"Bearer {token}"


class _Credential(Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""


class _ExecCredential(Struct, rename="camel"):
    status: _Credential


class ExecPlugin:
    """A kubeconfig's credential plugin: run once, and again when the server rejects what it gave.

    Certificates that a plugin returns are loaded into `ssl_context`. KEP-541.
    """

    def __init__(
        self,
        api_version: str,
        command: list[str],
        environment: dict[str, str],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        if api_version not in EXEC_API_VERSIONS:
            raise UserError(
                f"credential plugin {command[0]}: API version {api_version} is not supported; "
                f"use {' or '.join(EXEC_API_VERSIONS)}"
            )
        self._api_version = api_version
        self._command = command
        self._environment = environment
        self._ssl_context = ssl_context
        self._header: str | None = None
        self._running = asyncio.Lock()

    async def header(self, *, rejected: bool = False) -> str:
        stale = self._header
        if stale is not None and not rejected:
            return stale
        async with self._running:
            # Many calls are rejected at once; the first to come here has renewed it for the others.
            if self._header is None or self._header == stale:
                self._header = await self._run()
            return self._header

    def can_renew(self) -> bool:
        return True

    async def _run(self) -> str:
        name = self._command[0]
        info = {"apiVersion": self._api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        environment = {
            **os.environ,
            **self._environment,
            "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode(),
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise UserError(f"credential plugin {name} cannot be run: {error}") from error
        try:
            async with asyncio.timeout(PLUGIN_TIMEOUT_SECONDS):
                output, complaint = await process.communicate()
        except TimeoutError as error:
            raise UserError(
                f"credential plugin {name} was silent for {PLUGIN_TIMEOUT_SECONDS:.0f} s"
            ) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            last = (complaint.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise UserError(f"credential plugin {name} failed with exit code {process.returncode}: {last}")
        try:
            credential = msgspec.json.decode(output, type=_ExecCredential).status
        except msgspec.DecodeError as error:
            raise UserError(f"credential plugin {name} printed no ExecCredential: {error}") from error
        return self._accept(name, credential)

    def _accept(self, name: str, credential: _Credential) -> str:
        if credential.client_certificate_data and self._ssl_context is not None:
            load_certificate(
                self._ssl_context, credential.client_certificate_data, credential.client_key_data, name
            )
        elif not credential.token:
            raise UserError(f"credential plugin {name} gave neither a token nor a certificate")
        return f"Bearer {credential.token}" if credential.token else ""


def load_certificate(context: ssl.SSLContext, certificate: str, key: str, source: str) -> None:
    """Load a PEM certificate and key; Python's TLS takes them from files only. Raises UserError."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{certificate}\n{key}\n")
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except (ssl.SSLError, OSError) as error:
            raise UserError(f"{source}: the client certificate cannot be used: {error}") from error
