"""hack.site: what pages get before and after the site generator."""

from __future__ import annotations

import pytest

from hack.site.finishing import finished
from hack.site.pages import REPOSITORY
from hack.site.staging import description, staged


def test_a_block_that_is_saved_gets_its_file_name_as_title() -> None:
    says = "<!-- test: saved as a/b.yaml -->\n<!-- test: eventually -->\n"
    page = f"{says}```yaml\na: 1\n```\n\n```yaml\nb: 1\n```\n"
    got = staged(page, "guides/a.md")
    assert '```yaml title="a/b.yaml"\na: 1' in got
    assert "```yaml\nb: 1" in got


def test_pages_alone_in_their_section_have_no_navigation_beside_them() -> None:
    assert staged("# A\n\nText.\n", "index.md").startswith(
        '---\ndescription: "Text."\nhide: ["navigation"]\n---\n# A'
    )
    assert "hide" not in staged("# A\n\nText.\n", "guides/a.md")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("# A\n\nOne `b` [two](c.md).\nThree.\n\nFour.\n", "One b two. Three.", id="a paragraph"),
        pytest.param("# A\n\n**One.** Two.\n", "One. Two.", id="as plain text"),
        pytest.param(f"# A\n\nOne. {'x' * 160}.\n", "One.", id="as many sentences as fit"),
        pytest.param(
            "# A\n\nDate: 2026. Status: accepted.\n\nOne.\n", "One.", id="not the date of a decision"
        ),
        pytest.param("# A\n\n- One.\n", "", id="no paragraph"),
    ],
)
def test_the_description_is_what_the_page_begins_with(text: str, want: str) -> None:
    assert description(text) == want


def block(inside: str) -> str:
    return f'<div class="language-console highlight"><pre><span></span><code>{inside}</code></pre></div>'


def test_a_copy_button_gets_the_commands_alone() -> None:
    html = block(
        '<span class="gp">$ </span>echo<span class="w"> </span>"a"<span class="w"> </span>&amp;&amp; b\n'
        '<span class="go">out</span>\n<span class="gp">$ </span>c\n'
    )
    assert 'data-copy="echo &quot;a&quot; &amp;&amp; b\nc">' in finished(html, {})


def test_a_shared_link_shows_title_and_description() -> None:
    head = '<meta name="description" content="A &amp; b."><title>Teams - aim-operator</title>'
    got = finished(f"<head>{head}</head>", {})
    assert '<meta property="og:title" content="Teams - aim-operator">' in got
    assert '<meta property="og:description" content="A &amp; b.">' in got
    assert "og:description" not in finished("<title>A</title>", {})


def test_cells_get_the_names_of_their_columns() -> None:
    html = (
        "<table><thead><tr><th></th><th style='x'><code>a</code> b</th></tr></thead>"
        "<tbody><tr><td>1</td><td style='x'>2</td></tr></tbody></table>"
    )
    assert "<td>1</td><td data-label=\"a b\" style='x'>2</td>" in finished(html, {})


def test_a_number_as_head_is_told_with_what_it_counts() -> None:
    heads = "<thead><tr><th>services</th><th>1,000</th></tr></thead>"
    html = f"<table>{heads}<tr><td>MiB</td><td>74</td></tr></table>"
    assert '<td data-label="services 1,000">74</td>' in finished(html, {})


def test_a_named_cell_links_to_itself() -> None:
    html = '<td><a id="abc"></a><code>Abc</code></td>'
    assert finished(html, {}) == '<td><a id="abc" href="#abc"><code>Abc</code></a></td>'


def test_the_source_of_a_page_is_where_it_is_in_the_repository() -> None:
    def link(kind: str, path: str) -> str:
        return f'<a href="{REPOSITORY}/{kind}/main/{path}"></a>'

    html = link("raw", "docs/contributing/index.md") + link("raw", "docs/a.md")
    got = finished(html, {"contributing/index.md": "CONTRIBUTING.md", "a.md": "docs/a.md"})
    assert got == link("blob", "CONTRIBUTING.md") + link("blob", "docs/a.md")


def test_the_link_to_the_repository_asks_it_for_nothing() -> None:
    assert "data-md-component" not in finished('<a class="md-source" data-md-component="source">', {})
