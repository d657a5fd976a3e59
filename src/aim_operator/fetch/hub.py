"""Models of the Hugging Face Hub and of what speaks its protocol: mirrors, proxies, HF_ENDPOINT.

huggingface_hub lists and authenticates; it is imported here alone, and writes nothing. Files are fetched
from the resolve address, which may send on to a CDN.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch import listing
from aim_operator.fetch.listing import Checksum, Listing, RemoteFile, Request
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.retrying import Policy, Transient, retrying
from aim_operator.fetch.source_uri import HubUri
from aim_operator.fetch.threads import limited

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

T = TypeVar("T")

DEFAULT_ENDPOINT = "https://huggingface.co"
_NO_TREE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_SHA256_LENGTH = 64
_SHA1_LENGTH = 40


class HubSource:
    """One repository at one revision. Calls of the library are limited and retried."""

    def __init__(
        self,
        uri: HubUri,
        environment: Mapping[str, str],
        *,
        policy: Policy,
        limit_seconds: float,
        retried: Callable[[str], None],
    ) -> None:
        self._uri = uri
        self._endpoint = _endpoint(environment)
        self._token = environment.get("HF_TOKEN", "").strip()
        self._policy = policy
        self._limit_seconds = limit_seconds
        self._retried = retried
        self._revision = uri.revision
        self._library = _library(self._endpoint, self._token)

    @property
    def _host(self) -> str:
        return urlsplit(self._endpoint).hostname or self._endpoint

    def list(self, pinned: str | None) -> Listing:
        if pinned is not None:
            try:
                return self._list(pinned)
            except FetchError as error:
                if error.reason != FetchReason.SOURCE_NOT_FOUND:
                    raise
                self._retried(f"commit {pinned} is gone; {self._uri.revision} is looked up anew")
        return self._list(self._uri.revision)

    def request(self, file: RemoteFile) -> Request:
        from huggingface_hub import hf_hub_url  # noqa: PLC0415 - takes half a second to import

        url = hf_hub_url(self._uri.repository, file.path, revision=self._revision, endpoint=self._endpoint)
        return Request(url=url, headers={"Authorization": f"Bearer {self._token}"} if self._token else {})

    def checksum(self, file: RemoteFile) -> Checksum | None:
        return file.checksum

    def refusal(self, code: str) -> str:
        if code == "GatedRepo":
            return (
                f"{self._uri.repository} is gated: ask for access at {self._endpoint}/{self._uri.repository},"
                " and set HF_TOKEN to a token of the account that was granted it"
            )
        if self._token:
            return f"the token in HF_TOKEN may not read {self._uri.repository}; set HF_TOKEN to one that may"
        return (
            f"{self._uri.repository} is private, or there is no such model; set HF_TOKEN to a token that may"
            " read it"
        )

    def _list(self, revision: str) -> Listing:
        commit = self._call(lambda: self._commit(revision))
        self._revision = commit
        try:
            files = self._call(lambda: listing.check(self._tree(commit)))
        except _NoTree:
            files = self._call(lambda: listing.check(self._siblings(commit)))
        if not files:
            raise FetchError(
                FetchReason.SOURCE_NOT_FOUND,
                f"{self._uri.repository} has no files at {revision}; name another revision after ':'",
            )
        return Listing(revision=commit, files=files)

    def _commit(self, revision: str) -> str:
        info = self._library.model_info(
            self._uri.repository, revision=revision, expand=["sha"], timeout=self._limit_seconds
        )
        # A mirror without commits: what was asked for is all there is to pin.
        return info.sha or revision

    def _tree(self, commit: str) -> Iterator[RemoteFile]:
        """Page by page, so that memory follows the number of files and not the size of the answer."""
        from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415

        for entry in self._library.list_repo_tree(self._uri.repository, recursive=True, revision=commit):
            if isinstance(entry, RepoFile):
                sha256 = entry.lfs.sha256 if entry.lfs else None
                size = entry.lfs.size if entry.lfs else entry.size
                yield _file(entry.path, size, sha256 or entry.blob_id)

    def _siblings(self, commit: str) -> Iterator[RemoteFile]:
        """For mirrors that have no tree: the model's own list, and HEAD for what it does not tell."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415

        info = self._library.model_info(
            self._uri.repository, revision=commit, files_metadata=True, timeout=self._limit_seconds
        )
        for sibling in info.siblings or ():
            sha256 = sibling.lfs.sha256 if sibling.lfs else None
            size, etag = sibling.size, sha256 or sibling.blob_id
            if size is None or not etag:
                url = hf_hub_url(
                    self._uri.repository, sibling.rfilename, revision=commit, endpoint=self._endpoint
                )
                head = get_hf_file_metadata(
                    url, token=self._token or False, timeout=self._limit_seconds, endpoint=self._endpoint
                )
                size, etag = head.size, head.etag or ""
            if size is None:
                raise FetchError(
                    FetchReason.DOWNLOAD_FAILED, f"{self._host} tells no size of {sibling.rfilename!r}"
                )
            yield _file(sibling.rfilename, size, etag)

    def _call(self, call: Callable[[], T]) -> T:
        def attempt() -> T:
            try:
                return limited(lambda: self._translated(call), self._limit_seconds)
            except TimeoutError as error:
                raise Transient(f"no answer from {self._host}", stalled=True) from error

        return retrying(f"{self._uri.repository} can't be listed", attempt, self._policy, self._retried)

    def _translated(self, call: Callable[[], T]) -> T:
        import httpx2  # noqa: PLC0415 - comes with huggingface_hub
        from huggingface_hub import errors  # noqa: PLC0415

        try:
            return call()
        except errors.GatedRepoError as error:
            raise self._refused(error, "GatedRepo") from error
        except errors.RevisionNotFoundError as error:
            raise FetchError(
                FetchReason.SOURCE_NOT_FOUND,
                f"{self._uri.repository} has no revision {self._uri.revision!r} at {self._host}; write a"
                " branch, tag or commit after ':'",
            ) from error
        except errors.HfHubHTTPError as error:
            raise self._answered(error) from error
        except (errors.HFValidationError, UnicodeError) as error:
            raise UserError(f"hf://{self._uri.repository}: {error}") from error
        except httpx2.TimeoutException as error:
            raise Transient(f"no answer from {self._host}", stalled=True) from error
        except httpx2.TransportError as error:
            raise Transient(f"can't reach {self._host} ({error})") from error
        except (KeyError, TypeError, ValueError) as error:
            raise Transient(
                f"{self._host} sent a listing that can't be read ({type(error).__name__})"
            ) from error

    def _answered(self, error: HfHubHTTPError) -> Exception:
        status = error.response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return self._refused(error, "")
        if status == HTTPStatus.NOT_FOUND and error.response.headers.get("X-Error-Code") == "RepoNotFound":
            return self._no_repository()
        if status in _NO_TREE and "/tree/" in error.response.request.url.path:
            return _NoTree()
        if status == HTTPStatus.NOT_FOUND:
            return self._no_repository()
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
            after = error.response.headers.get("Retry-After", "")
            return Transient(
                f"{self._host} answered {status}",
                retry_after_seconds=float(after) if after.isascii() and after.isdigit() else None,
            )
        return FetchError(
            FetchReason.DOWNLOAD_FAILED,
            f"{self._host} answered {status} when asked for {self._uri.repository}",
        )

    def _no_repository(self) -> FetchError:
        return FetchError(
            FetchReason.SOURCE_NOT_FOUND,
            f"{self._host} has no model {self._uri.repository}; check the URI"
            + ("" if self._endpoint == DEFAULT_ENDPOINT else ", and HF_ENDPOINT"),
        )

    def _refused(self, error: HfHubHTTPError, code: str) -> FetchError:
        return FetchError(
            FetchReason.AUTHENTICATION_FAILED,
            f"{self._host} answered {error.response.status_code}: {self.refusal(code)}",
        )


class _NoTree(Exception):
    """This server lists no trees."""


def _file(path: str, size: int, etag: str) -> RemoteFile:
    """The Hub's etags are hashes: SHA-256 of a large file, the git blob's SHA-1 of a small one."""
    value = etag.lower()
    is_hex = all(char in "0123456789abcdef" for char in value)
    checksum = None
    if is_hex and len(value) == _SHA256_LENGTH:
        checksum = Checksum("sha256", value)
    elif is_hex and len(value) == _SHA1_LENGTH:
        checksum = Checksum("git", value)
    return RemoteFile(path=path, size=size, etag=etag, checksum=checksum)


def _endpoint(environment: Mapping[str, str]) -> str:
    endpoint = environment.get("HF_ENDPOINT", "").strip().rstrip("/") or DEFAULT_ENDPOINT
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError("HF_ENDPOINT is no address; write it as in https://hub.example.com")
    return endpoint


def _library(endpoint: str, token: str) -> HfApi:
    # Read on import: nothing is to be written to a home that there may not be, nor looked for in it.
    os.environ["HF_HOME"] = "/nonexistent"
    for quiet in ("TELEMETRY", "PROGRESS_BARS", "IMPLICIT_TOKEN"):
        os.environ[f"HF_HUB_DISABLE_{quiet}"] = "1"
    from huggingface_hub import HfApi  # noqa: PLC0415

    return HfApi(endpoint=endpoint, token=token or False, library_name="aim-operator")
