"""Which models can be served, and from where: rows made of what `aimctl status` reads. Pure.

Called by models.py and serve.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES, SERVICES, TEMPLATES
from aim_operator.api.v1alpha1.conditions import State
from aim_operator.cli.printing import Column, table
from aim_operator.cli.status.rows import UNJUDGED, ImageRow, Status, TemplateRow, Unseen
from aim_operator.cli.status.view import CLUSTER, profile


class Model(Struct, frozen=True, kw_only=True, rename="camel"):
    """A model of the catalog; `namespace` is "" for one of the whole cluster.

    `reason` and `message` say why none of its templates is Available, else "".
    """

    namespace: str
    name: str
    status: str
    image: str
    profiles: tuple[str, ...] = ()
    """Of the templates that are Available, in a few words each; that of the default first."""
    templates: tuple[str, ...] = ()
    available_templates: tuple[str, ...] = ()
    default_template: str = ""
    services: tuple[str, ...] | None = ()
    """NAMESPACE/NAME of those that serve it; None where services may not be read."""
    reason: str = ""
    message: str = ""


class Models(Struct, frozen=True, kw_only=True):
    """All models, those of the cluster first, and what could not be read."""

    models: tuple[Model, ...] = ()
    unseen: tuple[Unseen, ...] = ()


def models(status: Status, namespace: str) -> Models:
    """Return the models that a service of `namespace` can name; of all namespaces if it is ""."""
    hidden = {image.name for image in status.images if image.namespace} if namespace else set()
    seen = [image for image in status.images if image.namespace or image.name not in hidden]
    return Models(models=tuple(_model(image, status) for image in seen), unseen=status.unseen)


def _model(image: ImageRow, status: Status) -> Model:
    own = {each.namespace for each in status.images if each.name == image.name and each.namespace}

    def is_of(namespace: str, name: str) -> bool:
        """Whether what is in `namespace` means this image by the name: its own goes first there."""
        return name == image.name and (image.namespace or None) == (namespace if namespace in own else None)

    default = image.default_template
    templates = sorted(
        (each for each in status.templates if not each.derived and is_of(each.namespace, each.image)),
        key=lambda each: (each.name != default, each.namespace, each.name),
    )
    available = [each for each in templates if each.status == State.AVAILABLE]
    unseen = {each.kind for each in status.unseen}
    served = [
        f"{each.namespace}/{each.name}" for each in status.services if is_of(each.namespace, each.model)
    ]
    reason, message = ("", "") if available else _obstacle(templates, unseen)
    return Model(
        namespace=image.namespace,
        name=image.name,
        status=State.AVAILABLE if available else templates[0].status if templates else UNJUDGED,
        image=image.image,
        profiles=tuple(dict.fromkeys(filter(None, map(profile, available)))),
        templates=tuple(each.name for each in templates),
        available_templates=tuple(each.name for each in available),
        default_template=default,
        services=None if SERVICES.kind in unseen else tuple(served),
        reason=reason,
        message=message,
    )


def _obstacle(templates: Sequence[TemplateRow], unseen: set[str]) -> tuple[str, str]:
    if hidden := sorted(unseen & {TEMPLATES.kind, CLUSTER_TEMPLATES.kind}):
        return "TemplatesNotShown", f"you may not read every {' and '.join(hidden)}"
    if not templates:
        return "NoTemplate", "no template names it in aimImageName, so that services find none"
    first = next((each for each in templates if each.reason), None)
    if first is None:
        return "NotLookedAt", f"no operator has looked at template {templates[0].name} yet"
    return first.reason, f"template {first.name}: {' '.join(first.message.split())}"


def draw(found: Models, *, namespace: str, wide: bool) -> RenderableType:
    """Return the table, and below it why models can't be served."""
    columns = (
        Column("NAMESPACE"),
        Column("MODEL", grows=True),
        Column("STATUS"),
        Column("TEMPLATES"),
        Column("SERVICES"),
        Column("PROFILE", grows=True),
        Column("IMAGE", wide=True),
        Column("DEFAULT TEMPLATE", wide=True),
    )
    rows = [
        [
            each.namespace or CLUSTER,
            each.name,
            each.status,
            f"{len(each.available_templates)}/{len(each.templates)}",
            "" if each.services is None else str(len(each.services)),
            "; ".join(each.profiles) if wide else next(iter(each.profiles), ""),
            each.image,
            each.default_template,
        ]
        for each in found.models
    ]
    where = f"for namespace {namespace}" if namespace else "in all namespaces"
    parts: list[RenderableType] = (
        [table(columns, rows, wide=wide)] if rows else [Text(f"no models {where}: apply an AIMClusterImage")]
    )
    parts += _section("NOT AVAILABLE", _obstacles(found.models))
    parts += _section("NOT SHOWN", [Text(f"{each.kind}: {each.why}") for each in found.unseen])
    return Group(*parts)


def _obstacles(found: Iterable[Model]) -> Iterator[RenderableType]:
    for each in found:
        if each.reason:
            where = f"{each.namespace}/" if each.namespace else ""
            yield Text(f"{where}{each.name}: {each.reason}")
            yield Padding.indent(Text(each.message), 2)


def _section(title: str, lines: Iterable[RenderableType]) -> list[RenderableType]:
    shown = list(lines)
    return [Text(), Text(title, style="bold"), *shown] if shown else []
