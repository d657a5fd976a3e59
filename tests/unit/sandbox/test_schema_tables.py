"""The tables that hold the CRDs to their word on a real API server (tests/cluster/data), on the sandbox.

Same objects, same fields named, same words: where the two differ, the sandbox is wrong.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aim_operator.api.crd import all_crds
from aim_operator.api.v1alpha1.kinds import ALL_KINDS
from aim_operator.errors import Invalid
from aim_operator.sandbox import SandboxServer
from tests.support import tables
from tests.support.virtual_clock import VirtualClock

DATA = Path(__file__).parents[2] / "cluster" / "data"
KINDS = {resource.kind: resource for resource in ALL_KINDS}

Row = dict[str, Any]


def rows(name: str) -> list[Any]:
    return [pytest.param(row, id=row["id"]) for row in tables.load(DATA / name)]


@pytest.fixture(scope="module")
def server() -> SandboxServer:
    return SandboxServer(VirtualClock(), crds=all_crds())


def create(server: SandboxServer, row: Row) -> Row:
    """The spec that is stored; the object itself is gone again."""
    kind = server.kinds.served(KINDS[row["kind"]])
    manifest: Row = {"metadata": {"name": row.get("name", "sample"), "namespace": "default"}}
    if not kind.namespaced:
        del manifest["metadata"]["namespace"]
    if row.get("spec") is not None:
        manifest["spec"] = row["spec"]
    stored = server.create(kind, manifest)
    server.delete(kind, stored.key.name, namespace=stored.key.namespace)
    spec: Row = stored.obj["spec"]
    return spec


@pytest.mark.parametrize("row", rows("good_objects.yaml"))
def test_a_good_object_is_accepted_as_it_is(server: SandboxServer, row: Row) -> None:
    defaults = {"replicas": 1} if row["kind"] == "AIMService" else {}
    assert create(server, row) == defaults | row["spec"]


@pytest.mark.parametrize("row", rows("bad_objects.yaml"))
def test_a_bad_object_is_refused_with_the_field_and_the_remedy(server: SandboxServer, row: Row) -> None:
    with pytest.raises(Invalid) as refusal:
        create(server, row)
    message = str(refusal.value)
    assert re.search(rf"(invalid: \[?|, ){re.escape(row['field'])}: ", message), message
    assert [part for part in row["says"] if part not in message] == [], message


@pytest.mark.parametrize("path", sorted((DATA / "seed").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_of_the_seed_page_is_accepted(server: SandboxServer, path: Path) -> None:
    manifest = yaml.safe_load(path.read_text())
    row = {"kind": manifest["kind"], "name": manifest["metadata"]["name"], "spec": manifest["spec"]}
    assert create(server, row).items() >= manifest["spec"].items()
