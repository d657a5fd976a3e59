"""Copies and GPUs can be seen in sum, in a bounded number of series."""

from __future__ import annotations

import re

from aim_operator.api.meta import ObjectMeta
from aim_operator.api.v1alpha1 import SERVICES, AIMService, AIMServiceSpec, AIMServiceStatus
from aim_operator.api.v1alpha1.common import ResolvedReference
from aim_operator.api.v1alpha1.services import ActiveWorkload
from aim_operator.controllers import copies
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import Metrics
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock

SOMETHING = ResolvedReference(kind="AIMClusterImage", name="x", scope="Cluster")


def service(number: int, resource: str | None, gpus: int, desired: int, ready: int) -> AIMService:
    active = ActiveWorkload(
        image="i",
        resolved_image=SOMETHING,
        resolved_template=SOMETHING,
        gpu_count=gpus,
        gpu_resource=resource,
    )
    name = f"s{number}"
    return AIMService(
        metadata=ObjectMeta(name=name, namespace="team", uid=name),
        spec=AIMServiceSpec(model="m"),
        status=AIMServiceStatus(
            active=active, desired_replicas=desired, replicas=desired, ready_replicas=ready
        ),
    )


def shown(*services: AIMService) -> dict[str, float]:
    metrics = Metrics()
    informer = Informer(FakeClient(), SERVICES, clock=VirtualClock())
    copies.register(metrics, informer)
    for each in services:
        informer.store.upsert(each)
    found = re.findall(r"^(aim_\w+{.*}) (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    return {text.replace('"', ""): float(value) for text, value in found}


def test_what_is_wanted_and_what_answers_are_told_apart() -> None:
    got = shown(
        service(1, "amd.com/gpu", 4, desired=2, ready=1),
        service(2, None, 0, desired=3, ready=3),
        AIMService(metadata=ObjectMeta(name="new", namespace="team"), spec=AIMServiceSpec(model="m")),
    )
    assert got == {
        "aim_replicas{state=desired}": 5,
        "aim_replicas{state=existing}": 5,
        "aim_replicas{state=ready}": 4,
        "aim_gpus{gpu=amd.com/gpu,state=desired}": 8,
        "aim_gpus{gpu=amd.com/gpu,state=existing}": 8,
        "aim_gpus{gpu=amd.com/gpu,state=ready}": 4,
    }


def test_a_cluster_without_services_has_zero_copies_not_none() -> None:
    assert shown() == {f"aim_replicas{{state={state}}}": 0 for state in ("desired", "existing", "ready")}


def test_a_tenant_who_invents_resources_makes_no_series_for_each() -> None:
    got = shown(*(service(n, f"evil.example/{n}", n + 1, desired=1, ready=1) for n in range(100)))
    gpus = {name for name in got if name.startswith("aim_gpus")}
    assert len(gpus) == 3 * (copies.NAMED + 1)
    assert got["aim_gpus{gpu=(others),state=desired}"] == sum(range(1, 91))
