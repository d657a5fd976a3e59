"""AIMImage and AIMClusterImage: the catalog. `metadata.name` is the model id."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import (
    Conditions,
    ObjectName,
    ObservedGeneration,
    ResourceRequirements,
    RuntimeConfigName,
)


class AIMImageSpec(Wire):
    image: Annotated[
        str,
        Field(
            doc="Container image that implements the model, with tag or digest.",
            min_length=1,
            max_length=512,
            rules=(
                Rule(
                    rule=r"self.matches('^[A-Za-z0-9][A-Za-z0-9._:/@-]*$') && !self.contains('//')",
                    message=(
                        "spec.image: write a container image reference such as "
                        "ghcr.io/org/model:v1.0, without scheme or spaces"
                    ),
                ),
            ),
        ),
    ]
    default_service_template: Annotated[
        ObjectName | UnsetType, Field(doc="Template for services that name none.")
    ] = UNSET
    runtime_config_name: RuntimeConfigName | UnsetType = UNSET
    resources: Annotated[
        ResourceRequirements | UnsetType, Field(doc="Default resources; template and service override.")
    ] = UNSET


class AIMImageStatus(Wire):
    observed_generation: ObservedGeneration | UnsetType = UNSET
    status: Annotated[str | UnsetType, Field(doc="Ready or Degraded.")] = UNSET
    conditions: Conditions | UnsetType = UNSET


class AIMImage(KubeObject):
    spec: AIMImageSpec
    status: AIMImageStatus | UnsetType = UNSET


class AIMClusterImage(KubeObject):
    spec: AIMImageSpec
    status: AIMImageStatus | UnsetType = UNSET
