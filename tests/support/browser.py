"""Which tests need a browser, and what they do without one. Called by tests.support.plugin."""

from __future__ import annotations

from functools import cache

from hack import browser
from hack.cluster.errors import Missing

MARKER = "needs_browser"
REMEDY = "Run `make test-all`, or `apt-get install chromium` once; then `make test` runs these too."


@cache
def missing_browser(*, install: bool) -> tuple[Missing, ...]:
    """What is missing for tests with MARKER; `install` lets it install Debian's chromium (124 MB) first."""
    lack = browser.missing(install=install)
    return (Missing(lack.part, lack.reason, REMEDY),) if lack else ()
