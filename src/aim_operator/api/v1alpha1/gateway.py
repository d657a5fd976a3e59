"""What services and runtime configurations both say about routing."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import SUBDOMAIN, ObjectName


class GatewayRef(Wire):
    """A Gateway API ParentReference."""

    name: Annotated[ObjectName, Field(doc="Name of the Gateway.")]
    namespace: Annotated[
        str | None,
        Field(
            doc="Its namespace; the service's own if unset.",
            min_length=1,
            max_length=63,
            rules=(
                Rule(
                    rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                    message="not a namespace; write lower-case letters, digits and '-'",
                ),
            ),
        ),
    ] = None
    group: Annotated[
        str | None,
        Field(
            doc="API group of the parent; gateway.networking.k8s.io if unset.",
            max_length=253,
            rules=(
                Rule(
                    rule=f"self == '' || self.matches('^{SUBDOMAIN}$')",
                    message="not an API group; write one such as gateway.networking.k8s.io",
                ),
            ),
        ),
    ] = None
    kind: Annotated[
        str | None,
        Field(
            doc="Kind of the parent; Gateway if unset.",
            min_length=1,
            max_length=63,
            rules=(
                Rule(
                    rule="self.matches('^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$')",
                    message="not a kind; write one such as Gateway",
                ),
            ),
        ),
    ] = None
    section_name: Annotated[
        str | None,
        Field(
            doc="Listener of the Gateway; all if unset.",
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule=f"self.matches('^{SUBDOMAIN}$')",
                    message="not a listener's name; write lower-case letters, digits, '-' and '.'",
                ),
            ),
        ),
    ] = None
    port: Annotated[int | None, Field(doc="Port of the Gateway; all if unset.", minimum=1, maximum=65535)] = (
        None
    )


RouteTemplate = Annotated[
    str,
    Field(
        doc=(
            "URL path prefix. {…} holds a Kubernetes JSONPath on the AIMService, such as "
            "/{.metadata.namespace}/{.metadata.labels['team']}/{.spec.model}. The path must have fewer than "
            "200 characters once encoded."
        ),
        min_length=1,
        max_length=1024,
        rules=(
            Rule(
                rule=r"!self.matches('[\\x00-\\x1f\\x7f]')",
                message="control characters can't stand in a path; remove them",
            ),
        ),
    ),
]
