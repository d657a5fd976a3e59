"""However inputs are written that mean the same: no discovery, no template and no Pod is made for that."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, Download, EnvVar, Jobs, LocalObjectReference
from aim_operator.core import canonical
from aim_operator.core.catalog import RuntimeConfig, resolve_runtime_config
from aim_operator.core.jobs.at_work import AtWork
from aim_operator.core.labels import RETRY
from aim_operator.core.manifests import plain
from aim_operator.core.model_cache import digests as model_cache
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.naming import discovery_job_name, download_job_name, short_hash
from aim_operator.core.service import meaning
from aim_operator.core.service.plan import decide
from aim_operator.core.template import discovery
from tests.support.cache_builders import make_claim, make_model_cache
from tests.support.service_builders import (
    NOW,
    FakeCatalog,
    make_image,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_template_status,
)

ENV = [
    {"name": "HOST", "value": "a.example.com"},
    {"name": "HF_ENDPOINT", "value": "https://$(HOST)/$(LATER)"},
    {"name": "LATER", "value": "$$(HOST)"},
    {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
    {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
]
EXPRESSION = {"key": "zone", "operator": "In", "values": ["a", "b", "c"]}
SCHEDULING: Manifest = {
    "tolerations": [
        {"key": "amd.com/gpu", "operator": "Exists"},
        {"key": "pool", "value": "models", "effect": "NoSchedule"},
        {"key": "spare"},
    ],
    "nodeSelector": {"pool": "gpu", "operator": "Equal", "empty": ""},
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [EXPRESSION, {"key": "spot", "operator": "DoesNotExist"}]},
                    {"matchExpressions": [{"key": "x", "operator": "Exists"}]},
                ]
            }
        },
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "host"},
                {"topologyKey": "zone", "labelSelector": {}},
            ]
        },
    },
}
VOLUMES = [
    {"name": "b", "mountPath": "/b", "configMap": {"name": "b"}},
    {"name": "a", "mountPath": "/a", "secret": {"secretName": "a"}},
]
TEMPLATE: Manifest = {
    "gpuSelector": {"model": "MI300X", "count": 2},
    "env": ENV,
    "imagePullSecrets": [{"name": "b"}, {"name": "a"}],
    "resources": {"limits": {"memory": "64Gi", "cpu": "16"}, "requests": {"cpu": "1500m"}},
    "serving": {"sharedMemorySize": "1Gi", "defaultResourcesPerGpu": {"memory": "32Gi"}, "volumes": VOLUMES},
    "scheduling": SCHEDULING,
    "caching": {"env": [ENV[3]], "include": ["*.json", "*.safetensors"]},
}
CONFIG: Manifest = {
    "env": [{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}, {"name": "HTTPS_PROXY", "value": "http://p:1"}],
    "imagePullSecrets": [{"name": "d"}, {"name": "c"}],
    "scheduling": SCHEDULING,
    "jobs": {"scheduling": SCHEDULING},
    "securityContext": {"capabilities": {"add": ["SYS_PTRACE", "IPC_LOCK"]}},
    "podSecurityContext": {"supplementalGroups": [109, 44]},
    "serving": {"volumes": [{"name": "c", "mountPath": "/c", "configMap": {"name": "c"}}]},
}
SERVICE: Manifest = {
    "overrides": {"precision": "fp8"},
    "env": [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}],
    "imagePullSecrets": [{"name": "y"}, {"name": "x"}],
    "resources": {"limits": {"memory": "96Gi"}},
    "scheduling": {"tolerations": SCHEDULING["tolerations"]},
    "serving": {"sharedMemorySize": "8Gi"},
}
ORDERED = {"env"}
"""Lists in which a name may refer to one before it; the others are sets here."""
UNITS: dict[str, list[Any]] = {
    "64Gi": ["65536Mi", 68719476736, "68719476736", "64.0Gi"],
    "96Gi": ["98304Mi"],
    "32Gi": ["32768Mi", "34359738368000m"],
    "8Gi": ["8192Mi", 8589934592],
    "1Gi": ["1024Mi", 1073741824, "1048576Ki"],
    "16": [16, "16000m", 16.0, "1.6e1"],
    "1500m": ["1.5", 1.5],
}
WRITTEN_OUT: dict[str, list[Manifest]] = {
    "key": [{"optional": False}],
    "fieldPath": [{"apiVersion": "v1"}],
    "resource": [{"divisor": "1"}, {"divisor": 1}, {"divisor": "1000m"}],
    "secretName": [{"optional": False}],
    "tolerations": [{"nodeSelector": {}}],
    "limits": [{"requests": {}}],
    "model": [{"resourceName": "amd.com/gpu"}],
    "include": [{"enabled": False}, {"exclude": []}],
    "capabilities": [
        {"allowPrivilegeEscalation": False},
        {"privileged": False, "seccompProfile": {"type": "RuntimeDefault"}},
    ],
    "supplementalGroups": [{"fsGroupChangePolicy": "Always"}],
}
"""What may be written beside a field of that name, and says nothing."""
NOTHING: list[Manifest] = [{"pods": {}}, {"pods": {"labels": {}, "annotations": {}}}, {"engineArgs": {}}]


def rewritten(draw: Any, value: Any, name: str = "") -> Any:
    """Write a spec in another way that means the same."""
    if isinstance(value, dict):
        out = {key: rewritten(draw, inner, key) for key, inner in value.items()}
        if name == "nodeSelector":
            return dict(draw(st.permutations(list(out.items()))))
        for key in value:
            if key == "key" and name not in ("secretKeyRef", "configMapKeyRef"):
                continue
            for more in WRITTEN_OUT.get(key, ()):
                if draw(st.booleans()):
                    out = more | out
        if "key" in out and name == "tolerations" and "operator" not in out and draw(st.booleans()):
            out["operator"] = "Equal"
        return dict(draw(st.permutations(list(out.items()))))
    if isinstance(value, list):
        out_list = [rewritten(draw, item, name) for item in value]
        return reordered(draw, out_list) if name in ORDERED else draw(st.permutations(out_list))
    if isinstance(value, str) and value in UNITS:
        return draw(st.sampled_from((value, *UNITS[value])))
    return value


def reordered(draw: Any, env: list[Manifest]) -> list[Manifest]:
    """Order variables so that each finds before it what it found, and nothing more."""
    order = draw(st.permutations(env))
    names = [each["name"] for each in order]
    before = (
        names.index("HOST") < names.index("HF_ENDPOINT") < names.index("LATER") if "HOST" in names else True
    )
    return list(order) if before else env


def written(spec: Manifest) -> st.SearchStrategy[Manifest]:
    return st.composite(rewritten)(deepcopy(spec))


def beside(spec: Manifest) -> st.SearchStrategy[Manifest]:
    """Write a spec otherwise, with what says nothing beside it."""
    nothing: st.SearchStrategy[Manifest] = st.sampled_from(NOTHING)
    return st.builds(lambda more, own: {**more, **own}, nothing, written(spec))


def config_of(spec: Manifest) -> RuntimeConfig:
    found = resolve_runtime_config(FakeCatalog(make_runtime_config(**spec)), "team", ())
    assert isinstance(found, RuntimeConfig)
    return found


@given(beside(TEMPLATE))
def test_a_template_is_equal_to_itself_written_otherwise(spec: Manifest) -> None:
    one, other, image = make_template(**TEMPLATE), make_template(**spec), make_image()
    assert meaning.digest_of(other) == meaning.digest_of(one)
    assert plain(meaning.canonical(other.spec, image)) == plain(meaning.canonical(one.spec, image))


@given(written(TEMPLATE))
def test_the_one_form_is_its_own_form(spec: Manifest) -> None:
    image = make_image()
    once = meaning.canonical(make_template(**spec).spec, image)
    assert meaning.canonical(once, image) == once
    assert meaning.digest(once) == meaning.digest(make_template(**spec).spec)


@given(beside(TEMPLATE), written(CONFIG))
def test_nothing_is_discovered_again_for_another_way_to_write_it(spec: Manifest, config: Manifest) -> None:
    image = make_image()
    want = discovery.digest(make_template(**TEMPLATE), image, config_of(CONFIG))
    assert discovery.digest(make_template(**spec), image, config_of(config)) == want


def children(service: Manifest, template: Manifest, config: Manifest) -> list[Manifest]:
    base = make_template(**template, status=make_template_status(gpu_count=2))
    own = make_service(**{key: value for key, value in service.items() if key != "overrides"})
    derived = decide(make_service_observed(make_service(**service), FakeCatalog(make_image(), base)), now=NOW)
    plan = decide(
        make_service_observed(own, FakeCatalog(make_image(), base, make_runtime_config(**config))), now=NOW
    )
    return [child.manifest for child in (*derived.children, *plan.children)]


@settings(max_examples=40)
@given(beside(SERVICE), beside(TEMPLATE), written(CONFIG))
def test_no_template_is_derived_and_no_pod_replaced_for_another_way_to_write_it(
    service: Manifest, template: Manifest, config: Manifest
) -> None:
    got = children(service, template, config)
    assert {manifest["kind"] for manifest in got} == {"AIMServiceTemplate", "InferenceService"}
    assert got == children(SERVICE, TEMPLATE, CONFIG)


@given(
    written({"env": [ENV[3], CONFIG["env"][1]], "imagePullSecrets": TEMPLATE["imagePullSecrets"]}),
    written(CONFIG),
)
def test_nothing_is_downloaded_again_for_another_way_to_write_it(spec: Manifest, config: Manifest) -> None:
    options = DownloadOptions(image="operator", requests={})

    def digests(spec: Manifest, config: Manifest) -> tuple[str, str]:
        cache, found = make_model_cache(**spec), config_of(config)
        return (
            model_cache.download(cache, found, make_claim(cache), options),
            model_cache.listing(cache, found, options),
        )

    own = {"env": [ENV[3], CONFIG["env"][1]], "imagePullSecrets": TEMPLATE["imagePullSecrets"]}
    assert digests(spec, config) == digests(own, CONFIG)


# What is not the same


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"scheduling": {"affinity": {}}}, id="no affinity, whatever the configuration says"),
        pytest.param({"scheduling": {"topologySpreadConstraints": []}}, id="no spread"),
        pytest.param({"scheduling": {"schedulerName": "default-scheduler"}}, id="not another scheduler"),
        pytest.param({"scheduling": {"nodeSelector": {"operator": "Equal"}}}, id="a label of that name"),
        pytest.param({"caching": {"enabled": False, "include": ["*.gguf"]}}, id="files of a service's cache"),
        pytest.param({"caching": {"env": [ENV[3]]}}, id="credentials of a service's download"),
        pytest.param({"precision": "auto"}, id="what an image may take for another default"),
        pytest.param({"metric": "latency"}, id="a metric that an image may not take by itself"),
        pytest.param({"pods": {"enableServiceLinks": True}}, id="links that a configuration may turn off"),
        pytest.param({"serving": {"sharedMemorySize": "8Gi"}}, id="a size that a configuration may change"),
    ],
)
def test_a_template_that_says_something_is_not_one_that_says_nothing(changed: Manifest) -> None:
    assert meaning.digest_of(make_template(**changed)) != meaning.digest_of(make_template())


def test_a_preference_that_is_said_twice_counts_twice() -> None:
    """The scheduler adds weights up; terms that are required are as true twice as once."""
    near = {"weight": 50, "preference": {"matchExpressions": [EXPRESSION]}}
    far = {"weight": 10, "preference": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    got = canonical.fields({preferred: [near, far, near]})
    assert sorted(each["weight"] for each in got[preferred]) == [10, 50, 50]
    assert got == canonical.fields({preferred: [far, near, near]})
    assert got != canonical.fields({preferred: [far, near]})
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    host = {"topologyKey": "host"}
    assert canonical.fields({required: [host, host]}) == {required: [host]}


def test_a_selector_of_every_pod_is_not_that_of_the_services_own() -> None:
    def term(**selector: Any) -> Manifest:
        terms = [{"topologyKey": "zone", **selector}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        return {"scheduling": {"affinity": {"podAffinity": required}}}

    assert meaning.digest_of(make_template(**term(labelSelector={}))) != meaning.digest_of(
        make_template(**term())
    )


def test_a_label_that_is_to_be_empty_is_one_whatever_its_key() -> None:
    """`value: ""` says nothing of a toleration only."""
    assert canonical.fields({"matchLabels": {"value": ""}}) == {"matchLabels": {"value": ""}}


@pytest.mark.parametrize("changed", [{"resourceName": "amd.com/gpu"}, {"count": 1}], ids=str)
def test_of_a_profile_that_is_asked_for_by_its_name_nothing_follows_from_a_model(changed: Manifest) -> None:
    one = make_template(profileId="vllm-x", gpuSelector={"model": "MI300X"})
    other = make_template(profileId="vllm-x", gpuSelector={"model": "MI300X", **changed})
    assert meaning.digest_of(one) != meaning.digest_of(other)


def test_a_number_of_gpus_says_nothing_of_a_profile_that_needs_none() -> None:
    one, other = {"model": "NONE"}, {"model": "NONE", "count": 1}
    assert meaning.digest_of(make_template(gpuSelector=one)) == meaning.digest_of(
        make_template(gpuSelector=other)
    )


def test_a_pull_secret_that_is_named_twice_is_one() -> None:
    a, b = (LocalObjectReference(name=name) for name in "ab")
    assert canonical.secret_names((b, a, b)) == ["a", "b"]


@pytest.mark.parametrize("divisor", ["0", 0, "1", "1000m"], ids=str)
def test_a_divisor_of_one_is_none_and_so_is_that_of_zero(divisor: Any) -> None:
    """An API server writes "0" where there is none."""
    assert canonical.env(cpus(divisor=divisor)) == canonical.env(cpus())
    assert canonical.env(cpus(divisor="1m")) != canonical.env(cpus())


def cpus(**more: Any) -> tuple[EnvVar, ...]:
    return variables({"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", **more}}})


def variables(*env: Manifest) -> tuple[EnvVar, ...]:
    return msgspec.convert(env, tuple[EnvVar, ...])


@pytest.mark.parametrize(
    ("env", "want"),
    [
        pytest.param(
            [{"name": "B", "value": "1"}, {"name": "A", "value": "$$(B)"}],
            ["A", "B"],
            id="an escaped dollar refers to nothing",
        ),
        pytest.param(
            [{"name": "B", "value": "1"}, {"name": "A", "value": "$(B)"}, {"name": "B", "value": "2"}],
            ["B", "A", "B"],
            id="with two of a name all stay where they are, as in a manifest that no API server has seen",
        ),
    ],
)
def test_variables_are_ordered(env: list[Manifest], want: list[str]) -> None:
    assert [variable.name for variable in canonical.env(variables(*env))] == want


@given(st.permutations(ENV))
def test_sorted_variables_expand_to_what_they_did(env: list[Manifest]) -> None:
    typed = msgspec.convert(env, tuple[EnvVar, ...])
    assert expanded(canonical.env(typed)) == expanded(typed)


def expanded(env: tuple[EnvVar, ...]) -> dict[str, str]:
    """Expand references as the kubelet does: once, to what stands before."""
    values: dict[str, str] = {}
    for each in env:
        values[each.name] = re.sub(
            r"\$(\$|\((\w+)\))",
            lambda match: "$" if match[1] == "$" else values.get(match[2], match[0]),
            each.value or "",
        )
    return values


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("memory", "1024Mi", "1Gi"),
        ("memory", 1073741824, "1Gi"),
        ("memory", "1G", "1G"),
        ("memory", "1e9", "1G"),
        ("memory", "0.5Gi", "512Mi"),
        ("cpu", "1000m", "1"),
        ("cpu", "0.1", "100m"),
        ("cpu", 2048, "2048"),
        ("amd.com/gpu", "8", "8"),
        ("hugepages-2Mi", "4096Ki", "4Mi"),
        ("cpu", "many", "many"),
    ],
)
def test_a_quantity_is_written(name: str, value: Any, want: str) -> None:
    assert canonical.amount(name, value) == want


# Before there was one form


def test_what_was_discovered_by_its_text_is_kept_and_a_change_of_it_is_not() -> None:
    image, config = make_image(), config_of(CONFIG)
    plainly = make_template(env=ENV)
    old = make_template(env=ENV, status=as_recorded_before(plainly, config))
    assert discovery.digest(old, image, config) == old.status.discovery.spec_hash  # type: ignore[union-attr]
    changed = make_template(env=[*ENV, {"name": "X", "value": "1"}], status=old.status)
    assert discovery.digest(changed, image, config) == discovery.digest(
        make_template(env=[*ENV, {"name": "X", "value": "1"}]), image, config
    )


def as_recorded_before(template: Any, config: RuntimeConfig) -> Any:
    """The status of a template that a version discovered which compared texts."""
    inputs = {
        "kind": "AIMServiceTemplate",
        "uid": template.metadata.uid,
        "image": "ghcr.io/example/model:v1",
        "metric": None,
        "precision": None,
        "gpuSelector": None,
        "env": [*CONFIG["env"], *ENV],
        "serviceAccountName": None,
        "imagePullSecrets": [secret.name for secret in config.image_pull_secrets],
        "rediscover": None,
    }
    status = make_template_status()
    return msgspec.structs.replace(
        status,
        discovery=msgspec.convert({"specHash": short_hash(inputs)}, type(status.discovery or Download())),
    )


RESOURCES = {"resources": {"limits": {"memory": "2Gi"}}}


def test_a_download_that_was_recorded_by_its_text_is_kept() -> None:
    options = DownloadOptions(image="operator", requests={})
    cache = make_model_cache(env=[ENV[3], CONFIG["env"][1]][::-1])
    claim, config = make_claim(cache), RuntimeConfig()
    inputs = {
        "cache": cache.metadata.uid,
        "source": cache.spec.source_uri,
        "image": "operator",
        "env": [CONFIG["env"][1], ENV[3]],
        "serviceAccountName": None,
        "imagePullSecrets": [],
        "retry": None,
        "claim": claim.metadata.uid,
        "capacity": str((claim.spec.resources.requests or {}).get("storage")),
    }
    recorded = msgspec.structs.replace(
        cache, status=AIMModelCacheStatus(download=Download(spec_hash=short_hash(inputs)))
    )
    assert model_cache.download(recorded, config, claim, options) == short_hash(inputs)
    assert model_cache.download(cache, config, claim, options) != short_hash(inputs)
    roomier = RuntimeConfig(jobs=msgspec.convert({"download": RESOURCES}, Jobs))
    assert model_cache.download(recorded, roomier, claim, options) != short_hash(inputs), "tried at once"


def test_a_discovery_that_runs_by_its_text_goes_on_and_a_change_of_it_is_another() -> None:
    image, config = make_image(), config_of(CONFIG)
    template = make_template(env=ENV)
    by_text = as_recorded_before(template, config).discovery.spec_hash
    jobs = [discovery_job_name(template.metadata.name, by_text)]
    assert discovery.digest(template, image, config, jobs) == by_text
    assert discovery.digest(template, image, config) != by_text
    changed = make_template(env=[*ENV, {"name": "X", "value": "1"}])
    assert discovery.digest(changed, image, config, jobs) == discovery.digest(changed, image, config)


CHOSEN = {**CONFIG, "jobs": {**CONFIG["jobs"], "download": RESOURCES}}


@pytest.mark.parametrize(
    ("written_as", "now"),
    [
        pytest.param(CONFIG, CONFIG, id="with another image"),
        pytest.param(CONFIG, CHOSEN, id="before resources counted"),
        pytest.param(CHOSEN, CHOSEN, id="with resources that were chosen"),
    ],
)
def test_a_download_that_another_version_started_goes_on(written_as: Manifest, now: Manifest) -> None:
    cache = make_model_cache()
    claim, before, after = make_claim(cache), config_of(written_as), config_of(now)
    options = {name: DownloadOptions(image=name, requests={}) for name in ("old", "new")}
    started = model_cache.download(cache, before, claim, options["old"])
    at_work = [AtWork(download_job_name(cache.metadata.name, started), "old")]
    assert model_cache.download(cache, after, claim, options["new"], at_work=at_work) == started
    assert model_cache.download(cache, after, claim, options["new"]) != started
    again = make_model_cache(metadata={"annotations": {RETRY: "now"}})
    assert model_cache.download(again, after, claim, options["new"], at_work=at_work) not in (
        started,
        model_cache.download(cache, after, claim, options["new"]),
    )
