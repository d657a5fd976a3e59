"""Which certificates are trusted: one rule for hubs and buckets, for listings and files.

The first of VARIABLES that is set names a file of CA certificates, which is trusted in place of the system's.
A file that can't be used is an error that names variable and path: silently trusting something else would
make a download fail far from its cause, or succeed where it should not.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.tls import Context

VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
"""In the order in which they are looked at."""
_NOT_THE_ISSUER = ("mismatch", "expired", "not yet valid")
"""OpenSSL's words for problems that no other CA certificate solves."""


class Bundle(Struct, frozen=True):
    """A file of CA certificates, and the variable that names it."""

    variable: str
    path: str


def bundle(environment: Mapping[str, str]) -> Bundle | None:
    """Return the file to trust; None for the system's certificates. UserError if it can't be used."""
    chosen = _chosen(environment)
    if chosen is not None:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), chosen)
    return chosen


def file(environment: Mapping[str, str]) -> str | None:
    """Return the file of what is trusted, for a library with a client of its own; None if there is none."""
    chosen = bundle(environment)
    return ssl.get_default_verify_paths().cafile if chosen is None else chosen.path


def trusted(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Return what verifies servers. UserError as `bundle`. Takes some 20 ms for a system's certificates."""
    chosen = _chosen(environment)
    # Verifies certificates and names by itself.
    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    if chosen is None:
        context.load_default_certs()
    else:
        _load(context, chosen)
    return context


def not_trusted(host: str, problem: str, environment: Mapping[str, str]) -> FetchError:
    """Say that the certificate of `host` is not trusted, why, and which variable decides it.

    `problem` is OpenSSL's word, as in ssl.SSLCertVerificationError.verify_message.
    """
    chosen = _chosen(environment)
    if any(words in problem.lower() for words in _NOT_THE_ISSUER):
        remedy = "the server's certificate is to be replaced, or the server named as it is in it"
    elif chosen is None:
        remedy = "set SSL_CERT_FILE to a file of CA certificates that has its issuer"
    else:
        remedy = f"{chosen.variable} names {chosen.path}, and only the certificates in it are trusted"
        others = [name for name in VARIABLES if environment.get(name) and name != chosen.variable]
        if others:
            remedy += f" ({' and '.join(others)} would come after it)"
        remedy += "; it must have the issuer"
    return FetchError(
        FetchReason.DOWNLOAD_FAILED, f"{host}: its certificate is not trusted ({problem}); {remedy}"
    )


def _chosen(environment: Mapping[str, str]) -> Bundle | None:
    for name in VARIABLES:
        if path := environment.get(name, "").strip():
            return Bundle(name, path)
    return None


def _load(context: ssl.SSLContext, chosen: Bundle) -> None:
    where = f"{chosen.variable} names {chosen.path}"
    try:
        if not Path(chosen.path).is_file():
            # A directory, a pipe without end; and what is not there, by the error of open(2).
            with Path(chosen.path).open("rb"):
                raise UserError(f"{where}, which is no file; name a file of CA certificates")
        context.load_verify_locations(cafile=chosen.path)
    except ssl.SSLError as error:
        raise UserError(
            f"{where}, which has no certificate that can be read; write CA certificates into it, as PEM"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise UserError(
            f"{where}, which can't be read ({reason}); mount the file there, or unset the variable"
        ) from error
