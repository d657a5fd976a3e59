"""An upgrade from before Pods had a placement: before_placement/ holds what that version rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec import structs

from aim_operator.api.external import InferenceService, Pod
from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Plan
from aim_operator.api.v1alpha1 import AIMServiceStatus, Autoscaling, RolloutStatus, ScalingMetric
from aim_operator.core import labels
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.plan import decide
from tests.support.service_builders import (
    NOW,
    FakeCatalog,
    make_image,
    make_pod,
    make_service_observed,
    make_template,
    with_status,
)
from tests.unit.core.test_golden import EXAMPLES, settled

BEFORE = {path.stem: path for path in (Path(__file__).parent / "before_placement").iterdir()}
NO_GPU = "0/1 nodes are available: 1 Insufficient amd.com/gpu."


def decoded(manifest: Manifest) -> InferenceService:
    return msgspec.json.decode(msgspec.json.encode(manifest), type=InferenceService)


def live(name: str) -> InferenceService:
    return decoded(yaml.safe_load(BEFORE[name].read_text()))


def upgraded(name: str, **seen: Any) -> ServiceObserved:
    """Return what the new version sees of a service that serves as the version before left it."""
    example = EXAMPLES[name]
    was = {"inference_service": live(name)}
    return make_service_observed(example.service, settled(example)[1], **{**example.seen, **was, **seen})


def rendered(plan: Plan[AIMServiceStatus]) -> Manifest:
    (manifest,) = (child.manifest for child in plan.children if child.resource.kind == "InferenceService")
    return manifest


def status_of(plan: Plan[AIMServiceStatus]) -> AIMServiceStatus:
    status = plan.status
    assert status is not None
    return status


def with_new(observed: ServiceObserved, **spec: Any) -> ServiceObserved:
    service = structs.replace(observed.service, spec=structs.replace(observed.service.spec, **spec))
    return structs.replace(observed, service=service)


@pytest.mark.parametrize("name", BEFORE)
def test_an_upgrade_of_the_operator_alone_replaces_no_pod(name: str) -> None:
    got = rendered(decide(upgraded(name), now=NOW))
    # Of the Deployment, not of its Pods, and only where somebody has said something since.
    got["spec"]["predictor"].pop("deploymentStrategy", None)
    assert got == yaml.safe_load(BEFORE[name].read_text())


def test_more_copies_are_no_reason_to_replace_those_that_serve() -> None:
    got = rendered(decide(with_new(upgraded("plain"), replicas=3), now=NOW))
    assert got["metadata"]["labels"] == live("plain").metadata.labels
    assert got["spec"]["predictor"]["minReplicas"] == 3


def test_the_next_change_of_a_pod_brings_all_that_is_new() -> None:
    got = rendered(decide(with_new(upgraded("plain"), engine_args={"max-model-len": 4096}), now=NOW))
    assert labels.PLACEMENT in got["metadata"]["labels"]
    assert got["spec"]["predictor"]["terminationGracePeriodSeconds"] == 40


def test_an_autoscaler_that_comes_is_a_roll_out_that_can_be_told() -> None:
    """KServe hands its annotation on to the Pods: replaced ones of the same revision nobody could tell."""
    scaled = Autoscaling(max_replicas=2, metrics=(ScalingMetric(type="CPU", target=60),))
    got = rendered(decide(with_new(upgraded("plain"), autoscaling=scaled), now=NOW))
    assert got["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "hpa"
    assert got["metadata"]["labels"][labels.REVISION] != live("plain").metadata.label(labels.REVISION)


def test_what_was_changed_by_hand_is_not_held() -> None:
    """Whoever writes a revision of their own onto the InferenceService keeps nothing by it."""
    was = live("plain")
    changed = {**(was.metadata.labels or {}), labels.REVISION: "0ther"}
    other = structs.replace(was, metadata=structs.replace(was.metadata, labels=changed))
    got = rendered(decide(upgraded("plain", inference_service=other), now=NOW))
    assert labels.PLACEMENT in got["metadata"]["labels"]


def test_on_a_full_node_a_pod_of_before_makes_room_at_the_next_change() -> None:
    """It carries no placement, and an upgrade that holds it records where it is."""
    old = make_pod(ready=True, revision=live("plain").metadata.label(labels.REVISION) or "", name="chat-old")
    observed = upgraded("plain", pods=(old,))
    held = with_status(observed, status_of(decide(observed, now=NOW)))
    changed = with_new(held, engine_args={"max-model-len": 4096})
    plan = decide(changed, now=NOW)
    new = decoded(rendered(plan))
    revision = new.metadata.label(labels.REVISION) or ""
    unplaced = make_pod(revision=revision, unschedulable=NO_GPU, name="chat-new")
    rolling = structs.replace(
        with_status(changed, status_of(plan)), inference_service=new, pods=(old, unplaced)
    )
    status = status_of(decide(rolling, now=NOW))
    assert status.rollout == RolloutStatus(revision=revision, strategy="OldFirst")


def test_an_upgrade_amid_a_roll_out_stops_no_pod_of_which_nobody_knows_where_it_is() -> None:
    """Old and new are both without the label; that they are in the same place does not follow."""
    revision = live("plain").metadata.label(labels.REVISION) or ""
    old = make_pod(ready=True, revision="0lder", name="chat-old")
    unplaced = make_pod(revision=revision, unschedulable=NO_GPU, name="chat-new")
    assert status_of(decide(upgraded("plain", pods=(old, unplaced)), now=NOW)).rollout is None


def test_the_record_of_where_pods_of_before_are_ends_with_them() -> None:
    observed = upgraded("plain")
    status = status_of(decide(observed, now=NOW))
    assert status.active is not None
    assert status.active.unlabelled_pods is not None
    changed = with_new(with_status(observed, status), engine_args={"max-model-len": 4096})
    new = decoded(rendered(decide(changed, now=NOW)))
    pods: tuple[Pod, ...] = (make_pod(ready=True, revision=new.metadata.label(labels.REVISION) or ""),)
    done = status_of(decide(structs.replace(changed, inference_service=new, pods=pods), now=NOW))
    assert done.active is not None
    assert done.active.unlabelled_pods is None


def test_a_template_that_changes_with_the_upgrade_still_knows_where_the_pods_of_before_are() -> None:
    """What the service moves to is recorded before it is made, and the record of before with it."""
    observed = upgraded("plain")
    held = with_status(observed, status_of(decide(observed, now=NOW)))
    changed = make_template(
        metric="latency", precision="fp16", env=[{"name": "OMP_NUM_THREADS", "value": "8"}]
    )
    catalog = FakeCatalog(make_image(), changed)
    seen = make_service_observed(held.service, catalog, inference_service=live("plain"))
    plan = decide(seen, now=NOW)
    assert rendered(plan) == yaml.safe_load(BEFORE["plain"].read_text())
    before = held.service.status
    assert before is not None
    assert before.active is not None
    moving = status_of(plan).active
    assert moving is not None
    assert moving.unlabelled_pods == before.active.unlabelled_pods
    assert moving.env != before.active.env
