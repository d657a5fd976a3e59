"""The claim and the download Job of a model cache."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.v1alpha1 import AIMModelCache, EnvVar, Jobs, LocalObjectReference, Storage
from aim_operator.core import labels
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.model_cache import desired, digests
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.errors import SpecError
from tests.support.cache_builders import make_claim, make_model_cache

OPTIONS = DownloadOptions(image="ghcr.io/example/fetch:1", requests={"cpu": "100m"}, ttl_seconds=600)
CONFIG = RuntimeConfig()
TOKEN = EnvVar(name="HF_TOKEN", value="b")


@pytest.mark.parametrize(
    ("size", "headroom", "want"),
    [
        pytest.param("10Gi", 10, "11Gi", id="a tenth of headroom"),
        pytest.param("9094593249", 10, "10Gi", id="rounded up to whole Gi"),
        pytest.param("10Gi", 0, "10Gi", id="none, if none is wanted"),
        pytest.param("1", 10, "1Gi", id="never less than one"),
        pytest.param("700G", 10, "718Gi", id="decimal sizes too"),
        pytest.param(1073741824, 100, "2Gi", id="plain numbers too"),
    ],
)
def test_the_size_of_a_claim(size: str | int, headroom: int, want: str) -> None:
    assert desired.claim_size(size, headroom) == want


def test_a_claim_that_lost_its_owner_is_adopted_as_it_is() -> None:
    claim = make_claim()
    annotations = {labels.SIZE: "10Gi", labels.KNOWN_GPU: "MI300X"}
    claim = structs.replace(
        claim,
        metadata=structs.replace(claim.metadata, annotations=annotations),
        spec=structs.replace(claim.spec, access_modes=("ReadWriteOnce",)),
    )
    child = desired.adopted(make_model_cache(), claim).manifest
    assert child["metadata"]["annotations"] == annotations
    assert child["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "11Gi"}},
        "storageClassName": "standard",
    }


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(SpecError):
        desired.claim_size("much", 10)


@pytest.mark.parametrize(
    ("cache", "config", "want"),
    [
        pytest.param(make_model_cache(), CONFIG, (["ReadWriteMany"], "11Gi", None), id="defaults"),
        pytest.param(
            make_model_cache(),
            RuntimeConfig(
                storage_class_name="fast",
                storage=Storage(access_modes=("ReadWriteOnce",), headroom_percent=50),
            ),
            (["ReadWriteOnce"], "15Gi", "fast"),
            id="as the configuration says",
        ),
        pytest.param(
            make_model_cache(),
            RuntimeConfig(storage=Storage(headroom_percent=0)),
            (["ReadWriteMany"], "10Gi", None),
            id="no headroom, if that is what it says",
        ),
        pytest.param(
            make_model_cache(storageClassName="own"),
            RuntimeConfig(storage_class_name="fast"),
            (["ReadWriteMany"], "11Gi", "own"),
            id="its own class wins",
        ),
    ],
)
def test_the_claim(cache: AIMModelCache, config: RuntimeConfig, want: tuple[Any, ...]) -> None:
    manifest = desired.claim(cache, config).manifest
    spec = manifest["spec"]
    got = (spec["accessModes"], spec["resources"]["requests"]["storage"], spec.get("storageClassName"))
    assert got == want
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == cache.metadata.uid


def job(cache: AIMModelCache | None = None, config: RuntimeConfig = CONFIG) -> dict[str, Any]:
    cache = cache or make_model_cache()
    claim = make_claim(cache)
    digest = digests.download(cache, config, claim, OPTIONS)
    manifest: dict[str, Any] = desired.job(cache, config, claim, OPTIONS, digest=digest).manifest
    return manifest


def test_the_job_runs_fetch_into_the_claim_and_needs_no_permission() -> None:
    pod = job()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == [
        "fetch", "hf://example/model", "/model-cache",
        "--capacity", str(11 * 1024**3),
        "--termination-log", "/dev/termination-log",
    ]  # fmt: skip
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == make_claim().metadata.name
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["fsGroup"] == 65532
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_job_has_the_credentials_of_configuration_and_cache() -> None:
    env = [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}]
    cache = make_model_cache(env=env, imagePullSecrets=[{"name": "own"}])
    config = RuntimeConfig(
        service_account_name="puller", image_pull_secrets=(LocalObjectReference(name="shared"),)
    )
    pod = job(cache, config)["spec"]["template"]["spec"]
    assert pod["containers"][0]["env"] == env
    assert pod["serviceAccountName"] == "puller"
    assert pod["imagePullSecrets"] == [{"name": "own"}, {"name": "shared"}]


@pytest.mark.parametrize(
    ("cache", "config", "claim", "options"),
    [
        pytest.param({"env": [{"name": "HF_TOKEN", "value": "b"}]}, CONFIG, {}, OPTIONS, id="env"),
        pytest.param({}, structs.replace(CONFIG, env=(TOKEN,)), {}, OPTIONS, id="env of the configuration"),
        pytest.param({"imagePullSecrets": [{"name": "x"}]}, CONFIG, {}, OPTIONS, id="pull secrets"),
        pytest.param(
            {"metadata": {"annotations": {"aim.silogen.ai/retry": "1"}}}, CONFIG, {}, OPTIONS, id="retry"
        ),
        pytest.param({}, RuntimeConfig(service_account_name="x"), {}, OPTIONS, id="service account"),
        pytest.param({}, CONFIG, {"uid": "another"}, OPTIONS, id="another claim"),
        *(
            pytest.param({}, RuntimeConfig(jobs=msgspec.convert(jobs, Jobs)), {}, OPTIONS, id=name)
            for name, jobs in {
                "other nodes": {"scheduling": {"nodeSelector": {"pool": "batch"}}},
                "another queue": {"pods": {"labels": {"kueue.x-k8s.io/queue-name": "batch"}}},
                "another user": {"securityContext": {"runAsUser": 1000}},
            }.items()
        ),
        pytest.param({}, CONFIG, {}, DownloadOptions(image="x", requests={}), id="image"),
    ],
)
def test_another_of_these_is_another_download(
    cache: dict[str, Any], config: RuntimeConfig, claim: dict[str, Any], options: DownloadOptions
) -> None:
    base = digests.download(make_model_cache(), CONFIG, make_claim(), OPTIONS)
    assert digests.download(make_model_cache(**cache), config, make_claim(**claim), options) != base


def test_another_claim_of_the_users_own_or_another_folder_on_it_is_checked() -> None:
    claims = [
        {"name": "files"},
        {"name": "files", "subPath": "a"},
        {"name": "files", "subPath": "b"},
        {"name": "others"},
    ]
    got = {
        digests.download(make_model_cache(size=None, existingClaim=each), CONFIG, make_claim(), OPTIONS)
        for each in claims
    }
    assert len(got) == len(claims)


def test_the_configurations_variables_are_below_the_caches_and_only_those_of_downloads_reach_the_pod() -> (
    None
):
    config = structs.replace(
        CONFIG,
        env=(
            EnvVar(name="HTTPS_PROXY", value="http://proxy:3128"),
            EnvVar(name="HF_TOKEN", value="configuration"),
            EnvVar(name="PYTHONPATH", value="/model-cache"),
            EnvVar(name="VLLM_LOGGING_LEVEL", value="DEBUG"),
        ),
    )
    # A cache that an older version of the CRD let in.
    cache = make_model_cache(
        env=[{"name": "HF_TOKEN", "value": "cache"}, {"name": "LD_PRELOAD", "value": "x"}]
    )
    child = desired.job(cache, config, make_claim(), OPTIONS, digest="0a1b2c3d")
    (container,) = child.manifest["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "HF_TOKEN", "value": "cache"},
        {"name": "HTTPS_PROXY", "value": "http://proxy:3128"},
    ]


def test_the_kubelet_puts_no_token_into_the_source() -> None:
    cache = make_model_cache(sourceUri="s3://bucket/$(HF_TOKEN)/$$x", include=["$(HF_TOKEN)*"])
    child = desired.job(cache, CONFIG, make_claim(), OPTIONS, digest="0a1b2c3d")
    (container,) = child.manifest["spec"]["template"]["spec"]["containers"]
    assert container["args"][1] == "s3://bucket/$$(HF_TOKEN)/$$$$x"
    assert "--include=$$(HF_TOKEN)*" in container["args"]


def test_what_a_download_does_not_read_is_the_same_download() -> None:
    base = digests.download(make_model_cache(), CONFIG, make_claim(), OPTIONS)
    config = structs.replace(CONFIG, env=(EnvVar(name="VLLM_LOGGING_LEVEL", value="DEBUG"),))
    assert digests.download(make_model_cache(), config, make_claim(), OPTIONS) == base


def test_a_ttl_or_other_requests_are_the_same_download() -> None:
    base = digests.download(make_model_cache(), CONFIG, make_claim(), OPTIONS)
    other = DownloadOptions(image=OPTIONS.image, requests={"cpu": "2"}, ttl_seconds=1)
    assert digests.download(make_model_cache(), CONFIG, make_claim(), other) == base


BATCH = msgspec.convert(
    {
        "scheduling": {
            "nodeSelector": {"pool": "batch"},
            "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "low",
        },
        "pods": {
            "labels": {"kueue.x-k8s.io/queue-name": "batch"},
            "annotations": {"sidecar.istio.io/inject": "false"},
            "imagePullPolicy": "Always",
            "enableServiceLinks": False,
        },
    },
    Jobs,
)


def test_the_configuration_says_where_downloads_and_listings_run() -> None:
    config = RuntimeConfig(jobs=BATCH)
    for job in (
        desired.job(make_model_cache(), config, make_claim(), OPTIONS, digest="abcdef12"),
        desired.listing_job(make_model_cache(), config, OPTIONS, digest="abcdef12"),
    ):
        template = job.manifest["spec"]["template"]
        pod = template["spec"]
        assert pod["nodeSelector"] == {"pool": "batch"}
        assert pod["tolerations"] == [{"operator": "Exists"}]
        assert (pod["priorityClassName"], pod["enableServiceLinks"]) == ("low", False)
        assert [each["imagePullPolicy"] for each in pod["containers"]] == ["Always"]
        assert template["metadata"]["annotations"] == {
            "sidecar.istio.io/inject": "false",
            "linkerd.io/inject": "disabled",
        }
        assert template["metadata"]["labels"] == job.manifest["metadata"]["labels"]
        assert template["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "batch", "Kueue asks the Job"


def test_other_places_are_tried_at_once_and_none_are_as_before() -> None:
    cache, claim = make_model_cache(), make_claim()
    before = digests.download(cache, CONFIG, claim, OPTIONS)
    assert digests.download(cache, RuntimeConfig(jobs=BATCH), claim, OPTIONS) != before
    assert digests.download(cache, RuntimeConfig(jobs=Jobs()), claim, OPTIONS) == before


@pytest.mark.parametrize(
    ("limits", "changes"),
    [
        pytest.param({"cpu": "1"}, True, id="less, for a quota"),
        pytest.param({"cpu": "4000m"}, False, id="what they are, written otherwise"),
        pytest.param({}, False, id="none chosen"),
    ],
)
def test_other_resources_are_tried_at_once(limits: dict[str, str], *, changes: bool) -> None:
    """A quota has refused the Pods for those before, and there is nothing else to wait for."""
    cache, claim = make_model_cache(), make_claim()
    jobs = msgspec.convert({"download": {"resources": {"limits": limits}}}, Jobs)
    before, after = CONFIG, RuntimeConfig(jobs=jobs)
    downloads = [digests.download(cache, config, claim, OPTIONS) for config in (before, after)]
    listings = [digests.listing(cache, config, OPTIONS) for config in (before, after)]
    assert (downloads[0] != downloads[1], listings[0] != listings[1]) == (changes, changes)
