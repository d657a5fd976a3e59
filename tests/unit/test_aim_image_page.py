"""docs/reference/aim-image.md and its JSON schema say what the operator really gives and takes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import structs

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import ActiveMount
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.discovery_output import parse
from aim_operator.core.serving.pin import workload
from aim_operator.core.serving.workload import CACHE_PATH, inference_service
from aim_operator.core.template import desired as template_desired
from aim_operator.errors import SpecError
from tests.docs.blocks import ROOT, read_page
from tests.support.service_builders import make_service
from tests.support.template_builders import (
    make_discovered_status,
    make_image,
    make_template,
)

PAGE = "docs/reference/aim-image.md"
TEXT = (ROOT / PAGE).read_text()
SCHEMA = json.loads((ROOT / "docs/reference/discovery-output.schema.json").read_text())
(EXAMPLE,) = (json.loads(block.text) for block in read_page(PAGE, TEXT).blocks if block.language == "json")


def changed(path: str, value: Any) -> Any:
    """The page's example with one value in its first element changed."""
    output = copy.deepcopy(EXAMPLE)
    *parents, last = path.split(".")
    place = output[0]
    for name in parents:
        place = place[int(name) if isinstance(place, list) else name]
    place[int(last) if isinstance(place, list) else last] = value
    return output


def is_read(output: Any) -> bool:
    try:
        parse(json.dumps(output).encode())
    except SpecError:
        return False
    return True


def model(**values: Any) -> dict[str, Any]:
    return {"name": "a/b", "source": "hf://a/b"} | values


GOOD = {
    "the example": EXAMPLE,
    "a second profile of any shape": [*EXAMPLE, 1],
    "no size": changed("models.0.size_gb", None),
    "a size of nothing": changed("models.0.size_gb", 0),
    "the largest size": changed("models.0.size_gb", 65536),
    "no models": changed("models", []),
    "16 models": changed("models", [model(name=f"a/{n}") for n in range(16)]),
    "no metadata": changed("profile.metadata", None),
    "metadata that we don't know": changed("profile.metadata.further", [1, {"a": None}]),
    "a CPU image": changed("profile.metadata.gpu_count", 0),
    "no arguments": changed("profile.engine_args", None),
    "no file name": changed("filename", None),
    "another field": changed("further", 1),
    "variables that are no texts": changed("profile.env_vars", {"a b": 1, "c": True, "d": None, "e": 0.5}),
    "a chat template in the arguments": changed("profile.engine_args", {"a": "{{ messages }}"}),
    "an engine with braces": changed("profile.metadata.engine", "{{"),
    "an image from before 0.8": [
        {"profile": {"model": "a/b", "quantized_model": "c/d"}, "models": [model()]},
    ],
    "S3": changed("models.0.source", "s3://bucket/a/b"),
    "a whole bucket": changed("models.0.source", "s3://bucket"),
    "a revision": changed("models.0.source", "hf://a/b:refs/pr/1"),
    "dots in a name": changed("models.0.name", "a.b/..c"),
}
BAD = {
    "nothing": [],
    "no models field": [{"profile": {}}],
    "no profile field": [{"models": []}],
    "17 models": changed("models", [model(name=f"a/{n}") for n in range(17)]),
    "a negative size": changed("models.0.size_gb", -1),
    "a size beyond": changed("models.0.size_gb", 65537),
    "a size as text": changed("models.0.size_gb", "8"),
    "half a GPU": changed("profile.metadata.gpu_count", 0.5),
    "too many GPUs": changed("profile.metadata.gpu_count", 1025),
    "a long metric": changed("profile.metadata.metric", "a" * 129),
    "a name that leads elsewhere": changed("models.0.name", "../a"),
    "and one that does so later": changed("models.0.name", "a/.."),
    "an absolute name": changed("models.0.name", "/a"),
    "an empty name": changed("models.0.name", ""),
    "another scheme": changed("models.0.source", "https://a/b"),
    "a source that leads elsewhere": changed("models.0.source", "s3://bucket/../a"),
    "a bucket of one letter": changed("models.0.source", "s3://b/a"),
    "a variable that is a list": changed("profile.env_vars", {"a": []}),
    "a GPU that KServe would expand": changed("profile.metadata.gpu", "a{{b"),
    "a metric that KServe would expand": changed("profile.metadata.metric", "{{"),
    "a precision that KServe would expand": changed("profile.metadata.precision", "{{"),
    "arguments as a list": changed("profile.engine_args", []),
}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("output", GOOD.values(), ids=GOOD)
def test_what_fits_the_schema_is_read(output: Any) -> None:
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(output)] == []
    assert is_read(output)


@pytest.mark.parametrize("output", BAD.values(), ids=BAD)
def test_what_does_not_is_refused(output: Any) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(output)
    assert not is_read(output)


def containers() -> Iterator[tuple[str, Manifest]]:
    """Each container that an image runs in, with the column of the page's table that tells of it."""
    template = make_template(
        metric="latency",
        precision="fp8",
        gpuSelector={"count": 1, "model": "MI300X"},
        profileId="p",
        model="a/b",
        engineArgs={"a": 1},
    )
    job = template_desired.job(
        template, make_image(), RuntimeConfig(), namespace="a", digest="0", requests={}
    ).manifest
    yield "dry run", job["spec"]["template"]["spec"]["containers"][0]
    found = {"metadata": EXAMPLE[0]["profile"]["metadata"] | {"type": "general"}}
    result = parse(json.dumps(changed("profile", found)).encode())
    template = structs.replace(template, status=make_discovered_status("0", result))
    active = workload(make_image(), template, RuntimeConfig(), (ActiveMount(model="a/b", claim="c"),))
    service = inference_service(make_service(), active, runtime="a")
    yield "server", service.manifest["spec"]["predictor"]["model"]
    (runtime,) = template_desired.runtime(template, make_image()).manifest["spec"]["containers"]
    yield "server", runtime


def test_every_variable_is_in_the_table_in_its_column() -> None:
    want: dict[str, set[str]] = {"dry run": set(), "server": set()}
    for column, container in containers():
        want[column] |= {variable["name"] for variable in container.get("env", [])}
    table = re.findall(r"^\| (`AIM_.*?|`VLLM_.*?) \|(.*?)\|(.*?)\|", TEXT, re.MULTILINE)
    got: dict[str, set[str]] = {"dry run": set(), "server": set()}
    for names, dry_run, server in table:
        for column, cell in (("dry run", dry_run), ("server", server)):
            if cell.strip():
                got[column] |= set(re.findall(r"`(\w+)`", names))
    assert got == want


def test_where_the_dry_run_runs_is_as_the_page_says() -> None:
    template = make_template()
    requests = {"cpu": "50m", "memory": "64Mi"}
    job = template_desired.job(
        template, make_image(), RuntimeConfig(), namespace="a", digest="0", requests=requests
    ).manifest
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["dry-run", "--format=json"]
    assert "command" not in container
    assert pod["securityContext"]["runAsUser"] == 65532
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"] == {"requests": requests, "limits": {"cpu": "2", "memory": "4Gi"}}
    assert template_desired.DEADLINE_SECONDS == 10 * 60, "from the container's start"
    assert job["spec"]["activeDeadlineSeconds"] == 2 * 60 * 60 + 10 * 60, "with the pull before it"
    assert template_desired.PORT == 8000
    assert CACHE_PATH == "/workspace/model-cache"
    for said in (
        "uid and gid 65532",
        "50m CPU and 64 MiB",
        "2 CPU and 4 GiB",
        "10 minutes",
        "port **8000**",
        "/workspace/model-cache",
    ):
        assert said in TEXT
