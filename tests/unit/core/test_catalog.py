"""Resolution: namespaced before cluster, inherited names, and `default`, which may be missing."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.meta import KubeObject
from aim_operator.api.v1alpha1 import AIMRuntimeConfigSpec, LocalObjectReference
from aim_operator.core import catalog, labels
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from tests.support.service_builders import FakeCatalog
from tests.support.template_builders import (
    DERIVED,
    MODEL,
    NAMESPACE,
    make_cluster_image,
    make_cluster_runtime_config,
    make_cluster_template,
    make_derived_template,
    make_image,
    make_runtime_config,
    make_template,
)


def where(found: KubeObject | None) -> str:
    """Kind and namespace, which is all that these tests ask of an object."""
    return f"{type(found).__name__} {found.metadata.namespace}".strip() if found is not None else ""


BOTH_IMAGES = (make_image(), make_cluster_image())


@pytest.mark.parametrize(
    ("objects", "namespace", "want"),
    [
        pytest.param((), NAMESPACE, "", id="nowhere"),
        pytest.param(BOTH_IMAGES, NAMESPACE, "AIMImage ml", id="the namespaced one wins"),
        pytest.param(BOTH_IMAGES, "other", "AIMClusterImage", id="another namespace's is not seen"),
        pytest.param(BOTH_IMAGES, "", "AIMClusterImage", id="a cluster template sees cluster images only"),
        pytest.param((make_image(),), "", "", id="and no namespaced one instead"),
    ],
)
def test_resolve_image(objects: tuple[KubeObject, ...], namespace: str, want: str) -> None:
    assert where(catalog.resolve_image(FakeCatalog(*objects), namespace, MODEL)) == want


BOTH_TEMPLATES = (make_template(), make_cluster_template())


@pytest.mark.parametrize(
    ("objects", "namespace", "want"),
    [
        pytest.param((), NAMESPACE, "", id="nowhere"),
        pytest.param(BOTH_TEMPLATES, NAMESPACE, "AIMServiceTemplate ml", id="the namespaced one wins"),
        pytest.param(BOTH_TEMPLATES, "other", "AIMClusterServiceTemplate", id="else the cluster's"),
    ],
)
def test_find_template(objects: tuple[KubeObject, ...], namespace: str, want: str) -> None:
    assert where(catalog.find_template(FakeCatalog(*objects), namespace, "fast")) == want


CONFIGS = (
    make_runtime_config("default", serviceAccountName="ns-default"),
    make_runtime_config("team", serviceAccountName="ns-team"),
    make_cluster_runtime_config("default"),
    make_cluster_runtime_config("platform"),
)


@pytest.mark.parametrize(
    ("objects", "names", "want"),
    [
        pytest.param(CONFIGS, ("team", "platform"), "AIMRuntimeConfig team", id="the first name that is set"),
        pytest.param(CONFIGS, (None, "platform"), "AIMClusterRuntimeConfig platform", id="an inherited name"),
        pytest.param(CONFIGS, (None, None), "AIMRuntimeConfig default", id="default where none is set"),
        pytest.param(CONFIGS, (), "AIMRuntimeConfig default", id="default where nobody could set one"),
        pytest.param(
            (make_cluster_runtime_config(),),
            (),
            "AIMClusterRuntimeConfig default",
            id="the cluster's default",
        ),
        pytest.param((), (None,), "none", id="a missing default is fine"),
        pytest.param((), ("default",), "none", id="also where its name is written out"),
        pytest.param(
            CONFIGS, ("gone", "platform"), "missing gone", id="a missing name is not replaced by another"
        ),
    ],
)
def test_resolve_runtime_config(
    objects: tuple[KubeObject, ...], names: tuple[str | None, ...], want: str
) -> None:
    found = catalog.resolve_runtime_config(FakeCatalog(*objects), NAMESPACE, names)
    if isinstance(found, MissingRuntimeConfig):
        got = f"missing {found.name}"
    else:
        got = f"{found.reference.kind} {found.reference.name}" if found.reference else "none"
    assert got == want


def test_a_resolved_configuration_has_what_its_spec_says_and_a_hash_of_it() -> None:
    def resolved(account: str) -> RuntimeConfig:
        config = make_runtime_config(serviceAccountName=account, imagePullSecrets=[{"name": "registry"}])
        found = catalog.resolve_runtime_config(FakeCatalog(config), NAMESPACE, ())
        assert isinstance(found, RuntimeConfig)
        assert found.reference is not None
        return found

    one, same, other = resolved("a"), resolved("a"), resolved("b")
    assert (one.service_account_name, one.image_pull_secrets) == (
        "a",
        (LocalObjectReference(name="registry"),),
    )
    hashes = [found.reference.hash for found in (one, same, other) if found.reference]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, True, id="allowed where nothing is said"),
        pytest.param({"allowUnoptimized": True}, True, id="allowed"),
        pytest.param({"allowUnoptimized": False}, False, id="forbidden"),
    ],
)
def test_templates_that_are_not_optimized_are(spec: dict[str, Any], *, want: bool) -> None:
    for config in (make_runtime_config(**spec), make_cluster_runtime_config(**spec)):
        found = catalog.resolve_runtime_config(FakeCatalog(config), NAMESPACE, ())
        assert isinstance(found, RuntimeConfig)
        assert found.allow_unoptimized is want


def test_variables_of_the_clusters_configuration_refer_to_no_others_in_the_pod() -> None:
    env = [{"name": "SEEN", "value": "$(HF_TOKEN)"}]
    alone = FakeCatalog(make_cluster_runtime_config(env=env))
    below = FakeCatalog(make_cluster_runtime_config(env=env), make_runtime_config())
    own = FakeCatalog(make_runtime_config(env=env))
    got = []
    for objects in (alone, below, own):
        found = catalog.resolve_runtime_config(objects, NAMESPACE, ())
        assert isinstance(found, RuntimeConfig)
        got += [variable.value for variable in found.env]
    assert got == ["$$(HF_TOKEN)", "$$(HF_TOKEN)", "$(HF_TOKEN)"]


def test_pull_secrets_are_merged_each_once_in_the_order_of_first_mention() -> None:
    a, b, c = (LocalObjectReference(name=name) for name in "abc")
    assert catalog.union_pull_secrets((b, a), (), (a, c)) == (b, a, c)


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        pytest.param("fast-ovr-0123abcd", DERIVED, True, id="named and labelled so, and written by it"),
        pytest.param(
            "fast-ovr-0123abcd", {"labels": DERIVED["labels"]}, False, id="named and labelled so by a user"
        ),
        pytest.param(
            "fast-ovr-0123abcd",
            {**DERIVED, "labels": {**DERIVED["labels"], labels.DERIVED_TEMPLATE: "false"}},
            False,
            id="labelled otherwise",
        ),
        pytest.param(
            "fast-ovr-0123abcd",
            {**DERIVED, "labels": {labels.DERIVED_TEMPLATE: "true"}},
            False,
            id="one that somebody took over, without the label that says who manages it",
        ),
        pytest.param("fast-ovr-0123abcd", {}, False, id="not labelled"),
        pytest.param("mine", DERIVED, False, id="a copy made by hand with its labels under another name"),
        pytest.param("fast-ovr-0123abcd-copy", DERIVED, False, id="a copy whose name says more"),
        pytest.param("fast-ovr-0123ABCD", DERIVED, False, id="a name with digits that are none of ours"),
        pytest.param("fast-ovr-0123", DERIVED, False, id="a name with too few digits"),
        pytest.param("-ovr-0123abcd", DERIVED, False, id="a name without that of a base"),
    ],
)
def test_is_derived(name: str, value: dict[str, Any], want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert catalog.is_derived(make_template(name, metadata=value)) is want


def test_no_cluster_template_is_derived_whatever_its_name_and_labels() -> None:
    named = make_cluster_template("fast-ovr-0123abcd", metadata=DERIVED)
    assert not catalog.is_derived(named)


def test_a_derived_template_that_a_user_edited_is_theirs() -> None:
    made = make_derived_template(metric="latency")
    edited = make_template(made.metadata.name, metadata=DERIVED, metric="throughput")
    assert (catalog.is_derived(made), catalog.is_unchanged_derived(made)) == (True, True)
    assert (catalog.is_derived(edited), catalog.is_unchanged_derived(edited)) == (True, False)


def test_variables_of_a_cluster_template_refer_to_no_others_in_the_pod() -> None:
    """Whoever may write one would else read what a namespace's own variables have from its Secrets."""
    env = [{"name": "SEEN", "value": "$(HF_TOKEN)"}]
    own = catalog.template_env(make_template(env=env))
    shared = catalog.template_env(make_cluster_template(env=env))
    assert [variable.value for variable in (*own, *shared)] == ["$(HF_TOKEN)", "$$(HF_TOKEN)"]


def test_a_reference_says_where_an_object_was_found() -> None:
    namespaced, cluster = (catalog.reference_to(image) for image in BOTH_IMAGES)
    assert (namespaced.kind, namespaced.scope, namespaced.namespace) == ("AIMImage", "Namespace", NAMESPACE)
    assert (cluster.kind, cluster.scope, cluster.namespace) == ("AIMClusterImage", "Cluster", None)
    assert namespaced.uid == "uid-of-llama"


def test_what_a_status_lists_of_the_cluster_s_configuration_is_bounded() -> None:
    env = [{"name": f"VARIABLE_{i}_{'x' * 200}", "value": ""} for i in range(40)]
    objects = (make_runtime_config(env=[{"name": "A", "value": ""}]), make_cluster_runtime_config(env=env))
    found = catalog.resolve_runtime_config(FakeCatalog(*objects), NAMESPACE, ())
    assert isinstance(found, RuntimeConfig)
    assert found.reference is not None
    listed = found.reference.from_cluster or ()
    assert (len(listed), max(map(len, listed)), listed[-1]) == (32, 128, "and 9 more")


@pytest.mark.parametrize("merge", ["Merge", "Replace"])
def test_a_namespace_has_keda_ask_nowhere_but_where_the_cluster_says(merge: str) -> None:
    """KEDA's operator asks from its own place in the network: an address is the platform's to choose."""
    cluster = make_cluster_runtime_config(autoscaling={"prometheusAddress": "http://prometheus:9090"})
    own = make_runtime_config(merge=merge)
    resolved = catalog.resolve_runtime_config(FakeCatalog(cluster, own), NAMESPACE, ())
    assert isinstance(resolved, RuntimeConfig)
    assert resolved.prometheus_address == "http://prometheus:9090"
    assert "autoscaling" not in AIMRuntimeConfigSpec.__struct_fields__


def test_the_path_prefix_of_the_cluster_holds_whatever_a_namespace_has() -> None:
    cluster = make_cluster_runtime_config(routing={"pathPrefix": "/{.metadata.namespace}/"})
    found = catalog.enforced_path_prefix(FakeCatalog(cluster, make_runtime_config()))
    assert found == "/{.metadata.namespace}/"
