"""From a URI to the source behind it: the one place that knows which kinds of sources there are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from aim_operator.errors import FetchError
from aim_operator.fetch import source_uri
from aim_operator.fetch.listing import Checksum, Listing, RemoteFile, Request, Source
from aim_operator.fetch.outcome import FetchReason
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
    with not_the_volume(uri):
        if isinstance(parsed, HubUri):
            from aim_operator.fetch.hub import HubSource  # noqa: PLC0415

            return _Guarded(
                uri,
                HubSource(parsed, environment, policy=policy, limit_seconds=limit_seconds, retried=retried),
            )
        from aim_operator.fetch.s3 import S3Source  # noqa: PLC0415

        return _Guarded(
            uri, S3Source(parsed, environment, policy=policy, limit_seconds=limit_seconds, retried=retried)
        )


class _Guarded:
    """A source whose errors of the system are no longer taken for the volume's."""

    def __init__(self, uri: str, source: Source) -> None:
        self._uri = uri
        self._source = source

    def refusal(self, code: str) -> str:
        return self._source.refusal(code)

    def close(self) -> None:
        self._source.close()

    def list(self, pinned: str | None) -> Listing:
        with not_the_volume(self._uri):
            return self._source.list(pinned)

    def request(self, file: RemoteFile) -> Request:
        with not_the_volume(self._uri):
            return self._source.request(file)

    def checksum(self, file: RemoteFile) -> Checksum | None:
        with not_the_volume(self._uri):
            return self._source.checksum(file)


@contextlib.contextmanager
def not_the_volume(uri: str) -> Iterator[None]:
    """Libraries read files that variables name, and have errors of their own that are OSErrors."""
    try:
        yield
    except OSError as error:
        cause = error.strerror or str(error) or type(error).__name__
        raise FetchError(
            FetchReason.DOWNLOAD_FAILED,
            f"{uri} can't be asked: {cause}{f' ({error.filename})' if error.filename else ''}; look at the"
            " variables that name files, certificates, proxies and the source",
        ) from error
