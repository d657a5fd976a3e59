"""Lists as the API server answers them: selectors, pages that all show one revision, and old tokens refused.

Called by client.py.
"""

from __future__ import annotations

import base64

import msgspec

from aim_operator.api.meta import Manifest
from aim_operator.errors import Unavailable
from aim_operator.sandbox.kinds import ServedKind
from aim_operator.sandbox.refusals import bad_request
from aim_operator.sandbox.selectors import Match, field_match, label_match
from aim_operator.sandbox.storage import Storage, Stored


class _Token(msgspec.Struct, frozen=True):
    """A continue token: the revision of the first page, and the object that the next one starts after."""

    rv: int
    namespace: str
    name: str


def matcher(kind: ServedKind, label_selector: str, field_selector: str) -> Match:
    """Whether an object as stored fits both selectors. Raises Invalid."""
    labels = label_match(label_selector)
    fields = field_match(
        field_selector, kind.selectable, batch_kind=kind.kind if kind.group == "batch" else ""
    )

    def match(obj: Manifest) -> bool:
        return labels(obj) and fields(kind.from_stored(obj))

    return match


def listed(
    storage: Storage,
    kind: ServedKind,
    namespace: str,
    match: Match,
    *,
    limit: int,
    continue_token: str,
    resource_version: str,
) -> tuple[list[Stored], int, str]:
    """One page, its revision, and the token of the next. Raises Expired for a token that is too old."""
    token = _read(continue_token) if continue_token else None
    if token is not None and resource_version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    if resource_version and int(resource_version) > storage.revision:
        # The server waits for that revision, in vain.
        raise Unavailable(
            f"Too large resource version: {resource_version}, current: {storage.revision}",
            code=504,
            reason="Timeout",
        )
    revision = token.rv if token else storage.revision
    after = (token.namespace, token.name) if token else ("", "")
    matching = [
        stored
        for stored in storage.at(kind.id, revision)
        if stored.key[1:] > after
        and (not namespace or stored.key.namespace == namespace)
        and match(stored.obj)
    ]
    if not limit or len(matching) <= limit:
        return matching, revision, ""
    page = matching[:limit]
    return page, revision, _written(_Token(revision, page[-1].key.namespace, page[-1].key.name))


def _written(token: _Token) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()


def _read(text: str) -> _Token:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Token)
    except (ValueError, msgspec.DecodeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error
