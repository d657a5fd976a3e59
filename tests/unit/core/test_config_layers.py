"""Runtime configurations of a namespace laid over those of the cluster."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.v1alpha1 import AIMClusterRuntimeConfigSpec, AIMRuntimeConfigSpec
from aim_operator.core.config_layers import layered


def spec(**fields: Any) -> AIMRuntimeConfigSpec:
    return msgspec.convert(fields, AIMRuntimeConfigSpec)


def cluster_spec(**fields: Any) -> AIMClusterRuntimeConfigSpec:
    return msgspec.convert(fields, AIMClusterRuntimeConfigSpec)


def variables(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


ONE = {"name": "one", "namespace": "gateways"}
TWO = {"name": "two"}
OWN_VOLUME, BASE_VOLUME = (
    {"name": name, "mountPath": f"/{name}", "emptyDir": {"medium": "Memory"}} for name in ("own", "base")
)


@pytest.mark.parametrize(
    ("over", "base", "want", "inherited"),
    [
        pytest.param({}, {}, {}, [], id="nothing"),
        pytest.param(
            {"serviceAccountName": "puller"},
            {"allowUnoptimized": False},
            {"serviceAccountName": "puller", "allowUnoptimized": False},
            ["allowUnoptimized"],
            id="each a field",
        ),
        pytest.param(
            {"allowUnoptimized": False},
            {"allowUnoptimized": True},
            {"allowUnoptimized": False},
            [],
            id="false is a value",
        ),
        pytest.param(
            {"routing": {"enabled": True}},
            {"routing": {"gatewayRef": ONE, "enabled": False}},
            {"routing": {"enabled": True, "gatewayRef": ONE}},
            ["routing.gatewayRef"],
            id="fields of an object",
        ),
        pytest.param(
            {"routing": {"gatewayRef": TWO}},
            {"routing": {"gatewayRef": ONE}},
            {"routing": {"gatewayRef": TWO}},
            [],
            id="a reference is one thing: no namespace of one with the name of the other",
        ),
        pytest.param(
            {"env": variables(B="own", C="own")},
            {"env": variables(A="base", B="base")},
            {"env": variables(A="base", B="own", C="own")},
            ["env[A]"],
            id="environment by name",
        ),
        pytest.param(
            {"serving": {"volumes": [OWN_VOLUME]}},
            {"serving": {"volumes": [BASE_VOLUME, {**OWN_VOLUME, "mountPath": "/other"}]}},
            {"serving": {"volumes": [BASE_VOLUME, OWN_VOLUME]}},
            ["serving.volumes[base]"],
            id="volumes by name",
        ),
        pytest.param(
            {"rollout": {"maxUnavailable": 1}},
            {"rollout": {"maxSurge": 1, "maxUnavailable": 0}},
            {"rollout": {"maxUnavailable": 1}},
            [],
            id="a roll-out whole: what it may take and what it may add belong together",
        ),
        pytest.param(
            {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
            {"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}}},
            {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
            [],
            id="a seccomp profile whole: only one of its types has a file",
        ),
        pytest.param(
            {"storage": {"accessModes": ["ReadWriteOnce"]}},
            {"storage": {"accessModes": ["ReadWriteMany"], "headroomPercent": 20}},
            {"storage": {"accessModes": ["ReadWriteOnce"], "headroomPercent": 20}},
            ["storage.headroomPercent"],
            id="other lists whole",
        ),
        pytest.param(
            {"securityContext": {"runAsUser": 7, "capabilities": {"add": ["CHOWN"]}}},
            {"securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}}},
            {
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 7,
                    "capabilities": {"add": ["CHOWN"]},
                }
            },
            ["securityContext.runAsNonRoot"],
            id="a security context, its capabilities whole",
        ),
        pytest.param(
            {"jobs": {"securityContext": {}}},
            {"jobs": {"securityContext": {"runAsUser": 7}, "scheduling": {"priorityClassName": "low"}}},
            {"jobs": {"securityContext": {}, "scheduling": {"priorityClassName": "low"}}},
            ["jobs.scheduling"],
            id="who Jobs run as, whole: a platform that chooses has the last word",
        ),
        pytest.param(
            {"merge": "Replace", "serviceAccountName": "puller"},
            {"routing": {"enabled": True}, "env": variables(A="base")},
            {"merge": "Replace", "serviceAccountName": "puller"},
            [],
            id="nothing of the cluster's with Replace",
        ),
    ],
)
def test_what_two_configurations_say_together(
    over: dict[str, Any], base: dict[str, Any], want: dict[str, Any], inherited: list[str]
) -> None:
    merged, found = layered(spec(**over), cluster_spec(**base))
    assert merged == spec(**want)
    assert list(found) == inherited


def test_every_field_of_the_cluster_kind_is_inherited() -> None:
    """Fields that come later, too: none may be forgotten where it is merged."""
    names = {field.name for field in msgspec.structs.fields(AIMClusterRuntimeConfigSpec)}
    names -= {"autoscaling"}  # not a namespace's to set: core/catalog.py asks the cluster's
    assert names <= {field.name for field in msgspec.structs.fields(AIMRuntimeConfigSpec)}
