"""Reads what a cluster's policies say of the operator and its Pods: the other half of `aimctl doctor`.

Namespaces with their Pod Security, quotas, LimitRanges, NetworkPolicies, the API server's own addresses, and
what the operator's account may do. Called by gather.py; the modules beside judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource
from aim_operator.cli.versions import NAME_LABEL
from aim_operator.controllers.watched import Watched
from aim_operator.kube.protocol import KubeClient
from aim_operator.permissions import Permission, permissions
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.metrics import MetricSink
from aim_operator.runtime.scrapers import ACCESS_REVIEWS

AT_ONCE = 16
"""Questions about what the account may do; there are some hundred."""


Amounts = Mapping[str, str | int]
"""Quantities by the name of what they are of."""


class Namespace(KubeObject):
    """One with its labels."""


class Scope(Wire):
    """One term of a quota's scopeSelector."""

    scope_name: str = ""
    operator: str = "Exists"
    values: tuple[str, ...] | None = None


class _ScopeSelector(Wire):
    match_expressions: tuple[Scope, ...] | None = None


class _QuotaSpec(Wire):
    hard: dict[str, str | int] | None = None
    scopes: tuple[str, ...] | None = None
    scope_selector: _ScopeSelector | None = None


class _QuotaStatus(Wire):
    used: dict[str, str | int] | None = None


class Quota(KubeObject):
    spec: _QuotaSpec = msgspec.field(default_factory=_QuotaSpec)
    status: _QuotaStatus = msgspec.field(default_factory=_QuotaStatus)


class Limit(Wire):
    """One item of a LimitRange."""

    type: str = ""
    default: Amounts | None = None
    default_request: Amounts | None = None
    min: Amounts | None = None
    max: Amounts | None = None
    max_limit_request_ratio: Amounts | None = None


class _LimitRangeSpec(Wire):
    limits: tuple[Limit, ...] = ()


class LimitRange(KubeObject):
    spec: _LimitRangeSpec = msgspec.field(default_factory=_LimitRangeSpec)


class PriorityClass(KubeObject):
    """That of Pods that name none, if it is the `global_default`."""

    global_default: bool | None = None


class _PolicyPort(Wire):
    port: int | str | None = None
    end_port: int | None = None
    protocol: str | None = None


class IPBlock(Wire):
    cidr: str = ""
    except_: tuple[str, ...] | None = msgspec.field(name="except", default=None)


class _Peer(Wire):
    ip_block: IPBlock | None = None


class EgressRule(Wire):
    """What else its peers may be, Pods and namespaces, is not looked at: an API server is none."""

    ports: tuple[_PolicyPort, ...] | None = None
    to: tuple[_Peer, ...] | None = None


class _Expression(Wire):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in (self.values or ())
            case "NotIn":
                return value not in (self.values or ())
            case "Exists":
                return value is not None
            case _:
                return value is None


class _Selector(Wire):
    """An empty one selects all."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[_Expression, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in (self.match_labels or {}).items()) and all(
            each.matches(labels) for each in self.match_expressions or ()
        )


class _PolicySpec(Wire):
    pod_selector: _Selector = msgspec.field(default_factory=_Selector)
    policy_types: tuple[str, ...] | None = None
    egress: tuple[EgressRule, ...] | None = None


class Policy(KubeObject):
    """A NetworkPolicy."""

    spec: _PolicySpec = msgspec.field(default_factory=_PolicySpec)


class _EndpointPort(Wire):
    port: int | None = None


class _Endpoint(Wire):
    addresses: tuple[str, ...] = ()


class Endpoints(KubeObject):
    """A slice of the addresses behind a Service."""

    address_type: str = ""
    endpoints: tuple[_Endpoint, ...] | None = None
    ports: tuple[_EndpointPort, ...] | None = None


class _Container(Wire):
    args: tuple[str, ...] | None = None


class _PodSpec(Wire):
    service_account_name: str | None = None
    containers: tuple[_Container, ...] = ()


class _TemplateMetadata(Wire):
    labels: dict[str, str] | None = None


class _PodTemplate(Wire):
    metadata: _TemplateMetadata = msgspec.field(default_factory=_TemplateMetadata)
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


class _OperatorSpec(Wire):
    template: _PodTemplate = msgspec.field(default_factory=_PodTemplate)


class Operator(KubeObject):
    """The operator's Deployment: under which account, for which namespaces."""

    spec: _OperatorSpec = msgspec.field(default_factory=_OperatorSpec)

    @property
    def account(self) -> str:
        return self.spec.template.spec.service_account_name or "default"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those that it serves; empty is all."""
        return tuple(filter(None, (self.argument("--namespaces") or "").split(",")))

    def argument(self, flag: str) -> str | None:
        """Return what a flag of its command says, where the flag is there."""
        for container in self.spec.template.spec.containers:
            for argument in container.args or ():
                if argument.startswith(f"{flag}="):
                    return argument.removeprefix(f"{flag}=")
        return None

    def is_selected_by(self, policy: Policy) -> bool:
        """Whether a NetworkPolicy is about its Pods."""
        labels = self.spec.template.metadata.labels or {}
        return policy.metadata.namespace == self.metadata.namespace and policy.spec.pod_selector.matches(
            labels
        )


def _kind(
    group: str, plural: str, type_: type[Any], kind: str = "", *, namespaced: bool = True
) -> Resource[Any]:
    return Resource(
        group=group,
        version="v1",
        plural=plural,
        kind=kind or type_.__name__,
        namespaced=namespaced,
        type=type_,
    )


NAMESPACES = _kind("", "namespaces", Namespace, namespaced=False)
QUOTAS = _kind("", "resourcequotas", Quota, "ResourceQuota")
LIMIT_RANGES = _kind("", "limitranges", LimitRange)
PRIORITY_CLASSES = _kind("scheduling.k8s.io", "priorityclasses", PriorityClass, namespaced=False)
POLICIES = _kind("networking.k8s.io", "networkpolicies", Policy, "NetworkPolicy")
ENDPOINTS = _kind("discovery.k8s.io", "endpointslices", Endpoints, "EndpointSlice")
OPERATORS = _kind("apps", "deployments", Operator, "Deployment")
OF_THE_API_SERVER = "kubernetes.io/service-name=kubernetes"
OF_THE_OPERATOR = NAME_LABEL


class Denied(Struct, frozen=True):
    """What the account of an operator may not do."""

    operator: str
    """NAMESPACE/NAME."""
    permission: Permission
    namespace: str
    """"" is the whole cluster."""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        group = f".{self.permission.group}" if self.permission.group else ""
        kind, slash, sub = self.permission.resource.partition("/")
        return f"{self.permission.verb} {kind}{group}{slash}{sub}{where}"


async def denied(client: KubeClient, operators: Iterable[Operator]) -> tuple[Denied, ...]:
    """Ask the API server what the accounts of operators may not do that this version of it does.

    Raises Forbidden where the user may not ask.
    """
    refused: list[Denied] = []
    for operator in operators:
        questions = list(_questions(client, operator))
        # One first: who may not ask is told so once.
        answers = [await _allowed(client, operator, questions[0])]
        for start in range(1, len(questions), AT_ONCE):
            some = questions[start : start + AT_ONCE]
            answers += await asyncio.gather(*(_allowed(client, operator, each) for each in some))
        refused += [each for each, allowed in zip(questions, answers, strict=True) if not allowed]
    return tuple(refused)


def _questions(client: KubeClient, operator: Operator) -> Iterable[Denied]:
    home, served = operator.metadata.namespace or "", operator.namespaces
    watched = Watched(
        client, clock=SystemClock(), metrics=MetricSink(), namespaces=served, operator_namespace=home
    )
    name = f"{home}/{operator.metadata.name}"
    for each in sorted(permissions(watched)):
        if not served:
            yield Denied(name, each, "")
        elif each.namespaced:
            yield from (Denied(name, each, namespace) for namespace in served)
        elif each.verb in ("list", "watch"):  # a limited one never writes cluster kinds
            yield Denied(name, each, "")


async def _allowed(client: KubeClient, operator: Operator, asked: Denied) -> bool:
    home = operator.metadata.namespace
    resource, _, subresource = asked.permission.resource.partition("/")
    attributes = {
        "group": asked.permission.group,
        "resource": resource,
        "subresource": subresource,
        "verb": asked.permission.verb,
        "namespace": asked.namespace,
    }
    review = {
        "apiVersion": ACCESS_REVIEWS.api_version,
        "kind": ACCESS_REVIEWS.kind,
        "metadata": {},
        "spec": {
            "user": f"system:serviceaccount:{home}:{operator.account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{home}", "system:authenticated"],
            "resourceAttributes": {key: value for key, value in attributes.items() if value},
        },
    }
    answer = await client.create(ACCESS_REVIEWS, review)
    return bool(answer.status and answer.status.allowed)
