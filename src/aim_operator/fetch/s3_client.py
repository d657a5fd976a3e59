"""The client of the library: endpoint, region and credentials, from the environment that is given alone.

No configuration files are read: a profile may name a program to run (`credential_process`), and the files
would be the image's, not the user's. What remains are keys in variables, a web identity, and what the role of
a container gives, which a service account was granted. The role of the node is asked only where a variable
allows it that no Job can have: whoever makes a cache would have all that the node may do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch import certificates
from aim_operator.fetch.hub_account import PLAIN_HTTP_VARIABLE, may_carry_token
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.s3_transport import Sender

if TYPE_CHECKING:
    from botocore.session import Session
    from types_boto3_s3 import S3Client

TRUE = ("1", "true", "yes")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
DEFAULT_REGION = "us-east-1"
_PRINTABLE = re.compile(r"[\x21-\x7e]*", re.ASCII)
NOTHING = ""
"""A parameter's value that has the library neither send it nor add it by itself."""
_WEB_IDENTITY = "AWS_WEB_IDENTITY_TOKEN_FILE"
_RELATIVE_URI, _FULL_URI = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
NODE_ROLE_VARIABLE = "AIM_ALLOW_INSTANCE_ROLE"


def value(environment: Mapping[str, str], name: str) -> str:
    """Return a variable without what is around it: Secrets often end with a line break."""
    text = environment.get(name, "").strip()
    if not _PRINTABLE.fullmatch(text):
        raise UserError(
            f"{name} has a line break, a space or another character within that no such value has; look at"
            " the Secret that it comes from"
        )
    return text


def endpoint(environment: Mapping[str, str]) -> str | None:
    """Return the address of an S3 of one's own; None for Amazon's."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if address := value(environment, name):
            return _address(name, address)
    return None


def _address(name: str, text: str) -> str:
    """Return the address; UserError, which does not quote it, for what is none."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise UserError(f"{name} is no address; write it as in https://minio.example.com:9000")
    if "@" in parts.netloc:
        raise UserError(
            f"{name} has a user or a password in it, which is not sent; set AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY instead"
        )
    return text


def region(environment: Mapping[str, str]) -> str:
    return value(environment, "AWS_REGION") or value(environment, "AWS_DEFAULT_REGION") or DEFAULT_REGION


def new_client(
    environment: Mapping[str, str], *, region_name: str, anonymous: bool, sender: Sender
) -> S3Client:
    """Return a client whose requests `sender` sends. UserError for what can't be an endpoint or a region."""
    import botocore  # noqa: PLC0415 - a third of a second to import
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import InvalidRegionError  # noqa: PLC0415

    custom = endpoint(environment)
    keys = {name: value(environment, name) or None for name in KEYS}
    if (keys[KEYS[0]] is None) != (keys[KEYS[1]] is None):
        given, missing = KEYS[:2] if keys[KEYS[0]] else KEYS[1::-1]
        raise UserError(f"{given} is set and {missing} is not; set both, or neither")
    session = _session(environment, sender, region_name)
    virtual = value(environment, "S3_USER_VIRTUAL_BUCKET").lower() in TRUE
    config = Config(
        signature_version=botocore.UNSIGNED if anonymous else "s3v4",
        retries={"total_max_attempts": 1},
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # not in the stubs
        # Headers that not every store knows; they are asked for where they are of use.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # A server of one's own seldom has a name for each bucket.
        s3={"addressing_style": "virtual" if virtual else "path" if custom else "auto"},
    )
    try:
        client: Any = session.create_client(
            "s3",
            region_name=region_name,
            endpoint_url=custom,
            aws_access_key_id=keys[KEYS[0]],
            aws_secret_access_key=keys[KEYS[1]],
            aws_session_token=keys[KEYS[2]] if keys[KEYS[0]] else None,
            config=config,
        )
    except (ValueError, InvalidRegionError) as error:
        raise UserError(f"S3: {error}; check AWS_ENDPOINT_URL and AWS_REGION") from error
    client.meta.events.register_last("before-parameter-build.s3", _without_nothing)
    found: S3Client = client
    return found


def _without_nothing(params: dict[str, Any], **_: object) -> None:
    for name in [name for name, given in params.items() if given == NOTHING and name == "EncodingType"]:
        del params[name]


def _session(environment: Mapping[str, str], sender: Sender, region_name: str) -> Session:
    from botocore import credentials, loaders  # noqa: PLC0415
    from botocore.configprovider import ConstantProvider  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415
    from botocore.utils import InstanceMetadataFetcher  # noqa: PLC0415

    session = Session()
    store = session.get_component("config_store")
    for name in ("config_file", "credentials_file"):
        store.set_config_provider(name, ConstantProvider(os.devnull))
    for name in ("profile", "data_path", "ca_bundle"):
        store.set_config_provider(name, ConstantProvider(None))
    session.register_component(
        "data_loader",
        loaders.Loader(
            extra_search_paths=[loaders.Loader.BUILTIN_DATA_PATH], include_default_search_paths=False
        ),
    )
    providers: list[Any] = []
    web_identity = _web_identity(environment, session, region_name)
    if web_identity is not None:
        providers.append(web_identity)
    stripped = {name: text.strip() for name, text in environment.items()}
    if stripped.get(_RELATIVE_URI) or stripped.get(_FULL_URI):
        providers.append(_ContainerRole(stripped))
    if value(environment, NODE_ROLE_VARIABLE).lower() in TRUE:
        fetcher = InstanceMetadataFetcher(
            timeout=1, num_attempts=1, env=stripped, user_agent=session.user_agent(), config={}
        )
        providers.append(credentials.InstanceMetadataProvider(iam_role_fetcher=fetcher))
    session.register_component("credential_provider", credentials.CredentialResolver(providers=providers))
    for service in ("s3", "sts"):
        session.register(f"before-send.{service}", sender)  # type: ignore[arg-type]  # the stubs want its **kwargs
    return session


def _web_identity(environment: Mapping[str, str], session: Session, region_name: str) -> Any:
    """A provider of what STS gives for the token of a service account; None where none is set."""
    from botocore import credentials  # noqa: PLC0415

    path = value(environment, _WEB_IDENTITY)
    if not path:
        return None
    role = value(environment, "AWS_ROLE_ARN")
    if not role:
        raise UserError(f"{_WEB_IDENTITY} is set and AWS_ROLE_ARN is not; set the role that the token is for")
    settings = {
        "web_identity_token_file": path,
        "role_arn": role,
        "role_session_name": value(environment, "AWS_ROLE_SESSION_NAME") or None,
    }

    def client_of(service: str, **options: Any) -> Any:
        address = value(environment, "AWS_ENDPOINT_URL") or None
        if address is not None and not may_carry_token(address, environment):
            raise UserError(
                "AWS_ENDPOINT_URL is plain http, where anybody on the way reads the token in"
                f" {_WEB_IDENTITY}; use https, set AWS_ENDPOINT_URL_S3 alone, or set"
                f" {PLAIN_HTTP_VARIABLE}=true"
            )
        return session.create_client(service, region_name=region_name, endpoint_url=address, **options)

    return credentials.AssumeRoleWithWebIdentityProvider(
        load_config=lambda: {"profiles": {"environment": settings}},
        client_creator=client_of,
        profile_name="environment",
        disable_env_vars=True,
        token_loader_cls=_TokenFile,  # type: ignore[arg-type]  # only botocore's own, by the stubs
    )


class _ContainerRole:
    """A provider of what the agent of a container's role gives, by the address in a variable."""

    METHOD, CANONICAL_NAME = "container-role", "EcsContainer"

    def __init__(self, environment: Mapping[str, str]) -> None:
        from botocore import credentials  # noqa: PLC0415
        from botocore.httpsession import URLLib3Session  # noqa: PLC0415
        from botocore.utils import ContainerMetadataFetcher  # noqa: PLC0415

        relative = environment.get(_RELATIVE_URI, "")
        if relative and not relative.startswith("/"):
            # It is put behind the agent's address, where `@169.254.169.254/` would lead to the node's role.
            raise UserError(f"{_RELATIVE_URI} is no path; it begins with '/'")
        given = {name: text for name, text in environment.items() if text}
        self._variable = _RELATIVE_URI if relative else _FULL_URI
        self._environment = environment
        trusted: Any = certificates.file(environment) or True
        self._agent = URLLib3Session(verify=trusted, timeout=ContainerMetadataFetcher.TIMEOUT_SECONDS)
        fetcher: Any = ContainerMetadataFetcher(session=self._agent)
        self._provider = credentials.ContainerProvider(environ=given, fetcher=fetcher)

    def load(self) -> Any:
        """Ask the agent. FetchError for what can't be its address, its certificate, token or answer."""
        from botocore.exceptions import SSLError  # noqa: PLC0415

        try:
            return self._provider.load()
        except SSLError as error:
            problem = str(error.kwargs.get("error", error))
            raise certificates.not_trusted(self._variable, problem, self._environment) from error
        except (KeyError, ValueError) as error:
            raise FetchError(
                FetchReason.AUTHENTICATION_FAILED,
                f"{self._variable} gives no credentials ({error}); it must be https, or lead to this machine"
                " or to the agent of a container's role, and the token in"
                " AWS_CONTAINER_AUTHORIZATION_TOKEN(_FILE) must be one line",
            ) from error
        finally:
            self._agent.close()


class _TokenFile:
    """Reads the token of a web identity each time that it is needed: the kubelet replaces it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self) -> str:
        try:
            return Path(self._path).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no token"
            raise FetchError(
                FetchReason.AUTHENTICATION_FAILED,
                f"{_WEB_IDENTITY} names {self._path}, which can't be read ({reason}); is the service"
                " account's token mounted there? Set serviceAccountName, or AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY",
            ) from error
