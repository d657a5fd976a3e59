"""CRDs: what the markers become, and what must hold for all nine kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from msgspec import UNSET, UnsetType

from aim_operator.api import crd
from aim_operator.api.meta import Manifest, Wire
from aim_operator.api.resource import Resource
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.kinds import ALL_KINDS, KINDS, SERVICES
from hack.generate import Generated, drifted, everything

each_kind = pytest.mark.parametrize("resource", ALL_KINDS, ids=lambda resource: resource.kind)

Node = tuple[str, Manifest]


def nodes(schema: Manifest, path: str = "") -> Iterator[Node]:
    """Every schema below `schema` with its path: fields, list items ([]) and map values ({})."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def own_nodes(resource: Resource[Any]) -> list[Node]:
    """Those of spec and status, and the root; the rest is Kubernetes' own."""
    whole = crd.schema(resource)
    return [
        ("", whole),
        *nodes(whole["properties"]["spec"], ".spec"),
        *nodes(whole["properties"]["status"], ".status"),
    ]


def is_bounded(schema: Manifest) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return "maxLength" in schema
    match schema["type"]:
        case "string":
            return "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time"
        case "array":
            return "maxItems" in schema
        case "object":
            free = schema.get("x-kubernetes-preserve-unknown-fields", False)
            return "properties" in schema or "maxProperties" in schema or free
    return True


Colour = Annotated[str, Field(enum=("red", "green"))]
NO_BLANKS = Rule(rule="!self.contains(' ')", message="no blanks; write a dash")
NOT_LONG = Rule(rule="self.size() < 9", message="shorter", field_path=".x", reason="FieldValueForbidden")
Word = Annotated[str, Field(doc="A word.", max_length=9, rules=(NO_BLANKS,))]


class Sub(Wire):
    """A part.

    Of which only the first paragraph is for users.
    """

    RULES = (NO_BLANKS,)
    is_there: bool | UnsetType = UNSET


class Sample(Wire):
    """Stands for a spec."""

    word_of_mouth: Word
    optional_word: Annotated[Word | UnsetType | None, Field(doc="Other doc.", rules=(NOT_LONG,))] = UNSET
    colour: Colour | UnsetType = UNSET
    state: Annotated[str, Field(enum=("On", "Off"))] = "On"
    count: Annotated[int, Field(default=1, minimum=1, maximum=7)] = 1
    bytes_left: int | UnsetType = UNSET
    subs: Annotated[
        tuple[Sub, ...] | UnsetType, Field(max_items=3, list_type="map", list_map_keys=("name",))
    ] = UNSET
    words: Annotated[tuple[Word, ...] | UnsetType, Field(value=Field(doc="One of them."))] = UNSET
    labels: Annotated[dict[str, str] | UnsetType, Field(value=Field(max_length=5))] = UNSET
    amount: Annotated[str | int | float | UnsetType, Field(int_or_string=True)] = UNSET
    anything: Annotated[dict[str, Any] | UnsetType, Field(preserve_unknown_fields=True)] = UNSET
    told: Annotated[str, Field(required=True)] = ""


WANT_RULE = {"rule": "!self.contains(' ')", "message": "no blanks; write a dash"}
WANT_LONG = {
    "rule": "self.size() < 9",
    "message": "shorter",
    "fieldPath": ".x",
    "reason": "FieldValueForbidden",
}
WANT_WORD = {
    "description": "A word.",
    "type": "string",
    "maxLength": 9,
    "x-kubernetes-validations": [WANT_RULE],
}
WANT = {
    "wordOfMouth": WANT_WORD,
    "optionalWord": WANT_WORD
    | {"description": "Other doc.", "x-kubernetes-validations": [WANT_RULE, WANT_LONG]},
    "colour": {"type": "string", "enum": ["red", "green"]},
    "state": {"type": "string", "enum": ["On", "Off"]},
    "count": {"type": "integer", "format": "int32", "default": 1, "minimum": 1, "maximum": 7},
    "bytesLeft": {"type": "integer", "format": "int64"},
    "subs": {
        "type": "array",
        "maxItems": 3,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "description": "A part.",
            "type": "object",
            "properties": {"isThere": {"type": "boolean"}},
            "x-kubernetes-validations": [WANT_RULE],
        },
    },
    "words": {"type": "array", "items": WANT_WORD | {"description": "One of them."}},
    "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 5}},
    "amount": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
    "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "told": {"type": "string"},
}


def test_a_struct_becomes_the_schema_that_its_markers_say() -> None:
    got = crd.struct_schema(Sample)
    assert got["properties"] == WANT
    assert list(got["properties"]) == list(WANT)
    assert got["required"] == ["wordOfMouth", "told"]


def test_a_type_without_a_schema_is_an_error_that_names_it() -> None:
    class Odd(Wire):
        when: complex

    with pytest.raises(TypeError, match="complex"):
        crd.struct_schema(Odd)


def test_deploy_holds_the_crds_as_generated() -> None:
    assert [name for generated in everything() for name in drifted(generated)] == []


def test_drift_is_a_file_that_is_missing_or_changed_or_superfluous(tmp_path: Path) -> None:
    for name, text in (("same.yaml", "1"), ("changed.yaml", "2"), ("superfluous.yaml", "3")):
        (tmp_path / name).write_text(text)
    (tmp_path / "README.md").write_text("not generated")
    wanted = {"same.yaml": "1", "changed.yaml": "0", "missing.yaml": "4"}
    assert drifted(Generated(tmp_path, wanted, "*.yaml")) == [
        "changed.yaml",
        "missing.yaml",
        "superfluous.yaml",
    ]


def test_the_text_of_a_crd_is_the_same_every_time_and_reads_back() -> None:
    for manifest in crd.all_crds():
        text = crd.to_yaml(manifest)
        assert text == crd.to_yaml(manifest)
        assert text.startswith("# generated by `make generate`; do not edit\n")
        assert yaml.safe_load(text) == manifest


@each_kind
def test_the_names_of_a_kind_are_those_that_users_type(resource: Resource[Any]) -> None:
    manifest = crd.crd(resource)
    assert manifest["metadata"]["name"] == f"{resource.plural}.aim.silogen.ai"
    names = manifest["spec"]["names"]
    assert names["categories"] == ["aim", "all"]
    assert names["shortNames"] == [KINDS[resource.type].short_name]
    assert names["singular"] == resource.kind.lower()
    assert manifest["spec"]["scope"] == ("Cluster" if "Cluster" in resource.kind else "Namespaced")
    [version] = manifest["spec"]["versions"]
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    assert set(version["subresources"]) == {"status"} | ({"scale"} if resource is SERVICES else set())


@each_kind
def test_every_schema_is_structural(resource: Resource[Any]) -> None:
    for path, schema in own_nodes(resource):
        assert "nullable" not in schema, path
        assert schema.get("x-kubernetes-int-or-string") or "type" in schema, path
        assert set(schema.get("required", ())) <= schema.get("properties", {}).keys(), path
        if schema.get("type") == "array":
            assert schema["x-kubernetes-list-type"] in {"map", "set", "atomic"}, path
        for key in schema.get("x-kubernetes-list-map-keys", ()):
            assert key in schema["items"]["required"], path


@each_kind
def test_every_field_says_what_it_is(resource: Resource[Any]) -> None:
    mute = [
        path
        for path, schema in own_nodes(resource)
        if not path.endswith(("[]", "{}")) and not schema.get("description", "").endswith(".")
    ]
    assert mute == []


FREE_FORM = {
    # No CEL rule can look into it; controllers/slim.py keeps none that core/engine_args.py would refuse.
    ".spec.engineArgs",
    # Written by us alone: core/discovery_output.py takes no larger one.
    ".status.profile",
    # Written by us alone, of parts that are bounded where they come from.
    ".status.active.env[]",
    ".status.active.scheduling",
    ".status.active.pods",
    ".status.active.serving",
    ".status.active.templateResources",
    ".status.active.imageResources",
    ".status.active.securityContext",
    ".status.active.podSecurityContext",
    ".status.active.routing",
}


@each_kind
def test_every_string_list_and_map_is_bounded(resource: Resource[Any]) -> None:
    assert [path for path, schema in own_nodes(resource) if not is_bounded(schema)] == []


@each_kind
def test_what_lets_unknown_fields_through_is_bounded_elsewhere(resource: Resource[Any]) -> None:
    free = {path for path, s in own_nodes(resource) if s.get("x-kubernetes-preserve-unknown-fields")}
    assert free <= FREE_FORM


@each_kind
def test_the_keys_of_every_map_that_users_write_are_bounded(resource: Resource[Any]) -> None:
    for path, schema in own_nodes(resource):
        if "additionalProperties" in schema and path.startswith(".spec"):
            rules = [rule["rule"] for rule in schema["x-kubernetes-validations"]]
            assert any("k.size() <= 317" in rule for rule in rules), path


@each_kind
def test_only_replicas_have_a_default(resource: Resource[Any]) -> None:
    got = {path: schema["default"] for path, schema in own_nodes(resource) if "default" in schema}
    assert got == ({".spec.replicas": 1} if resource.kind == "AIMService" else {})


@each_kind
def test_a_format_is_a_rule_with_a_remedy_and_no_bare_pattern(resource: Resource[Any]) -> None:
    for path, schema in own_nodes(resource):
        # Only we write the status; a user never sees its messages.
        assert "pattern" not in schema or path.startswith(".status"), path
        for rule in schema.get("x-kubernetes-validations", ()):
            assert rule["message"], path
            assert not rule["message"].startswith("spec."), f"{path}: the server says where"
            child = schema
            for step in rule.get("fieldPath", "").split(".")[1:]:
                child = child["properties"][step]


@each_kind
def test_columns_show_status_what_it_points_at_and_age(resource: Resource[Any]) -> None:
    [version] = crd.crd(resource)["spec"]["versions"]
    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert columns[0] == "Status"
    assert columns[-1] == "Age"
    assert "Reason" in columns
    assert len(columns) >= 4
    if "Template" in resource.kind and "Cache" not in resource.kind:
        assert {"Engine", "Metric", "Precision", "GPUs", "GPU"} <= set(columns)
