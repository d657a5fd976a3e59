"""Resolution of services: who wins where several objects have the name, and what is inherited."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core.catalog import kind_of
from aim_operator.core.service.resolution import Resolution, resolve
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

NAMESPACED, CLUSTER = (
    (make_image(), make_template(), make_runtime_config()),
    (make_cluster_image(), make_cluster_template(), make_cluster_runtime_config()),
)


def resolved(*objects: KubeObject, **spec: Any) -> Resolution:
    return resolve(make_service(**spec), FakeCatalog(*objects))


def found_kinds(resolution: Resolution) -> list[str]:
    config = resolution.config
    assert resolution.image is not None
    assert resolution.template is not None
    assert config is not None
    assert config.reference is not None
    return [kind_of(resolution.image), kind_of(resolution.template), config.reference.kind]


@pytest.mark.parametrize(
    ("objects", "want"),
    [
        pytest.param(
            NAMESPACED, ["AIMImage", "AIMServiceTemplate", "AIMRuntimeConfig"], id="the namespaced ones alone"
        ),
        pytest.param(
            CLUSTER,
            ["AIMClusterImage", "AIMClusterServiceTemplate", "AIMClusterRuntimeConfig"],
            id="the cluster's alone",
        ),
        pytest.param(
            (*CLUSTER, *NAMESPACED),
            ["AIMImage", "AIMServiceTemplate", "AIMRuntimeConfig"],
            id="namespaced over cluster",
        ),
        pytest.param(
            (*CLUSTER, make_image(namespace="other"), make_template(namespace="other")),
            ["AIMClusterImage", "AIMClusterServiceTemplate", "AIMClusterRuntimeConfig"],
            id="other namespaces don't count",
        ),
        pytest.param(
            (make_cluster_image(), make_template(), make_cluster_runtime_config()),
            ["AIMClusterImage", "AIMServiceTemplate", "AIMClusterRuntimeConfig"],
            id="each kind on its own",
        ),
    ],
)
@pytest.mark.parametrize(
    "template_ref", [pytest.param({}, id="chosen"), pytest.param({"templateRef": "fast"}, id="named")]
)
def test_what_is_found(
    objects: tuple[KubeObject, ...], want: list[str], template_ref: dict[str, Any]
) -> None:
    assert found_kinds(resolved(*objects, **template_ref)) == want


def test_the_alias_of_the_model_counts_too() -> None:
    service = resolve(make_service(model="", aimImageName="model"), FakeCatalog(*NAMESPACED))
    assert service.problem is None


@pytest.mark.parametrize(
    ("image", "spec", "want"),
    [
        pytest.param({}, {}, "best", id="the best one where nobody names any"),
        pytest.param(
            {"defaultServiceTemplate": "usual"}, {}, "usual", id="the image's default over the best"
        ),
        pytest.param(
            {"defaultServiceTemplate": "usual"},
            {"templateRef": "named"},
            "named",
            id="the service's over both",
        ),
    ],
)
def test_the_template_is(image: dict[str, Any], spec: dict[str, Any], want: str) -> None:
    throughput: dict[str, Any] = {"metric": "throughput"}
    templates = [
        make_template("best", gpuSelector={"model": "MI355X"}),
        make_cluster_template("usual", **throughput),
        make_cluster_template("named", **throughput),
    ]
    # Without an image in the namespace, so that cluster templates are used as they are.
    got = resolved(make_cluster_image(**image), *templates, **spec)
    assert got.problem is None
    assert (got.template_name, got.derived) == (want, None)
    assert bool(got.candidates) == (want == "best")


@pytest.mark.parametrize("image", [make_image(defaultServiceTemplate="fast"), make_image()])
@pytest.mark.parametrize("spec", [{}, {"templateRef": "fast"}])
def test_a_template_of_another_image_is_never_used(image: KubeObject, spec: dict[str, Any]) -> None:
    got = resolved(image, make_template(aimImageName="other"), **spec)
    assert got.template is None
    assert got.problem is not None
    named = bool(spec) or image == make_image(defaultServiceTemplate="fast")
    assert got.problem.reason == (Reason.TEMPLATE_IMAGE_MISMATCH if named else Reason.TEMPLATE_NOT_FOUND)
    if named:
        assert (
            "spec.templateRef" if spec else "defaultServiceTemplate of image 'model'"
        ) in got.problem.message


PENDING = make_template_status("Pending")
PROBLEMS: dict[str, tuple[tuple[KubeObject, ...], dict[str, Any], str, ObjectRef | None, str]] = {
    "no image": ((), {}, State.DEGRADED, ObjectRef("AIMImage", "team", "model"), "spec.model: no AIMImage"),
    "no template of that name": (
        (make_image(),),
        {"templateRef": "fast"},
        State.DEGRADED,
        ObjectRef("AIMServiceTemplate", "team", "fast"),
        "spec.templateRef: no AIMServiceTemplate 'fast'",
    ),
    "no default template": (
        (make_image(defaultServiceTemplate="fast"),),
        {},
        State.DEGRADED,
        ObjectRef("AIMServiceTemplate", "team", "fast"),
        "defaultServiceTemplate of image 'model': no AIMServiceTemplate 'fast'",
    ),
    "a template of another image": (
        (make_image(), make_template(aimImageName="other")),
        {"templateRef": "fast"},
        State.DEGRADED,
        ObjectRef("AIMServiceTemplate", "team", "fast"),
        "is for image 'other'",
    ),
    "a cluster template of another image": (
        (make_image(), make_cluster_template(aimImageName="other")),
        {"templateRef": "fast"},
        State.DEGRADED,
        ObjectRef("AIMClusterServiceTemplate", "", "fast"),
        "is for image 'other'",
    ),
    "no configuration that the service names": (
        (make_image(), make_template()),
        {"runtimeConfigName": "mine"},
        State.DEGRADED,
        ObjectRef("AIMRuntimeConfig", "team", "mine"),
        "spec.runtimeConfigName: no AIMRuntimeConfig 'mine'",
    ),
    "no configuration that the template names": (
        (make_image(), make_template(runtimeConfigName="its")),
        {},
        State.DEGRADED,
        ObjectRef("AIMRuntimeConfig", "team", "its"),
        "runtimeConfigName of template 'fast' or image 'model': no AIMRuntimeConfig 'its'",
    ),
    "no template that is discovered yet": (
        (make_image(), make_template("b", status=PENDING), make_template("a", status=PENDING)),
        {},
        State.PENDING,
        ObjectRef("AIMServiceTemplate", "team", "a"),
        "no template of image 'model' is available yet: a, b",
    ),
    "a template that may fit better": (
        (make_image(), make_template("a"), make_template("b", status=PENDING)),
        {},
        State.PENDING,
        ObjectRef("AIMServiceTemplate", "team", "b"),
        "waiting for discovery of b: of the templates of image 'model' it may fit better than a",
    ),
    "none but failed ones": (
        (make_image(), make_template(status=make_template_status("Failed"))),
        {},
        State.DEGRADED,
        None,
        "image 'model' has no available template (not available: fast)",
    ),
    "none at all": (
        (make_image(),),
        {},
        State.DEGRADED,
        None,
        "image 'model' has no available template; create",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_says_what_is_waited_for_or_in_the_way(name: str) -> None:
    objects, spec, state, blocker, words = PROBLEMS[name]
    problem = resolved(*objects, **spec).problem
    assert problem is not None
    assert (problem.state, problem.blocker) == (state, blocker)
    assert words in problem.message


def test_what_was_weighed_is_told_although_none_could_be_chosen() -> None:
    got = resolved(make_image(), make_template(status=PENDING))
    assert [candidate.name for candidate in got.candidates] == ["fast"]


CONFIGS = [make_cluster_runtime_config(name) for name in ("of-service", "of-template", "of-image", "default")]


@pytest.mark.parametrize(
    ("service", "template", "image", "want"),
    [
        pytest.param("of-service", "of-template", "of-image", "of-service", id="the service's"),
        pytest.param(None, "of-template", "of-image", "of-template", id="else the template's"),
        pytest.param(None, None, "of-image", "of-image", id="else the image's"),
        pytest.param(None, None, None, "default", id="else default"),
    ],
)
def test_the_runtime_config_is(
    service: str | None, template: str | None, image: str | None, want: str
) -> None:
    def named(name: str | None) -> dict[str, Any]:
        return {} if name is None else {"runtimeConfigName": name}

    objects = [make_image(**named(image)), make_template(**named(template))]
    got = resolved(*objects, *CONFIGS, **named(service))
    assert got.config is not None
    assert got.config.reference is not None
    assert got.config.reference.name == want
    if want != "default":
        # What is named must be there; the next name in line does not step in.
        lost = resolved(*objects, *(c for c in CONFIGS if c.metadata.name != want), **named(service))
        assert lost.problem is not None
        assert lost.problem.reason == Reason.RUNTIME_CONFIG_MISSING
        assert repr(want) in lost.problem.message


def test_a_namespaced_config_is_laid_over_the_cluster_one() -> None:
    cluster = make_cluster_runtime_config(routing={"enabled": True}, securityContext={"runAsUser": 7})
    got = resolved(make_image(), make_template(), cluster, make_runtime_config(serviceAccountName="puller"))
    assert got.config is not None
    assert got.config.service_account_name == "puller"
    assert got.config.routing.enabled
    assert got.config.security_context is not None
    assert got.config.security_context.run_as_user == 7


@pytest.mark.parametrize("name", [{}, {"runtimeConfigName": "default"}], ids=["not written", "written out"])
def test_a_missing_default_is_fine(name: dict[str, Any]) -> None:
    got = resolved(make_image(), make_template(), **name)
    assert got.problem is None
    assert got.config is not None
    assert got.config.reference is None


def test_the_hash_of_a_config_is_that_of_its_spec() -> None:
    def hash_of(**spec: Any) -> object:
        config = resolved(make_image(), make_template(), make_runtime_config(**spec)).config
        assert config is not None
        assert config.reference is not None
        return config.reference.hash

    assert hash_of(serviceAccountName="a") == hash_of(serviceAccountName="a")
    assert hash_of(serviceAccountName="a") != hash_of(serviceAccountName="b")
