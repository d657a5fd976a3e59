"""Decides about runtime configurations of both scopes: whether services can use them as they are."""

from __future__ import annotations

from datetime import datetime

from aim_operator.api.meta import Condition
from aim_operator.api.plan import Plan, Report
from aim_operator.api.v1alpha1 import (
    AIMClusterRuntimeConfig,
    AIMRuntimeConfig,
    AIMRuntimeConfigStatus,
    ConfigRouting,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions


def decide(
    config: AIMRuntimeConfig | AIMClusterRuntimeConfig, *, now: datetime
) -> Plan[AIMRuntimeConfigStatus]:
    """Return the plan for one runtime configuration: a status that says what it does to services."""
    old = config.status or AIMRuntimeConfigStatus()
    generation = config.metadata.generation
    ready = Condition(type=c.READY, status="True", reason=Reason.VALID, message=_summary(config))
    status = AIMRuntimeConfigStatus(
        observed_generation=generation,
        status=State.READY,
        conditions=conditions.merge(
            old.conditions or (), [ready], now=conditions.timestamp(now), generation=generation
        ),
    )
    return Plan(report=lambda _: Report(status=status))


def _summary(config: AIMRuntimeConfig | AIMClusterRuntimeConfig) -> str:
    routing = config.spec.routing or ConfigRouting()
    gateway = routing.gateway_ref
    if not (routing.enabled or False):
        return "services that do not ask for routing are not routed"
    if gateway is None:
        return "services are routed; each must name its gateway, since routing.gatewayRef is not set here"
    return f"services are routed through gateway {gateway.name!r}"
