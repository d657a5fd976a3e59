"""The quickstart's files: what may be in them, and that the shipped ones hold the seed's own objects."""

from pathlib import Path

import pytest
import yaml

from aim_operator.cli import quickstart
from aim_operator.errors import UserError

SEED = Path("tests/cluster/data/seed")


@pytest.mark.parametrize(
    "name", ["cluster-image", "image", "cluster-service-template", "service-template", "service-with-route"]
)
def test_the_seeds_objects_are_in_it(name: str) -> None:
    seed = yaml.safe_load((SEED / f"{name}.yaml").read_text())
    shipped = [example.manifest for example in quickstart.load(quickstart.find(None))]
    (got,) = [
        manifest
        for manifest in shipped
        if (manifest["kind"], manifest["metadata"]) == (seed["kind"], seed["metadata"])
    ]
    # The service has resources besides, to fit a laptop.
    spec = {key: value for key, value in got["spec"].items() if key in seed["spec"]}
    assert spec == seed["spec"]


def test_namespaces_come_first() -> None:
    examples = quickstart.load(quickstart.find(None))
    kinds = [example.resource.kind for example in examples]
    named = {example.ref.namespace for example in examples} - {""}
    made = {example.ref.name for example in examples if example.resource.kind == "Namespace"}
    assert named <= made
    assert kinds == sorted(kinds, key=lambda kind: kind != "Namespace")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("", "holds no objects", id="nothing in it"),
        pytest.param("{", "a.yaml is not YAML", id="broken YAML"),
        pytest.param("[1]", "is not an object", id="a list"),
        pytest.param("kind: AIMService", "has no metadata.name", id="no name"),
        pytest.param(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}",
            "Deployment x of apps/v1: the demo knows AIMClusterImage, ",
            id="a kind that the demo does not know",
        ),
        pytest.param(
            "{apiVersion: aim.silogen.ai/v1alpha1, kind: AIMImage, metadata: {name: x}}",
            "AIMImage x needs metadata.namespace",
            id="no namespace",
        ),
    ],
)
def test_what_cannot_be_applied_is_refused(tmp_path: Path, text: str, want: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        quickstart.load(tmp_path)
    assert want in str(refused.value)
