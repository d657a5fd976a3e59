"""Which template cache serves a template, and which model cache a source."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.v1alpha1 import AIMModelCache, AIMTemplateCache, CachedModel, EnvVar
from aim_operator.core import caching
from aim_operator.core.caching import RequiredFiles
from aim_operator.core.catalog import Template
from aim_operator.core.environment import origin
from aim_operator.core.file_patterns import FilePatterns
from aim_operator.core.naming import model_cache_name
from aim_operator.core.service.cache_plan import filled_claim
from tests.support.cache_builders import LABELLED, OURS, SOURCE, make_model_cache, make_template_cache
from tests.support.service_builders import (
    FakeCatalog,
    make_cluster_template,
    make_runtime_config,
    make_service,
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
OF_FAST = [
    {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMServiceTemplate",
        "name": "fast",
        "uid": "uid-of-fast",
        "controller": True,
    }
]


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
        pytest.param(
            make_template_cache("fast", metadata=LABELLED),
            False,
            id="made by hand under that name, with its label that a tool put",
        ),
        pytest.param(
            make_template_cache("fast", metadata={"ownerReferences": OF_FAST}),
            False,
            id="made by hand under that name, to go with the template",
        ),
        pytest.param(
            make_template_cache("fast", metadata={"annotations": OURS["annotations"]}),
            False,
            id="a cluster template's that somebody took over, without the label",
        ),
        pytest.param(
            make_template_cache(
                "fast", metadata={"annotations": OURS["annotations"], "ownerReferences": OF_FAST}
            ),
            True,
            id="a template's without the label, which is set back",
        ),
        pytest.param(
            make_template_cache(
                "fast",
                metadata={
                    "annotations": OURS["annotations"],
                    "ownerReferences": [OF_FAST[0] | {"kind": "AIMService"}],
                },
            ),
            False,
            id="somebody else's without the label",
        ),
    ],
)
def test_a_template_cache_is_the_operators(cache: AIMTemplateCache, want: bool) -> None:  # noqa: FBT001
    assert caching.is_own_template_cache(cache) is want


@pytest.mark.parametrize(
    ("cache", "want"),
    [
        pytest.param(make_model_cache(OWN_NAME, metadata=OURS), True, id="named and labelled so"),
        pytest.param(
            make_model_cache(model_cache_name(SOURCE, "gold"), metadata=OURS, storageClassName="gold"),
            True,
            id="named after its class, too",
        ),
        pytest.param(
            make_model_cache("mine", metadata=OURS),
            False,
            id="a copy made by hand with its labels under another name",
        ),
        pytest.param(
            make_model_cache(OWN_NAME, metadata=OURS, sourceUri="hf://a/b"),
            False,
            id="one whose name is that of another source",
        ),
        pytest.param(
            make_model_cache(OWN_NAME, metadata=OURS, storageClassName="gold"),
            True,
            id="one whose class somebody changed",
        ),
        pytest.param(
            make_model_cache(model_cache_name(SOURCE, "", "0a1b2c3d", others=2), metadata=OURS),
            True,
            id="named after its endpoint, and as the third of that name",
        ),
        pytest.param(make_model_cache(OWN_NAME), False, id="made by hand under that name"),
        pytest.param(
            make_model_cache(OWN_NAME, metadata=LABELLED),
            False,
            id="made by hand under that name, with its label that a tool put",
        ),
        pytest.param(
            make_model_cache(OWN_NAME, metadata={"annotations": OURS["annotations"]}),
            False,
            id="one that somebody took over, without the label",
        ),
        pytest.param(
            make_model_cache(
                model_cache_name(SOURCE, "", patterns=["--exclude=*.bin"]),
                metadata=OURS,
                exclude=["*.bin"],
            ),
            True,
            id="named after its patterns, too",
        ),
    ],
)
def test_a_model_cache_is_the_operators(cache: AIMModelCache, want: bool) -> None:  # noqa: FBT001
    assert caching.is_own_model_cache(cache) is want


TOKEN = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hugging-face", "key": "token"}}}
MIRROR = {"name": "HF_ENDPOINT", "value": "https://mirror.example.com"}
OTHER = {"name": "HF_ENDPOINT", "value": "https://other.example.com"}
MIRROR_HASH, OTHER_HASH = (
    origin(SOURCE, msgspec.convert([variable], list[EnvVar])) for variable in (MIRROR, OTHER)
)


def filled(name: str, *, origin: str | None = None, **spec: Any) -> AIMModelCache:
    download = {"attempts": 0, "lastAttemptTime": "2026-01-31T11:00:00Z"}
    recorded = {} if origin is None else {"origin": origin}
    return make_model_cache(name, status={"download": {**download, **recorded}}, **spec)


OF_MIRROR = make_model_cache("mirrored", env=[MIRROR])
GOLD = make_model_cache("gold", storageClassName="gold")
PLAIN = make_model_cache("plain")
ON_MI300X = make_model_cache("on-gpu", placement={"gpuModel": "MI300X"})
OLDER = make_model_cache("older", metadata={"creationTimestamp": "2020-01-01T00:00:00Z"})
PART = make_model_cache("part", include=["*.json", "*.txt", "*.json"])
HIDDEN = make_model_cache("plain", shared=False)
ON_CLAIM = make_model_cache("on-claim", size=None, existingClaim={"name": "files"})
FAILED = make_model_cache(
    "failed", status={"download": {"attempts": 2, "lastAttemptTime": "2026-01-31T11:00:00Z"}}
)
JSON_ONLY = FilePatterns(include=("*.json", "*.txt"))
LISTED = (CachedModel(source_uri=SOURCE, name="plain"),)


@pytest.mark.parametrize(
    ("caches", "asked", "want"),
    [
        pytest.param((), {}, "", id="none there"),
        pytest.param((GOLD, PLAIN), {}, "plain", id="the one of the class"),
        pytest.param((HIDDEN,), {}, "", id="none that its maker does not share"),
        pytest.param((HIDDEN,), {"listed": LISTED}, "plain", id="but the one in use stays, shared or not"),
        pytest.param(
            (ON_CLAIM,),
            {"storage_class": "gold", "explicit_class": True},
            "on-claim",
            id="one on a claim of its maker's, of whatever class",
        ),
        pytest.param(
            (PLAIN, filled("full", origin="")),
            {"listed": LISTED},
            "full",
            id="one with its files before the one in use, which has none",
        ),
        pytest.param(
            (PLAIN, FAILED), {"listed": LISTED}, "plain", id="but not one whose download has failed"
        ),
        pytest.param(
            (PLAIN, OLDER),
            {"listed": (CachedModel(source_uri="hf://another/source", name="plain"),)},
            "older",
            id="in use is what this source's files are from",
        ),
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
            {"listed": LISTED, "storage_class": "gold", "explicit_class": True},
            "gold",
            id="unless another is asked for",
        ),
        pytest.param((PLAIN,), {"storage_class": "gold"}, "", id="none of another class"),
        pytest.param((make_model_cache("x", sourceUri="hf://a/b"),), {}, "", id="none of another source"),
        pytest.param((PART, PLAIN), {}, "plain", id="none that holds a part only"),
        pytest.param((PART, PLAIN), {"patterns": JSON_ONLY}, "part", id="the one that holds the part"),
        pytest.param(
            (PART, PLAIN),
            {"patterns": JSON_ONLY, "listed": LISTED},
            "part",
            id="whatever was in use before the part was asked for",
        ),
        pytest.param(
            (make_model_cache("x", metadata={"deletionTimestamp": "2026-01-31T11:00:00Z"}),),
            {},
            "",
            id="not one that goes",
        ),
        pytest.param((PLAIN, OF_MIRROR), {"origin": MIRROR_HASH}, "mirrored", id="the one of the endpoint"),
        pytest.param((OF_MIRROR,), {}, "", id="none of another endpoint"),
        pytest.param(
            (PLAIN,), {"listed": LISTED, "origin": MIRROR_HASH}, "", id="nor is one of another endpoint kept"
        ),
        pytest.param(
            (PLAIN,),
            {"listed": LISTED, "origin": MIRROR_HASH, "redirected": lambda _: True},
            "plain",
            id="but one without files, that its user may send to the new endpoint",
        ),
        pytest.param(
            (PLAIN, OF_MIRROR),
            {"listed": LISTED, "origin": MIRROR_HASH, "redirected": lambda _: True},
            "mirrored",
            id="and not where there is one of that endpoint",
        ),
        pytest.param(
            (filled("plain", origin=""),),
            {"listed": LISTED, "origin": MIRROR_HASH, "redirected": lambda _: True},
            "",
            id="nor one that has its files",
        ),
        pytest.param(
            (make_model_cache("other-token", env=[TOKEN]),), {}, "other-token", id="whatever its token is"
        ),
        pytest.param((ON_MI300X,), {"gpu_model": "MI325X"}, "", id="none on a node with another GPU"),
        pytest.param((ON_MI300X,), {"gpu_model": "Instinct MI300X"}, "on-gpu", id="however it is called"),
        pytest.param((ON_MI300X,), {}, "on-gpu", id="whatever its GPU, where many nodes can mount it"),
        pytest.param((PLAIN,), {"gpu_model": "MI325X"}, "plain", id="one that says nothing about GPUs"),
    ],
)
def test_the_model_cache_for_a_source(caches: tuple[Any, ...], asked: dict[str, Any], want: str) -> None:
    of_wanted = {key: value for key, value in asked.items() if key in RequiredFiles.__struct_fields__}
    others: dict[str, Any] = {"listed": (), **{k: v for k, v in asked.items() if k not in of_wanted}}
    wanted = RequiredFiles(source_uri=SOURCE, **of_wanted)
    found = caching.model_cache_for(wanted, caches=caches, catalog=FakeCatalog(), **others)
    assert (found.metadata.name if found is not None else "") == want


@pytest.mark.parametrize(
    ("cache", "config", "want"),
    [
        pytest.param(make_model_cache(), [], "", id="of the public hub"),
        pytest.param(make_model_cache(env=[MIRROR]), [], MIRROR_HASH, id="of its own variable"),
        pytest.param(make_model_cache(), [MIRROR], MIRROR_HASH, id="of its configuration's"),
        pytest.param(make_model_cache(env=[OTHER]), [MIRROR], OTHER_HASH, id="of its own before that"),
        pytest.param(filled("a", origin=""), [MIRROR], "", id="with its files, of where those came from"),
        pytest.param(filled("a", env=[MIRROR]), [OTHER], MIRROR_HASH, id="as an older version filled it"),
    ],
)
def test_which_endpoint_a_cache_is_of(cache: AIMModelCache, config: list[Any], want: str) -> None:
    catalog = FakeCatalog(make_runtime_config(env=config))
    assert caching.origin_of(cache, catalog) == want


def test_a_name_that_a_cache_of_another_endpoint_has_is_not_waited_for() -> None:
    """One that never got its files from the hub went on to the mirror, and kept its name."""
    wanted = RequiredFiles(source_uri=SOURCE)
    first = make_model_cache(model_cache_name(SOURCE, ""), metadata=OURS)
    users, going = make_model_cache(first.metadata.name), {**OURS, "deletionTimestamp": "2026"}
    part = RequiredFiles(source_uri=SOURCE, patterns=JSON_ONLY)
    nobody: dict[str, AIMModelCache] = {}
    names = {caching.new_model_cache_name(each, nobody.get) for each in (part, wanted)}
    assert len(names) == 2, "other files are another cache"
    second = caching.new_model_cache_name(wanted, {first.metadata.name: first}.get)
    assert second != first.metadata.name
    assert caching.new_model_cache_name(wanted, {first.metadata.name: first, second: first}.get) not in {
        first.metadata.name,
        second,
    }
    for left in (None, users, make_model_cache(first.metadata.name, metadata=going)):
        assert caching.new_model_cache_name(wanted, {first.metadata.name: left}.get) == first.metadata.name


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"env": [{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}]}, False, id="the server's"),
        pytest.param({"env": [TOKEN]}, True, id="a token"),
        pytest.param({"runtimeConfigName": "ours"}, True, id="a configuration"),
    ],
)
def test_what_a_service_says_of_its_download(spec: dict[str, Any], want: bool) -> None:  # noqa: FBT001
    assert caching.speaks_of_downloads(make_service(**spec)) is want


def test_the_class_of_a_cache_is_its_own_else_its_configurations() -> None:
    catalog = FakeCatalog(make_runtime_config(defaultStorageClassName="silver"))
    assert caching.storage_class_of(GOLD, catalog) == "gold"
    assert caching.storage_class_of(PLAIN, catalog) == "silver"
    assert caching.storage_class_of(PLAIN, FakeCatalog()) == ""
    assert caching.storage_class_of(make_model_cache(runtimeConfigName="gone"), FakeCatalog()) == ""


def test_a_cache_that_says_nothing_of_sharing_serves_its_maker_only() -> None:
    """Its maker chose from where and with whose credentials it is filled."""
    assert not caching.serves_others(make_model_cache(shared=None))
    assert caching.serves_others(make_model_cache(shared=True))


@pytest.mark.parametrize(
    ("status", "metadata", "want"),
    [
        pytest.param("Available", {}, "disk", id="one whose files are there"),
        pytest.param("Progressing", {}, None, id="not one that is being filled"),
        pytest.param(
            "Available", {"deletionTimestamp": "2026-01-31T12:00:00Z"}, None, id="not one that goes"
        ),
    ],
)
def test_which_claims_are_mounted(status: str, metadata: dict[str, Any], want: str | None) -> None:
    known = {"status": status, "persistentVolumeClaim": "disk"}
    assert filled_claim(make_model_cache(status=known, metadata=metadata)) == want
