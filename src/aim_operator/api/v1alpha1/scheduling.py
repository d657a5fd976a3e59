"""Where Pods may run: fields of a Pod's own spec, by the same names, with the checks of the API server.

They are made here, so that what is refused is refused to who writes it, and not to KServe later. Source:
pkg/apis/core/validation/validation.go of Kubernetes 1.35.
"""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule, at_most_bytes
from aim_operator.api.v1alpha1.common import SUBDOMAIN, ObjectName

_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

MOST_ANNOTATION_BYTES = 8 * 1024
"""Of all values together, in UTF-8."""

_KEY = Rule(
    rule=f"self.matches('^({SUBDOMAIN}/)?{_NAME}$')",
    message="not a label's key; write [prefix/]name, such as example.com/pool",
)
_VALUE = Rule(
    rule=f"self.matches('^({_NAME})?$')",
    message="not a label's value; write letters, digits, '-', '_' and '.', at most 63",
)
_NAMESPACE = Rule(
    rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    message="not a namespace; write lower-case letters, digits and '-'",
)
LABEL_KEYS = Rule(
    rule=f"self.all(k, k.size() <= 317 && k.matches('^({SUBDOMAIN}/)?{_NAME}$'))",
    message="each key must be [prefix/]name, such as example.com/team",
)
LabelKey = Annotated[str, Field(min_length=1, max_length=253, rules=(_KEY,))]
LabelValue = Annotated[str, Field(max_length=63, rules=(_VALUE,))]

_VALUES_FIT = Rule(
    rule=(
        "self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) || self.values.size() == 0 : "
        "has(self.values) && self.values.size() > 0 && "
        "(!(self.operator in ['Gt', 'Lt']) || self.values.size() == 1)"
    ),
    message="In and NotIn need values, Gt and Lt exactly one, Exists and DoesNotExist none",
    field_path=".values",
)

_Values = Annotated[
    tuple[str, ...], Field(max_items=16, list_type="atomic", value=Field(max_length=63, rules=(_VALUE,)))
]
_NodeNames = Annotated[tuple[ObjectName, ...], Field(min_items=1, max_items=1, list_type="atomic")]


class Toleration(Wire):
    """A taint of nodes that the Pods put up with."""

    RULES = (
        Rule(
            rule="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="without a key, all taints are meant; write operator Exists",
            field_path=".operator",
        ),
        Rule(
            rule=(
                "!(has(self.operator) && self.operator == 'Exists' && has(self.value)"
                " && self.value.size() > 0)"
            ),
            message="goes with operator Equal; leave it out with Exists",
            field_path=".value",
        ),
        Rule(
            rule="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="only running Pods have that long; write effect NoExecute",
            field_path=".tolerationSeconds",
        ),
    )

    key: Annotated[LabelKey | None, Field(doc="Key of the taint; every one if unset.")] = None
    operator: Annotated[
        str | None, Field(doc="How the value compares; Equal if unset.", enum=("Exists", "Equal"))
    ] = None
    value: Annotated[LabelValue | None, Field(doc="Value of the taint.")] = None
    effect: Annotated[
        str | None,
        Field(
            doc="Effect of the taint; every one if unset.",
            enum=("NoSchedule", "PreferNoSchedule", "NoExecute"),
        ),
    ] = None
    toleration_seconds: Annotated[
        int | None,
        Field(
            doc="How long a running Pod puts up with the taint; for ever if unset.",
            minimum=0,
            maximum=2**31 - 1,
            format="int64",
        ),
    ] = None


class NodeExpression(Wire):
    """What a label of a node must be."""

    RULES = (_VALUES_FIT,)

    key: Annotated[LabelKey, Field(doc="Key of the label.")]
    operator: Annotated[
        str,
        Field(
            doc="How the label compares with the values.",
            enum=("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
        ),
    ]
    values: Annotated[_Values | None, Field(doc="Values to compare with.")] = None


class NodeField(Wire):
    """What a field of a node must be."""

    key: Annotated[str, Field(doc="Name of the field.", enum=("metadata.name",))]
    operator: Annotated[str, Field(doc="Whether it must be the value, or must not.", enum=("In", "NotIn"))]
    values: Annotated[_NodeNames, Field(doc="The one name to compare with.")]


class NodeTerm(Wire):
    """Nodes that have all of these labels and fields."""

    RULES = (
        Rule(
            rule=(
                "(has(self.matchExpressions) && self.matchExpressions.size() > 0) || "
                "(has(self.matchFields) && self.matchFields.size() > 0)"
            ),
            message="an empty term fits no node; write matchExpressions or matchFields",
        ),
    )

    match_expressions: Annotated[
        tuple[NodeExpression, ...] | None,
        Field(doc="Labels of the node.", max_items=6, list_type="atomic"),
    ] = None
    match_fields: Annotated[
        tuple[NodeField, ...] | None, Field(doc="Fields of the node.", max_items=1, list_type="atomic")
    ] = None


class NodeSelector(Wire):
    """Nodes that fit one of the terms."""

    node_selector_terms: Annotated[
        tuple[NodeTerm, ...],
        Field(doc="Terms; one of them must fit.", min_items=1, max_items=4, list_type="atomic"),
    ]


class PreferredNodeTerm(Wire):
    """Nodes that are better than others."""

    weight: Annotated[int, Field(doc="By how much, 1 to 100.", minimum=1, maximum=100)]
    preference: Annotated[NodeTerm, Field(doc="Which nodes.")]


class NodeAffinity(Wire):
    """Nodes by their labels."""

    required_during_scheduling_ignored_during_execution: Annotated[
        NodeSelector | None, Field(doc="Nodes that fit; the operator adds those with the GPU.")
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredNodeTerm, ...] | None,
        Field(doc="Nodes that are better than others.", max_items=2, list_type="atomic"),
    ] = None


class LabelExpression(Wire):
    """What a label must be."""

    RULES = (_VALUES_FIT,)

    key: Annotated[LabelKey, Field(doc="Key of the label.")]
    operator: Annotated[
        str,
        Field(doc="How the label compares with the values.", enum=("In", "NotIn", "Exists", "DoesNotExist")),
    ]
    values: Annotated[_Values | None, Field(doc="Values to compare with.", max_items=4)] = None


Labels = Annotated[
    dict[str, str],
    Field(max_properties=16, value=Field(max_length=63, rules=(_VALUE,)), rules=(LABEL_KEYS,)),
]


class LabelSelector(Wire):
    """Objects that have all of these labels."""

    match_labels: Annotated[Labels | None, Field(doc="Labels and their values.", max_properties=4)] = None
    match_expressions: Annotated[
        tuple[LabelExpression, ...] | None,
        Field(doc="What labels must be.", max_items=2, list_type="atomic"),
    ] = None


class PodTerm(Wire):
    """Pods on the same node, in the same zone, and so on."""

    label_selector: Annotated[
        LabelSelector | None,
        Field(doc="Which Pods; those of the same service if unset."),
    ] = None
    namespaces: Annotated[
        tuple[str, ...] | None,
        Field(
            doc="Namespaces of these Pods; the Pod's own if unset.",
            max_items=4,
            list_type="atomic",
            value=Field(min_length=1, max_length=63, rules=(_NAMESPACE,)),
        ),
    ] = None
    topology_key: Annotated[
        LabelKey, Field(doc="Label whose value nodes share, such as topology.kubernetes.io/zone.")
    ]


class PreferredPodTerm(Wire):
    """Pods that it is better to be near to, or far from."""

    weight: Annotated[int, Field(doc="By how much, 1 to 100.", minimum=1, maximum=100)]
    pod_affinity_term: Annotated[PodTerm, Field(doc="Which Pods.")]


class PodAffinity(Wire):
    """Pods to be near to, or far from."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodTerm, ...] | None,
        Field(doc="Pods for which that must be so.", max_items=2, list_type="atomic"),
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredPodTerm, ...] | None,
        Field(doc="Pods for which that is better.", max_items=2, list_type="atomic"),
    ] = None


class Affinity(Wire):
    """Nodes and other Pods that the Pods belong to."""

    node_affinity: Annotated[NodeAffinity | None, Field(doc="Nodes by their labels.")] = None
    pod_affinity: Annotated[PodAffinity | None, Field(doc="Pods to be near to.")] = None
    pod_anti_affinity: Annotated[PodAffinity | None, Field(doc="Pods to be far from.")] = None


class TopologySpread(Wire):
    """How evenly Pods are spread over nodes, zones and so on."""

    RULES = (
        Rule(
            rule="!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            message="goes with whenUnsatisfiable DoNotSchedule; leave it out otherwise",
            field_path=".minDomains",
        ),
    )

    max_skew: Annotated[
        int, Field(doc="How many Pods more than elsewhere there may be.", minimum=1, maximum=2**31 - 1)
    ]
    topology_key: Annotated[
        LabelKey, Field(doc="Label whose value nodes share, such as topology.kubernetes.io/zone.")
    ]
    when_unsatisfiable: Annotated[
        str, Field(doc="What to do where that can't be.", enum=("DoNotSchedule", "ScheduleAnyway"))
    ]
    label_selector: Annotated[
        LabelSelector | None,
        Field(doc="Which Pods; those of the same service if unset."),
    ] = None
    min_domains: Annotated[
        int | None, Field(doc="How many zones and so on there are at least.", minimum=1, maximum=2**31 - 1)
    ] = None
    node_affinity_policy: Annotated[
        str | None,
        Field(doc="Whether only nodes that fit count; Honor if unset.", enum=("Honor", "Ignore")),
    ] = None
    node_taints_policy: Annotated[
        str | None,
        Field(doc="Whether only nodes without taints count; Ignore if unset.", enum=("Honor", "Ignore")),
    ] = None


Tolerations = Annotated[tuple[Toleration, ...], Field(max_items=16, list_type="atomic")]


class Scheduling(Wire):
    """Where Pods may run."""

    node_selector: Annotated[
        Labels | None,
        Field(doc="Labels that the node must have. Merged with those of the levels below, by key."),
    ] = None
    tolerations: Annotated[
        Tolerations | None,
        Field(doc="Taints of nodes that the Pods put up with. Added to those of the levels below."),
    ] = None
    affinity: Annotated[
        Affinity | None,
        Field(doc="Nodes and other Pods that the Pods belong to. The GPU that a profile needs is added."),
    ] = None
    priority_class_name: Annotated[ObjectName | None, Field(doc="Priority class of the Pods.")] = None
    runtime_class_name: Annotated[
        ObjectName | None, Field(doc="Runtime class: which container runtime of the node runs the Pods.")
    ] = None
    topology_spread_constraints: Annotated[
        tuple[TopologySpread, ...] | None,
        Field(
            doc="How evenly the Pods are spread.",
            max_items=3,
            list_type="map",
            list_map_keys=("topologyKey", "whenUnsatisfiable"),
        ),
    ] = None
    scheduler_name: Annotated[ObjectName | None, Field(doc="Scheduler that places the Pods.")] = None


_OURS = (
    "k.startsWith('aim.silogen.ai/') || k.startsWith('serving.kserve.io/') || "
    "k.startsWith('internal.serving.kserve.io/')"
)


class PodSettings(Wire):
    """What Pods have beside their containers."""

    labels: Annotated[
        Labels | None,
        Field(
            doc="Labels of the Pods, merged with those of the levels below, by key.",
            rules=(
                Rule(
                    rule=(
                        f"!self.exists(k, {_OURS} || k.startsWith('app.kubernetes.io/') || "
                        "k.startsWith('batch.kubernetes.io/') || "
                        "k in ['app', 'component', 'controller-uid', 'job-name', 'pod-template-hash'])"
                    ),
                    message="Pods are found by labels of KServe, Kubernetes and the operator, such as app, "
                    "component and app.kubernetes.io/…; use other keys",
                ),
            ),
        ),
    ] = None
    annotations: Annotated[
        dict[str, str] | None,
        Field(
            doc="Annotations of the Pods, merged with those of the levels below, by key.",
            max_properties=16,
            value=Field(max_length=4096),
            rules=(
                at_most_bytes(
                    MOST_ANNOTATION_BYTES,
                    "self[e]",
                    f"the values have more than {MOST_ANNOTATION_BYTES // 1024} KiB together; shorten them",
                ),
                LABEL_KEYS,
                Rule(
                    rule=f"!self.exists(k, {_OURS})",
                    message="keys of aim.silogen.ai/ and serving.kserve.io/ are switches of the operator and "
                    "of KServe; use other keys",
                ),
            ),
        ),
    ] = None
    image_pull_policy: Annotated[
        str | None,
        Field(
            doc="When images are pulled; if unset, always for the tag latest and once for others.",
            enum=("Always", "IfNotPresent", "Never"),
        ),
    ] = None
    enable_service_links: Annotated[
        bool | None,
        Field(
            doc="Whether each Service of the namespace is in the environment, as CHAT_PORT and the like; "
            "Kubernetes does so if unset. vLLM takes VLLM_PORT for its own: set false where a Service is "
            "called vllm."
        ),
    ] = None
