"""Which Jobs hold a discovery slot, and who is next."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given as with_examples
from hypothesis import strategies as st
from msgspec import convert, structs

from aim_operator.api.external import Job
from aim_operator.core.catalog import Template
from aim_operator.core.naming import discovery_job_name
from aim_operator.core.template.slots import WaitingTemplate, holds_slot, next_templates, templates_ahead
from tests.support.template_builders import (
    NAMESPACE,
    OPERATOR_NAMESPACE,
    make_cluster_template,
    make_discovered_status,
    make_discovery,
    make_job,
    make_template,
)

DIGEST = "0123456789abcdef"
NAME = discovery_job_name("fast", DIGEST)


def discovery_job(
    *,
    name: str = NAME,
    kind: str = "AIMServiceTemplate",
    uid: str = "uid-of-fast",
    controller: bool = True,
    **fields: Any,
) -> Job:
    owner = {"apiVersion": "x/v1", "kind": kind, "name": "fast", "uid": uid, "controller": controller}
    job = make_job(name, **fields)
    owned = convert({"metadata": {"name": name, "ownerReferences": [owner]}}, Job).metadata
    return structs.replace(
        job, metadata=structs.replace(job.metadata, owner_references=owned.owner_references)
    )


FAILED = make_discovered_status(DIGEST)
FAILED = structs.replace(FAILED, discovery=make_discovery(DIGEST, attempts=2))
CLUSTER_JOB = discovery_job(kind="AIMClusterServiceTemplate", namespace=OPERATOR_NAMESPACE)

HOLDERS = {
    "its discovery Job holds a slot": (make_template(), discovery_job(), True),
    "so does the Job of earlier inputs, until it is gone": (
        make_template(status=make_discovered_status("another digest")),
        discovery_job(),
        True,
    ),
    "a retry holds one": (make_template(status=FAILED), discovery_job(), True),
    "a cluster template's Job holds one": (make_cluster_template(), CLUSTER_JOB, True),
    "a Job that ended holds none": (make_template(), discovery_job(complete="2026-01-31T11:59:00Z"), False),
    "one that failed holds none": (make_template(), discovery_job(failed="2026-01-31T11:59:00Z"), False),
    "one that is suspended holds none": (make_template(), discovery_job(suspend=True), False),
    "one that is being deleted holds none": (make_template(), discovery_job(deleted=True), False),
    "one for a result that is known holds none": (
        make_template(status=make_discovered_status(DIGEST)),
        discovery_job(),
        False,
    ),
    "one of another name holds none": (make_template(), discovery_job(name="mine"), False),
    "one named as another template's holds none": (
        make_template(),
        discovery_job(name=discovery_job_name("slow", DIGEST)),
        False,
    ),
    "one of nobody holds none": (make_template(), make_job(NAME), False),
    "one of an earlier template of that name holds none": (
        make_template(),
        discovery_job(uid="uid-of-another"),
        False,
    ),
    "an owner that does not control is none": (make_template(), discovery_job(controller=False), False),
    "one elsewhere holds none, whatever owner it names": (
        make_cluster_template(),
        discovery_job(kind="AIMClusterServiceTemplate", namespace="attacker"),
        False,
    ),
}


@pytest.mark.parametrize(("template", "job", "want"), HOLDERS.values(), ids=HOLDERS)
def test_who_holds_a_slot(template: Template, job: Job, want: bool) -> None:  # noqa: FBT001 - a table's column
    home = template.metadata.namespace or OPERATOR_NAMESPACE
    assert holds_slot(template, job, home=home) is want


def test_a_template_whose_status_says_nothing_of_discovery_holds_with_its_job() -> None:
    status = structs.replace(make_discovered_status(DIGEST), discovery=None)
    assert holds_slot(make_template(status=status), discovery_job(), home=NAMESPACE)


def queue(*templates: str) -> dict[str, list[WaitingTemplate]]:
    """Who waits, written as namespace/name@created."""
    waiting: dict[str, list[WaitingTemplate]] = {}
    for each in templates:
        where, _, created = each.partition("@")
        namespace, _, name = where.partition("/")
        waiting.setdefault(namespace, []).append(WaitingTemplate(created, name, namespace))
    return {namespace: sorted(them) for namespace, them in waiting.items()}


ORDERS = {
    "the oldest first": (queue("a/new@2", "a/old@1"), {}, ["old", "new"]),
    "of one age, by name": (queue("a/z@1", "a/b@1"), {}, ["b", "z"]),
    "namespaces in turn, though one came first": (
        queue("a/a1@1", "a/a2@1", "a/a3@1", "b/b1@9", "b/b2@9"),
        {},
        ["a1", "b1", "a2", "b2", "a3"],
    ),
    "who holds slots already is last": (
        queue("a/a1@1", "a/a2@1", "b/b1@8", "b/b2@9", "b/b3@9"),
        {"a": 2},
        ["b1", "b2", "a1", "b3", "a2"],
    ),
    "cluster templates are a namespace": (queue("/c@9", "a/a1@1", "a/a2@1"), {}, ["a1", "c", "a2"]),
    "slots of namespaces that wait for nothing do not count": (queue("a/a1@1"), {"b": 9}, ["a1"]),
    "nobody": (queue(), {"a": 1}, []),
}


@pytest.mark.parametrize(("waiting", "held", "want"), ORDERS.values(), ids=ORDERS)
def test_slots_go_to(
    waiting: dict[str, list[WaitingTemplate]], held: dict[str, int], want: list[str]
) -> None:
    assert [each.name for each in next_templates(waiting, held, 99)] == want
    assert [each.name for each in next_templates(waiting, held, 2)] == want[:2]
    assert next_templates(waiting, held, 0) == []


CROWDS = st.lists(
    st.builds(
        WaitingTemplate,
        st.sampled_from("123"),
        st.sampled_from("xyzuvw"),
        st.sampled_from(["", "a", "b", "c"]),
    ),
    unique=True,
)


@with_examples(crowd=CROWDS, held=st.dictionaries(st.sampled_from(["", "a", "b", "d"]), st.integers(1, 5)))
def test_everybody_comes_at_the_place_that_was_told(
    crowd: list[WaitingTemplate], held: dict[str, int]
) -> None:
    waiting: dict[str, list[WaitingTemplate]] = {}
    for each in sorted(crowd):
        waiting.setdefault(each.namespace, []).append(each)
    order = next_templates(waiting, held, len(crowd))
    assert sorted(order) == sorted(crowd)
    assert [templates_ahead(each, waiting, held) for each in order] == list(range(len(order)))
    # One after the other, each time from what is in use by then: the same order.
    left, used = {namespace: list(them) for namespace, them in waiting.items()}, Counter(held)
    for each in order:
        assert next_templates(left, used, 1) == [each]
        assert used[each.namespace] == min(used[namespace] for namespace, them in left.items() if them)
        left[each.namespace].remove(each)
        used[each.namespace] += 1
