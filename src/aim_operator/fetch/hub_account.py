"""Which hub is asked, as whom: what HF_ENDPOINT and HF_TOKEN say, and where a token may go. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from aim_operator.errors import UserError
from aim_operator.fetch import proxies

DEFAULT_ENDPOINT = "https://huggingface.co"
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""The second is the older name of the first."""
PLAIN_HTTP_VARIABLE = "AIM_ALLOW_PLAIN_HTTP"
_OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = ("1", "true", "yes", "on")


class Account(Struct, frozen=True):
    """`withheld` says why the token is not sent, "" if it is or there is none."""

    endpoint: str
    token: str
    variable: str
    withheld: str

    @property
    def is_public_hub(self) -> bool:
        return self.endpoint == DEFAULT_ENDPOINT

    @property
    def headers(self) -> dict[str, str]:
        if not self.token or self.withheld:
            return {}
        return {"Authorization": f"Bearer {self.token}"}


def of(environment: Mapping[str, str]) -> Account:
    """Read the environment. UserError, which names the variable, for what can't be used."""
    for name in _OFFLINE_VARIABLES:
        if environment.get(name, "").strip().lower() in _TRUE:
            raise UserError(f"{name} is set, which forbids to ask a hub; unset it to download")
    endpoint = _endpoint(environment)
    variable = next((name for name in TOKEN_VARIABLES if environment.get(name, "").strip()), "")
    token = environment.get(variable, "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(
            f"{variable} has characters that no token has, such as a space or a line break in its middle;"
            " write the token alone into the Secret"
        )
    withheld = ""
    if token and not may_carry_token(endpoint, environment):
        withheld = (
            f"the token in {variable} is not sent, since HF_ENDPOINT is plain http, where anybody on the way"
            f" reads it; use https, or set {PLAIN_HTTP_VARIABLE}=true"
        )
    return Account(endpoint=endpoint, token=token, variable=variable, withheld=withheld)


def _endpoint(environment: Mapping[str, str]) -> str:
    endpoint = environment.get("HF_ENDPOINT", "").strip().rstrip("/") or DEFAULT_ENDPOINT
    unusable = UserError("HF_ENDPOINT is no address; write it as in https://hub.example.com")
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise unusable from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise unusable
    if not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        raise unusable
    if "@" in parts.netloc:
        raise UserError("HF_ENDPOINT has a user or a password in it, which is not sent; set HF_TOKEN instead")
    return endpoint


def may_carry_token(endpoint: str, environment: Mapping[str, str]) -> bool:
    """Whether a token may be sent to that address: not over plain http, unless it is told so."""
    parts = urlsplit(endpoint)
    if parts.scheme == "https" or environment.get(PLAIN_HTTP_VARIABLE, "").strip().lower() in _TRUE:
        return True
    # What never leaves this machine is read by nobody else.
    return _is_this_machine(parts.hostname or "") and proxies.for_url(endpoint, environment) is None


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
