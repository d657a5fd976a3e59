"""What a model server that was taken over may do: by default, and as a configuration says."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.meta import Manifest
from aim_operator.core.serving.workload import inference_service
from tests.support.service_builders import (
    FakeCatalog,
    make_image,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_workload,
)

SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
PROFILE = {"seccompProfile": {"type": "RuntimeDefault"}}


def predictor(**config: Any) -> Manifest:
    catalog = FakeCatalog(make_image(), make_template(), make_runtime_config(**config))
    observed = make_service_observed(make_service(), catalog)
    child = inference_service(observed.service, make_workload(observed), runtime="fast")
    got: Manifest = child.manifest["spec"]["predictor"]
    return got


@pytest.mark.parametrize(
    ("own", "container", "pod"),
    [
        pytest.param(None, SAFE, PROFILE, id="no privileges, whatever the image's user"),
        pytest.param({}, SAFE, PROFILE, id="the same where nothing is said"),
        pytest.param(
            {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 7},
            {**SAFE, "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 7},
            {**PROFILE, "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 7},
            id="a user, which the Pod has too",
        ),
        pytest.param(
            {"seccompProfile": {"type": "Unconfined"}},
            {**SAFE, "seccompProfile": {"type": "Unconfined"}},
            {"seccompProfile": {"type": "Unconfined"}},
            id="another profile",
        ),
        pytest.param(
            {"capabilities": {"add": ["SYS_PTRACE"]}},
            {**SAFE, "capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}},
            PROFILE,
            id="one capability and no other",
        ),
        pytest.param(
            {"capabilities": {"drop": ["NET_RAW"]}},
            {**SAFE, "capabilities": {"drop": ["NET_RAW"]}},
            PROFILE,
            id="all capabilities but one",
        ),
        pytest.param(
            {"capabilities": {"drop": []}},
            {field: value for field, value in SAFE.items() if field != "capabilities"},
            PROFILE,
            id="those of the container runtime",
        ),
        pytest.param(
            {"allowPrivilegeEscalation": True},
            {**SAFE, "allowPrivilegeEscalation": True},
            PROFILE,
            id="a setuid program",
        ),
        pytest.param({"privileged": True}, {"privileged": True}, {}, id="everything"),
        pytest.param({"privileged": False}, SAFE, PROFILE, id="not everything"),
    ],
)
def test_a_model_server_that_is_taken_over_has(own: Any, container: Manifest, pod: Manifest) -> None:
    got = predictor() if own is None else predictor(securityContext=own)
    assert got["model"]["securityContext"] == container
    assert got.get("securityContext", {}) == pod


def test_groups_of_devices_are_the_pods() -> None:
    groups = {"supplementalGroups": [44, 109], "fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch"}
    got = predictor(podSecurityContext=groups)
    assert got["securityContext"] == {**PROFILE, **groups}
    assert got["model"]["securityContext"] == SAFE


def test_a_server_that_is_taken_over_finds_no_token_of_the_api() -> None:
    got = predictor()
    assert got["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in got


def test_a_service_account_that_is_named_decides_about_its_token() -> None:
    got = predictor(serviceAccountName="server")
    assert got["serviceAccountName"] == "server"
    assert "automountServiceAccountToken" not in got
