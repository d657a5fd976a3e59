"""Models in buckets of S3 and of what speaks its protocol.

botocore lists, authenticates and signs; it is used in s3*.py alone, and our own connections send for it.
Every range is asked for by a URL that is signed just then (0.4 ms, no request), good for fifteen minutes:
it can't have expired, and credentials that rotate are always the current ones.

Stores differ in what they know beyond the plain question. What one refuses is left out from then on, step by
step: the form of a listing, the checksum of a HEAD, the condition of a GET.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch import listing, s3_client
from aim_operator.fetch.listing import Checksum, Listing, RemoteFile, Request, SourceChanged
from aim_operator.fetch.outcome import FetchReason, LeftOut
from aim_operator.fetch.redirects import shown_host
from aim_operator.fetch.retrying import Policy, Transient, retrying
from aim_operator.fetch.s3_answers import Unsupported, answered, code_of, unreadable
from aim_operator.fetch.s3_listing import BucketListing, Object, page_of
from aim_operator.fetch.s3_transport import Sender
from aim_operator.fetch.source_uri import S3Uri
from aim_operator.fetch.threads import limited

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

T = TypeVar("T")

_SIGNED_SECONDS = 900
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_OF_PARTS = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,4})", re.ASCII)
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
CONNECTIONS = 32
NO_NAMES = "keys that no file can have"
"""What is said to leave out a key such as `a//b`, `./a` or `../a`, or `a` beside `a/b`."""
_NO_NAMES = {"", ".", ".."}


_HEADS: tuple[dict[str, str], ...] = (
    {"ChecksumMode": "ENABLED", "IfMatch": ""},
    {"IfMatch": ""},
    {"ChecksumMode": "ENABLED"},
    {},
)
"""Extras of a HEAD, the most useful first. A store that knows IfMatch there knows it of a GET."""


class S3Source:
    """The objects below one prefix. Calls of the library are limited and retried."""

    def __init__(
        self,
        uri: S3Uri,
        environment: Mapping[str, str],
        *,
        policy: Policy,
        limit_seconds: float,
        retried: Callable[[str], None],
    ) -> None:
        self._uri = uri
        self._environment = environment
        self._policy = policy
        self._limit_seconds = limit_seconds
        self._retried = retried
        anonymous = s3_client.value(environment, "awsAnonymousCredential").lower()
        self._anonymous = anonymous in s3_client.TRUE
        self._region = s3_client.region(environment)
        self._sender = Sender(count=CONNECTIONS, limit_seconds=limit_seconds, environment=environment)
        self._stopped = threading.Event()
        self._where = "S3"
        self._client = self._new_client()
        self._where = shown_host(str(self._client.meta.endpoint_url))
        self._folder = uri.prefix if not uri.prefix or uri.prefix.endswith("/") else f"{uri.prefix}/"
        self._in_folder = True
        self._listing = BucketListing(f"{self._where}: bucket {uri.bucket}", self._ask_page)
        self._heads = _HEADS
        self._heads_known = False
        self._learning = threading.Lock()
        self._compressed: set[str] = set()

    def close(self) -> None:
        self._stopped.set()
        self._sender.close()

    def list(self, pinned: str | None) -> Listing:
        """What is there now: S3 has no commits to go back to."""
        del pinned
        objects, left_out = _with_names(self._objects())
        files = listing.check(objects)
        if not files:
            raise FetchError(
                FetchReason.SOURCE_NOT_FOUND,
                f"bucket {self._uri.bucket} has no objects below {self._folder!r}; check the URI",
            )
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.path}\0{file.size}\0{file.etag}\n".encode())
        return Listing(revision=f"sha256:{digest.hexdigest()}", files=files, left_out=left_out)

    def request(self, file: RemoteFile) -> Request:
        def sign() -> str:
            return self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._uri.bucket, "Key": self._key(file)},
                ExpiresIn=_SIGNED_SECONDS,
            )

        headers = {"If-Match": f'"{file.etag}"'} if file.etag and self._takes_conditions else {}
        if file.path in self._compressed:
            # Google's store unpacks for whoever does not take it as it is stored.
            headers["Accept-Encoding"] = "gzip"
        return Request(url=self._call(sign), headers=headers)

    def checksum(self, file: RemoteFile) -> Checksum | None:
        """SHA-256 where the object has one; else what its ETag tells: of all, or of parts of known size."""
        try:
            head = self._head(file)
        except Unsupported:
            # A store without HEAD: whether the ETag is a hash can't be told.
            return None
        headers = head["ResponseMetadata"]["HTTPHeaders"]
        if headers.get("x-goog-stored-content-encoding", "identity") != "identity":
            self._compressed.add(file.path)
        sha256 = head.get("ChecksumSHA256", "")
        if sha256 and "-" not in sha256 and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            try:
                return Checksum("sha256", base64.b64decode(sha256, validate=True).hex())
            except binascii.Error:
                return None
        if head.get("ServerSideEncryption", "AES256") != "AES256" or head.get("SSECustomerAlgorithm"):
            # Its ETag is no hash of the content.
            return None
        if _MD5.fullmatch(file.etag):
            return Checksum("md5", file.etag)
        parts = _OF_PARTS.fullmatch(file.etag)
        return self._of_parts(file, parts[1], int(parts[2])) if parts else None

    def refusal(self, code: str) -> str:
        detail = f" ({code})" if code else ""
        if self._anonymous:
            return f"bucket {self._uri.bucket} is not public{detail}; set {_CREDENTIALS}"
        return (
            f"the credentials may not read bucket {self._uri.bucket}{detail}; set {_CREDENTIALS} to those of"
            " an account with s3:ListBucket and s3:GetObject there (AWS_SESSION_TOKEN too, where they have"
            " one)"
        )

    def _key(self, file: RemoteFile) -> str:
        return self._folder + file.path if self._in_folder else self._uri.prefix

    def _objects(self) -> Iterator[RemoteFile]:
        """Objects below the prefix as a folder; else the one object of just that key."""
        self._in_folder = True
        any_found = False
        for key, size, etag in self._pages(self._folder):
            any_found = True
            path = key.removeprefix(self._folder)
            # Consoles make empty objects to show folders.
            if path and not (path.endswith("/") and size == 0 and "//" not in path):
                yield RemoteFile(path=path, size=size, etag=etag)
        if any_found or not self._uri.prefix or self._uri.prefix.endswith("/"):
            return
        for key, size, etag in self._pages(self._uri.prefix):
            if key == self._uri.prefix:
                self._in_folder = False
                yield RemoteFile(path=key.rpartition("/")[2], size=size, etag=etag)
            return

    def _pages(self, prefix: str) -> Iterator[Object]:
        for page in self._listing.pages(prefix):
            self._follow_region()
            yield from page

    def _ask_page(self, operation: str, parameters: dict[str, str]) -> Any:
        return self._call(
            lambda: page_of(
                getattr(self._client, operation)(Bucket=self._uri.bucket, **parameters), self._where
            )
        )

    def _head(self, file: RemoteFile) -> Any:
        """HEAD with what this store knows of its extras. Unsupported where it knows no HEAD."""
        with contextlib.nullcontext() if self._heads_known else self._learning:
            return self._head_by_steps(file)

    def _head_by_steps(self, file: RemoteFile) -> Any:
        last: Unsupported | None = None
        heads = self._heads
        for number, extras in enumerate(heads):
            condition = {"IfMatch": f'"{file.etag}"'} if "IfMatch" in extras else {}
            try:
                head = self._call(partial(self._ask_head, file, {**extras, **condition}))
            except Unsupported as refused:
                last = refused
                continue
            etag = head.get("ETag", "").removeprefix("W/").strip('"')
            if not condition and etag not in ("", file.etag):
                raise SourceChanged("an object has changed since it was listed")
            # Another thread may have found out the same.
            self._heads, self._heads_known = heads[number:], True
            return head
        if not self._heads_known:
            self._heads, self._heads_known = (), True
        raise last or Unsupported(unreadable(self._where))

    @property
    def _takes_conditions(self) -> bool:
        return not self._heads or "IfMatch" in self._heads[0]

    def _ask_head(self, file: RemoteFile, extras: dict[str, Any]) -> Any:
        return self._client.head_object(Bucket=self._uri.bucket, Key=self._key(file), **extras)

    def _of_parts(self, file: RemoteFile, value: str, count: int) -> Checksum | None:
        try:
            head = self._call(partial(self._ask_head, file, {"PartNumber": 1}))
        except (Unsupported, SourceChanged):
            return None
        part = head["ContentLength"]
        # The first part tells the size of all but the last, if they were made alike.
        return Checksum("md5", value, part) if part and -(-file.size // part) == count else None

    def _follow_region(self) -> None:
        """Sign for the region that the bucket turned out to be in: what is signed for another is refused."""
        found = self._sender.region
        if found is None or found == self._region:
            return
        self._retried(
            f"bucket {self._uri.bucket} is in region {found}, not in {self._region}; set AWS_REGION"
        )
        self._region = found
        self._client = self._new_client()

    def _new_client(self) -> S3Client:
        return self._call(
            lambda: s3_client.new_client(
                self._environment, region_name=self._region, anonymous=self._anonymous, sender=self._sender
            )
        )

    def _call(self, call: Callable[[], T]) -> T:
        def attempt() -> T:
            try:
                return limited(lambda: self._translated(call), self._limit_seconds)
            except TimeoutError as error:
                raise Transient(f"no answer from {self._where}", stalled=True) from error

        what = f"bucket {self._uri.bucket} can't be read"
        return retrying(what, attempt, self._policy, self._retried, self._wait)

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise FetchError(FetchReason.INTERRUPTED, "asked to stop")

    def _translated(self, call: Callable[[], T]) -> T:
        from botocore import exceptions, parsers  # noqa: PLC0415 - a third of a second to import

        try:
            return call()
        except exceptions.ClientError as error:
            raise answered(
                error, bucket=self._uri.bucket, where=self._where, refusal=self.refusal(code_of(error))
            ) from error
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            raise FetchError(
                FetchReason.AUTHENTICATION_FAILED,
                f"there are no credentials for bucket {self._uri.bucket}; set {_CREDENTIALS}, or"
                " awsAnonymousCredential=true for a public bucket",
            ) from error
        except (exceptions.CredentialRetrievalError, exceptions.MetadataRetrievalError) as error:
            raise Transient(
                f"no credentials can be had from the container's or instance's role ({error})"
            ) from error
        except exceptions.HTTPClientError as error:
            raise Transient(f"can't reach {self._where} ({error})") from error
        except exceptions.ParamValidationError as error:
            raise UserError(f"s3://{self._uri.bucket}/{self._uri.prefix}: {error}") from error
        except exceptions.BotoCoreError as error:
            raise FetchError(FetchReason.DOWNLOAD_FAILED, f"S3: {error}") from error
        except (parsers.ResponseParserError, RecursionError, KeyError, TypeError, ValueError) as error:
            raise unreadable(self._where) from error


def _with_names(objects: Iterable[RemoteFile]) -> tuple[list[RemoteFile], tuple[LeftOut, ...]]:
    """Divide objects into those that can be files beside each other, and the rest, which is said.

    In a bucket `a`, `a/b` and `a//b` are three names like any other.
    """
    found = list(objects)
    named = [file for file in found if _NO_NAMES.isdisjoint(file.path.split("/"))]
    folders: set[str] = set()
    for file in named:
        parent = file.path.rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    kept = [file for file in named if file.path not in folders]
    files = len(found) - len(kept)
    size = sum(file.size for file in found) - sum(file.size for file in kept)
    return kept, (LeftOut(pattern=NO_NAMES, files=files, total_bytes=size),) if files else ()
