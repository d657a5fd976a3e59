"""No block of the docs goes untested: each is one that tests/docs runs, or says why not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import jsonschema
import pytest
import yaml

from aim_operator.api.v1alpha1.kinds import ALL_KINDS, KINDS
from tests.docs.blocks import COMMANDS, LANGUAGES, MOST_NOT_RUN, ROOT, Block, Page, commands, pages, read_page
from tests.docs.manifests import CHART_VALUES, SPEC_OF, manifests

ALL = pages()
TEXT = ("printed by", "columns of", "not output,")
BY_KIND = {resource.kind: resource for resource in ALL_KINDS}


def problems(page: Page) -> Iterator[str]:
    """Yield what keeps the blocks of a page from being tested."""
    yield from page.problems
    if page.has_commands and page.environment is None:
        yield f"{page.name} has commands: say <!-- tested on: … -->, see tests/docs/blocks.py"
    for number, block in enumerate(page.blocks):
        if block.language not in LANGUAGES:
            yield f"{block.where}: mark the block as one of {', '.join(LANGUAGES)}, not {block.language!r}"
        elif not block.run_elsewhere:
            yield from untestable(block, page.blocks[number + 1 :])
        if path := block.says.get("run by"):
            test = ROOT / path
            text = test.read_text() if test.is_file() else ""
            folder = page.name.rpartition("/")[0] or page.name
            if "commands_for(" in text and f'"{page.name}"' in text:
                continue
            if folder not in text and not all(
                one.text.split("#")[0].strip() in text for one in commands(block)
            ):
                yield f"{block.where}: {path} names neither {folder} nor the commands"


def _words(text: str) -> list[str]:
    return re.findall(r'"[^"\n]+"|\bshown\(', text)


def untestable(block: Block, later: list[Block]) -> Iterator[str]:
    """Yield what keeps one block from being tested."""
    if name := block.says.get("saved as"):
        # By its own name in another file, such as a kustomization, or by its folder in a command.
        spelt = (name, name.rpartition("/")[2], name.partition("/")[0])
        used = later if "/" in name else [after for after in later if after.language in COMMANDS]
        if not any(one in after.text for after in used for one in spelt):
            yield f"{block.where}: nothing later uses {name}"
        if f"`{name}`" not in block.introduction:
            yield f"{block.where}: the sentence before it does not say to save it as `{name}`"
    elif block.language in COMMANDS:
        if not commands(block):
            yield f"{block.where}: no command in it"
    elif block.language == "yaml":
        kind = block.says.get("part of")
        if kind == CHART_VALUES:
            schema = json.loads((ROOT / "charts/aim-operator/values.schema.json").read_text())
            errors = jsonschema.Draft7Validator(schema).iter_errors(yaml.safe_load(block.text))
            yield from (f"{block.where}: {error.json_path}: {error.message}" for error in errors)
            return
        if kind is not None and kind not in SPEC_OF:
            yield f"{block.where}: part of {kind}, which is none of our kinds"
            return
        for manifest in manifests(block):
            if not {"apiVersion", "kind", "metadata"} <= manifest.keys():
                yield f"{block.where}: no whole object; say <!-- test: part of KIND -->, or saved as NAME"
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "python":
        yield f"{block.where}: Python that is not run; save it and run it"
    elif not any(word in block.says for word in TEXT):
        yield f"{block.where}: text of which nothing says where it is from; say one of {', '.join(TEXT)}"
    elif path := block.says.get("printed by"):
        begins = block.text.splitlines()[0]
        test = ROOT / path
        if not test.is_file() or not {f'"{block.page}"', "shown("} <= set(_words(test.read_text())):
            yield f"{block.where}: {path} does not compare {begins!r} with what is printed"
    elif kind := block.says.get("columns of"):
        heads = re.split(r"\s{2,}", block.text.splitlines()[0].strip())
        columns = [one.name.upper() for one in KINDS[BY_KIND[kind].type].columns if not one.priority]
        if heads != ["NAME", *columns]:
            yield f"{block.where}: {kind} has the columns {' '.join(columns)}"
    elif any(line.startswith("$ ") for line in block.text.splitlines()):
        yield f"{block.where}: commands in a block that is not run; mark it as console"


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_every_block_is_tested(page: Page) -> None:
    found = list(problems(page))
    assert not found, "\n".join(found)


def test_very_few_blocks_are_not_run() -> None:
    """Each says why; more than these would be docs that nobody checks."""
    not_run = [
        f"{block.where}: {block.says['not run,']}"
        for page in ALL
        for block in page.blocks
        if "not run," in block.says
    ]
    assert len(not_run) <= MOST_NOT_RUN, "\n".join(not_run)
    assert all(len(line.partition(": ")[2]) > 10 for line in not_run), not_run


@pytest.mark.parametrize(
    ("says", "want"),
    [
        pytest.param("", "nothing says where it is from", id="nothing"),
        pytest.param(
            "printed by tests/unit/test_docs.py", "does not compare", id="a test that does not look"
        ),
        pytest.param("columns of AIMService", "has the columns STATUS MODEL", id="other columns"),
        pytest.param("not output, a picture in letters", "", id="no output"),
    ],
)
def test_text_that_nothing_prints_is_named(says: str, want: str) -> None:
    mark = f"<!-- test: {says} -->\n" if says else ""
    page = read_page("docs/other.md", f"# A\n\nIt prints:\n\n{mark}```text\nNAME   STATE\nchat   fine\n```\n")
    found = list(problems(page))
    assert want in "\n".join(found)
    assert bool(found) is bool(want)
