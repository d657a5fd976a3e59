"""An AIMService by flags: its manifest, held to the CRD's rules, and its way into a cluster.

Called by serve.py.
"""

from __future__ import annotations

import difflib
from typing import Any

from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.meta import Manifest
from aim_operator.cli.connect import everything
from aim_operator.errors import Conflict, Forbidden, Invalid, NotFound, NotInstalled, UserError
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import SystemClock
from aim_operator.sandbox.sandbox import Sandbox

SHOWN_MODELS = 8


class Wish(Struct, frozen=True, kw_only=True):
    """What is wanted; what is None is left to template and configuration."""

    model: str
    name: str = ""
    """"" for the model's own."""
    template: str | None = None
    replicas: int | None = None
    gpus: int | None = None
    gpu_model: str | None = None
    metric: str | None = None
    precision: str | None = None
    cache: bool = False
    route: bool | None = None
    path: str | None = None


def manifest(wish: Wish, namespace: str | None) -> Manifest:
    """Return the AIMService. Raises UserError for what the API server would refuse."""
    # KServe's names are DNS labels, without the dots that those of models may have.
    metadata = {"name": wish.name or wish.model.lower().replace(".", "-")}
    if namespace is not None:
        metadata["namespace"] = namespace
    selector = _given(count=wish.gpus, model=wish.gpu_model)
    overrides = _given(metric=wish.metric, precision=wish.precision, gpuSelector=selector or None)
    routed = True if wish.path is not None else wish.route
    spec = {"model": wish.model} | _given(
        templateRef=wish.template,
        replicas=wish.replicas,
        overrides=overrides or None,
        cacheModel=wish.cache or None,
        routing=_given(enabled=routed, routeTemplate=wish.path) or None,
    )
    made = {"apiVersion": aim.SERVICES.api_version, "kind": "AIMService", "metadata": metadata, "spec": spec}
    try:
        # The sandbox defaults a namespace for what has none; the manifest stays as it is.
        Sandbox(SystemClock()).load([made | {"metadata": {"namespace": "default"} | metadata}])
    except Invalid as error:
        raise UserError(str(error)) from error
    return made


def _given(**fields: Any) -> Manifest:
    return {name: value for name, value in fields.items() if value is not None}


async def apply(client: KubeClient, wanted: Manifest) -> bool:
    """Apply the service; return whether it is a new one.

    Raises UserError for a model that is not in the catalog, and for fields that others have set otherwise.
    """
    namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
    await _check_model(client, wanted["spec"]["model"], namespace)
    try:
        await client.get(aim.SERVICES, name, namespace=namespace)
        new = False
    except NotFound:
        new = True
    try:
        await client.apply(aim.SERVICES, wanted)
    except Conflict as error:
        raise UserError(
            f"AIMService {namespace}/{name} is somebody else's already, with other values: {error}; "
            "choose another name with --name, or change it where it is kept"
        ) from error
    except Invalid as error:
        raise UserError(f"AIMService {namespace}/{name} is refused: {error}") from error
    except NotInstalled:
        raise
    except NotFound as error:
        raise UserError(
            f"there is no namespace {namespace}; name another with -n, "
            f"or make it: kubectl create namespace {namespace}"
        ) from error
    return new


async def _check_model(client: KubeClient, model: str, namespace: str) -> None:
    try:
        images = [
            *await everything(client, aim.IMAGES, namespace),
            *await everything(client, aim.CLUSTER_IMAGES),
        ]
    except Forbidden:
        # The operator will say so in the service's status.
        return
    names = sorted({image.metadata.name for image in images})
    if model in names:
        return
    close = difflib.get_close_matches(model, names, n=1)
    if close:
        meant = f"did you mean {close[0]}?"
    elif names:
        more = ", …" if len(names) > SHOWN_MODELS else ""
        meant = f"there is {', '.join(names[:SHOWN_MODELS])}{more}; see aimctl models"
    else:
        meant = "the catalog has none; apply an AIMClusterImage"
    raise UserError(f"there is no model {model!r} for namespace {namespace}: {meant}")


def applied(namespace: str, name: str, *, new: bool) -> tuple[str, str]:
    """Return what is said of a service that was applied, and what comes next."""
    return (
        f"AIMService {namespace}/{name}: {'created' if new else 'configured'}",
        f"next: aimctl wait {name} -n {namespace}",
    )
