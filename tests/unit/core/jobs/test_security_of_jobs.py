"""Who the Pods of Jobs run as: a fixed uid, unless the platform or the volume asks for another."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.v1alpha1 import Jobs
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.jobs import rendering

RUNTIME_DEFAULT = {"type": "RuntimeDefault"}
OURS = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": RUNTIME_DEFAULT}
GROUP = {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
FREE = {"runAsNonRoot": True, "seccompProfile": RUNTIME_DEFAULT}


def config(chosen: dict[str, Any] | None) -> RuntimeConfig:
    jobs = {} if chosen is None else {"securityContext": chosen}
    return RuntimeConfig(jobs=msgspec.convert(jobs, Jobs))


@pytest.mark.parametrize(
    ("chosen", "reads", "writes"),
    [
        pytest.param(None, OURS, {**OURS, **GROUP}, id="nothing said"),
        pytest.param({}, FREE, FREE, id="for the platform to choose, as on OpenShift"),
        pytest.param(
            {"runAsUser": 1000, "fsGroup": 2000},
            {**FREE, "runAsUser": 1000},
            {**FREE, "runAsUser": 1000, "fsGroup": 2000},
            id="a uid and a group; who only reads changes no volume's group",
        ),
        pytest.param(
            {"runAsUser": 0, "runAsGroup": 0},
            {"runAsNonRoot": False, "runAsUser": 0, "runAsGroup": 0, "seccompProfile": RUNTIME_DEFAULT},
            {"runAsNonRoot": False, "runAsUser": 0, "runAsGroup": 0, "seccompProfile": RUNTIME_DEFAULT},
            id="root, for an export that only root may write to",
        ),
        pytest.param(
            {"supplementalGroups": [100], "runAsNonRoot": False},
            {**FREE, "runAsNonRoot": False, "supplementalGroups": [100]},
            {**FREE, "runAsNonRoot": False, "supplementalGroups": [100]},
            id="the group of an export",
        ),
    ],
)
def test_who_a_pod_runs_as(
    chosen: dict[str, Any] | None, reads: dict[str, Any], writes: dict[str, Any]
) -> None:
    assert rendering.pod_security(config(chosen)) == reads
    assert rendering.pod_security(config(chosen), writes=True) == writes
