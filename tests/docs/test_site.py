"""The docs site as a reader's browser shows it: what buttons copy, what phones show, whom pages ask."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hack import console
from hack.browser import Page, browser
from hack.site.__main__ import ROOT, SITE, build
from tests.docs.blocks import pages

pytestmark = pytest.mark.needs_browser

PHONE = 400
PHONE_PAGES = (
    "index",
    "start",
    "performance",
    "guides/command-line",
    "operations/uninstall",
    "reference/reasons",
    "reference/aim-image",
    "reference/api/aimservice",
)
"""One of each kind of page."""
COPY_BUTTON = "button[data-md-type=copy]"

FOUND = """function found(root) {
  const addresses = [...root.querySelectorAll('*')].flatMap(one =>
    one.shadowRoot ? found(one.shadowRoot) || [] : one.href?.includes?.('?h=') ? [one.href] : [])
  return addresses.length ? addresses : null
}"""
"""The addresses of what a search found; its results are in a shadow root."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it overrides
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, built from this checkout."""
    stage = tmp_path_factory.mktemp("site")
    assert build(ROOT, stage) == ""
    handler = partial(_Quiet, directory=str(stage / SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with browser() as tab:
        yield tab


def shown_first(name: str, containing: str) -> str:
    """The text of the first block of a page, as its Markdown has it, that contains something."""
    (found,) = (one for one in pages() if one.name == name)
    return next(block.text for block in found.blocks if containing in block.text)


async def copied(page: Page, containing: str) -> str:
    """The clipboard after a click on the copy button of the first block that contains something."""
    await page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    await page.until(f"document.querySelector('{COPY_BUTTON}') !== null")
    await page.evaluate("navigator.clipboard.writeText('nothing was copied')")
    await page.evaluate(
        "[...document.querySelectorAll('.highlight')]"
        f".find(block => block.innerText.includes({containing!r})).id = 'wanted'"
    )
    await page.click(f"#wanted {COPY_BUTTON}")
    await page.until("document.querySelector('.md-dialog--active') !== null")
    return str(await page.evaluate("navigator.clipboard.readText()"))


async def test_a_copy_button_copies_the_command_without_prompt_and_output(page: Page, site: str) -> None:
    await page.open(f"{site}/start.html")
    assert await copied(page, "make cluster-up") == "make cluster-up"


async def test_it_copies_all_commands_of_a_block_as_the_tests_run_them(page: Page, site: str) -> None:
    await page.open(f"{site}/guides/catalog.html")
    commands = [one.text for one in console.commands(shown_first("docs/guides/catalog.md", "kubectl diff"))]
    assert len(commands) == 2
    assert await copied(page, "kubectl diff") == "\n".join(commands)


async def test_it_copies_a_file_whole(page: Page, site: str) -> None:
    await page.open(f"{site}/guides/teams.html")
    manifest = shown_first("docs/guides/teams.md", "kind: Namespace")
    assert await copied(page, "kind: Namespace") == manifest.rstrip("\n")


async def test_a_block_to_save_shows_its_file_name(page: Page, site: str) -> None:
    await page.open(f"{site}/guides/teams.html")
    names = await page.evaluate("[...document.querySelectorAll('.filename')].map(name => name.innerText)")
    assert names == ["vision.yaml", "chat.yaml", "own-image.yaml"]


async def test_a_reason_has_an_address_and_its_name_is_not_broken(page: Page, site: str) -> None:
    await page.open(f"{site}/reference/reasons.html#imagepullauthfailed")
    top = await page.evaluate("document.getElementById('imagepullauthfailed').getBoundingClientRect().top")
    assert 0 < top < 300
    broken = await page.evaluate(
        "[...document.querySelectorAll('td:first-child code')]"
        ".filter(name => name.getClientRects().length > 1).map(name => name.innerText)"
    )
    assert broken == []


async def test_a_phone_shows_the_heads_of_columns_and_no_page_is_wider(page: Page, site: str) -> None:
    await page.open(f"{site}/performance.html", width=PHONE)
    row = "[...document.querySelectorAll('tr')].find(row => row.innerText.startsWith('MiB at rest'))"
    assert (
        await page.evaluate(f"getComputedStyle({row}.children[2], '::before').content")
        == '"services 1,000: "'
    )
    for name in PHONE_PAGES:
        await page.open(f"{site}/{name}.html", width=PHONE)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE, name


async def test_rules_of_a_field_are_there_once_they_are_unfolded(page: Page, site: str) -> None:
    await page.open(f"{site}/reference/api/aimmodelcache.html")
    rule = (
        "[...document.querySelectorAll('details li')].find(rule => rule.textContent.includes('write hf://'))"
    )
    assert await page.evaluate(f"{rule}.checkVisibility()") is False
    await page.evaluate(f"{rule}.closest('details').querySelector('summary').click()")
    assert await page.until(f"{rule}.checkVisibility()")
    assert await page.evaluate(f"{rule}.querySelector('code') !== null")


@pytest.mark.parametrize("words", ["troubleshoot", "AwaitingDiscoverySlot"])
async def test_the_search_finds_it(page: Page, site: str, words: str) -> None:
    await page.open(f"{site}/index.html")
    await page.click(".md-search__button")
    await page.until(
        "document.activeElement.tagName === 'INPUT' || document.activeElement.shadowRoot !== null"
    )
    await page.type(words)
    wanted = "guides/troubleshooting.html" if words == "troubleshoot" else "reference/reasons.html"
    # What was typed last changes the results once more: the first ones are of half a word.
    assert await page.until(f"(({FOUND})(document) || []).some(address => address.includes({wanted!r}))")


async def test_nothing_is_asked_of_another_host(page: Page, site: str) -> None:
    """Not by scripts either: platform teams are often without a way out."""
    for name in ("index", "start", "reference/reasons"):
        await page.open(f"{site}/{name}.html")
        await page.until("document.readyState === 'complete'")
        await page.evaluate("new Promise(resolve => setTimeout(resolve, 300))")
    asked = {url for url in page.requests if url.startswith("http")}
    assert asked
    assert [url for url in asked if not url.startswith(f"{site}/")] == []


async def test_the_source_of_each_page_is_linked(page: Page, site: str) -> None:
    repository = "https://github.com/silogen/aim-operator"
    for name, source in (("guides/teams", "docs/guides/teams.md"), ("contributing/index", "CONTRIBUTING.md")):
        await page.open(f"{site}/{name}.html")
        links = await page.evaluate("[...document.querySelectorAll('a')].map(link => link.href)")
        assert repository in {link.rstrip("/") for link in links}
        assert f"{repository}/blob/main/{source}" in links
