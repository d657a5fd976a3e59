"""Resources of Jobs: the operator's own, and what a configuration lays over them."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1 import JobResources, JobSettings
from aim_operator.core.jobs.rendering import resources

OWN: tuple[dict[str, Any], dict[str, Any]] = (
    {"cpu": "100m", "memory": "256Mi"},
    {"cpu": "4", "memory": "1Gi"},
)

CASES: dict[str, tuple[JobResources | None, dict[str, Any]]] = {
    "nothing is said": (None, {"requests": OWN[0], "limits": OWN[1]}),
    "a quota wants other limits": (
        JobResources(limits={"memory": "512Mi", "ephemeral-storage": "1Gi"}),
        {
            "requests": OWN[0],
            "limits": {"cpu": "4", "memory": "512Mi", "ephemeral-storage": "1Gi"},
        },
    ),
    "a limit below the operator's request lowers that": (
        JobResources(limits={"memory": "128Mi"}),
        {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "4", "memory": "128Mi"}},
    ),
    "a request above the operator's limit raises that": (
        JobResources(requests={"cpu": 8}),
        {"requests": {"cpu": 8, "memory": "256Mi"}, "limits": {"cpu": 8, "memory": "1Gi"}},
    ),
    "more than Kubernetes can count is left to the API server": (
        JobResources(limits={"memory": "9E9"}),
        {"requests": OWN[0], "limits": {"cpu": "4", "memory": "9E9"}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_container_of_a_job_gets(name: str) -> None:
    chosen, want = CASES[name]
    assert resources(*OWN, JobSettings(resources=chosen)) == want


def test_a_request_of_an_administrator_above_the_default_limit_raises_that() -> None:
    asked = {"cpu": "100m", "memory": "2Gi"}
    assert resources(asked, OWN[1], None) == {"requests": asked, "limits": {"cpu": "4", "memory": "2Gi"}}
