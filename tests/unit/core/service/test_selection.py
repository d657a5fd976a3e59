"""Choosing a template: every criterion in its order, ties, and choices that stay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.v1alpha1 import ActiveWorkload, AIMServiceStatus, TemplateCandidate
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import labels
from aim_operator.core.catalog import Template, reference_to
from aim_operator.core.service.ranking import profile_type
from aim_operator.core.service.resolution import resolve
from aim_operator.core.service.selection import Selection, select
from tests.support.service_builders import (
    FakeCatalog,
    make_cluster_image,
    make_cluster_runtime_config,
    make_cluster_template,
    make_image,
    make_runtime_config,
    make_service,
    make_template,
    make_template_status,
)

DERIVED = {
    "labels": {"app.kubernetes.io/managed-by": "aim", "aim.silogen.ai/derived-template": "true"},
    "annotations": {"aim.silogen.ai/applied": "0123456789abcdef"},
}


def profile(name: str, **metadata: Any) -> Template:
    return make_template(name, status=make_template_status(**metadata))


def chosen(*templates: Template, gpu_models: tuple[str, ...] = (), status: Any = None) -> Selection:
    image = make_image()
    return select(make_service(status=status), image, FakeCatalog(image, *templates, gpu_models=gpu_models))


def with_choice(name: str, scope: Any = "Namespace") -> AIMServiceStatus:
    return AIMServiceStatus(template_matching=(TemplateCandidate(name=name, scope=scope, chosen=True),))


def best(template: Template) -> str:
    type_ = profile_type(template)
    return (
        "best match" if type_ in ("", "optimized") else f"best match; its profile is {type_}, not optimized"
    )


@pytest.mark.parametrize(
    ("better", "worse", "criterion"),
    [
        pytest.param(
            make_template("z", status=make_template_status(type="unoptimized")),
            make_cluster_template("a", status=make_template_status(type="optimized")),
            "scope",
            id="a namespaced template over a cluster one, whatever its profile",
        ),
        pytest.param(
            profile("z", type="optimized", gpu="H100"),
            profile("a", type="preview", gpu="MI300X"),
            "profile type",
            id="optimized over preview, whatever the nodes have",
        ),
        pytest.param(
            profile("z", type="preview"),
            profile("a", type="unoptimized"),
            "profile type",
            id="preview over unoptimized",
        ),
        pytest.param(profile("z", type="unoptimized"), profile("a"), "profile type", id="any type over none"),
        pytest.param(
            profile("z", gpu="MI300X"),
            profile("a", gpu="MI355X"),
            "GPUs that nodes have",
            id="GPUs that are there over newer ones that are not",
        ),
        pytest.param(
            profile("z", gpu="MI355X", metric="throughput"),
            profile("a", gpu="MI350X", metric="latency"),
            "GPU generation",
            id="a newer generation, whatever the metric",
        ),
        pytest.param(
            profile("z", metric="latency", precision="auto"),
            profile("a", metric="throughput", precision="fp4"),
            "metric",
            id="latency over throughput, whatever the precision",
        ),
        pytest.param(
            profile("z", precision="fp8"),
            profile("a", precision="fp16"),
            "precision",
            id="the smaller precision",
        ),
    ],
)
def test_the_better_one_is_chosen(better: Template, worse: Template, criterion: str) -> None:
    models = ("MI300X",) if criterion == "GPUs that nodes have" else ()
    got = chosen(worse, better, gpu_models=models)
    assert got.template is better
    assert [(c.name, c.chosen, c.reason) for c in got.candidates] == [
        ("z", True, best(better)),
        ("a", False, f"worse by {criterion}"),
    ]


@pytest.mark.parametrize(
    ("field", "order"),
    [
        ("type", ["optimized", "preview", "unoptimized", "unheard-of"]),
        ("gpu", ["MI355X", "MI350X", "MI325X", "MI300X", "MI250X", "MI210", "H100"]),
        ("metric", ["latency", "throughput", "unheard-of"]),
        ("precision", ["fp4", "int4", "fp8", "int8", "fp16", "bf16", "fp32", "auto", "unheard-of"]),
    ],
)
def test_values_are_ranked_in_order_of(field: str, order: list[str]) -> None:
    for place, better in enumerate(order):
        for worse in order[place + 1 :]:
            # The better one has the later name: names decide nothing.
            got = chosen(profile("a", **{field: worse}), profile("z", **{field: better}))
            assert got.template is not None
            assert got.template.metadata.name == "z", (better, worse)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(make_template("z", status=make_template_status("Failed")), id="failed"),
        pytest.param(make_template("z-ovr-0123abcd", metadata=DERIVED), id="derived"),
        pytest.param(make_template("z", aimImageName="other"), id="of another image"),
        pytest.param(make_template("z", namespace="elsewhere"), id="in another namespace"),
        pytest.param(
            make_template("z", metadata={"deletionTimestamp": "2026-01-31T12:00:00Z"}), id="being deleted"
        ),
    ],
)
def test_a_template_does_not_count_that_is(other: Template) -> None:
    only = make_template("a")
    assert chosen(only, other).template is only
    assert chosen(other).template is None


def test_nothing_is_chosen_for_what_was_discovered_for_an_earlier_spec() -> None:
    """Somebody edits the best template, and a service asks before it is discovered again: it waits."""
    found = structs.replace(make_template_status(), observed_generation=2)
    edited = make_template("z", metadata={"generation": 3}, status=found)
    assert chosen(edited).template is None
    assert chosen(edited).waiting == ("z",)
    seen = structs.replace(edited, status=structs.replace(found, observed_generation=3))
    assert chosen(seen).template is seen


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param({"gpuSelector": {"model": "mi355x"}}, {"gpuSelector": {"model": "mi210"}}, id="GPU"),
        pytest.param({"metric": "latency"}, {"metric": "throughput"}, id="metric"),
        pytest.param({"precision": "fp8"}, {"precision": "fp16"}, id="precision"),
    ],
)
def test_a_spec_speaks_where_the_profile_does_not_of_its(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    silent = make_template_status(gpu="", metric="", precision="")
    want, other = make_template("z", status=silent, **better), make_template("a", status=silent, **worse)
    assert chosen(other, want).template is want


def test_a_tie_is_not_guessed() -> None:
    got = chosen(make_template("b"), make_template("a"), profile("c", metric="throughput"))
    assert (got.template, got.tied) == (None, ("a", "b"))
    assert [c.reason for c in got.candidates] == [
        "tied with another template",
        "tied with another template",
        "worse by metric",
    ]


def test_templates_that_may_yet_come_are_waited_for() -> None:
    got = chosen(
        make_template("a", status=make_template_status("Progressing")),
        make_template("b", status=make_template_status("Failed")),
    )
    assert (got.template, got.waiting) == (None, ("a",))
    assert [(c.name, c.reason) for c in got.candidates] == [
        ("a", "not available: Progressing"),
        ("b", "not available: Failed"),
    ]


PENDING = make_template_status("Pending")


def pending(name: str = "p", **spec: Any) -> Template:
    return make_template(name, status=PENDING, **spec)


FP16 = profile("a", type="optimized", gpu="MI300X", precision="fp16")


@pytest.mark.parametrize(
    ("other", "waited_for"),
    [
        pytest.param(pending(), True, id="of which nothing is known"),
        pytest.param(pending(gpuSelector={"model": "MI300X"}, precision="fp8"), True, id="that is better"),
        pytest.param(
            pending(gpuSelector={"model": "MI300X"}, precision="fp16", metric="latency"),
            True,
            id="that is as good: it would be a tie",
        ),
        pytest.param(pending(gpuSelector={"model": "MI210"}), False, id="for GPUs that no node has"),
        pytest.param(
            pending(gpuSelector={"model": "MI300X"}, metric="throughput"), False, id="of a worse metric"
        ),
        pytest.param(
            pending(gpuSelector={"model": "MI300X"}, precision="fp32"), False, id="of a worse precision"
        ),
        pytest.param(
            pending(gpuSelector={"model": "MI300X"}, precision="auto"),
            True,
            id="whose precision is anyone's guess",
        ),
        pytest.param(make_cluster_template("p", status=PENDING), False, id="of the cluster"),
        pytest.param(pending(metadata={"annotations": {labels.PAUSED: "true"}}), False, id="that is paused"),
        pytest.param(
            make_template("p", status=make_template_status("Progressing")), True, id="that discovers again"
        ),
        pytest.param(
            make_template(
                "p",
                status=structs.replace(make_template_status(metric="throughput"), observed_generation=1),
                metadata={"generation": 2},
            ),
            True,
            id="whose spec has changed since it was discovered",
        ),
        pytest.param(make_template("p", status=make_template_status("Failed")), False, id="that failed"),
        pytest.param(
            make_template("p", status=make_template_status("Degraded")), False, id="that can't start"
        ),
    ],
)
def test_a_template_is_waited_for_or_not(other: Template, waited_for: bool) -> None:  # noqa: FBT001 - a table
    got = chosen(FP16, other, gpu_models=("MI300X",))
    assert (got.template is None, got.waiting, got.best) == (
        (True, ("p",), ("a",)) if waited_for else (False, (), ())
    )
    said = {c.name: c.reason for c in got.candidates}
    assert said["a"] == ("best so far" if waited_for else "best match")


def test_a_tie_waits_for_what_may_be_better_than_both_but_not_for_a_third() -> None:
    one, two = (profile(name, type="optimized", precision="fp8") for name in "ab")
    third = pending(gpuSelector={"model": "MI300X"}, metric="latency", precision="fp8")
    assert chosen(one, two, third, gpu_models=("MI300X",)).tied == ("a", "b")
    better = pending(gpuSelector={"model": "MI300X"}, metric="latency", precision="fp4")
    got = chosen(one, two, better, gpu_models=("MI300X",))
    assert (got.tied, got.waiting, got.best) == ((), ("p",), ("a", "b"))


def test_those_of_the_namespace_are_waited_for_first_whatever_they_are_called() -> None:
    own = pending("z")
    got = chosen(make_cluster_template("a", status=PENDING), own)
    assert (got.waiting, got.first_waiting) == (("z", "a"), own)


RUNS_ON_B = make_template("b", metric="throughput")


@pytest.mark.parametrize(
    "overrides", [{}, {"overrides": {"precision": "fp8"}}], ids=["as it is", "with overrides"]
)
@pytest.mark.parametrize("known", ["by status.active", "by its InferenceService"])
def test_a_service_stays_on_what_it_runs_on_though_its_status_was_lost(
    known: str, overrides: dict[str, Any]
) -> None:
    image, catalog = make_image(), FakeCatalog(make_image(), make_template("a"), RUNS_ON_B)
    assert select(make_service(), image, catalog).template is not RUNS_ON_B
    service = make_service(templateRef="b", **overrides)
    made = resolve(service, catalog)
    runtime = made.template_name
    status = None
    if known == "by status.active":
        used = made.template or make_template(runtime)
        active = ActiveWorkload(
            image="i", resolved_image=reference_to(image), resolved_template=reference_to(used)
        )
        status, runtime = AIMServiceStatus(active=active), ""
    again = FakeCatalog(image, make_template("a"), RUNS_ON_B, runtime=runtime)
    got = select(make_service(status=status, **overrides), image, again)
    assert got.template is RUNS_ON_B
    assert [(c.name, c.chosen) for c in got.candidates] == [("b", True), ("a", False)]


def test_a_service_stays_on_the_clusters_template_though_its_namespace_has_one_of_that_name() -> None:
    image, ours, theirs = make_cluster_image(), make_template("b"), make_cluster_template("b")
    catalog, used = FakeCatalog(image, ours, theirs), reference_to(theirs)
    active = ActiveWorkload(image="i", resolved_image=reference_to(image), resolved_template=used)
    assert select(make_service(), image, catalog).template is ours
    lost = make_service(status=AIMServiceStatus(active=active))
    assert select(lost, image, catalog).template is theirs


@pytest.mark.parametrize(
    "state",
    [pytest.param(state, id=f"while it is {state}") for state in ("Available", "Progressing", "Failed")],
)
def test_a_choice_stays(state: str) -> None:
    kept = make_template("kept", status=make_template_status(state, metric="throughput"))
    got = chosen(kept, make_template("better"), status=with_choice("kept"))
    assert got.template is kept
    assert next(c for c in got.candidates if c.chosen).name == "kept"
    again = chosen(kept, make_template("better"), status=AIMServiceStatus(template_matching=got.candidates))
    assert again == got


def test_a_choice_that_stays_keeps_telling_what_decided_it() -> None:
    """Also when everything else has changed since."""
    first = make_template("first")
    slow = profile("slow", metric="throughput")
    later = make_template("later", status=make_template_status("Failed"))
    made = chosen(first, slow, later)
    lost = make_template("lost", status=make_template_status("Failed"))
    status = AIMServiceStatus(template_matching=made.candidates)
    got = chosen(first, make_template("slow"), make_template("later"), lost, status=status)
    assert {c.name: (c.chosen, c.reason) for c in got.candidates} == {
        "first": (True, "best match"),
        "slow": (False, "worse by metric"),
        "later": (False, "came after the choice, which stays"),
        "lost": (False, "not available: Failed"),
    }


def test_a_choice_that_stays_keeps_telling_that_it_was_no_optimized_one() -> None:
    """Also when its template has been discovered again since, as an optimized one."""
    made = chosen(profile("only", type="preview"))
    status = AIMServiceStatus(template_matching=made.candidates)
    got = chosen(profile("only", type="optimized"), status=status)
    assert [c.reason for c in got.candidates] == ["best match; its profile is preview, not optimized"]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(with_choice("gone"), id="the chosen one is gone"),
        pytest.param(with_choice("a", "Cluster"), id="the chosen one was the cluster's namesake"),
        pytest.param(AIMServiceStatus(), id="nothing was chosen"),
    ],
)
def test_it_is_chosen_anew_where(status: AIMServiceStatus) -> None:
    best = make_template("z")
    assert chosen(profile("a", metric="throughput"), best, status=status).template is best


@pytest.mark.parametrize(
    "status",
    [pytest.param(None, id="of a tie"), pytest.param(with_choice("t099"), id="beside a choice that stays")],
)
def test_the_status_lists_a_bounded_number(status: AIMServiceStatus | None) -> None:
    got = chosen(*(make_template(f"t{n:03}") for n in range(100)), status=status)
    assert len(got.candidates) == 64
    assert any(c.chosen for c in got.candidates) is (status is not None)


GENERAL, PREVIEW = profile("general", type="general"), profile("preview", type="preview")
OPTIMIZED, SILENT = profile("optimized", type="optimized", metric="throughput"), profile("silent")
UNDER_WAY = make_template("under-way", status=make_template_status("Progressing"))


def chosen_for(*objects: Any, **spec: Any) -> Selection:
    image = make_image()
    return select(make_service(**spec), image, FakeCatalog(image, *objects))


@pytest.mark.parametrize(
    ("templates", "want", "waiting"),
    [
        pytest.param((GENERAL, PREVIEW, OPTIMIZED), "optimized", (), id="an optimized one"),
        pytest.param((GENERAL, PREVIEW), None, (), id="none, where all others are not"),
        pytest.param((SILENT,), None, (), id="none that does not say"),
        pytest.param((PREVIEW, UNDER_WAY), None, ("under-way",), id="none yet, where one may be optimized"),
        pytest.param((), None, (), id="none of none"),
    ],
)
def test_without_unoptimized_ones_is_chosen(
    templates: tuple[Template, ...], want: str | None, waiting: tuple[str, ...]
) -> None:
    got = chosen_for(*templates, allowUnoptimized=False)
    assert (got.template.metadata.name if got.template else None) == want
    assert got.waiting == waiting
    refused = [t.metadata.name for t in templates if t not in (OPTIMIZED, UNDER_WAY)]
    reasons = {c.name: c.reason for c in got.candidates}
    for name in refused:
        assert str(reasons[name]).endswith("and allowUnoptimized is false")
    assert got.not_optimized == (() if want else tuple(sorted(refused)))


@pytest.mark.parametrize(
    ("config", "spec", "want"),
    [
        pytest.param({}, {}, "preview", id="by default"),
        pytest.param({"allowUnoptimized": False}, {}, None, id="not where the configuration forbids it"),
        pytest.param(
            {"allowUnoptimized": False},
            {"allowUnoptimized": True},
            "preview",
            id="where the service allows it",
        ),
        pytest.param(
            {"allowUnoptimized": True},
            {"allowUnoptimized": False},
            None,
            id="not where the service forbids it",
        ),
    ],
)
def test_one_that_is_not_optimized_may_be_chosen(
    config: dict[str, Any], spec: dict[str, Any], want: str | None
) -> None:
    for object_ in (make_runtime_config(**config), make_cluster_runtime_config(**config)):
        got = chosen_for(PREVIEW, object_, **spec)
        assert (got.template.metadata.name if got.template else None) == want


def test_a_configuration_that_is_missing_forbids_nothing() -> None:
    """It is told once a template is found: it, and not the template, is what somebody has to make."""
    assert chosen_for(PREVIEW, runtimeConfigName="gone").template is PREVIEW
    problem = resolve(make_service(runtimeConfigName="gone"), FakeCatalog(make_image(), PREVIEW)).problem
    assert problem is not None
    assert "no AIMRuntimeConfig 'gone'" in problem.message


def test_one_that_is_not_optimized_is_a_problem_with_a_way_out() -> None:
    image = make_image()
    problem = resolve(make_service(allowUnoptimized=False), FakeCatalog(image, PREVIEW)).problem
    assert problem is not None
    assert problem.reason == Reason.NO_OPTIMIZED_TEMPLATE
    assert problem.message == (
        "image 'model' has no optimized template, only preview; set spec.allowUnoptimized to true, or name "
        "one in spec.templateRef"
    )


@pytest.mark.parametrize(
    ("image", "spec"),
    [
        pytest.param(make_image(), {"templateRef": "preview"}, id="by the service"),
        pytest.param(make_image(defaultServiceTemplate="preview"), {}, id="by the image"),
    ],
)
def test_a_named_one_is_used_whether_it_is_optimized_or_not(image: Any, spec: dict[str, Any]) -> None:
    got = resolve(make_service(allowUnoptimized=False, **spec), FakeCatalog(image, PREVIEW))
    assert (got.template, got.problem) == (PREVIEW, None)


def test_a_choice_once_made_stays_where_it_would_not_be_made_any_more() -> None:
    image = make_image()
    service = make_service(allowUnoptimized=False, status=with_choice("preview"))
    assert select(service, image, FakeCatalog(image, PREVIEW, OPTIMIZED)).template is PREVIEW


class Derivations(FakeCatalog):
    """Counts how often a template is derived."""

    count = 0

    def templates_that_mean(self, namespace: str, digest: str) -> Iterable[Template]:
        self.count += 1
        return super().templates_that_mean(namespace, digest)


@pytest.mark.parametrize("others", [10, 300])
def test_what_a_service_runs_on_is_looked_for_among_as_many_templates_as_a_status_lists(others: int) -> None:
    """Its choice is gone, and each of thousands would be derived for it to see whether it is the one."""
    image = make_image()
    templates = [profile(f"t{index:03}") for index in range(others)]
    catalog = Derivations(image, *templates, runtime="gone")
    select(make_service(overrides={"precision": "fp8"}), image, catalog)
    assert 0 < catalog.count <= 2 * 64
