"""AIMImage and AIMClusterImage: the catalog. `metadata.name` is the model id."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import (
    Blocked,
    Conditions,
    ObjectName,
    ObservedGeneration,
    RuntimeConfigName,
)
from aim_operator.api.v1alpha1.resources import ResourceRequirements

# Grammar of github.com/distribution/reference; an image beyond it would fail as InvalidImageName.
_IMAGE_REFERENCE = (
    r"^(([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?|[[][a-fA-F0-9:]+[]])(:[0-9]+)?/)?"
    r"[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@[a-z0-9+._-]+:[a-f0-9]{32,128})?$"
)


class AIMImageSpec(Wire):
    """Which container image implements the model, and the defaults of those who run it."""

    image: Annotated[
        str,
        Field(
            doc="Container image that implements the model, with tag or digest.",
            min_length=1,
            max_length=512,
            rules=(
                Rule(
                    rule=f"self.matches('{_IMAGE_REFERENCE}')",
                    message=(
                        "not a container image; write [registry/]repository[:tag][@digest] such as "
                        "ghcr.io/org/model:v1.0, the repository in lower case and no https:// before it"
                    ),
                ),
            ),
        ),
    ]
    default_service_template: Annotated[
        ObjectName | None, Field(doc="Template for services of this model that name none.")
    ] = None
    runtime_config_name: RuntimeConfigName | None = None
    resources: Annotated[
        ResourceRequirements | None, Field(doc="Default resources; template and service override.")
    ] = None


class AIMImageStatus(Wire):
    """Whether what the image names is there."""

    observed_generation: ObservedGeneration | None = None
    status: Annotated[
        str | None,
        Field(doc="Degraded: something that it names is missing.", enum=("Ready", "Degraded")),
    ] = None
    conditions: Conditions | None = None
    blocked_by: Blocked | None = None


class AIMImage(KubeObject):
    spec: AIMImageSpec
    status: AIMImageStatus | None = None


class AIMClusterImage(KubeObject):
    spec: AIMImageSpec
    status: AIMImageStatus | None = None
