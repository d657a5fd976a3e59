"""What services and runtime configurations both say about routing."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule, at_most_bytes
from aim_operator.api.v1alpha1.common import SUBDOMAIN, ObjectName

MOST_ANNOTATION_BYTES = 16 * 1024
"""Of all values together, in UTF-8."""


class GatewayRef(Wire):
    """A Gateway API ParentReference, to a Gateway."""

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
            doc="API group of the parent: gateway.networking.k8s.io, also if unset.",
            max_length=253,
            rules=(
                Rule(
                    rule="self == 'gateway.networking.k8s.io'",
                    message="routes attach to Gateways only; leave it out or write gateway.networking.k8s.io",
                ),
            ),
        ),
    ] = None
    kind: Annotated[
        str | None,
        Field(
            doc="Kind of the parent: Gateway, also if unset.",
            max_length=63,
            rules=(
                Rule(
                    rule="self == 'Gateway'",
                    message="routes attach to Gateways only; leave it out or write Gateway",
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


GatewayRefs = Annotated[tuple[GatewayRef, ...], Field(max_items=8, list_type="atomic")]

Hostnames = Annotated[
    tuple[str, ...],
    Field(
        max_items=16,
        list_type="set",
        value=Field(
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule=f"self.matches('^([*][.])?{SUBDOMAIN}$')",
                    message="not a host; write lower-case letters, digits, '-' and '.', such as "
                    "models.example.com, or *.example.com for all below",
                ),
                Rule(
                    rule="!self.matches('^[0-9.]+$')",
                    message="Gateway API takes no addresses; write a name such as models.example.com",
                ),
            ),
        ),
    ),
]

RouteAnnotations = Annotated[
    dict[str, str],
    Field(
        max_properties=64,
        value=Field(max_length=16384),
        rules=(
            Rule(
                rule=(
                    "self.all(k, k.size() <= 317 && k.matches("
                    r"'^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))"
                ),
                message="each key must be [prefix/]name, such as example.com/team",
            ),
            at_most_bytes(
                MOST_ANNOTATION_BYTES,
                "self[e]",
                f"the values have more than {MOST_ANNOTATION_BYTES // 1024} KiB together; shorten them",
            ),
            Rule(
                rule="self.all(k, !k.startsWith('aim.silogen.ai/'))",
                message="keys of aim.silogen.ai/ belong to the operator; use another prefix",
            ),
        ),
    ),
]

LEFT_TO_THE_GATEWAY = "Gateway"
RequestTimeout = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        rules=(
            Rule(
                rule=rf"self == '{LEFT_TO_THE_GATEWAY}' || self.matches('^([0-9]{{1,5}}(h|m|s|ms)){{1,4}}$')",
                message="write a Gateway API duration such as 30s, 5m or 1h30m, 0s for no limit, or Gateway "
                "for the gateway's own",
            ),
        ),
    ),
]

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

PathPrefix = Annotated[
    str,
    Field(
        doc=(
            "Where the paths of all services must lie, whatever their routeTemplates and configurations say, "
            "such as /{.metadata.namespace}/. The namespace is the only expression: nothing else about a "
            "service is out of its users' hands. If unset, paths are free. Only in the configuration named "
            "default."
        ),
        min_length=2,
        max_length=128,
        rules=(
            Rule(
                rule="self.matches('^/([-A-Za-z0-9._~/]|[{][.]metadata[.]namespace[}])*$')",
                message=(
                    "begin with / and write letters, digits, '-', '.', '_', '~', '/' and "
                    "{.metadata.namespace}, such as /models/{.metadata.namespace}/"
                ),
            ),
            Rule(
                rule="self.matches('[^/]') && !self.matches('(^|/)[.][.]?(/|$)')",
                message="needs a segment, and none that is '.' or '..'; write one such as /models/",
            ),
            Rule(
                rule="!self.matches('^/+[.][wW][eE][lL][lL]-[kK][nN][oO][wW][nN](/|$)')",
                message="/.well-known is about the whole host; begin with another segment",
            ),
        ),
    ),
]

AllowedHostnames = Annotated[
    tuple[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=253,
                rules=(
                    Rule(
                        rule=(
                            "self.matches('^([*][.])?([-a-z0-9]|[{][.]metadata[.]namespace[}])+"
                            "([.]([-a-z0-9]|[{][.]metadata[.]namespace[}])+)*$')"
                        ),
                        message=(
                            "write a host such as models.example.com, *.models.example.com or "
                            "*.{.metadata.namespace}.example.com"
                        ),
                    ),
                ),
            ),
        ],
        ...,
    ],
    Field(
        doc=(
            "Hosts that routes may name, whatever services and configurations say; *. is one label or more. "
            "The namespace is the only expression, such as *.{.metadata.namespace}.example.com. Routes "
            "that name no host stay possible. If unset, hosts are free. Only in the configuration named "
            "default."
        ),
        min_items=1,
        max_items=16,
        list_type="set",
    ),
]
