"""Which template cache serves a template, and which model cache a source."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1 import AIMModelCache, AIMTemplateCache, CachedModel
from aim_operator.core import caching
from aim_operator.core.catalog import Template
from aim_operator.core.naming import model_cache_name
from tests.support.cache_builders import OURS, SOURCE, make_model_cache, make_template_cache
from tests.support.service_builders import (
    FakeCatalog,
    make_cluster_template,
    make_runtime_config,
    make_template,
)

NAMESPACED, CLUSTER = make_template(), make_cluster_template()


@pytest.mark.parametrize(
    ("cache", "template", "others", "want"),
    [
        pytest.param(make_template_cache(), NAMESPACED, (), True, id="a name alone: the namespaced one"),
        pytest.param(make_template_cache(), CLUSTER, (), True, id="else the cluster's"),
        pytest.param(make_template_cache(), CLUSTER, (NAMESPACED,), False, id="which a namesake hides"),
        pytest.param(
            make_template_cache(templateScope="Cluster"), CLUSTER, (NAMESPACED,), True, id="unless asked for"
        ),
        pytest.param(make_template_cache(templateScope="Cluster"), NAMESPACED, (), False, id="other scope"),
        pytest.param(make_template_cache("x", "other"), NAMESPACED, (), False, id="another name"),
    ],
)
def test_means(cache: AIMTemplateCache, template: Template, others: tuple[Any, ...], want: bool) -> None:  # noqa: FBT001
    assert caching.means(cache, template, FakeCatalog(*others)) is want


def test_a_users_cache_comes_before_the_operators_then_the_oldest() -> None:
    def chosen(*caches: AIMTemplateCache) -> str:
        found = caching.choose(NAMESPACED, caches, FakeCatalog())
        return found.metadata.name if found is not None else ""

    own = make_template_cache(ours=True, metadata={"creationTimestamp": "2020-01-01T00:00:00Z"})
    old = make_template_cache("old", metadata={"creationTimestamp": "2021-01-01T00:00:00Z"})
    new = make_template_cache("a-new", metadata={"creationTimestamp": "2022-01-01T00:00:00Z"})
    going = make_template_cache("going", metadata={"deletionTimestamp": "2022-01-01T00:00:00Z"})
    assert chosen(own) == "fast"
    assert chosen(own, new, old) == "old"
    assert chosen(going) == ""


OWN_NAME = model_cache_name(SOURCE, "")
OURS_BY_LABEL = {"labels": OURS}


@pytest.mark.parametrize(
    ("cache", "want"),
    [
        pytest.param(make_template_cache("fast", ours=True), True, id="named after its template, labelled"),
        pytest.param(
            make_template_cache("mine", ours=True),
            False,
            id="a copy made by hand with its labels under another name",
        ),
        pytest.param(make_template_cache("fast"), False, id="made by hand under that name"),
    ],
)
def test_a_template_cache_is_the_operators(cache: AIMTemplateCache, want: bool) -> None:  # noqa: FBT001
    assert caching.is_own_template_cache(cache) is want


@pytest.mark.parametrize(
    ("cache", "want"),
    [
        pytest.param(make_model_cache(OWN_NAME, metadata=OURS_BY_LABEL), True, id="named and labelled so"),
        pytest.param(
            make_model_cache(
                model_cache_name(SOURCE, "gold"), metadata=OURS_BY_LABEL, storageClassName="gold"
            ),
            True,
            id="named after its class, too",
        ),
        pytest.param(
            make_model_cache("mine", metadata=OURS_BY_LABEL),
            False,
            id="a copy made by hand with its labels under another name",
        ),
        pytest.param(
            make_model_cache(OWN_NAME, metadata=OURS_BY_LABEL, sourceUri="hf://a/b"),
            False,
            id="one whose name is that of another source",
        ),
        pytest.param(
            make_model_cache(OWN_NAME, metadata=OURS_BY_LABEL, storageClassName="gold"),
            False,
            id="one whose name is that of another class",
        ),
        pytest.param(make_model_cache(OWN_NAME), False, id="made by hand under that name"),
    ],
)
def test_a_model_cache_is_the_operators(cache: AIMModelCache, want: bool) -> None:  # noqa: FBT001
    assert caching.is_own_model_cache(cache) is want


GOLD = make_model_cache("gold", storageClassName="gold")
PLAIN = make_model_cache("plain")
OLDER = make_model_cache("older", metadata={"creationTimestamp": "2020-01-01T00:00:00Z"})
LISTED = (CachedModel(source_uri=SOURCE, name="plain"),)


@pytest.mark.parametrize(
    ("caches", "asked", "want"),
    [
        pytest.param((), {}, "", id="none there"),
        pytest.param((GOLD, PLAIN), {}, "plain", id="the one of the class"),
        pytest.param((PLAIN, OLDER), {}, "older", id="the oldest of several"),
        pytest.param((PLAIN, OLDER), {"listed": LISTED}, "plain", id="the one in use stays"),
        pytest.param(
            (GOLD, PLAIN),
            {"listed": LISTED, "storage_class": "gold"},
            "plain",
            id="whatever the default is now",
        ),
        pytest.param(
            (GOLD, PLAIN),
            {"listed": LISTED, "storage_class": "gold", "explicit": True},
            "gold",
            id="unless another is asked for",
        ),
        pytest.param((PLAIN,), {"storage_class": "gold"}, "", id="none of another class"),
        pytest.param((make_model_cache("x", sourceUri="hf://a/b"),), {}, "", id="none of another source"),
        pytest.param(
            (make_model_cache("x", metadata={"deletionTimestamp": "2026-01-31T11:00:00Z"}),),
            {},
            "",
            id="not one that goes",
        ),
    ],
)
def test_the_model_cache_for_a_source(caches: tuple[Any, ...], asked: dict[str, Any], want: str) -> None:
    options: dict[str, Any] = {"storage_class": "", "explicit": False, "listed": (), **asked}
    found = caching.model_cache_for(SOURCE, caches=caches, catalog=FakeCatalog(), **options)
    assert (found.metadata.name if found is not None else "") == want


def test_the_class_of_a_cache_is_its_own_else_its_configurations() -> None:
    catalog = FakeCatalog(make_runtime_config(defaultStorageClassName="silver"))
    assert caching.storage_class_of(GOLD, catalog) == "gold"
    assert caching.storage_class_of(PLAIN, catalog) == "silver"
    assert caching.storage_class_of(PLAIN, FakeCatalog()) == ""
    assert caching.storage_class_of(make_model_cache(runtimeConfigName="gone"), FakeCatalog()) == ""
