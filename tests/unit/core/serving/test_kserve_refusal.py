"""What KServe says when it makes nothing of an InferenceService: what counts, and what is old or passes."""

from __future__ import annotations

import msgspec
import pytest

from aim_operator.api.external import Event, Pod
from aim_operator.api.meta import ObjectMeta
from aim_operator.core.serving.kserve_refusal import refusal
from aim_operator.core.serving.rollout import rollout
from tests.support.service_builders import REVISION, make_inference_service, make_pod

TOO_LONG = 'invalid domain name "c-predictor-team": url: Invalid value: must be no more than 63 characters'
CONFLICT = "Operation cannot be fulfilled: the object has been modified; please apply your changes"
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


def event(
    message: str = TOO_LONG, *, reason: str = "InternalError", first: str = EARLY, last: str = ""
) -> Event:
    metadata = ObjectMeta(name="c.1", namespace="team", creation_timestamp=first)
    return Event(
        metadata=metadata, reason=reason, message=message, type="Warning", last_timestamp=last or None
    )


def pod(created: str) -> Pod:
    found = make_pod()
    metadata = msgspec.structs.replace(found.metadata, creation_timestamp=created)
    return msgspec.structs.replace(found, metadata=metadata)


@pytest.mark.parametrize(
    ("warning", "pods", "counts"),
    [
        pytest.param(event(), (), True, id="no Pod was ever made"),
        pytest.param(event(), (pod(LATE),), False, id="said before the Pod was made"),
        pytest.param(event(last=LATE), (pod(EARLY),), True, id="said again since the Pod was made"),
        pytest.param(event(CONFLICT), (), False, id="the next attempt does not meet it"),
        pytest.param(
            event("Istio's CRD is not present", reason="VirtualServiceCRDNotFound"),
            (),
            False,
            id="said of services that run, too",
        ),
    ],
)
def test_which_of_its_warnings_count(warning: Event, pods: tuple[Pod, ...], counts: bool) -> None:  # noqa: FBT001 - a table
    assert bool(refusal([warning], pods, ())) is counts


def test_a_name_that_is_too_long_says_what_to_do() -> None:
    got = rollout(make_inference_service(ready=False), (), revision=REVISION, replicas=1, warnings=[event()])
    assert (got.serving, got.refused, got.reason) == (False, True, "RuntimeFailed")
    assert "must be no more than 63 characters" in got.message
    assert got.message.endswith(
        "use a shorter name, or change ingress.domainTemplate in KServe's configuration"
    )


def test_newer_versions_say_it_in_a_condition_too() -> None:
    condition = {
        "type": "PredictorReady",
        "status": "False",
        "reason": "ReconcileFailed",
        "message": "quota\nexceeded",
    }
    live = make_inference_service(ready=False, conditions=[condition])
    got = rollout(live, (), revision=REVISION, replicas=1)
    assert (got.refused, got.failure) == (True, 'KServe says "quota exceeded"')


def test_no_secret_of_an_address_is_repeated() -> None:
    got = refusal([event("can't get https://me:pa55@store/x?X-Amz-Signature=abc with hf_abcdefghij")], (), ())
    assert got == 'KServe says "can\'t get https://…@store/x?… with …"'


def test_its_words_are_bounded_and_on_one_line() -> None:
    got = refusal([event("x\n\u202e" * 5000)], (), ())
    assert len(got) < 1000
    assert got.isprintable()
