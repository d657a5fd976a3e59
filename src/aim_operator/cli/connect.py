"""How commands for users of a cluster reach it: kubectl's flags, and one line for whatever goes wrong.

Owns the flags and what a refusal says to a user; kube/ owns files and requests. Called by the commands.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.models import OptionInfo

from aim_operator.errors import (
    ApiError,
    Forbidden,
    NoAnswer,
    NotInstalled,
    Unauthorized,
    Unavailable,
    UserError,
)

if TYPE_CHECKING:
    from aim_operator.api.resource import K, Resource
    from aim_operator.kube.credentials import Connection
    from aim_operator.kube.protocol import KubeClient


T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""How long a server may take to answer; a person waits."""
FIELD_MANAGER = "aimctl"


def _option(*names: str, metavar: str | None = None, **more: Any) -> OptionInfo:
    option: OptionInfo = typer.Option(*names, metavar=metavar, **more)
    return option


Namespace = Annotated[
    str | None,
    _option("--namespace", "-n", metavar="NAME", help="Namespace; else that of the kubeconfig's context."),
]
AllNamespaces = Annotated[bool, _option("--all-namespaces", "-A", help="All namespaces.")]
Kubeconfig = Annotated[
    str | None,
    _option(
        "--kubeconfig",
        metavar="FILE",
        envvar="AIM_KUBECONFIG",
        show_envvar=False,
        help="Kubeconfig; else $KUBECONFIG, the Pod's service account, or ~/.kube/config.",
    ),
]
Context = Annotated[
    str | None,
    _option(
        "--context",
        metavar="NAME",
        envvar="AIM_CONTEXT",
        show_envvar=False,
        help="Context of the kubeconfig; its current one if left out.",
    ),
]
AsUser = Annotated[
    str | None, _option("--as", metavar="USER", help="Act as this user; needs the right to impersonate.")
]
AsGroups = Annotated[
    list[str] | None,
    _option("--as-group", metavar="GROUP", help="With --as: of this group; may be given several times."),
]


_FLAGS: dict[str, Any] = {
    "given_namespace": Namespace,
    "kubeconfig": Kubeconfig,
    "context": Context,
    "as_user": AsUser,
    "as_groups": AsGroups,
}
"""Of `Cluster`, by its fields."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Which cluster is meant, which namespace there, and who asks: the flags, as they were given."""

    given_namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    as_user: str | None = None
    as_groups: list[str] | None = None
    typed: frozenset[str] = frozenset()
    """Fields that the command line has a value for; variables are there for other commands, too."""

    @cached_property
    def connection(self) -> Connection:
        """Whom to ask, with the namespace that is meant. Raises UserError; nothing is sent yet."""
        from msgspec import structs  # noqa: PLC0415 - `--help` need not import them

        from aim_operator.cli import flags  # noqa: PLC0415
        from aim_operator.kube import credentials  # noqa: PLC0415

        if self.as_groups and not self.as_user:
            raise UserError("--as-group needs --as: a group alone is no identity to act under")
        if self.given_namespace:
            flags.namespace("--namespace", self.given_namespace)
        connection = credentials.load(self.kubeconfig, self.context)
        if self.given_namespace:
            connection = structs.replace(connection, namespace=self.given_namespace)
        if self.as_user:
            connection = credentials.impersonating(connection, self.as_user, self.as_groups or ())
        return connection

    @property
    def namespace(self) -> str:
        """That of the flag, or of the kubeconfig's context. Raises UserError."""
        return self.connection.namespace

    def one_or_all(self, *, all_namespaces: bool) -> str:
        """Return the namespace, or "" for all of them. Raises UserError where both are asked for."""
        if self.given_namespace and all_namespaces:
            raise UserError("--namespace and --all-namespaces: choose one")
        return "" if all_namespaces else self.namespace

    def ask(self, work: Callable[[KubeClient], Awaitable[T]]) -> T:
        """Return what `work` returns. Raises NoAnswer, in one line, for what the API server refuses."""
        return ask(self.connection, work)


def with_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command kubectl's flags, and hand them over as its argument `cluster`."""
    own = inspect.signature(command, eval_str=True)
    parameters = [each for each in own.parameters.values() if each.name != "cluster"]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _FLAGS.items()
    ]
    parameters.append(
        inspect.Parameter("context_of_call", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    )

    @wraps(command)
    def called(*, context_of_call: typer.Context, **given: Any) -> None:
        sources = {name: context_of_call.get_parameter_source(name) for name in _FLAGS if given[name]}
        typed = frozenset(name for name, source in sources.items() if source and source.name == "COMMANDLINE")
        cluster = Cluster(**{name: given.pop(name) for name in _FLAGS}, typed=typed)
        command(**given, cluster=cluster)

    # Typer reads both.
    called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


def ask(connection: Connection, work: Callable[[KubeClient], Awaitable[T]]) -> T:
    """Return what `work` returns. Raises NoAnswer, in one line, for what the API server refuses."""
    import asyncio  # noqa: PLC0415

    from aim_operator.cli.patience import Patience  # noqa: PLC0415
    from aim_operator.kube.client import Client  # noqa: PLC0415

    def say(line: str) -> None:
        # For people alone: what scripts read of stderr is errors.
        if sys.stderr.isatty():
            typer.echo(line, err=True)

    async def asked() -> T:
        patience = Patience(connection.server, say)
        client = Client(
            connection, observer=patience, timeout_seconds=ANSWER_SECONDS, field_manager=FIELD_MANAGER
        )
        try:
            async with patience.watching():
                return await work(client)
        except NotInstalled as error:
            await _refuse_others(client, connection)
            raise NoAnswer(refusal(connection, error)) from error
        finally:
            await client.close()

    try:
        return asyncio.run(asked())
    except ApiError as error:
        raise NoAnswer(refusal(connection, error)) from error


async def _refuse_others(client: KubeClient, connection: Connection) -> None:
    """Raise UserError where the server is no Kubernetes at all, but a web page, for example."""
    from aim_operator.api.external import CUSTOM_RESOURCE_DEFINITIONS  # noqa: PLC0415
    from aim_operator.cli.access import no_kubernetes  # noqa: PLC0415

    try:
        await client.list(CUSTOM_RESOURCE_DEFINITIONS, limit=1)
    except NotInstalled as error:
        raise no_kubernetes(connection) from error
    except Forbidden:
        # Kubernetes says so; most users may not list them.
        return


def refusal(connection: Connection, error: ApiError) -> str:
    """Return what an error of the API server means to somebody at a terminal, and what to do."""
    if isinstance(error, NotInstalled):
        return (
            f"{connection.server} does not serve these kinds ({error}); if it is the right cluster "
            f"({connection.source}), install them: aimctl crds | kubectl apply --server-side -f -"
        )
    if isinstance(error, Unauthorized):
        return f"{connection.source}: {error}; renew them, or choose another --context"
    if isinstance(error, Unavailable):
        return f"the API server {connection.server} can't be used: {error} ({connection.source})"
    return in_the_users_words(error)


def in_the_users_words(error: ApiError) -> str:
    """Return the error's message as it is meant for a user; kube/ words it for the operator."""
    message = str(error)
    if message.startswith("the operator may not"):
        message = message.replace("the operator may not", "you may not", 1)
        return message.replace(": add it to its role", ": ask for a role that has it")
    return message


async def everything(
    client: KubeClient, resource: Resource[K], namespace: str = "", *, label_selector: str = ""
) -> list[K]:
    """Return all objects of a kind, page by page; those that do not fit their type are left out."""
    objects: list[K] = []
    token = ""
    while True:
        page = await client.list(
            resource, namespace=namespace, label_selector=label_selector, continue_token=token
        )
        objects += page.items
        token = page.continue_token
        if not token:
            return objects
