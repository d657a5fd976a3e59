"""What there is can be seen by state and reason, in a bounded number of series, without names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aim_operator.api.external import JOBS, Job, JobCondition, JobStatus
from aim_operator.api.meta import Condition, ObjectMeta, OwnerReference
from aim_operator.api.v1alpha1 import (
    MODEL_CACHES,
    SERVICES,
    AIMModelCache,
    AIMModelCacheSpec,
    AIMModelCacheStatus,
    AIMService,
    AIMServiceSpec,
    AIMServiceStatus,
)
from aim_operator.controllers.inventory import register
from aim_operator.core import labels
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import Metrics
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock

BEGAN = "2026-01-31T12:00:00Z"


class Watching:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.metrics = Metrics()
        client = FakeClient()
        self.services = Informer(client, SERVICES, clock=self.clock)
        self.caches = Informer(client, MODEL_CACHES, clock=self.clock)
        self.jobs = Informer(client, JOBS, clock=self.clock)
        register(
            self.metrics,
            self.clock,
            ours=[self.services, self.caches],
            model_caches=self.caches,
            jobs=self.jobs,
        )

    def shown(self, name: str) -> dict[str, float]:
        """The series of a metric, by its labels as they are exposed."""
        found = re.findall(rf"^{name}{{(.*)}} (\S+)$", self.metrics.exposition().decode(), re.MULTILINE)
        return {text.replace('"', ""): float(value) for text, value in found}


def service(name: str, status: str | None, reason: str = "", since: str = BEGAN) -> AIMService:
    ready = Condition(type="Ready", status="False", reason=reason, message="", last_transition_time=since)
    return AIMService(
        metadata=ObjectMeta(name=name, namespace="team", uid=name, creation_timestamp=since),
        spec=AIMServiceSpec(model="m"),
        status=AIMServiceStatus(status=status, conditions=(ready,)) if status is not None else None,
    )


def cache(name: str, status: str, size: str | None) -> AIMModelCache:
    return AIMModelCache(
        metadata=ObjectMeta(name=name, namespace="team", uid=name),
        spec=AIMModelCacheSpec(source_uri="hf://a/b"),
        status=AIMModelCacheStatus(status=status, size=size),
    )


def job(
    component: str | None,
    condition: str = "",
    at: str = "2026-01-31T12:02:00Z",
    owner: str = "AIMModelCache",
) -> Job:
    ended = JobCondition(type=condition, status="True", last_transition_time=at)
    return Job(
        metadata=ObjectMeta(
            name="j",
            namespace="team",
            creation_timestamp=BEGAN,
            labels={labels.COMPONENT: component} if component else None,
            owner_references=(
                OwnerReference(api_version="v1", kind=owner, name="o", uid="u", controller=True),
            ),
        ),
        status=JobStatus(conditions=(ended,) if condition else None),
    )


def test_objects_are_counted_by_state_and_reason_with_how_long_the_longest_has_been_so() -> None:
    watching = Watching()
    for name, since in (("a", BEGAN), ("b", "2026-01-31T11:50:00Z")):
        watching.services.store.upsert(service(name, "Degraded", "ImageNotFound", since))
    watching.services.store.upsert(service("c", "Running", "RuntimeReady"))
    degraded = "reason=ImageNotFound,resource=aimservices.aim.silogen.ai,status=Degraded"
    running = "reason=RuntimeReady,resource=aimservices.aim.silogen.ai,status=Running"
    assert watching.shown("aim_objects") == {degraded: 2, running: 1}
    watching.clock.freeze(30)
    assert watching.shown("aim_objects_longest_seconds") == {degraded: 630, running: 30}


@pytest.mark.parametrize(
    ("status", "reason", "shown"),
    [
        pytest.param(None, "", ("(new)", "(new)"), id="no status yet"),
        pytest.param("Hacked", "Because", ("(other)", "(other)"), id="written by somebody else"),
        pytest.param("Pending", "Because" * 100, ("Pending", "(other)"), id="a reason of somebody else"),
    ],
)
def test_what_anybody_writes_into_a_status_makes_no_series_of_its_own(
    status: str | None, reason: str, shown: tuple[str, str]
) -> None:
    watching = Watching()
    for number in range(100):
        watching.services.store.upsert(service(f"s{number}", status, reason and f"{reason}{number}"))
    resource = "aimservices.aim.silogen.ai"
    want = f"reason={shown[1]},resource={resource},status={shown[0]}"
    assert watching.shown("aim_objects") == {want: 100}


@pytest.mark.parametrize("since", ["yesterday", "2026-01-31T12:00:00", "2999-01-01T00:00:00Z"])
def test_a_time_that_is_none_or_in_the_future_breaks_no_scrape(since: str) -> None:
    watching = Watching()
    watching.services.store.upsert(service("a", "Pending", "ImageNotFound", since))
    assert set(watching.shown("aim_objects_longest_seconds").values()) <= {0.0}


def test_bytes_of_models_are_summed_by_state_of_their_caches() -> None:
    watching = Watching()
    sizes: list[tuple[str, str | None]] = [
        ("Available", "8Gi"),
        ("Available", "1Gi"),
        ("Progressing", "500M"),
        ("Pending", None),
    ]
    for number, (status, size) in enumerate(sizes):
        watching.caches.store.upsert(cache(f"c{number}", status, size))
    assert watching.shown("aim_model_cache_bytes") == {
        "status=Available": 9 * 2**30,
        "status=Progressing": 500e6,
    }


@pytest.mark.parametrize("size", ["large", "", "-8Gi", "9" * 64, "1e99999999"])
def test_a_size_that_anybody_writes_into_a_status_breaks_no_scrape(size: str) -> None:
    """One namespace's text would leave everybody without metrics."""
    watching = Watching()
    watching.caches.store.upsert(cache("hostile", "Available", size))
    watching.caches.store.upsert(cache("quiet", "Available", "8Gi"))
    assert watching.shown("aim_model_cache_bytes") == {"status=Available": 8 * 2**30}


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        pytest.param(
            [job("discovery-job"), job("discovery-job", "Complete")], "discovery complete", id="ends"
        ),
        pytest.param(
            [job("model-cache"), job("model-cache", "Failed")],
            "download failed",
            id="fails",
        ),
        pytest.param(
            [
                job("model-cache"),
                job("model-cache", "Complete"),
                job("model-cache", "Complete"),
            ],
            "download complete",
            id="changes once more",
        ),
        pytest.param(
            [job("model-cache", "Complete")],
            "",
            id="had ended before this process began",
        ),
        pytest.param([job("model-cache")], "", id="runs"),
        pytest.param([job(None), job(None, "Complete")], "", id="none of ours"),
        pytest.param(
            [job("model-cache", owner="CronJob"), job("model-cache", "Complete", owner="CronJob")],
            "",
            id="somebody's with our labels",
        ),
        pytest.param(
            [job("model-cache"), job("model-cache", "Complete", "soon")],
            "",
            id="no time",
        ),
    ],
)
def test_a_job_is_timed_once_as_it_ends(changes: list[Job], counted: str) -> None:
    watching = Watching()
    old: Any = None
    for new in changes:
        for handler in watching.jobs._handlers:
            handler(old, new)
        old = new
    shown = watching.shown("aim_job_seconds_sum")
    expected = counted.split()
    assert shown == ({f"result={expected[1]},task={expected[0]}": 120.0} if expected else {})
