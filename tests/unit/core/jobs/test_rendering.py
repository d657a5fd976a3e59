"""What all Jobs have in common: whose labels go before whose, where they run, and when they may go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.external import Job
from aim_operator.api.meta import ObjectMeta
from aim_operator.api.v1alpha1 import Jobs, Propagate, Scheduling
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.jobs import rendering
from tests.support.template_builders import make_job

ENDED = "2026-01-31T11:58:00Z"
QUEUE = "kueue.x-k8s.io/queue-name"


def rendered(
    jobs: dict[str, Any] | None = None, *, served: dict[str, Any] | None = None, **made_for: Any
) -> dict[str, Any]:
    config = RuntimeConfig(
        jobs=msgspec.convert(jobs or {}, Jobs), propagate=Propagate(labels=("team",), annotations=("team",))
    )
    child = rendering.job(
        {"name": "job", "namespace": "team", "labels": {"of": "the-operator"}},
        {"containers": [{"name": "ours"}]},
        config=config,
        made_for=ObjectMeta(name="chat", **made_for),
        pull_secrets=(),
        spec={},
        served=None if served is None else msgspec.convert(served, Scheduling),
    )
    return child.manifest


def pod(*args: Any, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = rendered(*args, **fields)["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(
    ("pods", "handed_on", "want"),
    [
        pytest.param({}, {}, {}, id="the operator's alone"),
        pytest.param({QUEUE: "batch"}, {"team": "a"}, {QUEUE: "batch", "team": "a"}, id="of all"),
        pytest.param(
            {"team": "of the configuration"},
            {"team": "of the object"},
            {"team": "of the configuration"},
            id="the configuration's before those that are handed on",
        ),
        pytest.param(
            {"of": "somebody"}, {}, {}, id="the operator's own before all: it finds its Jobs by them"
        ),
    ],
)
def test_labels(pods: dict[str, str], handed_on: dict[str, str], want: dict[str, str]) -> None:
    got = rendered({"pods": {"labels": pods}}, labels=handed_on)
    want = {**want, "of": "the-operator"}
    assert got["metadata"]["labels"] == want, "queues ask the Job"
    of_pod = got["spec"]["template"]["metadata"]["labels"]
    assert {key: of_pod[key] for key in of_pod if key not in rendering.NO_SIDECARS["labels"]} == want


OWN: dict[str, Any] = {"priorityClassName": "low", "nodeSelector": {"pool": "batch"}}


@pytest.mark.parametrize(
    ("served", "want"),
    [
        pytest.param(None, {"priorityClassName": "low", "nodeSelector": {"pool": "batch"}}, id="anywhere"),
        pytest.param(
            {"nodeSelector": {"pool": "gpu"}, "priorityClassName": "high"},
            {"nodeSelector": {"pool": "gpu"}, "priorityClassName": "high"},
            id="where its model is served, and the nearest level decides",
        ),
        pytest.param(
            {"tolerations": [{"operator": "Exists"}]},
            {"tolerations": [{"operator": "Exists"}], "priorityClassName": "low"},
            id="where its model is served, which no node selector of Jobs may rule out",
        ),
    ],
)
def test_where_a_job_runs(served: dict[str, Any] | None, want: dict[str, Any]) -> None:
    fields = ("nodeSelector", "tolerations", "priorityClassName")
    got = pod({"scheduling": OWN}, served=served)
    assert {name: got[name] for name in fields if name in got} == want


def test_no_affinity_of_jobs_keeps_one_from_where_its_model_is_served() -> None:
    away = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "host"}]}}
    assert "affinity" in pod({"scheduling": {"affinity": away}})
    assert "affinity" not in pod({"scheduling": {"affinity": away}}, served={"nodeSelector": {"pool": "gpu"}})


def test_a_term_about_pods_that_names_none_is_about_those_of_such_jobs() -> None:
    spread = {"maxSkew": 1, "topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule"}
    (got,) = pod({"scheduling": {"topologySpreadConstraints": [spread]}})["topologySpreadConstraints"]
    assert got["labelSelector"] == {"matchLabels": {"of": "the-operator"}}


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(), False, id="one that runs: it would go before its result was read"),
        pytest.param(make_job(complete=ENDED), True, id="one that is done"),
        pytest.param(make_job(failed=ENDED), True, id="one that failed"),
        pytest.param(make_job(complete=ENDED, deleted=True), False, id="one that goes already"),
        pytest.param(make_job(complete=ENDED, ttl_seconds=1), False, id="one that has a TTL, whatever it is"),
    ],
)
def test_which_job_gets_a_ttl(job: Job, *, want: bool) -> None:
    owner = {"kind": "AIMModelCache", "name": "model"}
    got = [(child.disposable, child.manifest) for child in rendering.expiring(job, owner, 600)]
    metadata = {
        "name": job.metadata.name,
        "namespace": job.metadata.namespace,
        "ownerReferences": [owner],
    }
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"ttlSecondsAfterFinished": 600},
    }
    assert got == ([(True, manifest)] if want else [])
