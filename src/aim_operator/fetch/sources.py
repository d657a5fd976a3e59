"""From a URI to the source behind it: the one place that knows which kinds of sources there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aim_operator.fetch import source_uri
from aim_operator.fetch.listing import Source
from aim_operator.fetch.retrying import Policy
from aim_operator.fetch.source_uri import HubUri


def source_of(
    uri: str,
    environment: Mapping[str, str],
    *,
    policy: Policy,
    limit_seconds: float,
    retried: Callable[[str], None],
) -> Source:
    """Return the source. UserError for what is no URI of one; nothing is asked yet.

    `limit_seconds` is that of each call; `retried` gets the cause of each that is made again.
    """
    parsed = source_uri.parse(uri)
    # Each brings a library that takes a second to import.
    if isinstance(parsed, HubUri):
        from aim_operator.fetch.hub import HubSource  # noqa: PLC0415

        return HubSource(parsed, environment, policy=policy, limit_seconds=limit_seconds, retried=retried)
    from aim_operator.fetch.s3 import S3Source  # noqa: PLC0415

    return S3Source(parsed, environment, policy=policy, limit_seconds=limit_seconds, retried=retried)
