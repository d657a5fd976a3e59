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


@pytest.mark.parametrize("name", sorted(quickstart.shipped()))
def test_namespaces_come_first(name: str) -> None:
    examples = quickstart.load(quickstart.find(None, name))
    kinds = [example.resource.kind for example in examples]
    named = {example.ref.namespace for example in examples} - {""}
    made = {example.ref.name for example in examples if example.resource.kind == "Namespace"}
    assert named <= made
    assert kinds == sorted(kinds, key=lambda kind: kind != "Namespace")


def test_an_example_set_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError) as refused:
        quickstart.find(None, "nope")
    known = "amd-catalog, cached-model, gated-model, quickstart, team-overrides, tenant-routes"
    assert str(refused.value).endswith(f"write {known}")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("", "holds no objects", id="nothing in it"),
        pytest.param("{", "a.yaml:1:2: not YAML: ", id="broken YAML"),
        pytest.param("[1]", "is not an object", id="a list"),
        pytest.param("kind: AIMService", "has no metadata.name", id="no name"),
        pytest.param(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}",
            "Deployment x of apps/v1: the demo knows AIMClusterImage, ",
            id="a kind that the demo does not know",
        ),
        pytest.param(
            "{apiVersion: aim.silogen.ai/v1beta9, kind: AIMImage, metadata: {name: x}}",
            "AIMImage x of aim.silogen.ai/v1beta9: write apiVersion: aim.silogen.ai/v1alpha1",
            id="another version of a kind that the demo knows",
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


def test_placeholders_are_told_from_real_images(tmp_path: Path) -> None:
    kind = "apiVersion: aim.silogen.ai/v1alpha1, kind: AIMClusterImage"
    names = ("ghcr.io/example/a:v1", "quay.io/real/a:v1", "ghcr.io/ml-team/a:v1")
    (tmp_path / "a.yaml").write_text(
        "\n---\n".join(f"{{{kind}, metadata: {{name: a}}, spec: {{image: {name}}}}}" for name in names)
    )
    examples = quickstart.load(tmp_path)
    assert quickstart.images(examples) == list(names)
    assert quickstart.placeholders(examples) == [names[0], names[2]]


@pytest.mark.parametrize("name", sorted(quickstart.shipped()))
def test_all_images_of_a_set_are_placeholders_or_none_and_routed_through_one_gateway(name: str) -> None:
    examples = quickstart.load(quickstart.find(None, name))
    published = name == "amd-catalog"
    assert quickstart.placeholders(examples) == ([] if published else quickstart.images(examples))
    assert quickstart.images(examples)
    assert quickstart.gateways(examples) == [("gateways", "inference-gateway")]
