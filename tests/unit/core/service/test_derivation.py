"""Derived templates: when they are needed, what they say, and when an equal one is used instead."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.v1alpha1 import (
    ActiveWorkload,
    AIMService,
    AIMServiceStatus,
    AIMServiceTemplate,
    ResolvedReference,
)
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.catalog import Image, Template
from aim_operator.core.manifests import plain
from aim_operator.core.service.derivation import Derivation, derive, derived_spec, needed
from aim_operator.core.service.resolution import resolve
from tests.support.service_builders import (
    FakeCatalog,
    make_cluster_image,
    make_cluster_runtime_config,
    make_cluster_template,
    make_image,
    make_runtime_config,
    make_service,
    make_template,
)

DERIVED: dict[str, Any] = {
    "labels": {"app.kubernetes.io/managed-by": "aim", "aim.silogen.ai/derived-template": "true"},
    "annotations": {"aim.silogen.ai/applied": "0123456789abcdef"},
}
FP8: dict[str, Any] = {"precision": "fp8"}


def derived(
    *others: KubeObject, base: Template | None = None, image: Image | None = None, **spec: Any
) -> Derivation:
    base, image = base or make_template(), image or make_image()
    service = make_service(**{"overrides": FP8, **spec})
    return derive(service, base, image, FakeCatalog(base, image, *others))


@pytest.mark.parametrize(
    ("spec", "base", "image", "want"),
    [
        pytest.param({}, make_template(), make_image(), False, id="not without overrides"),
        pytest.param({"overrides": {}}, make_template(), make_image(), False, id="not with empty overrides"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]}, make_template(), make_image(), False, id="not for env"
        ),
        pytest.param({"overrides": FP8}, make_template(), make_image(), True, id="with an override"),
        pytest.param(
            {}, make_cluster_template(), make_image(), True, id="for an image that cluster templates miss"
        ),
        pytest.param(
            {}, make_cluster_template(), make_cluster_image(), False, id="not for the cluster's own image"
        ),
        pytest.param(
            {}, make_template(), make_cluster_image(), False, id="not for a template of the namespace"
        ),
    ],
)
def test_a_derived_template_is_needed(spec: dict[str, Any], base: Template, image: Image, want: bool) -> None:  # noqa: FBT001 - a table
    assert needed(make_service(**spec), base, image) is want


MIRROR = {"name": "HF_ENDPOINT", "value": "https://mirror.example.com"}
TOKEN = {"name": "HF_TOKEN", "value": "of the service"}
PLAIN_TEMPLATE, CACHING = make_template(), make_template(caching={"enabled": True})
CONFIGS = (
    make_runtime_config("mirrored", env=[MIRROR]),
    make_runtime_config("other-token", env=[TOKEN]),
    make_cluster_runtime_config("default"),
)


@pytest.mark.parametrize(
    ("spec", "base", "want"),
    [
        pytest.param({"env": [MIRROR]}, PLAIN_TEMPLATE, False, id="not without a cache: its server fetches"),
        pytest.param({"cacheModel": True}, PLAIN_TEMPLATE, False, id="not for the files of the base"),
        pytest.param({"cacheModel": True, "env": [TOKEN]}, PLAIN_TEMPLATE, False, id="not for a token"),
        pytest.param({"cacheModel": True, "env": [MIRROR]}, PLAIN_TEMPLATE, True, id="for another hub"),
        pytest.param({"env": [MIRROR]}, CACHING, True, id="also where the template asks for the cache"),
        pytest.param(
            {"cacheModel": True, "env": [{"name": "AWS_ENDPOINT_URL", "value": "https://s3.example.com"}]},
            PLAIN_TEMPLATE,
            True,
            id="for another store",
        ),
        pytest.param(
            {"cacheModel": True, "env": [MIRROR]},
            make_template(env=[MIRROR]),
            False,
            id="not for the hub that the base asks",
        ),
        pytest.param(
            {"cacheModel": True, "env": [TOKEN]},
            make_template(env=[MIRROR]),
            False,
            id="not for a token, where the base asks another hub",
        ),
        pytest.param(
            {"cacheModel": True, "runtimeConfigName": "mirrored"},
            make_template(runtimeConfigName="mirrored"),
            False,
            id="not for the configuration that the base has",
        ),
        pytest.param(
            {"cacheModel": True, "runtimeConfigName": "mirrored"},
            PLAIN_TEMPLATE,
            True,
            id="for a configuration with another hub",
        ),
        pytest.param(
            {"cacheModel": True, "runtimeConfigName": "other-token"},
            PLAIN_TEMPLATE,
            False,
            id="not for one with another token",
        ),
        pytest.param(
            {"cacheModel": True, "runtimeConfigName": "other-token"},
            make_template(runtimeConfigName="mirrored"),
            True,
            id="for one without the hub of the base's",
        ),
        pytest.param(
            {
                "cacheModel": True,
                "runtimeConfigName": "mirrored",
                "env": [{"name": "HF_ENDPOINT", "value": ""}],
            },
            PLAIN_TEMPLATE,
            False,
            id="not where the service takes that back",
        ),
    ],
)
def test_other_files_than_the_bases_need_a_template_of_their_own(
    spec: dict[str, Any],
    base: Template,
    want: bool,  # noqa: FBT001 - a table
) -> None:
    found = resolve(make_service(templateRef="fast", **spec), FakeCatalog(base, make_image(), *CONFIGS))
    assert found.problem is None
    assert (found.derived is not None) is want


def test_the_files_of_the_base_are_those_of_its_images_configuration_where_it_names_none() -> None:
    service = make_service(templateRef="fast", cacheModel=True, env=[MIRROR])
    mirrored = make_image(runtimeConfigName="mirrored")
    assert resolve(service, FakeCatalog(PLAIN_TEMPLATE, mirrored, *CONFIGS)).derived is None


FULL = make_template(
    runtimeConfigName="of-template",
    metric="latency",
    precision="fp16",
    gpuSelector={"count": 2, "model": "MI300X"},
    resources={"requests": {"cpu": "4"}},
    serving={"sharedMemorySize": "16Gi"},
    scheduling={"priorityClassName": "high"},
    pods={"labels": {"team": "a"}},
    caching={"enabled": True},
    env=[{"name": "A", "value": "template"}, {"name": "B", "value": "template"}],
    imagePullSecrets=[{"name": "shared"}, {"name": "of-template"}],
)
FULL_SPEC = plain(FULL.spec)


@pytest.mark.parametrize(
    ("spec", "changed"),
    [
        pytest.param({}, {}, id="nothing: the base as it is"),
        pytest.param({"overrides": {"metric": "throughput"}}, {"metric": "throughput"}, id="metric"),
        pytest.param({"overrides": {"precision": "fp8"}}, {"precision": "fp8"}, id="precision"),
        pytest.param(
            {"overrides": {"gpuSelector": {"count": 8}}},
            {"gpuSelector": {"count": 8, "model": "MI300X"}},
            id="the number of GPUs, and not their model",
        ),
        pytest.param(
            {"overrides": {"gpuSelector": {"model": "MI355X"}}},
            {"gpuSelector": {"count": 2, "model": "MI355X"}},
            id="the model of GPUs, and not their number",
        ),
        pytest.param(
            {"overrides": {"gpuSelector": {"resourceName": "amd.com/cpx_nps4"}}},
            {"gpuSelector": {"count": 2, "model": "MI300X", "resourceName": "amd.com/cpx_nps4"}},
            id="the resource that GPUs are requested as",
        ),
        pytest.param(
            {"serving": {"startupTimeoutSeconds": 60}}, {}, id="settings of serving stay the base's"
        ),
        pytest.param({"runtimeConfigName": "mine"}, {"runtimeConfigName": "mine"}, id="runtime config"),
        pytest.param(
            {"env": [{"name": "B", "value": "service"}, {"name": "C", "value": "service"}]},
            {
                "env": [
                    {"name": "A", "value": "template"},
                    {"name": "B", "value": "service"},
                    {"name": "C", "value": "service"},
                ]
            },
            id="env by name",
        ),
        pytest.param(
            {"imagePullSecrets": [{"name": "shared"}, {"name": "mine"}]},
            {"imagePullSecrets": [{"name": "shared"}, {"name": "of-template"}, {"name": "mine"}]},
            id="pull secrets, each once",
        ),
        pytest.param(
            {"resources": {"requests": {"cpu": "9"}}, "replicas": 3}, {}, id="resources stay the base's"
        ),
    ],
)
def test_a_service_changes(spec: dict[str, Any], changed: dict[str, Any]) -> None:
    assert plain(derived_spec(make_service(**spec), FULL)) == {**FULL_SPEC, **changed}


def test_an_override_keeps_the_resource_that_the_base_requests_gpus_as() -> None:
    base = make_template(gpuSelector={"count": 2, "resourceName": "amd.com/cpx_nps4"})
    got = plain(derived_spec(make_service(overrides={"gpuSelector": {"count": 4}}), base))
    assert got["gpuSelector"] == {"count": 4, "resourceName": "amd.com/cpx_nps4"}


def test_a_selector_appears_where_the_base_has_none() -> None:
    service = make_service(overrides={"gpuSelector": {"count": 4}})
    assert plain(derived_spec(service, make_template())) == {
        "aimImageName": "model",
        "gpuSelector": {"count": 4},
    }


def test_a_new_one_is_named_labelled_and_owned_by_nobody() -> None:
    got = derived()
    assert (got.template, got.conflict) == (None, False)
    assert got.child is not None
    metadata = got.child.manifest["metadata"]
    assert metadata == {
        "name": got.name,
        "namespace": "team",
        "labels": {
            "app.kubernetes.io/managed-by": "aim",
            "aim.silogen.ai/derived-template": "true",
        },
    }
    assert got.name.startswith("fast-ovr-")
    assert len(derived(base=make_template("t" * 200)).name) == 63


def test_equal_services_share_it_and_others_do_not() -> None:
    assert derived().child == derived(replicas=7).child
    assert derived().name != derived(env=[{"name": "A", "value": "1"}]).name


@pytest.mark.parametrize(
    ("others", "image", "want"),
    [
        pytest.param([make_template("equal", **FP8)], make_image(), "equal", id="the namespace's"),
        pytest.param(
            [make_template("b", **FP8), make_template("a", **FP8)], make_image(), "a", id="the smallest name"
        ),
        pytest.param(
            [make_template("z", **FP8), make_cluster_template("a", **FP8)],
            make_cluster_image(),
            "z",
            id="namespaced before cluster",
        ),
        pytest.param(
            [make_template("by-hand", metadata=DERIVED, **FP8)],
            make_image(),
            "by-hand",
            id="a copy of a derived one under a name of its own, labels and all",
        ),
        pytest.param(
            [make_cluster_template("a", **FP8)], make_cluster_image(), "a", id="the cluster's, for its image"
        ),
    ],
)
def test_an_equal_template_is_used(others: list[KubeObject], image: Image, want: str) -> None:
    got = derived(*others, image=image)
    assert got.template is not None
    assert (got.name, got.template.metadata.name, got.child) == (want, want, None)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(make_template("equal-ovr-0123abcd", metadata=DERIVED, **FP8), id="it is derived itself"),
        pytest.param(make_template("equal", aimImageName="other", **FP8), id="it is for another image"),
        pytest.param(make_template("equal", namespace="other", **FP8), id="it is in another namespace"),
        pytest.param(make_cluster_template("equal", **FP8), id="it can't see the namespace's image"),
        pytest.param(make_template("equal", env=[{"name": "A"}], **FP8), id="it says more"),
        pytest.param(
            make_template("equal", metadata={"deletionTimestamp": "2026-01-31T12:00:00Z"}, **FP8),
            id="it is being deleted",
        ),
    ],
)
def test_a_template_is_not_used_where(other: KubeObject) -> None:
    assert derived(other).name.startswith("fast-ovr-")


def test_one_that_exists_is_used_and_kept_as_it_should_be() -> None:
    first = derived()
    existing = make_template(first.name, metadata=DERIVED, metric="throughput")
    got = derived(existing)
    assert (got.template, got.child) == (existing, first.child)


def test_a_template_of_that_name_that_somebody_else_made_is_a_conflict() -> None:
    foreign = make_template(derived().name)
    got = derived(foreign)
    assert (got.template, got.child, got.conflict) == (None, None, True)
    service = make_service(overrides=FP8, templateRef="fast")
    resolution = resolve(service, FakeCatalog(make_image(), make_template(), foreign))
    problem = resolution.problem
    assert problem is not None
    assert resolution.template is None
    assert problem.reason == Reason.NAME_CONFLICT
    assert repr(foreign.metadata.name) in problem.message
    assert problem.blocker == ObjectRef("AIMServiceTemplate", "team", foreign.metadata.name)


def test_a_cluster_template_becomes_one_of_the_namespace_whose_image_it_runs() -> None:
    base = make_cluster_template(metric="latency", gpuSelector={"count": 2})
    catalog = FakeCatalog(make_image(), make_cluster_image(), base)
    got = resolve(make_service(), catalog)
    assert got.problem is None
    assert got.derived is not None
    assert got.derived.manifest["kind"] == "AIMServiceTemplate"
    assert got.derived.manifest["spec"] == plain(base.spec)
    assert (got.base, got.template) == (base, None)
    made = make_template(
        got.template_name,
        metadata=DERIVED,
        **{k: v for k, v in plain(base.spec).items() if k != "aimImageName"},
    )
    again = resolve(make_service(), FakeCatalog(make_image(), make_cluster_image(), base, made))
    assert isinstance(again.template, AIMServiceTemplate)
    assert structs.replace(again, template=None) == got


ARGS = {"max-model-len": 1, "speculative-config": {"x": None}}
SAYS_MORE: dict[str, Any] = {
    "profileId": "vllm-x",
    "model": "hf://org/model",
    "modelSources": [{"name": "org/model", "sourceUri": "hf://org/model", "size": "1Gi"}],
    "engineArgs": ARGS,
}


def test_a_derived_template_says_all_that_its_base_says_but_a_profile_that_overrides_would_lose_to() -> None:
    base = make_template(**SAYS_MORE)
    assert plain(derived_spec(make_service(), base)) == plain(base.spec)
    resource = make_service(overrides={"gpuSelector": {"resourceName": "amd.com/cpx_nps4"}})
    assert derived_spec(resource, base).profile_id == "vllm-x"
    asks: list[dict[str, Any]] = [
        FP8,
        {"metric": "throughput"},
        {"gpuSelector": {"count": 4}},
        {"gpuSelector": {"model": "MI355X"}},
    ]
    for overrides in asks:
        got = plain(derived_spec(make_service(overrides=overrides), base))
        assert got == {**{k: v for k, v in plain(base.spec).items() if k != "profileId"}, **overrides}


def test_engine_arguments_of_a_service_need_no_template_of_their_own() -> None:
    service = make_service(engineArgs={"a": 1})
    assert not needed(service, make_template(), make_image())
    assert derived().child == derived(engineArgs={"a": 1}).child


ENV = [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}]
SECRETS = [{"name": "b"}, {"name": "a"}]


@pytest.mark.parametrize(
    ("base", "other"),
    [
        pytest.param({"env": ENV}, {"env": ENV[::-1]}, id="in another order of variables"),
        pytest.param(
            {"imagePullSecrets": SECRETS}, {"imagePullSecrets": SECRETS[::-1]}, id="of pull secrets"
        ),
        pytest.param(
            {"resources": {"limits": {"memory": "1Gi", "cpu": 1}}},
            {"resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {}}},
            id="in other units",
        ),
        pytest.param(
            {"serving": {"sharedMemorySize": "1Gi", "defaultResourcesPerGpu": {"cpu": 1}}},
            {"serving": {"sharedMemorySize": "1024Mi", "defaultResourcesPerGpu": {"cpu": "1000m"}}},
            id="with serving in other units",
        ),
        pytest.param({}, {"runtimeConfigName": "default"}, id="with the default configuration written out"),
        pytest.param(
            {}, {"gpuSelector": {}, "caching": {"enabled": False}}, id="with nothing said at length"
        ),
        pytest.param(SAYS_MORE, SAYS_MORE, id="all of it"),
        pytest.param(
            {"modelSources": [{"name": "m", "sourceUri": "hf://o/m", "size": "1Gi"}]},
            {"modelSources": [{"name": "m", "sourceUri": "hf://o/m", "size": 1073741824}]},
            id="with sizes in other units",
        ),
    ],
)
def test_a_template_that_means_the_same_is_used(base: dict[str, Any], other: dict[str, Any]) -> None:
    equal = make_template("equal", **{k: v for k, v in other.items() if k != "profileId"}, **FP8)
    assert derived(equal, base=make_template(**base)).name == "equal"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"model": "org/model"}, id="a model"),
        pytest.param({"engineArgs": {"a": None}}, id="a flag"),
        pytest.param({"caching": {"enabled": True}}, id="a cache"),
        pytest.param({"profileId": "p"}, id="a profile"),
        pytest.param({"runtimeConfigName": "other"}, id="another configuration"),
    ],
)
def test_a_template_that_means_something_else_is_not_used(other: dict[str, Any]) -> None:
    assert derived(make_template("other", **FP8, **other)).name.startswith("fast-ovr-")


def test_variables_that_refer_to_others_keep_their_order() -> None:
    env = [{"name": "B", "value": "1"}, {"name": "A", "value": "$(B)"}]
    assert not derived(make_template("other", env=env[::-1], **FP8), base=make_template(env=env)).template


def test_the_configuration_of_the_image_is_what_default_is_not() -> None:
    image = make_image(runtimeConfigName="of-image")
    default = make_template("default", runtimeConfigName="default", **FP8)
    same = make_template("same", runtimeConfigName="of-image", **FP8)
    assert derived(default, same, image=image).name == "same"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"env": ENV}, {"env": ENV[::-1]}, id="variables in another order"),
        pytest.param(
            {"imagePullSecrets": SECRETS}, {"imagePullSecrets": SECRETS[::-1]}, id="pull secrets in another"
        ),
        pytest.param({}, {"runtimeConfigName": "default"}, id="the default configuration written out"),
    ],
)
def test_services_that_mean_the_same_share_one_and_write_it_alike(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert derived(**one).child == derived(**other).child


class Counting(FakeCatalog):
    """Counts the templates that are looked at one by one."""

    looked = 0

    def templates_of(self, namespace: str, image_name: str) -> list[AIMServiceTemplate]:
        found = list(super().templates_of(namespace, image_name))
        self.looked += len(found)
        return found


@pytest.mark.parametrize("others", [1, 300])
def test_a_service_with_overrides_looks_at_no_template_that_means_something_else(others: int) -> None:
    """A thousand templates of 300 KB would cost each of a thousand services seconds, in the event loop."""
    templates = [
        make_template(f"t{index:03}", metric="latency", env=[{"name": "A", "value": str(index)}])
        for index in range(others)
    ]
    image, base = make_image(), make_template("base")
    catalog = Counting(image, base, *templates)
    derived = derive(make_service(overrides={"precision": "fp8"}), base, image, catalog)
    assert derived.child is not None
    assert catalog.looked == 0


LEGACY = "fast-ovr-b95b387e"
"""As the operator named it before specs were written in one form: by the hash of its text."""


def on_legacy(**spec: Any) -> tuple[AIMService, Template]:
    """Return a service that runs on a derived template of before, and that."""
    service = make_service(overrides={"metric": "throughput"})
    runs_on = ResolvedReference(kind="AIMServiceTemplate", name=LEGACY, scope="Namespace")
    made = make_template(LEGACY, metadata=DERIVED, metric="throughput", **spec)
    return structs.replace(service, status=AIMServiceStatus(resolved_template=runs_on)), made


AS_WRITTEN: dict[str, Any] = {"resources": {"requests": {"cpu": "4000m", "memory": "65536Mi"}}}


def test_an_upgrade_derives_no_second_template_of_what_a_service_runs_on() -> None:
    base = make_template(**AS_WRITTEN)
    service, made = on_legacy(**AS_WRITTEN)
    got = derive(service, base, make_image(), FakeCatalog(make_image(), base, made))
    assert (got.name, got.template, got.conflict) == (LEGACY, made, False)
    assert got.child is not None
    assert got.child.manifest["spec"] == plain(made.spec)


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"resources": {"requests": {"cpu": "4", "memory": "32Gi"}}}, id="by hand"),
        pytest.param({**AS_WRITTEN, "runtimeConfigName": "other"}, id="to another configuration"),
    ],
)
def test_one_of_before_that_means_something_else_is_left(edited: dict[str, Any]) -> None:
    base = make_template(**AS_WRITTEN)
    service, made = on_legacy(**edited)
    assert derive(service, base, make_image(), FakeCatalog(make_image(), base, made)).name != LEGACY


def test_one_of_before_of_another_base_is_left() -> None:
    base = make_template("slow", **AS_WRITTEN)
    service, made = on_legacy(**AS_WRITTEN)
    got = derive(service, base, make_image(), FakeCatalog(make_image(), base, made))
    assert got.name.startswith("slow-ovr-")


def test_one_of_before_that_is_being_deleted_is_left() -> None:
    base = make_template(**AS_WRITTEN)
    service, made = on_legacy(**AS_WRITTEN)
    going = structs.replace(
        made, metadata=structs.replace(made.metadata, deletion_timestamp="2026-01-31T12:00:00Z")
    )
    assert derive(service, base, make_image(), FakeCatalog(make_image(), base, going)).name != LEGACY


def test_what_runs_is_what_counts_not_what_was_resolved_last() -> None:
    base = make_template(**AS_WRITTEN)
    service, made = on_legacy(**AS_WRITTEN)
    catalog = FakeCatalog(make_image(), base, made)
    runs_on = ResolvedReference(kind="AIMServiceTemplate", name=LEGACY, scope="Namespace")
    resolved_to = structs.replace(runs_on, name="fast-ovr-0123abcd")
    status = AIMServiceStatus(
        resolved_template=resolved_to,
        active=ActiveWorkload(resolved_template=runs_on, resolved_image=runs_on, image="i"),
    )
    service = structs.replace(service, status=status)
    assert derive(service, base, make_image(), catalog).name == LEGACY
