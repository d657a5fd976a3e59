"""hack.site: where pages go, how their links lead there, and the navigation."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hack.site.__main__ import CONFIG, ROOT, from_elsewhere
from hack.site.navigation import expanded
from hack.site.pages import OUTSIDE_DOCS, REPOSITORY, places, relinked

WHERE = {
    "docs/index.md": "index.md",
    "docs/guides/routing.md": "guides/routing.md",
    "docs/adr/0001-a.md": "adr/0001-a.md",
    "docs/adr/0002-b.md": "adr/0002-b.md",
    "ARCHITECTURE.md": "contributing/architecture.md",
    "examples/a.yaml": "examples/a.yaml",
}


@pytest.mark.parametrize(
    ("source", "text", "want"),
    [
        pytest.param(
            "docs/guides/routing.md", "[a](../index.md)", "[a](../index.md)", id="links within docs stay"
        ),
        pytest.param(
            "docs/index.md",
            "[`a` b](../ARCHITECTURE.md#rooms)",
            "[`a` b](contributing/architecture.md#rooms)",
            id="a page from outside docs is linked at its place",
        ),
        pytest.param(
            "ARCHITECTURE.md",
            "[a](docs/guides/routing.md)",
            "[a](../guides/routing.md)",
            id="and links from its place",
        ),
        pytest.param("docs/index.md", "[adr](adr/)", "[adr](adr/0001-a.md)", id="a folder is its first page"),
        pytest.param(
            "docs/index.md", "[a](../examples/a.yaml)", "[a](examples/a.yaml)", id="examples are on the site"
        ),
        pytest.param(
            "docs/index.md",
            "[a](../src/x.py) [b](../src/)",
            f"[a]({REPOSITORY}/blob/main/src/x.py) [b]({REPOSITORY}/tree/main/src)",
            id="what is not on the site is in the repository",
        ),
        pytest.param("docs/index.md", "[a](#b)", "[a](#b)", id="headings of the page stay"),
        pytest.param("docs/index.md", "[a](https://x.y/z)", "[a](https://x.y/z)", id="other sites stay"),
        pytest.param(
            "docs/index.md",
            "`[a](../src/x.py)`\n```\n[a](../src/x.py)\n```\n",
            "`[a](../src/x.py)`\n```\n[a](../src/x.py)\n```\n",
            id="code stays",
        ),
    ],
)
def test_links_hold_at_the_pages_place(source: str, text: str, want: str) -> None:
    assert relinked(text, source, WHERE) == want


def test_every_page_from_outside_docs_is_there() -> None:
    assert [source for source in OUTSIDE_DOCS if not (ROOT / source).is_file()] == []
    assert places(ROOT)["docs/reference/reasons.md"] == "reference/reasons.md"


NAV = '[project]\nnav = [\n  "index.md",\n  { "Guides" = [\n    "guides/b.md",\n    "guides/*",\n  ] },\n]\n'


def test_pages_that_are_not_named_stand_where_their_folder_is() -> None:
    got = expanded(NAV, ["index.md", "guides/a.md", "guides/b.md", "guides/c.md"])
    assert got == NAV.replace('    "guides/*",', '    "guides/a.md",\n    "guides/c.md",')


def test_a_section_without_pages_is_left_out() -> None:
    nav = '[project]\nnav = [\n  "index.md",\n  { "Guides" = [\n    "guides/*",\n  ] },\n]\n'
    assert expanded(nav, ["index.md"]) == '[project]\nnav = [\n  "index.md",\n]\n'


def test_a_page_without_a_place_and_a_place_without_a_page_are_errors() -> None:
    with pytest.raises(ValueError, match="navigation") as error:
        expanded(NAV, ["index.md", "other/a.md"])
    assert str(error.value).splitlines() == [
        "zensical.toml: other/a.md is not in the navigation; name it there",
        "zensical.toml: guides/b.md is in the navigation, and not there",
    ]


def test_a_site_that_loads_from_another_host_is_told(tmp_path: Path) -> None:
    """Readers in a closed network would wait for it, or get half a page."""
    (tmp_path / "page.html").write_text(
        '<a href="https://fine"></a><link rel=stylesheet href="assets/a.css"><img src=a.png>'
        "<script src=//cdn/x.js></script><link rel='stylesheet' href='https://fonts/x'>"
    )
    assert list(from_elsewhere(tmp_path)) == [
        "page.html loads from another host: <script src=//cdn/x.js>",
        "page.html loads from another host: <link rel='stylesheet' href='https://fonts/x'>",
    ]


def test_the_sites_links_lead_to_the_repository_that_its_configuration_names() -> None:
    assert tomllib.loads((ROOT / CONFIG).read_text())["project"]["repo_url"] == REPOSITORY
