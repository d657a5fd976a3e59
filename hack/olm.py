"""Writes a bundle for the Operator Lifecycle Manager (OLM): what the chart installs, as OLM wants it.

Made of the same files: deploy/aim-operator.yaml, which is the chart with its default values, deploy/crds/,
the quickstart's objects, the chart's icon and metadata. The format is registry+v1; what is checked of it is
in operator-framework/api, pkg/validation. No OLM was run with it, and no image of it is published.

python -m hack.olm DIR     write DIR/manifests/ and DIR/metadata/
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from aim_operator.api.crd import all_crds, files
from hack import plain_manifests

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "aim-operator"
EXAMPLES = ROOT / "examples"
PACKAGE = "aim-operator"
CHANNEL = "alpha"
BESIDE = ("Service", "PodDisruptionBudget")
"""What of the chart is a file of its own. OLM makes the service account, roles and Deployment of the CSV
itself, gives the kinds to the roles view, edit and admin, and knows no NetworkPolicies."""
NAMESPACE_VARIABLE = {
    "name": "POD_NAMESPACE",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
}
DESCRIPTION = """\
Turns a catalog of AI model images into running, routed inference services: it finds out by a dry run what an
image serves, downloads models once for all who use them, and makes KServe's InferenceServices and the
Gateway API's HTTPRoutes of them.

KServe 0.16 or newer and the Gateway API have to be there; the operator waits for what is not.
"""


def bundle() -> dict[str, str]:
    """Return the files of the bundle, by their paths below its folder."""
    objects = _installed()
    version = _chart()["appVersion"]
    out = {f"manifests/{PACKAGE}.clusterserviceversion.yaml": _dumped(_csv(objects, version))}
    out |= {f"manifests/{name}": text for name, text in files().items()}
    for obj in _beside(objects):
        out[f"manifests/{obj['metadata']['name']}.{obj['kind'].lower()}.yaml"] = _dumped(obj)
    prefix = "operators.operatorframework.io.bundle"
    annotations = {
        f"{prefix}.mediatype.v1": "registry+v1",
        f"{prefix}.manifests.v1": "manifests/",
        f"{prefix}.metadata.v1": "metadata/",
        f"{prefix}.package.v1": PACKAGE,
        f"{prefix}.channels.v1": CHANNEL,
        f"{prefix}.channel.default.v1": CHANNEL,
    }
    out["metadata/annotations.yaml"] = _dumped({"annotations": annotations})
    return out


def _installed() -> list[dict[str, Any]]:
    return [obj for obj in yaml.safe_load_all(plain_manifests.PATH.read_text()) if obj]


def _chart() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return found


def _beside(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what is no part of the CSV: in the namespace that OLM installs into, whichever that is."""
    for obj in objects:
        catalog = obj["metadata"]["name"].endswith("-catalog")
        if obj["kind"] in BESIDE or catalog:
            metadata = {key: value for key, value in obj["metadata"].items() if key != "namespace"}
            yield {**obj, "metadata": metadata}


def _csv(objects: list[dict[str, Any]], version: str) -> dict[str, Any]:
    chart = _chart()
    (deployment,) = (obj for obj in objects if obj["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    icon = base64.b64encode((CHART / "icon.svg").read_bytes()).decode()
    minimum = chart["kubeVersion"].removeprefix(">=").partition("-")[0]
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": f"{PACKAGE}.v{version}",
            "namespace": "placeholder",
            "annotations": {
                "alm-examples": json.dumps(_examples(), indent=2),
                "capabilities": "Seamless Upgrades",
                "categories": "AI/Machine Learning",
                "containerImage": container["image"],
                "description": chart["description"],
                "operatorframework.io/suggested-namespace": plain_manifests.NAMESPACE,
                "repository": chart["home"],
            },
        },
        "spec": {
            "displayName": "AIM operator",
            "description": DESCRIPTION,
            "version": version,
            "maturity": CHANNEL,
            "minKubeVersion": minimum,
            "provider": {"name": chart["maintainers"][0]["name"], "url": chart["home"]},
            "keywords": chart["keywords"],
            "links": [
                {"name": "Documentation", "url": f"{chart['home']}/tree/main/docs"},
                {"name": "Source", "url": chart["home"]},
            ],
            "icon": [{"base64data": icon, "mediatype": "image/svg+xml"}],
            "installModes": [
                {"type": type_, "supported": type_ == "AllNamespaces"}
                for type_ in ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
            ],
            "relatedImages": [{"name": PACKAGE, "image": container["image"]}],
            "customresourcedefinitions": {"owned": [_owned(crd) for crd in all_crds()]},
            "install": {"strategy": "deployment", "spec": _install(objects, deployment)},
        },
    }


def _install(objects: list[dict[str, Any]], deployment: dict[str, Any]) -> dict[str, Any]:
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    rules: dict[str, list[Any]] = {"ClusterRole": [], "Role": []}
    for binding in objects:
        subjects = binding.get("subjects") or ()
        if account in [each["name"] for each in subjects if each["kind"] == "ServiceAccount"]:
            reference = binding["roleRef"]
            (role,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == _named(reference))
            rules[reference["kind"]] += role["rules"]
    return {
        "clusterPermissions": [{"serviceAccountName": account, "rules": rules["ClusterRole"]}],
        "permissions": [{"serviceAccountName": account, "rules": rules["Role"]}],
        "deployments": [
            {
                "name": deployment["metadata"]["name"],
                "label": deployment["metadata"]["labels"],
                "spec": _where_olm_puts_it(deployment["spec"]),
            }
        ],
    }


def _named(reference: dict[str, Any]) -> tuple[str, str]:
    return reference["kind"], reference["name"]


def _where_olm_puts_it(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the Deployment's spec with the namespace that it turns out to be in."""
    template = spec["template"]
    (container,) = template["spec"]["containers"]
    written = f"--operator-namespace={plain_manifests.NAMESPACE}"
    place = container["args"].index(written)
    arguments = [*container["args"]]
    arguments[place] = "--operator-namespace=$(POD_NAMESPACE)"
    own = {**container, "args": arguments, "env": [*container.get("env", ()), NAMESPACE_VARIABLE]}
    return {**spec, "template": {**template, "spec": {**template["spec"], "containers": [own]}}}


def _owned(crd: dict[str, Any]) -> dict[str, Any]:
    (version,) = crd["spec"]["versions"]
    kind = crd["spec"]["names"]["kind"]
    return {
        "name": crd["metadata"]["name"],
        "kind": kind,
        "version": version["name"],
        "displayName": kind,
        "description": version["schema"]["openAPIV3Schema"]["description"],
    }


def _examples() -> list[dict[str, Any]]:
    """Return one object of each kind that the examples have."""
    found: dict[str, dict[str, Any]] = {}
    kinds = {crd["spec"]["names"]["kind"] for crd in all_crds()}
    for path in [*sorted(EXAMPLES.glob("quickstart/*.yaml")), *sorted(EXAMPLES.glob("*/0*.yaml"))]:
        for obj in yaml.safe_load_all(path.read_text()):
            if obj and obj["kind"] in kinds:
                found.setdefault(obj["kind"], obj)
    return [found[kind] for kind in sorted(found)]


def _dumped(obj: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(obj, sort_keys=False, width=110)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Write an OLM bundle.")
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    for name, text in bundle().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
