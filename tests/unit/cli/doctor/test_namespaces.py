"""What namespaces refuse of what the operator makes there: Pod Security, quotas, LimitRanges."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1 import (
    AIMClusterRuntimeConfigSpec,
    AIMRuntimeConfigSpec,
    JobResources,
    Jobs,
    JobSettings,
    Scheduling,
)
from aim_operator.cli.doctor import rendered
from aim_operator.cli.doctor.policies import LimitRange, Namespace, Operator, Quota
from tests.unit.cli.doctor.surroundings import convert, one


@pytest.mark.parametrize(
    ("level", "configured", "want"),
    [
        pytest.param("privileged", (), "ok", id="nothing is refused"),
        pytest.param("baseline", (), "ok", id="the servers' default fits"),
        pytest.param("restricted", (), "warning", id="servers may be root"),
        pytest.param("strictest", (), "warning", id="a level that nobody knows is the strictest"),
        pytest.param("restricted", ("other",), "warning", id="others' configuration"),
        pytest.param("restricted", ("team",), "ok", id="the namespace's configuration"),
        pytest.param("restricted", ("",), "ok", id="the cluster's configuration"),
    ],
)
def test_a_namespace_that_refuses_servers_as_root(level: str, configured: tuple[str, ...], want: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    namespaces = tuple(convert(Namespace, {"labels": labels}, name=each) for each in ("team", "elsewhere"))
    found = one("Pod Security", namespaces=namespaces, configured=frozenset(configured))
    assert found.verdict == want
    assert "elsewhere" not in found.found
    assert bool(found.remedy) is (want == "warning")


@pytest.mark.parametrize(
    ("hard", "used", "namespace", "want"),
    [
        pytest.param({"pods": "5"}, {"pods": "4"}, "team", "", id="room for one"),
        pytest.param({"pods": "5"}, {"pods": "5"}, "team", "team/q has no room: pods 5 of 5", id="none"),
        pytest.param({"count/jobs.batch": "0"}, {}, "home", "home/q has no room", id="Jobs of the catalog"),
        pytest.param(
            {"requests.amd.com/gpu": "8"}, {"requests.amd.com/gpu": "8"}, "team", "has no room", id="GPUs"
        ),
        pytest.param(
            {"limits.memory": "1Gi"}, {"limits.memory": "1024Mi"}, "team", "has no room", id="units"
        ),
        pytest.param({"secrets": "1"}, {"secrets": "1"}, "team", "", id="what nobody makes"),
        pytest.param({"pods": "5"}, {"pods": "5"}, "elsewhere", "", id="a namespace without services"),
        pytest.param(
            {"limits.ephemeral-storage": "9Gi"}, {}, "team", "which ours don't say", id="what ours do not say"
        ),
    ],
)
def test_a_quota_that_refuses_what_is_rendered(
    hard: dict[str, str], used: dict[str, str], namespace: str, want: str
) -> None:
    quota = convert(Quota, {"spec": {"hard": hard}, "status": {"used": used}}, name="q", namespace=namespace)
    found = one("quotas", quotas=(quota,))
    assert found.verdict == ("warning" if want else "ok")
    assert want in found.found


def test_what_a_quota_wants_may_be_a_default_of_the_namespace() -> None:
    quota = convert(Quota, {"spec": {"hard": {"requests.ephemeral-storage": "9Gi"}}})
    limits = [{"type": "Container", "default": {"ephemeral-storage": "1Gi"}}]
    there, elsewhere = (
        convert(LimitRange, {"spec": {"limits": limits}}, namespace=each) for each in ("team", "elsewhere")
    )
    assert one("quotas", quotas=(quota,), limit_ranges=(there,)).verdict == "ok"
    assert one("quotas", quotas=(quota,), limit_ranges=(elsewhere,)).verdict == "warning"


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({"scopes": ["NotTerminating"]}, True, id="Pods without a deadline of their own"),
        pytest.param({"scopes": ["Terminating"]}, False, id="Pods with one: a Job's is not its Pod's"),
        pytest.param({"scopes": ["BestEffort"]}, False, id="Pods that ask for nothing"),
        pytest.param({"scopes": ["NotBestEffort"]}, True, id="Pods that ask for something"),
        pytest.param({"scopes": ["NotBestEffort", "Terminating"]}, False, id="both of two"),
        pytest.param({"scopes": ["NotYetInvented"]}, False, id="a scope that we don't know"),
        pytest.param(("NotTerminating", "Exists"), True, id="a scope as a selector"),
        pytest.param(("PriorityClass", "In", "low", "batch"), True, id="the class of Jobs"),
        pytest.param(("PriorityClass", "In", "low"), False, id="another class"),
        pytest.param(("PriorityClass", "NotIn", "low"), True, id="not another class"),
        pytest.param(("PriorityClass", "NotIn", "batch", "serving"), False, id="neither of ours"),
        pytest.param(("PriorityClass", "NotIn", "batch"), True, id="not that of Jobs, but that of servers"),
        pytest.param(("PriorityClass", "Exists"), True, id="any class"),
        pytest.param(("PriorityClass", "DoesNotExist"), False, id="none"),
        pytest.param(("PriorityClass", "In", "serving"), True, id="that of a server"),
    ],
)
def test_a_quota_for_some_pods_is_judged_if_ours_are_among_them(spec: Any, *, want: bool) -> None:
    if isinstance(spec, tuple):
        scope, operator, *values = spec
        term = {"scopeName": scope, "operator": operator} | ({"values": values} if values else {})
        spec = {"scopeSelector": {"matchExpressions": [term]}}
    full = {"spec": spec | {"hard": {"pods": "1"}}, "status": {"used": {"pods": "1"}}}
    config = AIMClusterRuntimeConfigSpec(jobs=Jobs(scheduling=Scheduling(priority_class_name="batch")))
    predictor = {"priorityClassName": "serving", "model": {}}
    server = convert(rendered.Server, {"spec": {"predictor": predictor}}, name="chat")
    pods = (
        *rendered.of_jobs((), ("team",), (), {"": config}),
        *rendered.of_servers([server], [("team", "chat")]),
    )
    found = one("quotas", quotas=(convert(Quota, full, name="q"),), pods=pods)
    assert found.verdict == ("warning" if want else "ok")
    assert ("team/q has no room: pods 1 of 1" in found.found) is want


@pytest.mark.parametrize(("default", "want"), [("", "ok"), ("standard", "warning")])
def test_pods_that_name_no_priority_class_have_the_clusters_default(default: str, want: str) -> None:
    """As admission writes it into them, before a quota looks."""
    term = {"scopeName": "PriorityClass", "operator": "In", "values": ["standard"]}
    spec = {"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": [term]}}
    quota = convert(Quota, {"spec": spec})
    assert one("quotas", quotas=(quota,), priority_class=default).verdict == want
    unseen = one("quotas", quotas=(quota,), priority_class=None, unseen={"priority_class": "you may not"})
    assert (unseen.verdict, unseen.found) == ("unknown", "you may not")
    assert one("quotas", quotas=(convert(Quota, {"spec": {"hard": {"pods": "0"}}}),)).verdict == "warning"


@pytest.mark.parametrize(
    ("limit", "want"),
    [
        pytest.param({"type": "Container", "max": {"cpu": "4", "memory": "4Gi"}}, "", id="as Jobs have it"),
        pytest.param(
            {"type": "Container", "max": {"cpu": "3"}},
            "team: downloads, cpu limit 4 is over the maximum 3 per Container by limits",
            id="less than Jobs have",
        ),
        pytest.param(
            {"type": "Container", "min": {"memory": "128Mi"}},
            "team: discoveries, memory request 64Mi is under the minimum 128Mi per Container by limits",
            id="more than Jobs ask for",
        ),
        pytest.param(
            {"type": "Pod", "maxLimitRequestRatio": {"cpu": "20"}},
            "team: discoveries, cpu limit 2 is over 20 times its request 50m per Pod by limits",
            id="a ratio",
        ),
        pytest.param(
            {"type": "Container", "default": {"memory": "8Gi"}, "defaultRequest": {"memory": "8Gi"}},
            "service chat, cpu request 8 is over its limit 2, which a LimitRange sets",
            id="a default below what a server asks for",
        ),
        pytest.param({"type": "PersistentVolumeClaim", "max": {"storage": "1"}}, "", id="about claims"),
        pytest.param({"type": "Pod", "min": {"x/y": "1"}}, "x/y has no request, of which", id="another's"),
    ],
)
def test_a_limit_range_that_refuses_jobs_or_servers(limit: dict[str, Any], want: str) -> None:
    """tests/cluster/test_limit_ranges.py asks the API server, which gives such items their `default`."""
    if "service" in want:
        limit = limit | {"default": {"cpu": "2"}}
    there, elsewhere = (
        convert(LimitRange, {"spec": {"limits": [limit]}}, name="limits", namespace=each)
        for each in ("team", "elsewhere")
    )
    model = {"resources": {"requests": {"cpu": "8", "memory": "16Gi"}, "limits": {"memory": "16Gi"}}}
    server = convert(rendered.Server, {"spec": {"predictor": {"model": model}}}, name="chat")
    pods = (
        *rendered.of_jobs((), ("team",), ("home",), {}),
        *(rendered.of_servers([server], [("team", "chat")]) if "service" in want else ()),
    )
    found = one("limit ranges", limit_ranges=(there,), pods=pods)
    assert found.verdict == ("warning" if want else "ok")
    assert want in found.found
    assert ("jobs.discovery.resources" in found.remedy) is bool(want)
    assert one("limit ranges", limit_ranges=(elsewhere,), pods=pods).found == "none"


@pytest.mark.parametrize(
    "spec",
    [
        None,
        "text",
        {},
        {"predictor": []},
        {"predictor": {"model": "x"}},
        {"predictor": {"model": {"resources": {"limits": ["cpu"]}}}},
        {"predictor": {"model": {"resources": {"limits": {"cpu": {}}}}}},
    ],
    ids=str,
)
def test_a_server_that_only_a_minimal_crd_takes_is_left_out(spec: Any) -> None:
    """Whoever writes it in one namespace must not keep the whole cluster from being judged."""
    server = convert(rendered.Server, {"spec": spec}, name="chat")
    assert list(rendered.of_servers([server], [("team", "chat")])) == []


def test_what_jobs_ask_for_is_what_the_flags_and_the_configurations_say() -> None:
    container = {"args": ["run", "--download-memory-request=3Gi", "--discovery-cpu-request=1"]}
    operator = convert(Operator, {"spec": {"template": {"spec": {"containers": [container]}}}})
    chosen = Jobs(discovery=JobSettings(resources=JobResources(limits={"cpu": "3"})))
    lower = Jobs(discovery=JobSettings(resources=JobResources(requests={"memory": "1Gi"})))
    configs: dict[str, AIMRuntimeConfigSpec | AIMClusterRuntimeConfigSpec] = {
        "": AIMClusterRuntimeConfigSpec(jobs=lower),
        "team": AIMRuntimeConfigSpec(jobs=chosen),
    }
    made = {
        (each.namespace, each.what): each
        for each in rendered.of_jobs([operator], ["team"], ["home"], configs)
    }
    assert set(made) == {("team", "discoveries"), ("team", "downloads"), ("home", "discoveries")}
    assert made["team", "downloads"].requests == {"cpu": "100m", "memory": "3Gi"}
    assert made["team", "downloads"].limits == {"cpu": "4", "memory": "3Gi"}
    assert made["home", "discoveries"].requests == {"cpu": "1", "memory": "1Gi"}
    assert made["team", "discoveries"].limits == {"cpu": "3", "memory": "4Gi"}
