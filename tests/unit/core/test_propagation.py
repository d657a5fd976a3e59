"""Which labels and annotations are handed on: those that are chosen, and never those that say whose it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.meta import ObjectMeta
from aim_operator.api.v1alpha1 import Propagate
from aim_operator.api.v1alpha1.propagation import TRACKING
from aim_operator.api.v1alpha1.scheduling import MOST_ANNOTATION_BYTES
from aim_operator.core.jobs.rendering import NO_SIDECARS
from aim_operator.core.propagation import MOST, handed_on, merged
from aim_operator.core.template import desired
from tests.support.template_builders import make_image, make_resolved_config, make_template

TEAM = "team.example.com/"


def chosen(**fields: list[str]) -> Propagate:
    return msgspec.convert(fields, Propagate)


def metadata(**fields: Any) -> ObjectMeta:
    return ObjectMeta(name="chat", **fields)


CASES: dict[str, tuple[ObjectMeta, Propagate | None, dict[str, Any]]] = {
    "nothing is chosen": (metadata(labels={"team": "a"}), None, {}),
    "an empty choice": (metadata(labels={"team": "a"}), chosen(), {}),
    "an object without any": (metadata(), chosen(labels=["team"], annotations=["team"]), {}),
    "those whose keys begin so": (
        metadata(labels={f"{TEAM}a": "1", "team": "2", "tea": "3", "other/team": "4"}),
        chosen(labels=["team"]),
        {"labels": {"team": "2", f"{TEAM}a": "1"}},
    ),
    "labels are no annotations": (
        metadata(labels={"team": "label"}, annotations={"team": "annotation"}),
        chosen(annotations=["team"]),
        {"annotations": {"team": "annotation"}},
    ),
    "a text that KServe would execute stays": (
        metadata(annotations={"team": "{{ .Name }}", "team2": "fine"}),
        chosen(annotations=["team"]),
        {"annotations": {"team2": "fine"}},
    ),
    "a text that just fits": (
        metadata(annotations={"team": "x" * MOST_ANNOTATION_BYTES}),
        chosen(annotations=["team"]),
        {"annotations": {"team": "x" * MOST_ANNOTATION_BYTES}},
    ),
    "texts that are too long together: the first by their keys": (
        metadata(annotations={"team2": "y", "team": "x" * MOST_ANNOTATION_BYTES}),
        chosen(annotations=["team"]),
        {"annotations": {"team": "x" * MOST_ANNOTATION_BYTES}},
    ),
    "a text that is too long stays, the others go": (
        metadata(annotations={"team": "ä" * MOST_ANNOTATION_BYTES, "team2": "fine"}),
        chosen(annotations=["team"]),
        {"annotations": {"team2": "fine"}},
    ),
}


@pytest.mark.parametrize(("obj", "choice", "want"), CASES.values(), ids=CASES)
def test_what_is_handed_on(obj: ObjectMeta, choice: Propagate | None, want: dict[str, Any]) -> None:
    assert handed_on(obj, choice) == want


@pytest.mark.parametrize(
    "key",
    [
        *(f"{prefix}anything" for prefix in TRACKING),
        "app.kubernetes.io/instance",
        "argocd.argoproj.io/tracking-id",
        "kustomize.toolkit.fluxcd.io/name",
        "helm.toolkit.fluxcd.io/namespace",
        "kubectl.kubernetes.io/last-applied-configuration",
        "aim.silogen.ai/reconciliation-paused",
        "serving.kserve.io/deploymentMode",
        "job-name",
    ],
)
def test_what_says_whose_an_object_is_is_never_handed_on(key: str) -> None:
    """However the prefix is cut: no rule of the API can refuse "a"."""
    for length in range(1, len(key) + 1):
        prefix = key[:length]
        obj = metadata(labels={key: "mine"}, annotations={key: "mine"})
        assert handed_on(obj, chosen(labels=[prefix], annotations=[prefix])) == {}


def test_what_is_handed_on_is_bounded_and_the_same_in_any_order() -> None:
    many = {f"team-{number:04}": "x" * 63 for number in range(1000)}
    backwards = dict(reversed(many.items()))
    choice = chosen(labels=["team-"], annotations=["team-"])
    got = handed_on(metadata(labels=many, annotations=many), choice)
    assert got == handed_on(metadata(labels=backwards, annotations=backwards), choice)
    assert list(got["labels"]) == list(got["annotations"]) == [f"team-{number:04}" for number in range(MOST)]


def test_a_later_layer_wins_and_no_layer_is_changed() -> None:
    one, other = {"labels": {"a": "1", "b": "1"}}, {"labels": {"b": "2"}, "annotations": {"c": "3"}}
    assert merged(one, other) == {"labels": {"a": "1", "b": "2"}, "annotations": {"c": "3"}}
    assert one == {"labels": {"a": "1", "b": "1"}}
    assert merged({}, {}) == {}


def pod_metadata(pods: dict[str, Any], **template_metadata: Any) -> dict[str, Any]:
    config = make_resolved_config()
    jobs = msgspec.convert({"pods": pods}, type(config.jobs))
    config = msgspec.structs.replace(config, jobs=jobs, propagate=chosen(labels=["sidecar.", "linkerd."]))
    job = desired.job(
        make_template(metadata=template_metadata),
        make_image(),
        config,
        namespace="team",
        digest="0123abcd",
        requests={},
    )
    found: dict[str, Any] = job.manifest["spec"]["template"]["metadata"]
    return found


ISTIO, LINKERD = "sidecar.istio.io/inject", "linkerd.io/inject"
MESHES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str | None], dict[str, str | None]]] = {
    "nobody speaks of a mesh": ({}, {}, {ISTIO: "false"}, {ISTIO: "false", LINKERD: "disabled"}),
    "Istio is asked for by label": (
        {"labels": {ISTIO: "true"}},
        {},
        {ISTIO: "true"},
        {ISTIO: None, LINKERD: "disabled"},
    ),
    "Istio is asked for by annotation, which a label of ours would override": (
        {"annotations": {ISTIO: "true"}},
        {},
        {ISTIO: None},
        {ISTIO: "true", LINKERD: "disabled"},
    ),
    "Linkerd is asked for": (
        {"annotations": {LINKERD: "enabled"}},
        {},
        {ISTIO: "false"},
        {ISTIO: "false", LINKERD: "enabled"},
    ),
    "what is handed on asks for it": (
        {},
        {"labels": {ISTIO: "true"}},
        {ISTIO: "true"},
        {ISTIO: None, LINKERD: "disabled"},
    ),
}


@pytest.mark.parametrize(("pods", "template", "labels", "annotations"), MESHES.values(), ids=MESHES)
def test_jobs_ask_meshes_for_no_sidecar_unless_somebody_wants_one(
    pods: dict[str, Any],
    template: dict[str, Any],
    labels: dict[str, str | None],
    annotations: dict[str, str | None],
) -> None:
    got = pod_metadata(pods, **template)
    meshes = {key for each in NO_SIDECARS.values() for key in each}
    assert {key: got["labels"].get(key) for key in labels} == labels
    assert {key: got["annotations"].get(key) for key in meshes} == annotations
