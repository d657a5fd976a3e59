"""The pages of a bucket's listing, in the form that the store knows, and never without an end. No I/O.

Pages, keys and time are bounded; whoever gives `ask` limits and retries each page by itself.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from aim_operator.errors import FetchError
from aim_operator.fetch.listing import MOST_FILES
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.s3_answers import Unsupported, unreadable
from aim_operator.fetch.s3_client import NOTHING

Object = tuple[str, int, str]
"""Key, size, ETag."""

_MOST_PAGES = 5000
_MOST_SECONDS = 900.0
_LONGEST_TOKEN = 8192
_LONGEST_ETAG = 256
_MOST_TEXT = 32 * 1024 * 1024
"""Characters of keys and ETags together: they are held in memory, a hundred thousand of them at most."""
_OF_A_LISTING = ("Name", "Prefix", "IsTruncated", "KeyCount", "Contents")


class _Form(Struct, frozen=True):
    """How a listing is asked for: most stores know all of it, some only what S3 began with."""

    operation: str
    escaped: bool


_FORMS = (
    _Form("list_objects_v2", escaped=True),
    _Form("list_objects_v2", escaped=False),
    _Form("list_objects", escaped=True),
    _Form("list_objects", escaped=False),
)


class Page(Struct, frozen=True):
    objects: tuple[Object, ...]
    is_last: bool
    token: str | None
    """Of the second kind of listing, where there is one."""
    marker: str | None
    """Of the first kind: the key to continue after."""


def page_of(answer: Any, where: str) -> Page:
    """Read one answer of the library. Transient for XML, or HTML, that is no listing."""
    if not any(name in answer for name in _OF_A_LISTING):
        raise unreadable(where)
    if any(len(entry.get("ETag", "")) > _LONGEST_ETAG for entry in answer.get("Contents", ())):
        raise unreadable(where)
    objects = tuple(
        (entry["Key"], int(entry["Size"]), entry.get("ETag", "").strip('"'))
        for entry in answer.get("Contents", ())
    )
    return Page(
        objects=objects,
        is_last=not answer.get("IsTruncated"),
        token=answer.get("NextContinuationToken"),
        marker=answer.get("NextMarker") or (objects[-1][0] if objects else None),
    )


class BucketListing:
    """`ask` gets an operation of the library and its parameters but for the bucket.

    It raises Unsupported where the store refuses the question in that form. `bucket` is for messages.
    """

    def __init__(self, bucket: str, ask: Callable[[str, dict[str, str]], Page]) -> None:
        self._bucket = bucket
        self._ask = ask
        self._forms: tuple[_Form, ...] = _FORMS

    def pages(self, prefix: str) -> Iterator[tuple[Object, ...]]:
        """The objects whose keys begin so, page by page. FetchError for a listing without an end."""
        after: dict[str, str] = {}
        seen: set[bytes] = set()
        keys, text, until = 0, 0, time.monotonic() + _MOST_SECONDS
        for _ in range(_MOST_PAGES):
            page = self._page(prefix, after)
            keys += len(page.objects)
            if keys > MOST_FILES:
                # Also of those that stand for folders, which are no files.
                raise self._endless(f"has more than {MOST_FILES} keys below {prefix!r}; name a part of it")
            text += sum(len(key) + len(etag) for key, _, etag in page.objects)
            if text > _MOST_TEXT:
                raise self._endless(f"has keys of more than {_MOST_TEXT} characters below {prefix!r}")
            yield page.objects
            if page.is_last:
                return
            after = self._after(page)
            token = "".join(after.values())
            if len(token) > _LONGEST_TOKEN:
                raise self._endless(f"is listed with a token of {len(token)} characters")
            digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
            if digest in seen:
                raise self._endless("is listed in a circle: a page continues where an earlier one did")
            seen.add(digest)
            if time.monotonic() > until:
                raise self._endless(
                    f"was not listed to its end in {_MOST_SECONDS:.0f} s", FetchReason.STALLED
                )
        raise self._endless(f"is listed in more than {_MOST_PAGES} pages")

    def _page(self, prefix: str, after: dict[str, str]) -> Page:
        """One page, in the first form that the store knows; the first refusal where it knows none."""
        first: Unsupported | None = None
        for number, form in enumerate(self._forms):
            # The library asks for escaped keys by itself, unless another wish is there (s3_client.py).
            escaping = {} if form.escaped else {"EncodingType": NOTHING}
            try:
                page = self._ask(form.operation, {"Prefix": prefix, **escaping, **after})
            except Unsupported as refused:
                first = first or refused
                if after:
                    # In the middle of a listing another form would not continue it.
                    break
                continue
            self._forms = self._forms[number:]
            return page
        raise first.otherwise if first else unreadable(self._bucket)

    def _after(self, page: Page) -> dict[str, str]:
        if page.token:
            return {"ContinuationToken": page.token}
        # The first kind of listing, perhaps given where the second was asked for.
        if not page.marker:
            raise self._endless("is listed without its end, and without a token for the rest")
        self._forms = (_Form("list_objects", escaped=self._forms[0].escaped),)
        return {"Marker": page.marker}

    def _endless(self, problem: str, reason: str = FetchReason.DOWNLOAD_FAILED) -> FetchError:
        return FetchError(reason, f"{self._bucket} {problem}")
