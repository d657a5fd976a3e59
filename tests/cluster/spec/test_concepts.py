"""docs/concepts: each page's YAML, applied in its order, comes to what the page says; so do its commands.

A comment after a block tells: `<!-- then: AIMService chat is Running -->`, with a reason at the end if one
matters. Names of the page become this test's own, so that pages do not meet.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hack.cluster.api import Manifest
from tests.docs.blocks import Block, commands
from tests.docs.output import difference
from tests.support.spec_world import API, World

CONCEPTS = sorted((Path(__file__).parents[3] / "docs" / "concepts").glob("*.md"))
# The glossary and the comparison apply nothing.
PAGES = [page for page in CONCEPTS if "```yaml" in page.read_text()]
NAMESPACE = "ml-team"
_PART = re.compile(
    # A part of an object can't be applied; tests/docs holds it to the schema.
    r"^<!-- test: part of \w+ -->\n```yaml\n.*?^```$"
    r"|^```yaml\n(?P<yaml>.*?)^```$"
    r"|^```console\n(?P<console>.*?)^```$"
    r"|^<!-- then: (?P<kind>\w+) (?P<name>\S+) is (?P<state>\w+) ?(?P<reason>\w*) -->$",
    re.MULTILINE | re.DOTALL,
)


def parts(text: str) -> Iterator[re.Match[str]]:
    """Yield blocks of YAML and what they come to, in the page's order."""
    yield from (part for part in _PART.finditer(text) if part.lastgroup)


def own_names(text: str, world: World) -> str:
    """Give everything that is not in the page's namespace a name that no other test has."""
    blocks = "\n---\n".join(part["yaml"] for part in parts(text) if part["yaml"])
    cluster_wide = {
        manifest["metadata"]["name"]
        for manifest in yaml.safe_load_all(blocks)
        if manifest["apiVersion"] == API and "namespace" not in manifest["metadata"]
    }
    for name in sorted(cluster_wide, key=len, reverse=True):
        text = re.sub(rf"(?<![\w/.-]){re.escape(name)}(?![\w/.-])", world.shared(name), text)
    return re.sub(rf"(?<!/){NAMESPACE}(?!/)", world.namespace, text).replace(
        f"/{NAMESPACE}/search", f"/{world.namespace}/search"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_yaml_of_a_page_comes_to_what_the_page_says(world: World, page: Path) -> None:
    world.apply(world.config())
    checked = 0
    for part in parts(own_names(page.read_text(), world)):
        if part["yaml"]:
            world.apply(*manifests(part["yaml"]))
            continue
        if part["console"]:
            for command in commands(Block(page.name, 0, "console", part["console"], {})):
                printed = world.cluster.kubectl(*shlex.split(command.text)[1:])
                assert not difference(command.output or printed, printed)
            continue
        wait = world.until_template if part["kind"] == "AIMServiceTemplate" else world.until_service
        wait(part["state"], part["reason"], name=part["name"])
        checked += 1
    assert checked, "the page says what comes of its YAML"


def manifests(text: str) -> list[Manifest]:
    return [manifest for manifest in yaml.safe_load_all(text) if manifest is not None]


def test_every_block_says_what_it_comes_to() -> None:
    for page in PAGES:
        told = [part for part in parts(page.read_text()) if not part["console"]]
        kinds = ["yaml" if part["yaml"] else "then" for part in told]
        pairs = list(zip(kinds, [*kinds[1:], ""], strict=True))
        assert ("yaml", "yaml") not in pairs, page
        assert ("yaml", "") not in pairs, page
