"""The OLM bundle: what operator-framework/api v0.36 refuses or warns of (pkg/validation/internal)."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack import olm

ROOT = Path(__file__).parents[3]
CSV = "manifests/aim-operator.clusterserviceversion.yaml"
MOST_BYTES = 1 << 20
"""Of a bundle, compressed: it is kept in a ConfigMap (bundle.go)."""


@pytest.fixture(scope="module")
def bundle() -> dict[str, str]:
    return olm.bundle()


@pytest.fixture(scope="module")
def csv(bundle: dict[str, str]) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(bundle[CSV])
    return parsed


def of_kind(bundle: dict[str, str], kind: str) -> list[dict[str, Any]]:
    objects = (yaml.safe_load(text) for name, text in bundle.items() if name.startswith("manifests/"))
    return [obj for obj in objects if obj["kind"] == kind]


def test_it_owns_the_crds_that_it_has_and_shows_one_object_of_each(
    bundle: dict[str, str], csv: dict[str, Any]
) -> None:
    there = {
        (crd["metadata"]["name"], crd["spec"]["names"]["kind"], crd["spec"]["versions"][0]["name"])
        for crd in of_kind(bundle, "CustomResourceDefinition")
    }
    owned = csv["spec"]["customresourcedefinitions"]["owned"]
    assert {(each["name"], each["kind"], each["version"]) for each in owned} == there
    assert len(there) == 9
    assert all(each["description"] and each["displayName"] for each in owned)
    examples = json.loads(csv["metadata"]["annotations"]["alm-examples"])
    assert sorted(each["kind"] for each in examples) == sorted(kind for _, kind, _ in there)


def test_it_may_do_what_the_chart_lets_it_do_and_no_more(csv: dict[str, Any]) -> None:
    chart = [obj for obj in yaml.safe_load_all((ROOT / "deploy" / "aim-operator.yaml").read_text()) if obj]
    roles = {(o["kind"], o["metadata"]["name"]): o["rules"] for o in chart if o["kind"].endswith("Role")}
    install = csv["spec"]["install"]["spec"]
    assert install["clusterPermissions"] == [
        {"serviceAccountName": "aim-operator", "rules": roles["ClusterRole", "aim-operator"]}
    ]
    assert install["permissions"] == [
        {"serviceAccountName": "aim-operator", "rules": roles["Role", "aim-operator-lease"]}
    ]


def test_it_works_in_whatever_namespace_olm_puts_it_into(bundle: dict[str, str], csv: dict[str, Any]) -> None:
    (deployment,) = csv["spec"]["install"]["spec"]["deployments"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "--operator-namespace=$(POD_NAMESPACE)" in container["args"]
    (variable,) = (each for each in container["env"] if each["name"] == "POD_NAMESPACE")
    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    rest = {name: text for name, text in bundle.items() if ".aim.silogen.ai" not in name and name != CSV}
    assert "kaiwo-system" not in json.dumps([csv["spec"]["install"], rest])


def test_what_the_validator_asks_of_the_csv(csv: dict[str, Any]) -> None:
    metadata, spec = csv["metadata"], csv["spec"]
    assert re.fullmatch(r"aim-operator\.v\d+\.\d+\.\d+", metadata["name"])
    assert metadata["name"] == f"aim-operator.v{spec['version']}"
    assert re.fullmatch(r"\d+\.\d+\.\d+", spec["minKubeVersion"])
    assert metadata["annotations"]["categories"] == "AI/Machine Learning"  # one of standardcategories.go
    assert metadata["annotations"]["capabilities"] == "Seamless Upgrades"  # of standardcapabilities.go
    assert spec["provider"]["name"].strip()
    assert all(link["name"] and link["url"].startswith("https://") for link in spec["links"])
    (icon,) = spec["icon"]
    assert icon["mediatype"] == "image/svg+xml"
    assert base64.b64decode(icon["base64data"]).startswith(b"<svg")
    modes = {each["type"]: each["supported"] for each in spec["installModes"]}
    assert modes == {
        "OwnNamespace": False,
        "SingleNamespace": False,
        "MultiNamespace": False,
        "AllNamespaces": True,
    }
    (container,) = spec["install"]["spec"]["deployments"][0]["spec"]["template"]["spec"]["containers"]
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert [each["image"] for each in spec["relatedImages"]] == [container["image"]]


def test_no_service_account_is_beside_the_one_that_olm_makes(bundle: dict[str, str]) -> None:
    assert not of_kind(bundle, "ServiceAccount")


def test_a_disruption_budget_lets_a_node_be_drained(bundle: dict[str, str]) -> None:
    (budget,) = of_kind(bundle, "PodDisruptionBudget")
    assert budget["spec"].get("maxUnavailable") not in (0, "0%")
    assert budget["spec"].get("minAvailable") != "100%"


def test_it_fits_into_what_olm_keeps_it_in(bundle: dict[str, str]) -> None:
    assert len(gzip.compress("".join(bundle.values()).encode())) < MOST_BYTES // 4


def test_its_annotations_say_where_what_is(bundle: dict[str, str]) -> None:
    said = yaml.safe_load(bundle["metadata/annotations.yaml"])["annotations"]
    prefix = "operators.operatorframework.io.bundle"
    assert (said[f"{prefix}.mediatype.v1"], said[f"{prefix}.package.v1"]) == ("registry+v1", "aim-operator")
    for folder in ("manifests", "metadata"):
        assert [name for name in bundle if name.startswith(said[f"{prefix}.{folder}.v1"])]
    assert said[f"{prefix}.channel.default.v1"] in said[f"{prefix}.channels.v1"].split(",")
