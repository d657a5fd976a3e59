"""Decides about runtime configurations of both scopes: whether services can use them as they are."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from aim_operator.api.meta import Condition
from aim_operator.api.plan import Plan, Report
from aim_operator.api.v1alpha1 import (
    AIMClusterRuntimeConfig,
    AIMRuntimeConfig,
    AIMRuntimeConfigSpec,
    AIMRuntimeConfigStatus,
    ConfigRouting,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.catalog import effective_spec
from aim_operator.core.messages import one_line


class ObservedConfig(Struct, frozen=True, kw_only=True):
    """A runtime configuration, and for a namespaced one the cluster's of the same name."""

    config: AIMRuntimeConfig | AIMClusterRuntimeConfig
    cluster: AIMClusterRuntimeConfig | None = None


def decide(observed: ObservedConfig, *, now: datetime) -> Plan[AIMRuntimeConfigStatus]:
    """Return the plan for one runtime configuration: a status that says what it does to services."""
    config = observed.config
    old = config.status or AIMRuntimeConfigStatus()
    generation = config.metadata.generation
    ready = Condition(type=c.READY, status="True", reason=Reason.VALID, message=_summary(observed))
    status = AIMRuntimeConfigStatus(
        observed_generation=generation,
        status=State.READY,
        conditions=conditions.merge(
            old.conditions or (), [ready], now=conditions.timestamp(now), generation=generation
        ),
    )
    return Plan(report=lambda _: Report(status=status))


def _summary(observed: ObservedConfig) -> str:
    config = observed.config
    if isinstance(config, AIMRuntimeConfig):
        spec, inherited = effective_spec(config, observed.cluster)
    else:
        spec, inherited = effective_spec(None, config)
    return f"{_routing(spec)}{_taken(inherited)}"


def _taken(inherited: tuple[str, ...]) -> str:
    if not inherited:
        return ""
    return f"; from the AIMClusterRuntimeConfig of this name: {one_line(', '.join(inherited), 400)}"


def _routing(spec: AIMRuntimeConfigSpec) -> str:
    routing = spec.routing or ConfigRouting()
    gateway = routing.gateway_ref
    if not (routing.enabled or False):
        return "services that do not ask for routing are not routed"
    if gateway is None:
        return "services are routed; each must name its gateway, since routing.gatewayRef is not set here"
    return f"services are routed through gateway {gateway.name!r}"
