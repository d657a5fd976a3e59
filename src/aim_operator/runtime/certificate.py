"""The certificate that metrics are served with: from two files, read again when they change.

cert-manager renews a Secret, the kubelet swaps the files of its volume one after the other or both at once.
A pair that does not fit (yet) changes nothing. Used by runtime.probes.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import structlog

from aim_operator.errors import UserError

log = structlog.get_logger("aim_operator.probes")

LOOK_SECONDS = 1.0
"""Between two looks at the files."""

_Version = tuple[tuple[int, int, int], ...]


class ServingCertificate:
    """Raises UserError for files that can't be used at the start. `time` is monotonic, in seconds."""

    def __init__(self, certificate: Path, key: Path, *, time: Callable[[], float]) -> None:
        self._certificate, self._key = certificate, key
        self._time = time
        self._looked_at = time()
        self._version = self._present_version()
        try:
            self._context = self._load()
        except (OSError, ValueError) as error:
            raise UserError(
                f"metrics can't be served with {certificate} and {key}: {_why(error)}. "
                "Both are PEM files; the first has the certificate and its issuers', the second its key"
            ) from error

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        now = self._time()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._reload()
        return self._context

    def _reload(self) -> None:
        version = self._present_version()
        if version == self._version:
            return
        self._version = version
        try:
            self._context = self._load()
        except (OSError, ValueError) as error:
            log.warning("the new certificate can't be used, serving the previous one", error=_why(error))
        else:
            log.info("serving metrics with a new certificate", file=str(self._certificate))

    def _present_version(self) -> _Version:
        """Return what differs once a file was written or replaced, () where one is not there."""
        try:
            found = [path.stat() for path in (self._certificate, self._key)]
        except OSError:
            return ()
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._key, password=_no_password)
        return context


def _no_password() -> str:
    """Answer for an encrypted key: OpenSSL would ask on the terminal."""
    raise ValueError("the key is encrypted")


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
