"""Runtime configurations: what they do to services."""

from __future__ import annotations

import pytest
from msgspec import structs

from aim_operator.api.plan import Plan
from aim_operator.api.v1alpha1 import AIMClusterRuntimeConfig, AIMRuntimeConfig, AIMRuntimeConfigStatus
from aim_operator.core import runtime_configs
from aim_operator.core.runtime_configs import ObservedConfig
from tests.support.status import assert_status_well_formed
from tests.support.template_builders import NOW, make_cluster_runtime_config, make_runtime_config

GATEWAY = {"name": "public"}


def decided(
    config: AIMRuntimeConfig | AIMClusterRuntimeConfig, cluster: AIMClusterRuntimeConfig | None = None
) -> Plan[AIMRuntimeConfigStatus]:
    return runtime_configs.decide(ObservedConfig(config=config, cluster=cluster), now=NOW)


@pytest.mark.parametrize(
    ("config", "want"),
    [
        pytest.param(
            make_runtime_config(), "services that do not ask for routing are not routed", id="no routing"
        ),
        pytest.param(
            make_runtime_config(routing={"gatewayRef": GATEWAY}),
            "services that do not ask for routing are not routed",
            id="a gateway, but routing is not on",
        ),
        pytest.param(
            make_runtime_config(routing={"enabled": True}),
            "services are routed; each must name its gateway, since routing.gatewayRef is not set here",
            id="routing without a gateway",
        ),
        pytest.param(
            make_cluster_runtime_config(routing={"enabled": True, "gatewayRef": GATEWAY}),
            "services are routed through gateway 'public'",
            id="routing through a gateway",
        ),
    ],
)
def test_what_a_configuration_says(config: AIMRuntimeConfig | AIMClusterRuntimeConfig, want: str) -> None:
    plan = decided(config)
    status = plan.status
    assert status is not None
    assert_status_well_formed(status)
    (ready,) = status.conditions or ()
    assert (status.status, ready.status, ready.message) == ("Ready", "True", want)
    assert (plan.children, plan.removals, plan.requeue_after_seconds, plan.events) == ((), (), None, ())
    again = structs.replace(config, status=status)
    assert decided(again).status == status


def test_a_configuration_of_a_namespace_says_what_it_takes_from_the_cluster() -> None:
    own = make_runtime_config(routing={"gatewayRef": GATEWAY})
    cluster = make_cluster_runtime_config(routing={"enabled": True}, allowUnoptimized=False)
    status = decided(own, cluster).status
    assert status is not None
    (ready,) = status.conditions or ()
    assert ready.message == (
        "services are routed through gateway 'public'; from the AIMClusterRuntimeConfig of this name: "
        "routing.enabled, allowUnoptimized"
    )
