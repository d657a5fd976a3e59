"""What urllib3 raises, as what may pass and what may not: for all that goes through Connections."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping

from urllib3 import exceptions

from aim_operator.errors import FetchError
from aim_operator.fetch import certificates
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.retrying import Transient


@contextlib.contextmanager
def translated(host: str, environment: Mapping[str, str], *, in_body: bool = False) -> Iterator[None]:
    """Transient or FetchError instead of an error of urllib3. `in_body` is once the headers are there."""
    try:
        yield
    except exceptions.NewConnectionError as error:
        # The proxy's address, where there is one.
        raise Transient(f"can't reach {error.conn.host}:{error.conn.port} ({_cause(error)})") from error
    except exceptions.TimeoutError as error:
        raise Transient(f"no {'byte' if in_body else 'answer'} from {host}", stalled=True) from error
    except (exceptions.SSLError, exceptions.ProxyError) as error:
        # A ProxyError may have one within: the proxy's own certificate.
        is_proxy = isinstance(error, exceptions.ProxyError)
        untrusted = _verification_error(error)
        if untrusted is not None:
            who = f"the proxy for {host}" if is_proxy else host
            raise certificates.not_trusted(who, untrusted.verify_message, environment) from error
        if is_proxy and "407" in _cause(error):
            raise proxy_wants_password(host) from error
        problem = f"can't reach {host} through the proxy" if is_proxy else f"connection to {host} broke"
        raise Transient(f"{problem} ({_cause(error)})") from error
    except exceptions.ProtocolError as error:
        broke = f"{host} ended the body early" if in_body else f"connection to {host} broke ({_cause(error)})"
        raise Transient(broke) from error
    except (exceptions.LocationValueError, UnicodeError, ValueError) as error:
        raise FetchError(FetchReason.DOWNLOAD_FAILED, f"{host}: no valid address") from error
    except (exceptions.HTTPError, OSError) as error:
        raise Transient(f"connection to {host} broke ({_cause(error)})") from error


def proxy_wants_password(host: str) -> FetchError:
    """A 407, which no hub and no store has."""
    return FetchError(
        FetchReason.AUTHENTICATION_FAILED,
        f"the proxy for {host} wants a user and a password (407); write them into the variable that names the"
        " proxy: http://user:password@host:port",
    )


def _cause(error: BaseException) -> str:
    """The last reason of a chain: the system's own word, if it said one."""
    while error.__cause__ is not None:
        error = error.__cause__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _verification_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The reason, which urllib3 puts among the arguments of its own errors."""
    for arg in error.args:
        if isinstance(arg, ssl.SSLCertVerificationError):
            return arg
        if isinstance(arg, exceptions.HTTPError) and (found := _verification_error(arg)) is not None:
            return found
    return None
