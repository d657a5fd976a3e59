"""Choosing a template: every criterion in its order, ties, and choices that stay."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1 import AIMServiceStatus, TemplateCandidate
from aim_operator.core.catalog import Template
from aim_operator.core.service.selection import Selection, select
from tests.support.service_builders import (
    FakeCatalog,
    make_cluster_template,
    make_image,
    make_service,
    make_template,
    make_template_status,
)

DERIVED = {"labels": {"app.kubernetes.io/managed-by": "aim", "aim.silogen.ai/derived-template": "true"}}


def profile(name: str, **metadata: Any) -> Template:
    return make_template(name, status=make_template_status(**metadata))


def chosen(*templates: Template, gpu_models: tuple[str, ...] = (), status: Any = None) -> Selection:
    image = make_image()
    return select(make_service(status=status), image, FakeCatalog(image, *templates, gpu_models=gpu_models))


def with_choice(name: str, scope: Any = "Namespace") -> AIMServiceStatus:
    return AIMServiceStatus(template_matching=(TemplateCandidate(name=name, scope=scope, chosen=True),))


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
        ("z", True, "best match"),
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
        pytest.param(make_template("z", status=make_template_status("Progressing")), id="not available"),
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


def test_a_spec_speaks_where_the_profile_does_not() -> None:
    silent = make_template_status(gpu="", metric="", precision="")
    want = make_template("z", status=silent, metric="latency", gpuSelector={"model": "mi355x"})
    other = make_template("a", status=silent, metric="latency", gpuSelector={"model": "mi210"})
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
    later = make_template("later", status=make_template_status("Progressing"))
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


def test_the_status_lists_a_bounded_number() -> None:
    got = chosen(*(make_template(f"t{n:03}") for n in range(100)))
    assert len(got.candidates) == 64
