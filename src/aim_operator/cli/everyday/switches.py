"""`aimctl rediscover`, `retry`, `restart`, `pause` and `resume`: annotations, without having to know them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import say

if TYPE_CHECKING:
    from aim_operator.api.resource import Resource

Object = Annotated[str, typer.Argument(metavar="[KIND/]NAME", help="The object.")]


@connect.with_cluster
def rediscover(
    obj: Annotated[
        str,
        typer.Argument(metavar="[KIND/]NAME", help="The template; template/ if no kind is given."),
    ],
    *,
    cluster: connect.Cluster,
) -> None:
    """Ask a template's image again what it needs.

    \b
    aimctl rediscover fast -n team
    aimctl rediscover clustertemplate/fast
    """
    from aim_operator.api import v1alpha1 as aim  # noqa: PLC0415 - `--help` need not import it
    from aim_operator.core import labels  # noqa: PLC0415

    kinds = (aim.TEMPLATES, aim.CLUSTER_TEMPLATES)
    _annotate(
        cluster, obj, kinds, annotation=labels.REDISCOVER, value=_now(), done="its discovery runs again"
    )


@connect.with_cluster
def retry(
    obj: Annotated[
        str,
        typer.Argument(metavar="[KIND/]NAME", help="The cache; cache/ if no kind is given."),
    ],
    *,
    cluster: connect.Cluster,
) -> None:
    """Try a failed download again at once.

    \b
    aimctl retry llama-3-8b -n team    # after a Secret was corrected, for example
    """
    from aim_operator.api import v1alpha1 as aim  # noqa: PLC0415 - `--help` need not import it
    from aim_operator.core import labels  # noqa: PLC0415

    _annotate(
        cluster,
        obj,
        (aim.MODEL_CACHES,),
        annotation=labels.RETRY,
        value=_now(),
        done="its download is tried again",
    )


@connect.with_cluster
def restart(
    obj: Annotated[str, typer.Argument(metavar="NAME", help="The service.")],
    *,
    cluster: connect.Cluster,
) -> None:
    """Replace the Pods of a service, one after the other.

    \b
    aimctl restart chat -n team
    """
    from aim_operator.api import v1alpha1 as aim  # noqa: PLC0415 - `--help` need not import it
    from aim_operator.core import labels  # noqa: PLC0415

    _annotate(
        cluster,
        obj,
        (aim.SERVICES,),
        annotation=labels.RESTART,
        value=_now(),
        done="its Pods are replaced",
    )


@connect.with_cluster
def pause(
    obj: Object,
    *,
    cluster: connect.Cluster,
) -> None:
    """Have the operator leave an object alone.

    \b
    aimctl pause chat -n team          # a service
    aimctl pause clusterimage/llama    # any kind of ours
    aimctl resume chat -n team         # until then nothing is done to it, nor to what belongs to it
    """
    from aim_operator.api import v1alpha1 as aim  # noqa: PLC0415 - `--help` need not import it
    from aim_operator.core import labels  # noqa: PLC0415

    _annotate(
        cluster, obj, (aim.SERVICES, *aim.ALL_KINDS), annotation=labels.PAUSED, value="true", done="paused"
    )


@connect.with_cluster
def resume(
    obj: Object,
    *,
    cluster: connect.Cluster,
) -> None:
    """Have the operator continue with an object that was paused.

    \b
    aimctl resume chat -n team
    """
    from aim_operator.api import v1alpha1 as aim  # noqa: PLC0415 - `--help` need not import it
    from aim_operator.core import labels  # noqa: PLC0415

    _annotate(
        cluster, obj, (aim.SERVICES, *aim.ALL_KINDS), annotation=labels.PAUSED, value=None, done="resumed"
    )


def _now() -> str:
    """Return a value that is new each time; the operator acts on the change, not on what it is."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _annotate(
    cluster: connect.Cluster,
    text: str,
    kinds: tuple[Resource[Any], ...],
    *,
    annotation: str,
    value: str | None,
    done: str,
) -> None:
    """Set an annotation of an object of one of `kinds`, the first of which is meant if none is named."""
    from aim_operator.cli.everyday import annotations  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli.objects import find_of  # noqa: PLC0415

    named = find_of(text, cluster.namespace, kinds)
    obj = cluster.ask(lambda client: annotations.annotate(client, named, annotation, value))
    say(annotations.said(named, obj, annotation, done))
