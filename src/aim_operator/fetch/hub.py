"""Models of the Hugging Face Hub and of what speaks its protocol: mirrors, proxies, HF_ENDPOINT.

Three kinds of addresses, as huggingface_hub asks them (model_info, list_repo_tree, hf_hub_url), by the HTTP
of the transfer: one decision about proxies, certificates, redirects, limits and waits for listings and files.
Files are fetched from the resolve address, which may send on to a CDN.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from aim_operator.errors import FetchError
from aim_operator.fetch import answers, http_errors, hub_account, listing
from aim_operator.fetch.answers import Refused
from aim_operator.fetch.documents import Budget, Document, check_objects
from aim_operator.fetch.http import Client
from aim_operator.fetch.hub_answers import Entries, Info, next_query
from aim_operator.fetch.listing import Checksum, Listing, RemoteFile, Request, SourceChanged
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.redirects import shown_host
from aim_operator.fetch.retrying import Policy, Transient, retrying
from aim_operator.fetch.source_uri import HubUri

T = TypeVar("T")

_NO_TREE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_SHA256_LENGTH = 64
_SHA1_LENGTH = 40


class HubSource:
    """One repository at one revision. Each request is limited and retried."""

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
        self._account = hub_account.of(environment)
        self._endpoint = self._account.endpoint
        self._policy = policy
        self._retried = retried
        self._revision = uri.revision
        self._client = Client(connections=1, idle_seconds=limit_seconds, environment=environment)
        self._budget = Budget()
        self._stopped = threading.Event()

    def close(self) -> None:
        """End what another thread may be doing here, its waiting too."""
        self._stopped.set()
        self._client.close()

    @property
    def _host(self) -> str:
        return shown_host(self._endpoint)

    def list(self, pinned: str | None) -> Listing:
        self._budget = Budget()
        if pinned is not None:
            try:
                return self._list(pinned)
            except FetchError as error:
                if error.reason != FetchReason.SOURCE_NOT_FOUND:
                    raise
                self._retried(f"commit {pinned} is gone; {self._uri.revision} is looked up anew")
        return self._list(self._uri.revision)

    def request(self, file: RemoteFile) -> Request:
        return self._resolved(file.path, self._revision)

    def checksum(self, file: RemoteFile) -> Checksum | None:
        return file.checksum

    def refusal(self, code: str) -> str:
        repository, account = self._uri.repository, self._account
        if code == "GatedRepo":
            return (
                f"{repository} is gated: ask for access at {self._endpoint}/{repository},"
                " and set HF_TOKEN to a token of the account that was granted it"
            )
        if account.withheld:
            return f"{account.withheld}, so {repository} was asked for without it"
        if account.token:
            return f"the token in {account.variable} may not read {repository}; set it to one that may"
        return f"{repository} is private, or there is no such model; set HF_TOKEN to a token that may read it"

    @property
    def _hidden(self) -> str:
        """To whoever has a token, hubs answer 404 for what it may not read."""
        return (
            f", or none that the token in {self._account.variable} may read" if self._account.headers else ""
        )

    def _list(self, revision: str) -> Listing:
        commit = self._commit(revision)
        self._revision = commit
        try:
            files = listing.check(self._tree(commit))
        except _NoTree:
            files = listing.check(self._siblings(commit))
        if not files:
            raise FetchError(
                FetchReason.SOURCE_NOT_FOUND,
                f"{self._uri.repository} has no files at {revision}; name another revision after ':'",
            )
        return Listing(revision=commit, files=files)

    def _commit(self, revision: str) -> str:
        info = self._answer(f"revision/{quote(revision, safe='')}", {"expand": "sha"}, Info)
        # A mirror without commits: what was asked for is all there is to pin.
        return info.commit or revision

    def _tree(self, commit: str) -> Iterator[RemoteFile]:
        """Page by page, so that memory follows the number of files and not the size of the answer.

        Each page is asked of the endpoint: of where a page says that the next one is, only the query counts.
        Else a page could have the token sent to any host; and mirrors pass on links to the hub behind them.
        """
        query: dict[str, str] | None = {"recursive": "true", "expand": "false"}
        asked: set[str] = set()
        while query is not None:
            page, link = self._page(f"tree/{quote(commit, safe='')}", query)
            for entry in page:
                if entry.type == "file":
                    if entry.whole_size is None:
                        # The model's own list is asked, and each file that lacks its size there.
                        raise _NoTree
                    yield _file(entry.path, entry.whole_size, entry.sha256 or entry.oid or "")
            query = next_query(link)
            following = urlencode(query or {})
            if query is not None and following in asked:
                raise FetchError(
                    FetchReason.DOWNLOAD_FAILED,
                    f"{self._host} lists in a circle: a page names an earlier one",
                )
            asked.add(following)

    def _siblings(self, commit: str) -> Iterator[RemoteFile]:
        """For mirrors that have no tree: the model's own list, and a question for each size it lacks."""
        info = self._answer(f"revision/{quote(commit, safe='')}", {"blobs": "true"}, Info)
        for sibling in info.siblings or ():
            size, etag = sibling.whole_size, sibling.sha256 or sibling.blob_id
            if problem := listing.path_problem(sibling.rfilename):
                # Before it becomes an address.
                raise listing.refused_path(sibling.rfilename, problem)
            if size is None or not etag:
                size, etag = self._facts(sibling.rfilename, commit)
            yield _file(sibling.rfilename, size, etag)

    def _facts(self, path: str, commit: str) -> tuple[int, str]:
        request = self._resolved(path, commit)
        self._budget.page()
        try:
            facts = self._retrying(lambda: self._client.facts(request))
        except Refused as refused:
            raise FetchError(
                FetchReason.AUTHENTICATION_FAILED, f"{path}: {refused}: {self.refusal(refused.code)}"
            ) from refused
        except SourceChanged as changed:
            raise FetchError(
                FetchReason.DOWNLOAD_FAILED, f"{self._host} lists {path!r}, and has no such file ({changed})"
            ) from changed
        if facts.size is None:
            raise FetchError(
                FetchReason.DOWNLOAD_FAILED,
                f"{self._host} gives no size of {path!r}: it lists no trees, and answers without"
                " Content-Length; use a mirror that gives sizes",
            )
        return facts.size, facts.etag or ""

    def _resolved(self, path: str, revision: str) -> Request:
        url = f"{self._endpoint}/{self._uri.repository}/resolve/{quote(revision, safe='')}/{quote(path)}"
        return Request(url=url, headers=self._account.headers)

    def _answer(self, path: str, query: dict[str, str], shape: type[T]) -> T:
        return self._retrying(lambda: _decoded(self._ask(path, query), shape))

    def _page(self, path: str, query: dict[str, str]) -> tuple[Entries, str]:
        def ask() -> tuple[Entries, str]:
            document = self._ask(path, query)
            return _decoded(document, Entries), document.headers.get("Link", "")

        return self._retrying(ask)

    def _ask(self, path: str, query: dict[str, str]) -> Document:
        url = f"{self._endpoint}/api/models/{self._uri.repository}/{path}?{urlencode(query)}"
        document = self._client.read(Request(url=url, headers=self._account.headers), self._budget)
        if document.status != HTTPStatus.OK:
            raise self._answered(document, is_tree=path.startswith("tree/"))
        return document

    def _retrying(self, call: Callable[[], T]) -> T:
        def wait(seconds: float) -> None:
            if self._stopped.wait(seconds):
                raise FetchError(FetchReason.INTERRUPTED, "asked to stop")

        what = f"{self._uri.repository} can't be listed"
        return retrying(what, call, self._policy, self._retried, wait)

    def _answered(self, document: Document, *, is_tree: bool) -> Exception:
        """What a status that is no success means for a listing."""
        status, headers = document.status, document.headers
        code = headers.get("X-Error-Code", "")
        repository = self._uri.repository
        if code == "RevisionNotFound":
            return FetchError(
                FetchReason.SOURCE_NOT_FOUND,
                f"{repository} has no revision {self._uri.revision!r} at {self._host}; write a"
                " branch, tag or commit after ':'",
            )
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return http_errors.proxy_wants_password(self._host)
        if page := answers.blocked(document.host, status, headers, code):
            return page
        if code == "GatedRepo" or status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return FetchError(
                FetchReason.AUTHENTICATION_FAILED, f"{document.host} answered {status}: {self.refusal(code)}"
            )
        if status in _NO_TREE and is_tree and code != "RepoNotFound":
            return _NoTree()
        if status == HTTPStatus.NOT_FOUND:
            return FetchError(
                FetchReason.SOURCE_NOT_FOUND,
                f"{self._host} has no model {repository}{self._hidden}; check the URI"
                + ("" if self._account.is_public_hub else ", and HF_ENDPOINT"),
            )
        if status in answers.PASSING or status >= 500:
            return answers.not_now(document.host, status, headers)
        return FetchError(
            FetchReason.DOWNLOAD_FAILED, f"{document.host} answered {status} when asked for {repository}"
        )


class _NoTree(Exception):
    """This server lists no trees."""


def _decoded(document: Document, shape: type[T]) -> T:
    """What the hub sent, as far as it is needed. Transient for anything else: a page, half an answer."""
    check_objects(document.content)
    try:
        return msgspec.json.decode(document.content, type=shape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        kind = document.headers.get("Content-Type", "").partition(";")[0].strip()
        page = ": a web page, perhaps of a proxy" if kind == "text/html" else ""
        raise Transient(f"{document.host} sent a listing that can't be read{page}") from error


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
