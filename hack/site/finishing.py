"""What the generated pages get: what copy buttons copy, names of columns in cells, links to their sources.

Works on the HTML that zensical writes, whose tables and code blocks have no attributes of their own. Tests
of a real browser (tests/docs/test_site.py) hold it to what readers see.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from html import escape, unescape
from pathlib import Path

from hack import console
from hack.site.pages import BRANCH, REPOSITORY

_CONSOLE = re.compile(
    r'<div class="language-console highlight">(?P<code><pre.*?<code>(?P<text>.*?)</code></pre>)', re.DOTALL
)
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_HEAD = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)
_ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<td\b")
_TAG = re.compile(r"<[^>]*>")
_NAMED_CELL = re.compile(r'<a id="(?P<anchor>[^"]+)"></a>(?P<code><code>[^<]*</code>)')
_SOURCE = re.compile(rf'href="{re.escape(REPOSITORY)}/raw/{BRANCH}/docs/(?P<page>[^"]+)"')
_TITLE = re.compile(r"<title>(?P<title>[^<]*)</title>")
_DESCRIPTION = re.compile(r'<meta name="description" content="(?P<text>[^"]*)"')
_NOT_FOUND = "<h1>404 - Not found</h1>"
_WAY_BACK = (
    '<p>This page is not here. Search for it above, or <a href="/index.html">begin at the start</a>.</p>'
)
# Its script asks GitHub for stars and releases: another host.
_ASKING = ' data-md-component="source"'


def finish(site: Path, places: Mapping[str, str]) -> None:
    """Finish every page of `site`; `places` has source → page, as hack.site.pages.places returns it."""
    sources = {page: source for source, page in places.items()}
    for path in site.rglob("*.html"):
        path.write_text(finished(path.read_text(), sources))


def finished(html: str, sources: Mapping[str, str]) -> str:
    """Return a finished page; `sources` has the path in the repository for each page of the site."""
    html = _CONSOLE.sub(_with_commands, html)
    html = _TABLE.sub(lambda table: _labelled(table[0]), html)
    html = _NAMED_CELL.sub(r'<a id="\g<anchor>" href="#\g<anchor>">\g<code></a>', html)
    html = _TITLE.sub(lambda found: found[0] + _shared(found["title"], html), html, count=1)
    html = _SOURCE.sub(lambda found: _source(found["page"], sources), html)
    return html.replace(_ASKING, "").replace(_NOT_FOUND, _NOT_FOUND + _WAY_BACK)


def _shared(title: str, html: str) -> str:
    """Return what a link to the page shows where it is shared. An address and a picture want a known host."""
    found = _DESCRIPTION.search(html)
    about = {"og:type": "article", "og:site_name": "aim-operator", "og:title": title}
    if found:
        about["og:description"] = found["text"]
    return "".join(f'<meta property="{name}" content="{text}">' for name, text in about.items())


def _with_commands(found: re.Match[str]) -> str:
    text = unescape(_TAG.sub("", found["text"]))
    copied = "\n".join(one.text for one in console.commands(text))
    return f'<div class="language-console highlight" data-copy="{escape(copied)}">{found["code"]}'


def _labelled(table: str) -> str:
    """Name the column in each cell: a phone shows no heads. A number is named with the first head."""
    first, *rest = [_TAG.sub("", head).strip() for head in _HEAD.findall(table)] or [""]
    heads = [first, *(f"{first} {head}".strip() if head[:1].isdigit() else head for head in rest)]
    return _ROW.sub(lambda row: _labelled_row(row[0], iter(heads)), table)


def _labelled_row(row: str, heads: Iterator[str]) -> str:
    return _CELL.sub(lambda cell: f"{cell[0]}{_label(next(heads))}", row)


def _label(head: str) -> str:
    return f' data-label="{escape(unescape(head))}"' if head else ""


def _source(page: str, sources: Mapping[str, str]) -> str:
    path = sources.get(posixpath.normpath(page), f"docs/{page}")
    return f'href="{REPOSITORY}/blob/{BRANCH}/{path}"'
