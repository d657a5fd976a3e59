"""An image, a template and a service as YAML files, from what is wanted of them.

Each file is held to the schemas and rules of the API server, as `aimctl plan` does it, before it is written.
Knows neither folders nor terminals. Called by command.py and questions.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.meta import Manifest
from aim_operator.cli import kubernetes_yaml
from aim_operator.cli.plan import documents, problems
from aim_operator.errors import UserError
from aim_operator.runtime.clock import SystemClock
from aim_operator.sandbox import Sandbox

LONGEST_NAME = 63
LONGEST_SERVICE = 53
"""KServe makes host names of it: NAME-predictor."""
_NOT_OF_NAMES = re.compile(r"[^a-z0-9]+")

IMAGE_FILE = """\
# The catalog entry: which container image implements the model. metadata.name is the model's id, by which
# services name it.
"""
TEMPLATE_FILE = """\
# How the image is run. The operator starts the image once, without a GPU, to ask for its profile; fields
# that are not here are the image's own choice.
"""
SERVICE_FILE = """\
# The service: one endpoint that speaks OpenAI's API.
"""
KUSTOMIZATION_FILE = """\
# aimctl plan . shows what would come of it; kubectl apply -k . applies it.
"""
_SANDBOX: list[Sandbox] = []


class Wish(Struct, frozen=True, kw_only=True):
    """What is wanted; "" and None are left to defaults. Only `image` has none."""

    image: str
    model: str = ""
    template: str = ""
    service: str = ""
    namespace: str = "default"
    namespaced: bool = False
    """Image and template in the namespace too, instead of in the cluster's catalog."""
    metric: str | None = None
    precision: str | None = None
    gpus: int | None = None
    gpu_model: str | None = None
    replicas: int | None = None
    cache: bool = False
    gateway: str | None = None
    """Gateway that it is routed through, as NAMESPACE/NAME."""
    path: str | None = None

    @property
    def model_name(self) -> str:
        return self.model or default_name(self.image)

    @property
    def template_name(self) -> str:
        kind = (_name(text) for text in (self.precision or "", self.metric or ""))
        return self.template or "-".join(filter(None, (self.model_name, *kind)))

    @property
    def service_name(self) -> str:
        # Models may have dots in their names and begin with a digit, the host names of services may not.
        name = _name(self.model_name)
        letters = name if name[:1].isalpha() else f"model-{name}"
        return self.service or letters[:LONGEST_SERVICE].strip("-")


def default_name(image: str) -> str:
    """Return the model's name that an image suggests, its last part without `aim-`; "" if there is none."""
    repository = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return _name(repository).removeprefix("aim-")


def _name(text: str) -> str:
    return _NOT_OF_NAMES.sub("-", text.lower())[:LONGEST_NAME].strip("-")


def files(wish: Wish) -> dict[str, str]:
    """Return the text of each file by its name, in the order in which a cluster needs them.

    Raises UserError for what the API server would refuse.
    """
    if not wish.image:
        raise UserError("write an image such as ghcr.io/org/model:v1.0")
    if not wish.model_name:
        raise UserError(f"{wish.image!r} is no image: write one such as ghcr.io/org/model:v1.0")
    objects = {
        "image.yaml": (IMAGE_FILE, _image(wish)),
        "template.yaml": (TEMPLATE_FILE, _template(wish)),
        "service.yaml": (SERVICE_FILE, _service(wish)),
    }
    texts = {name: head + kubernetes_yaml.written(manifest) for name, (head, manifest) in objects.items()}
    _check(texts, wish.namespace)
    kustomization: Manifest = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [*texts],
    }
    return {"kustomization.yaml": KUSTOMIZATION_FILE + kubernetes_yaml.written(kustomization)} | texts


def _image(wish: Wish) -> Manifest:
    resource = aim.IMAGES if wish.namespaced else aim.CLUSTER_IMAGES
    spec = {"image": wish.image, "defaultServiceTemplate": wish.template_name}
    return _object(resource, wish.model_name, wish, spec)


def _template(wish: Wish) -> Manifest:
    resource = aim.TEMPLATES if wish.namespaced else aim.CLUSTER_TEMPLATES
    selector = _given(count=wish.gpus, model=wish.gpu_model)
    spec = {"aimImageName": wish.model_name} | _given(
        metric=wish.metric, precision=wish.precision, gpuSelector=selector or None
    )
    return _object(resource, wish.template_name, wish, spec)


def _service(wish: Wish) -> Manifest:
    routing: Manifest = {}
    if wish.gateway is not None:
        namespace, _, name = wish.gateway.rpartition("/")
        routing = {"enabled": True, "gatewayRef": {"name": name} | _given(namespace=namespace or None)}
    routing |= _given(routeTemplate=wish.path)
    spec = {"model": wish.model_name} | _given(
        replicas=wish.replicas, cacheModel=wish.cache or None, routing=routing or None
    )
    return _object(aim.SERVICES, wish.service_name, wish, spec)


def _object(resource: Any, name: str, wish: Wish, spec: Mapping[str, Any]) -> Manifest:
    metadata = {"name": name} | ({"namespace": wish.namespace} if resource.namespaced else {})
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        "spec": dict(spec),
    }


def _given(**fields: Any) -> Manifest:
    return {name: value for name, value in fields.items() if value is not None}


def _check(texts: Mapping[str, str], namespace: str) -> None:
    """Raise UserError for the first of what plan would call a mistake in these files."""
    if not _SANDBOX:
        # Made once: somebody who answers questions waits for it at each.
        _SANDBOX.append(Sandbox(SystemClock()))
    for name, text in texts.items():
        found = list(documents.parsed(name, text))
        unreadable = [each for each in found if isinstance(each, documents.Unreadable)]
        objects = [each for each in found if isinstance(each, documents.Document)]
        mistakes = [
            *problems.unreadable(unreadable),
            *problems.load(_SANDBOX[0], objects, namespace).problems,
        ]
        if mistakes:
            raise UserError(mistakes[0].text)
