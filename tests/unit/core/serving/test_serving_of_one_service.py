"""What one service can say about its model server: account, privileges, volumes, its end, how many may go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.meta import Manifest
from aim_operator.api.plan import OutcomeType
from aim_operator.api.v1alpha1 import AIMServiceStatus, Volume
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import labels
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.plan import decide
from aim_operator.core.serving import volumes
from aim_operator.core.serving.workload import inference_service, revision_of
from tests.support.outcomes import Trouble, report_of
from tests.support.service_builders import (
    NOW,
    FakeCatalog,
    make_disruption_budget,
    make_image,
    make_inference_service,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_workload,
    with_status,
)
from tests.support.service_status import condition_of

CA = {"name": "ca", "mountPath": "/etc/ssl/company", "secret": {"secretName": "ca"}}


def predictor(
    service: dict[str, Any], *, template: dict[str, Any] | None = None, config: dict[str, Any] | None = None
) -> Manifest:
    catalog = FakeCatalog(
        make_image(), make_template(**(template or {})), make_runtime_config(**(config or {}))
    )
    observed = make_service_observed(make_service(**service), catalog)
    child = inference_service(observed.service, make_workload(observed), runtime="fast")
    got: Manifest = child.manifest["spec"]["predictor"]
    return got


def serving(**settings: Any) -> dict[str, Any]:
    return {"serving": settings}


# Account and privileges


def test_the_account_of_a_service_is_used_instead_of_its_configurations_and_its_token_is_mounted() -> None:
    got = predictor({"serviceAccountName": "chat"}, config={"serviceAccountName": "servers"})
    assert got["serviceAccountName"] == "chat"
    assert "automountServiceAccountToken" not in got


def test_a_service_that_names_no_account_gets_no_token() -> None:
    got = predictor({})
    assert got["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in got


@pytest.mark.parametrize(
    ("service", "config", "want"),
    [
        pytest.param(
            {"runAsUser": 1000},
            {"runAsUser": 1, "runAsNonRoot": True},
            {"runAsUser": 1000, "runAsNonRoot": True},
            id="field by field over the configuration",
        ),
        pytest.param(
            {"capabilities": {"drop": ["NET_RAW"]}},
            {"capabilities": {"add": ["SYS_PTRACE"]}},
            {"capabilities": {"drop": ["NET_RAW"]}},
            id="capabilities as a whole",
        ),
        pytest.param({}, {"runAsUser": 1}, {"runAsUser": 1}, id="the configuration where nothing is said"),
    ],
)
def test_the_privileges_of_a_service_are_laid_over_those_of_its_configuration(
    service: Manifest, config: Manifest, want: Manifest
) -> None:
    got = predictor({"securityContext": service}, config={"securityContext": config})
    safe = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert got["model"]["securityContext"] == {**safe, **want}
    assert {key: value for key, value in want.items() if key.startswith("runAs")}.items() <= got[
        "securityContext"
    ].items()


def test_a_privileged_service_is_not_refused_for_what_its_configuration_says_about_escalation() -> None:
    got = predictor(
        {"securityContext": {"privileged": True}},
        config={"securityContext": {"allowPrivilegeEscalation": False}},
    )
    assert got["model"]["securityContext"] == {"privileged": True}


def test_the_groups_of_a_service_are_laid_over_those_of_its_configuration() -> None:
    got = predictor(
        {"podSecurityContext": {"fsGroup": 5}},
        config={"podSecurityContext": {"fsGroup": 1, "supplementalGroups": [44]}},
    )
    assert got["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "fsGroup": 5,
        "supplementalGroups": [44],
    }


# Volumes


def test_volumes_of_all_levels_are_mounted_beside_the_operators() -> None:
    got = predictor(
        serving(
            volumes=[
                {"name": "lora", "mountPath": "/lora", "persistentVolumeClaim": {"claimName": "lora"}},
                {
                    "name": "chat",
                    "mountPath": "/config/chat.jinja",
                    "subPath": "chat.jinja",
                    "configMap": {"name": "chat", "optional": True},
                },
            ]
        ),
        config=serving(volumes=[CA]),
    )
    assert got["volumes"][1:] == [
        {"name": "of-ca", "secret": {"secretName": "ca"}},
        {"name": "of-chat", "configMap": {"name": "chat", "optional": True}},
        {"name": "of-lora", "persistentVolumeClaim": {"claimName": "lora"}},
    ]
    assert got["model"]["volumeMounts"][1:] == [
        {"name": "of-ca", "mountPath": "/etc/ssl/company", "readOnly": True},
        {"name": "of-chat", "mountPath": "/config/chat.jinja", "readOnly": True, "subPath": "chat.jinja"},
        {"name": "of-lora", "mountPath": "/lora"},
    ]


@pytest.mark.parametrize(
    ("own", "want"),
    [
        pytest.param(
            {"name": "ca", "mountPath": "/ca", "configMap": {"name": "mine"}},
            [("of-ca", "/ca")],
            id="by its name",
        ),
        pytest.param(
            {"name": "mine", "mountPath": "/etc/ssl/company", "configMap": {"name": "mine"}},
            [("of-mine", "/etc/ssl/company")],
            id="by its path",
        ),
    ],
)
def test_a_volume_of_the_nearest_level_replaces_another(own: Manifest, want: list[tuple[str, str]]) -> None:
    got = predictor(serving(volumes=[own]), template=serving(volumes=[CA]))
    assert [(m["name"], m["mountPath"]) for m in got["model"]["volumeMounts"][1:]] == want
    assert [v["name"] for v in got["volumes"][1:]] == [name for name, _ in want]


def test_no_volume_takes_the_name_of_one_that_the_operator_adds() -> None:
    got = predictor(serving(volumes=[{"name": "dshm", "mountPath": "/x", "configMap": {"name": "x"}}]))
    names = [each["name"] for each in got["volumes"]]
    assert len(set(names)) == len(names) == 2


def test_the_order_in_which_volumes_are_written_replaces_no_pod() -> None:
    both = msgspec.convert(
        [CA, {"name": "b", "mountPath": "/b", "configMap": {"name": "b"}}], tuple[Volume, ...]
    )
    assert volumes.layered(both) == volumes.layered(both[::-1])


# How it ends


@pytest.mark.parametrize(
    ("settings", "sleeps", "grace"),
    [
        pytest.param({}, 10, 40, id="by default for as long as gateways take to hear of it"),
        pytest.param({"drainSeconds": 300}, 300, 330, id="longer, and the grace period grows along"),
        pytest.param({"drainSeconds": 0}, None, 30, id="not at all"),
        pytest.param({"terminationGracePeriodSeconds": 600}, 10, 600, id="with a grace period of its own"),
        pytest.param({"terminationGracePeriodSeconds": 5}, 5, 5, id="no longer than what Kubernetes allows"),
    ],
)
def test_a_pod_that_is_to_go_answers_for_a_while(settings: Manifest, sleeps: int | None, grace: int) -> None:
    got = predictor(serving(**settings))
    want = None if sleeps is None else {"preStop": {"sleep": {"seconds": sleeps}}}
    assert got["model"].get("lifecycle") == want
    assert got["terminationGracePeriodSeconds"] == grace


# Replicas and drained nodes


def decided(**service: Any) -> tuple[ServiceObserved, Any]:
    observed = make_service_observed(
        make_service(**service), FakeCatalog(make_image(), make_template(), make_runtime_config())
    )
    return observed, decide(observed, now=NOW)


def budget_of(plan: Any) -> Manifest | None:
    found = [child.manifest for child in plan.children if child.kind == "PodDisruptionBudget"]
    assert len(found) <= 1
    return found[0] if found else None


def test_replicas_leave_drained_nodes_one_after_the_other() -> None:
    got = budget_of(decided(replicas=3)[1])
    assert got is not None
    assert got["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"serving.kserve.io/inferenceservice": "chat"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def test_a_single_replica_has_no_budget_that_could_stop_a_drain() -> None:
    assert budget_of(decided(replicas=1)[1]) is None


def test_a_budget_can_be_larger_or_off() -> None:
    got = budget_of(decided(replicas=8, serving={"disruptionBudget": {"maxUnavailable": 4}})[1])
    assert got is not None
    assert got["spec"]["maxUnavailable"] == 4
    assert budget_of(decided(replicas=8, serving={"disruptionBudget": {"enabled": False}})[1]) is None


def test_the_budget_goes_when_there_is_one_replica_left() -> None:
    live = make_disruption_budget()
    observed = make_service_observed(
        make_service(replicas=1), FakeCatalog(make_image(), make_template()), disruption_budget=live
    )
    assert [removal.live for removal in decide(observed, now=NOW).removals] == [live]


def with_trouble(type_: OutcomeType) -> AIMServiceStatus:
    observed = make_service_observed(
        make_service(replicas=2),
        FakeCatalog(make_image(), make_template()),
        inference_service=make_inference_service(ready=True),
    )
    plan = decide(observed, now=NOW)
    status: AIMServiceStatus = report_of(
        plan, Trouble("PodDisruptionBudget", type_, "no quota for budgets")
    ).status
    return status


def test_a_budget_that_the_user_made_under_that_name_is_left_alone() -> None:
    status = with_trouble(OutcomeType.FOREIGN)
    assert status.status == "Running"


@pytest.mark.parametrize("type_", [OutcomeType.REFUSED, OutcomeType.FAILED])
def test_a_budget_that_is_refused_for_ever_degrades_the_service_with_the_reason_and_it_serves_on(
    type_: OutcomeType,
) -> None:
    status = with_trouble(type_)
    failure = condition_of(status, c.FAILURE)
    assert (status.status, failure.reason) == ("Degraded", "WriteFailed")
    assert "PodDisruptionBudget" in failure.message
    assert "no quota for budgets" in failure.message
    assert condition_of(status, c.RUNTIME_READY).status == "True"


# Restart


def restarting(value: str | None, status: AIMServiceStatus | None = None) -> Any:
    annotations = {} if value is None else {"annotations": {labels.RESTART: value}}
    service = make_service(metadata=annotations)
    observed = make_service_observed(
        service,
        FakeCatalog(make_image(), make_template()),
        inference_service=make_inference_service(ready=True),
    )
    if status is not None:
        observed = with_status(observed, status)
    return decide(observed, now=NOW)


def rendered(plan: Any) -> Any:
    return next(child for child in plan.children if child.kind == "InferenceService")


def test_a_new_value_of_the_annotation_replaces_the_pods_once_and_an_event_tells() -> None:
    first = restarting(None)
    second = restarting("1", first.status)
    assert revision_of(rendered(second)) != revision_of(rendered(first))
    assert rendered(second).manifest["spec"]["predictor"]["annotations"] == {labels.RESTART: "1"}
    assert second.status.active.restart == "1"
    assert [(event.reason, event.message) for event in second.events if event.reason == "Restarted"] == [
        ("Restarted", 'replacing the Pods: annotation aim.silogen.ai/restart is "1"')
    ]
    again = restarting("1", second.status)
    assert revision_of(rendered(again)) == revision_of(rendered(second))
    assert not [event for event in again.events if event.reason == "Restarted"]


def test_taking_the_annotation_away_replaces_no_pod() -> None:
    before = restarting("1", restarting(None).status)
    after = restarting(None, before.status)
    assert revision_of(rendered(after)) == revision_of(rendered(before))


def test_a_service_is_restarted_while_its_template_is_gone() -> None:
    before = restarting(None)
    observed = make_service_observed(
        make_service(metadata={"annotations": {labels.RESTART: "now"}}),
        FakeCatalog(make_image()),
        inference_service=make_inference_service(ready=True),
    )
    plan = decide(with_status(observed, before.status), now=NOW)
    assert rendered(plan).manifest["spec"]["predictor"]["annotations"] == {labels.RESTART: "now"}
    assert plan.status is not None
    assert plan.status.active is not None
    assert plan.status.active.restart == "now"


def test_a_value_of_any_length_restarts_and_only_its_hash_is_kept() -> None:
    one, other = (restarting("x" * 5000 + end, restarting(None).status) for end in "ab")
    values = [
        rendered(plan).manifest["spec"]["predictor"]["annotations"][labels.RESTART] for plan in (one, other)
    ]
    assert values[0] != values[1]
    assert all(len(value) <= 64 for value in values)
