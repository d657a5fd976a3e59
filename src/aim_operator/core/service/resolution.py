"""Resolution of a service: model → image → template (named, default, chosen, derived) → configuration."""

from __future__ import annotations

from msgspec import Struct, structs

from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    IMAGES,
    RUNTIME_CONFIGS,
    TEMPLATES,
    AIMService,
    TemplateCandidate,
)
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core.catalog import (
    Catalog,
    Image,
    MissingRuntimeConfig,
    RuntimeConfig,
    Template,
    find_template,
    kind_of,
    resolve_image,
    resolve_runtime_config,
)
from aim_operator.core.service import derivation, selection


class Problem(Struct, frozen=True, kw_only=True):
    """Why a service can't be resolved. `state` is Degraded, or Pending for what resolves itself."""

    reason: str
    message: str
    state: str = State.DEGRADED
    blocker: ObjectRef | None = None
    """The object that is missing, in the way or waited for. For a missing one a cluster-wide one would do."""


class Resolution(Struct, frozen=True, kw_only=True):
    """What a service's names mean now. Everything found before the first `problem` is filled in."""

    image: Image | None = None
    base: Template | None = None
    template: Template | None = None
    """The template to run on: the base, an equal one, or the derived one (None until it is seen)."""
    template_name: str = ""
    derived: Child | None = None
    config: RuntimeConfig | None = None
    candidates: tuple[TemplateCandidate, ...] = ()
    problem: Problem | None = None


def model_of(service: AIMService) -> str:
    """Return the model id; the CRD makes sure that one of the two aliases is set."""
    return service.spec.model or service.spec.aim_image_name or ""


def resolve(service: AIMService, catalog: Catalog) -> Resolution:
    """Resolve everything a service refers to. Pure: the same catalog gives the same answer."""
    namespace, model = service.metadata.namespace, model_of(service)
    image = resolve_image(catalog, namespace, model)
    if image is None:
        return Resolution(
            problem=Problem(
                reason=Reason.IMAGE_NOT_FOUND,
                message=(
                    f"spec.model: no AIMImage {model!r} in namespace {namespace!r} and no "
                    f"AIMClusterImage {model!r}; create one or correct the name"
                ),
                blocker=ObjectRef(IMAGES.kind, namespace, model),
            ),
        )
    base, candidates, problem = _base(service, image, catalog)
    resolution = Resolution(image=image, base=base, candidates=candidates)
    if base is None or problem is not None:
        # Without its template the inherited name of the configuration is not known either.
        return structs.replace(resolution, problem=problem)
    names = (
        service.spec.runtime_config_name,
        base.spec.runtime_config_name,
        image.spec.runtime_config_name,
    )
    config = resolve_runtime_config(catalog, namespace, names)
    if isinstance(config, MissingRuntimeConfig):
        field = (
            "spec.runtimeConfigName"
            if service.spec.runtime_config_name is not None
            else (f"runtimeConfigName of template {base.metadata.name!r} or image {model!r}")
        )
        return structs.replace(
            resolution,
            problem=Problem(
                reason=Reason.RUNTIME_CONFIG_MISSING,
                message=config.message(namespace, field=field),
                blocker=ObjectRef(RUNTIME_CONFIGS.kind, namespace, config.name),
            ),
        )
    return _with_template(structs.replace(resolution, config=config), service, base, image, catalog)


def _base(
    service: AIMService, image: Image, catalog: Catalog
) -> tuple[Template | None, tuple[TemplateCandidate, ...], Problem | None]:
    """Find the template by name, by the image's default, or by choice."""
    named = service.spec.template_ref or ""
    name = named or (image.spec.default_service_template or "")
    if not name:
        return _chosen(service, image, catalog)
    origin = "spec.templateRef" if named else f"defaultServiceTemplate of image {image.metadata.name!r}"
    template = find_template(catalog, service.metadata.namespace, name)
    if template is None:
        return (
            None,
            (),
            Problem(
                reason=Reason.TEMPLATE_NOT_FOUND,
                message=(
                    f"{origin}: no AIMServiceTemplate {name!r} in namespace "
                    f"{service.metadata.namespace!r} and no AIMClusterServiceTemplate {name!r}; create one"
                ),
                blocker=ObjectRef(TEMPLATES.kind, service.metadata.namespace, name),
            ),
        )
    if template.spec.aim_image_name != image.metadata.name:
        return (
            template,
            (),
            Problem(
                reason=Reason.TEMPLATE_IMAGE_MISMATCH,
                message=(
                    f"{origin}: template {name!r} is for image {template.spec.aim_image_name!r}, not for "
                    f"{image.metadata.name!r}; name a template of this image"
                ),
                blocker=_ref(template),
            ),
        )
    return template, (), None


def _chosen(
    service: AIMService, image: Image, catalog: Catalog
) -> tuple[Template | None, tuple[TemplateCandidate, ...], Problem | None]:
    chosen = selection.select(service, image, catalog)
    if chosen.template is not None:
        return chosen.template, chosen.candidates, None
    model = image.metadata.name
    if chosen.tied:
        problem = Problem(
            reason=Reason.TEMPLATE_SELECTION_AMBIGUOUS,
            message=(
                f"templates {', '.join(chosen.tied)} fit image {model!r} equally well; "
                "name one of them in spec.templateRef"
            ),
        )
    elif chosen.waiting and chosen.best:
        problem = Problem(
            reason=Reason.TEMPLATE_NOT_AVAILABLE,
            message=(
                f"waiting for discovery of {', '.join(chosen.waiting)}: of the templates of image {model!r} "
                f"it may fit better than {', '.join(chosen.best)}; name one in spec.templateRef to start now"
            ),
            state=State.PENDING,
            blocker=_ref(chosen.first_waiting),
        )
    elif chosen.waiting:
        problem = Problem(
            reason=Reason.TEMPLATE_NOT_AVAILABLE,
            message=f"no template of image {model!r} is available yet: {', '.join(chosen.waiting)}",
            state=State.PENDING,
            blocker=_ref(chosen.first_waiting),
        )
    elif chosen.not_optimized:
        problem = Problem(
            reason=Reason.NO_OPTIMIZED_TEMPLATE,
            message=(
                f"image {model!r} has no optimized template, only {', '.join(chosen.not_optimized)}; set "
                "spec.allowUnoptimized to true, or name one in spec.templateRef"
            ),
        )
    else:
        failed = (
            f" (not available: {', '.join(c.name for c in chosen.candidates)})" if chosen.candidates else ""
        )
        problem = Problem(
            reason=Reason.TEMPLATE_NOT_FOUND,
            message=(
                f"image {model!r} has no available template{failed}; create an AIMServiceTemplate "
                "for it, or name one in spec.templateRef"
            ),
        )
    return None, chosen.candidates, problem


def _ref(template: Template | None) -> ObjectRef | None:
    if template is None:
        return None
    return ObjectRef(kind_of(template), template.metadata.namespace, template.metadata.name)


def _with_template(
    resolution: Resolution, service: AIMService, base: Template, image: Image, catalog: Catalog
) -> Resolution:
    config = resolution.config or RuntimeConfig()
    template: Template | None = base
    name, derived, problem = base.metadata.name, None, None
    if derivation.needed(service, base, image) or derivation.asks_elsewhere(
        service, base, image, config, catalog
    ):
        result = derivation.derive(service, base, image, catalog)
        template, name, derived = result.template, result.name, result.child
        if result.conflict:
            problem = Problem(
                reason=Reason.NAME_CONFLICT,
                message=(
                    f"the derived template would be named {name!r}, but an AIMServiceTemplate of that name "
                    "with another spec exists; rename or delete it"
                ),
                blocker=ObjectRef(TEMPLATES.kind, service.metadata.namespace, name),
            )
    return structs.replace(
        resolution, template=template, template_name=name, derived=derived, problem=problem
    )
