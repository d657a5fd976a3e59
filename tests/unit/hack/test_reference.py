"""hack.reference: what the generated pages say of a field, a flag and a metric."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import yaml

from aim_operator.api import crd
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1.kinds import ALL_KINDS
from aim_operator.runtime.controller import _Lane
from aim_operator.runtime.events import EventRecorder
from hack.reference import api, chart, cli, metrics
from hack.reference.api import OF_PODS
from hack.reference.text import code, prose


def paths(schema: Manifest, path: str) -> list[str]:
    """Every field in a schema, as the pages spell it."""
    found: list[str] = []
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        found.append(where)
        if name in OF_PODS:
            continue
        inner = field.get("items") or field.get("additionalProperties") or field
        suffix = "[]" if "items" in field else ".*" if "additionalProperties" in field else ""
        found += paths(inner, f"{where}{suffix}")
    return found


def messages(schema: Manifest) -> list[str]:
    """The message of every rule in a schema."""
    found = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    inside = [schema.get("items"), schema.get("additionalProperties")]
    for name, field in schema.get("properties", {}).items():
        # What is in these is told by Kubernetes.
        inside.append({k: field[k] for k in field if "validations" in k} if name in OF_PODS else field)
    return found + [message for inner in inside if inner for message in messages(inner)]


@pytest.mark.parametrize("resource", ALL_KINDS, ids=lambda resource: resource.kind)
def test_every_field_has_its_heading_and_every_rule_its_message(resource: Resource[Any]) -> None:
    page = api.page(resource)
    schema = crd.schema(resource)
    for part in ("spec", "status"):
        want = paths(schema["properties"][part], part)
        assert re.findall(rf"^#+ `({part}\..+)`$", page, re.MULTILINE) == want
    told = [line for line in page.splitlines() if line.startswith("- Refused")]
    assert len(told) == len(messages(schema))
    for message in messages(schema):
        assert f"“{prose(message)}”" in page


def test_a_field_is_told_with_type_bounds_default_and_meaning() -> None:
    page = api.files()["aimservice.md"]
    replicas = page.partition("### `spec.replicas`\n\n")[2].partition("\n\n### ")[0].split("\n\n")
    assert replicas[0].startswith("Copies of the model server to run. 0 stops")
    assert replicas[1] == "integer, 0 to 1000, default `1`"
    assert "string, one of `latency`, `throughput`" in page
    assert "list of objects, at most 128 entries, one entry per `name`" in page
    image = api.files()["aimimage.md"].partition("### `spec.image`\n\n")[2]
    assert "\n\nstring, 1 to 512 characters, **required**\n\n<details markdown>" in image
    assert "| [`image`](#specimage) | **required** string | " in api.files()["aimimage.md"]


@pytest.mark.parametrize("resource", ALL_KINDS, ids=lambda resource: resource.kind)
def test_a_page_begins_with_an_object_of_the_examples(resource: Resource[Any]) -> None:
    head, _, rest = api.page(resource).partition("## Example\n\n")
    assert "\n## " not in head
    shown = yaml.safe_load(rest.partition("```yaml\n")[2].partition("```")[0])
    assert shown["kind"] == resource.kind
    path = api.ROOT / "examples" / api.EXAMPLES[resource.kind]
    assert shown in list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("resource", ALL_KINDS, ids=lambda resource: resource.kind)
def test_what_is_refused_is_folded_and_comes_after_what_a_field_means(resource: Resource[Any]) -> None:
    page = api.page(resource)
    outside = re.sub(r"<details markdown>.*?</details>", "", page, flags=re.DOTALL)
    assert "- Refused" not in outside
    assert "self." not in outside
    assert not re.search(r"^#+ .*\n\n<details", page, re.MULTILINE), "a heading, and at once its rules"


def test_every_flag_is_told_with_its_variable_and_default() -> None:
    assert (
        "- `--workers N` (environment `AIM_WORKERS`, default `24`): Reconciles that may run at once."
        in cli.text()
    )


def test_every_metric_is_there_with_its_labels_explained() -> None:
    page = metrics.text()
    assert "- `aim_reconciles_total` (counter by `controller`, `result`): Reconciles by result.\n" in page
    assert "- `aim_discoveries` (gauge by `state`)" in page
    assert {label for metric in metrics.registered() for label in metric.labels} == metrics.LABELS.keys()


def test_values_that_the_code_gives_a_label_are_explained() -> None:
    results = set(re.findall(r'return "(\w+)"', inspect.getsource(_Lane._outcome))) | {"cancelled"}
    results |= {"complete", "failed"}  # of Jobs
    assert set(re.findall(r"`(\w+)`", metrics.LABELS["result"])) == results
    reasons = set(re.findall(r'event_dropped\("(\w+)"\)', inspect.getsource(EventRecorder)))
    assert set(re.findall(r"`(\w+)`", metrics.LABELS["why"])) == reasons


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("<name>-predictor", "&lt;name&gt;-predictor"),
        ("it is `a<b`", "it is `a<b`"),
        ("spec[0] and snake_case", r"spec\[0\] and snake\_case"),
    ],
)
def test_prose_is_no_markup(text: str, want: str) -> None:
    assert prose(text) == want


def test_code_may_hold_backticks() -> None:
    assert [code("a"), code("a`b"), code("`a`")] == ["`a`", "``a`b``", "`` `a` ``"]


def test_every_value_of_the_chart_says_what_it_is_for() -> None:
    rows = re.findall(r"^\| `[\w.]+` \|.*$", chart.text(), re.MULTILINE)
    assert len(rows) > 60
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_value_of_the_chart_is_told_with_its_default() -> None:
    page = chart.text()
    assert "| `replicas` | integer | `2` | One works, the others stand by. |\n" in page
    assert "| `image.pullPolicy` | one of `Always`, `IfNotPresent`, `Never` |" in page
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    told = re.findall(r"^\| `([\w.]+)`", page, re.MULTILINE)
    assert [name for name in values if not any(one.partition(".")[0] == name for one in told)] == []
