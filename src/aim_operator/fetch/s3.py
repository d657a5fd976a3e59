"""Models in buckets of S3 and of what speaks its protocol.

boto3 lists, authenticates and signs; it is imported here alone.
Every range is asked for by a URL that boto3 signs just then (0.4 ms, no request), good for fifteen minutes:
it can't have expired, and credentials that rotate are always the current ones.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch import listing
from aim_operator.fetch.listing import Checksum, Listing, RemoteFile, Request, SourceChanged
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.retrying import Policy, Transient, retrying
from aim_operator.fetch.source_uri import S3Uri
from aim_operator.fetch.threads import limited

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_s3 import S3Client

T = TypeVar("T")

_SIGNED_SECONDS = 900
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_OF_PARTS = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,4})", re.ASCII)
_TRUE = ("1", "true", "yes")
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


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
        self._policy = policy
        self._limit_seconds = limit_seconds
        self._retried = retried
        self._anonymous = environment.get("awsAnonymousCredential", "").lower() in _TRUE
        self._client = self._new_client(environment)
        self._folder = uri.prefix if not uri.prefix or uri.prefix.endswith("/") else f"{uri.prefix}/"

    def close(self) -> None:
        """Nothing of it is open between calls, each of which has its limit."""

    def list(self, pinned: str | None) -> Listing:
        """What is there now: S3 has no commits to go back to."""
        del pinned
        files = self._call(lambda: listing.check(self._objects()))
        if not files:
            raise FetchError(
                FetchReason.SOURCE_NOT_FOUND,
                f"bucket {self._uri.bucket} has no objects below {self._folder!r}; check the URI",
            )
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.path}\0{file.size}\0{file.etag}\n".encode())
        return Listing(revision=f"sha256:{digest.hexdigest()}", files=files)

    def request(self, file: RemoteFile) -> Request:
        def sign() -> str:
            return self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._uri.bucket, "Key": self._key(file)},
                ExpiresIn=_SIGNED_SECONDS,
            )

        url = self._call(sign)
        return Request(url=url, headers={"If-Match": f'"{file.etag}"'})

    def checksum(self, file: RemoteFile) -> Checksum | None:
        """SHA-256 where the object has one; else what its ETag tells: of all, or of parts of known size."""
        return self._call(lambda: self._checksum(file))

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

    _in_folder = True

    def _objects(self) -> Iterator[RemoteFile]:
        """Objects below the prefix as a folder; else the one object of just that key."""
        self._in_folder = True
        any_found = False
        for key, size, etag in self._pages(self._folder):
            any_found = True
            path = key.removeprefix(self._folder)
            # Consoles make empty objects to show folders.
            if path and not (path.endswith("/") and size == 0):
                yield RemoteFile(path=path, size=size, etag=etag)
        if any_found or not self._uri.prefix or self._uri.prefix.endswith("/"):
            return
        for key, size, etag in self._pages(self._uri.prefix):
            if key == self._uri.prefix:
                self._in_folder = False
                yield RemoteFile(path=key.rpartition("/")[2], size=size, etag=etag)
            return

    def _pages(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        paginator = self._client.get_paginator("list_objects_v2")
        for page in paginator.paginate(Bucket=self._uri.bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                yield entry["Key"], entry["Size"], entry["ETag"].strip('"')

    def _checksum(self, file: RemoteFile) -> Checksum | None:
        key = self._key(file)
        head = self._client.head_object(Bucket=self._uri.bucket, Key=key, ChecksumMode="ENABLED")
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
        if parts is None:
            return None
        part = self._client.head_object(Bucket=self._uri.bucket, Key=key, PartNumber=1)["ContentLength"]
        count = int(parts[2])
        # The first part tells the size of all but the last, if they were made alike.
        return Checksum("md5", parts[1], part) if part and -(-file.size // part) == count else None

    def _call(self, call: Callable[[], T]) -> T:
        def attempt() -> T:
            try:
                return limited(lambda: self._translated(call), self._limit_seconds)
            except TimeoutError as error:
                raise Transient("no answer from S3", stalled=True) from error

        return retrying(f"bucket {self._uri.bucket} can't be read", attempt, self._policy, self._retried)

    def _translated(self, call: Callable[[], T]) -> T:
        from botocore import exceptions  # noqa: PLC0415 - a second to import

        try:
            return call()
        except exceptions.ClientError as error:
            raise self._answered(error) from error
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            raise FetchError(
                FetchReason.AUTHENTICATION_FAILED,
                f"there are no credentials for bucket {self._uri.bucket}; set {_CREDENTIALS}, or"
                " awsAnonymousCredential=true for a public bucket",
            ) from error
        except (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError) as error:
            raise Transient("no answer from S3", stalled=True) from error
        except exceptions.HTTPClientError as error:
            raise Transient(f"can't reach S3 ({error})") from error
        except exceptions.ParamValidationError as error:
            raise UserError(f"s3://{self._uri.bucket}/{self._uri.prefix}: {error}") from error
        except (exceptions.BotoCoreError, KeyError) as error:
            raise FetchError(FetchReason.DOWNLOAD_FAILED, f"S3: {error}") from error

    def _answered(self, error: ClientError) -> Exception:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(error.response.get("Error", {}).get("Code", ""))[:64]
        if code == "NoSuchBucket" or (
            status == HTTPStatus.NOT_FOUND and error.operation_name == "ListObjectsV2"
        ):
            return FetchError(
                FetchReason.SOURCE_NOT_FOUND,
                f"there is no bucket {self._uri.bucket}; check the URI, AWS_REGION and AWS_ENDPOINT_URL",
            )
        if status == HTTPStatus.NOT_FOUND:
            return SourceChanged("an object is gone that was listed")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or "Token" in code:
            return FetchError(
                FetchReason.AUTHENTICATION_FAILED, f"S3 answered {status}: {self.refusal(code)}"
            )
        if status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS or code in ("SlowDown", "RequestTimeout"):
            return Transient(f"S3 answered {status} {code}".rstrip())
        return FetchError(FetchReason.DOWNLOAD_FAILED, f"S3 answered {status} {code}".rstrip())

    def _new_client(self, environment: Mapping[str, str]) -> S3Client:
        import boto3  # noqa: PLC0415 - a second to import
        import botocore  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        custom = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        virtual = environment.get("S3_USER_VIRTUAL_BUCKET", "").lower() in _TRUE
        config = Config(
            signature_version=botocore.UNSIGNED if self._anonymous else "s3v4",
            connect_timeout=min(30, self._limit_seconds),
            read_timeout=self._limit_seconds,
            retries={"total_max_attempts": 1},
            max_pool_connections=32,
            # A server of one's own seldom has a name for each bucket.
            s3={"addressing_style": "virtual" if virtual else "path" if custom else "auto"},
        )
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        try:
            # What is not given here boto3 finds where it always does: files, web identity, the instance.
            return boto3.client(
                "s3",
                region_name=region,
                endpoint_url=custom or None,
                aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID") or None,
                aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY") or None,
                aws_session_token=environment.get("AWS_SESSION_TOKEN") or None,
                config=config,
            )
        except ValueError as error:
            raise UserError(f"S3: {error}; check AWS_ENDPOINT_URL and AWS_REGION") from error
