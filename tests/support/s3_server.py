"""An S3 to test against: moto's server, which the real boto3 works with, behind a proxy that plays faults.

`with S3Server() as s3`: `s3.url` is the endpoint, `s3.client()` a boto3 client to fill it, `s3.faults` as in
faults.py (kinds status, silent, drop, stall, corrupt, no-range, repacked), `s3.log` what was sent.
The proxy passes requests on as they are. moto takes whatever comes, so the proxy refuses what stores refuse:
what is signed wrongly, for another region, with another token, or too late; and what is in `s3.refuses`, for
stores that know less of S3: names of headers, of parameters and of methods, each with the status of the
refusal.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import boto3
from aiohttp import web
from botocore.config import Config

from hack.cluster.ports import pick_ports
from tests.support.faults import Fault, Faults
from tests.support.http_serving import Serving
from tests.support.ranges import RequestLog
from tests.support.s3_signatures import Refusal, refusal

if TYPE_CHECKING:
    from types import TracebackType

    import trustme
    from types_boto3_s3 import S3Client

KEY = "AKIATESTTESTTESTTEST"
REGION = "eu-central-1"
SECRET = "very/secret/very/secret/very/secret"
_START_SECONDS = 60


class S3Server:
    """Starts on entering, and stops on leaving."""

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        self.faults = Faults()
        self.log = RequestLog()
        self.denied = False
        self.headers: dict[str, str] = {}
        """More headers of every answer about an object."""
        self.refuses: dict[str, int] = {}
        self.region = REGION
        self.token: str | None = None
        """Of the credentials, where they have one."""
        self.public = False
        self.transcodes = False
        """Whether what is stored as gzip is unpacked for whoever takes none, as Google's store does."""
        self.identities: dict[str, str] = {}
        """Tokens of service accounts, and the role that STS gives each."""
        self.listed: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        """What answers listings, in place of moto."""
        self._certificate = certificate
        self._moto_port = pick_ports(["moto"])["moto"]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
        }

    def client(self) -> S3Client:
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._moto_port}",
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(request_checksum_calculation="when_required"),
        )

    def __enter__(self) -> Self:
        self._moto = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._moto_port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._moto.kill()
        self._moto.wait()

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                async with self._session.get(f"http://127.0.0.1:{self._moto_port}/moto-api/"):
                    break
            except aiohttp.ClientConnectionError:
                assert time.monotonic() < deadline, "moto did not start"
                await asyncio.sleep(0.1)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        tls = None
        if self._certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._certificate.configure_cert(tls)
        self._server = await Serving.start(application, tls=tls)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.port}"

    def as_new(self) -> None:
        """Forget faults, refusals and the like: the next test has a store that knows everything."""
        self.faults.clear()
        self.headers.clear()
        self.refuses.clear()
        self.identities.clear()
        self.denied = self.public = self.transcodes = False
        self.region, self.token, self.listed = REGION, None, None

    def _refusal(self, request: web.Request) -> web.Response | None:
        """The answer to what this store does not take; None where it does."""
        problem: Refusal | None = Refusal(HTTPStatus.FORBIDDEN, "AccessDenied")
        if self.public and not {"Authorization", "X-Amz-Signature"} & {*request.headers, *request.query}:
            problem = None
        elif not self.denied:
            problem = refusal(
                request.method,
                request.raw_path,
                request.headers,
                key=KEY,
                secret=SECRET,
                token=self.token,
                region=self.region,
            )
        if problem is not None:
            self.log.add(server="refusal", path=request.path, status=problem.status, code=problem.code)
            return _error(problem.status, problem.code, problem.more, request.method)
        for name, status in self.refuses.items():
            if name in request.headers or name in request.query or name == request.method:
                self.log.add(server="refusal", path=request.path, status=status, code=name)
                return _error(
                    status, "NotImplemented" if status == 501 else "InvalidArgument", "", request.method
                )
        return None

    async def _close(self) -> None:
        await self._server.close()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and request.path == "/":
            return await self._role(request)
        refused = self._refusal(request)
        if refused is not None:
            return refused
        fault = self.faults.take(request.path)
        kind = fault.kind if fault else ""
        if fault and kind == "status":
            self.log.add(server="fault", path=request.path, status=int(fault.number("code")))
            return _error(int(fault.number("code")), fault.values.get("code_name", "Fault"))
        if fault and kind == "redirect":
            return web.Response(status=307, headers={"Location": fault.values["to"]})
        if kind == "silent":
            await asyncio.sleep(3600)
        if self.listed is not None and request.method == "GET" and request.path.strip("/").count("/") == 0:
            return await self.listed(request)
        headers = request.headers.copy()
        if self.public:
            # moto reads an unsigned request as anybody's, and no object here has a list of who may read it.
            headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={KEY}/20200101/{REGION}/s3/aws4_request"
        if kind == "no-range":
            headers.popall("Range", None)
        async with self._session.request(
            request.method,
            f"http://127.0.0.1:{self._moto_port}{request.raw_path}",
            headers=headers,
            data=await request.read(),
        ) as answer:
            body = await answer.read()
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    response.headers.add(name, value)
            response.headers.update(self.headers)
            response.content_length = int(answer.headers.get("Content-Length", len(body)))
        return await self._answered(request, response, body, fault)

    async def _unpacked(
        self, request: web.Request, response: web.StreamResponse, body: bytes
    ) -> web.StreamResponse:
        """All of it, whatever range was asked for, without a length."""
        for name in ("Content-Encoding", "Content-Range", "Content-Length"):
            response.headers.popall(name, None)
        response.content_length = None
        response.set_status(HTTPStatus.OK)
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.method != "HEAD":
            await response.write(gzip.decompress(body))
        await response.write_eof()
        return response

    async def _role(self, request: web.Request) -> web.StreamResponse:
        """STS: the credentials of a role, for the token of a service account."""
        form = await request.post()
        token, role = form.get("WebIdentityToken"), form.get("RoleArn")
        self.log.add(server="sts", path="/", status=0, action=form.get("Action"))
        if not isinstance(token, str) or self.identities.get(token) != role:
            text = (
                "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code></Error></ErrorResponse>"
            )
            return web.Response(status=403, text=text, content_type="text/xml")
        text = (
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{KEY}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
            f"<SessionToken>{self.token}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
        return web.Response(text=text, content_type="text/xml")

    async def _answered(
        self, request: web.Request, response: web.StreamResponse, body: bytes, fault: Fault | None
    ) -> web.StreamResponse:
        kind = fault.kind if fault else ""
        if self.transcodes and response.headers.get("Content-Encoding") == "gzip":
            response.headers["x-goog-stored-content-encoding"] = "gzip"
            if "gzip" not in request.headers.get("Accept-Encoding", ""):
                return await self._unpacked(request, response, body)
        if kind == "repacked":
            body = gzip.compress(body)
            response.headers["Content-Encoding"] = "gzip"
            response.headers.popall("Content-Range", None)
            response.set_status(HTTPStatus.OK)
            response.content_length = len(body)
        if kind == "corrupt" and body:
            body = bytes([body[0] ^ 0xFF]) + body[1:]
        after = int(fault.number("after")) if fault and kind in ("drop", "stall") else len(body)
        entry = self.log.add(
            path=request.path,
            method=request.method,
            status=response.status,
            query=dict(request.query),
            sent=0,
        )
        entry["range"] = request.headers.get("Range", "")
        await response.prepare(request)
        if request.method != "HEAD":
            await response.write(body[:after])
            entry["sent"] = len(body[:after])
        if kind == "stall":
            await asyncio.sleep(3600)
        if kind == "drop" and request.transport is not None:
            request.transport.abort()
            return response
        await response.write_eof()
        return response


def _error(status: int, code: str, more: str = "", method: str = "GET") -> web.Response:
    """As S3: an answer to HEAD has no body, so that not even the code is known."""
    text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>said by a test</Message>{more}</Error>'
    return web.Response(status=status, text="" if method == "HEAD" else text, content_type="application/xml")


def put_in_parts(client: S3Client, bucket: str, key: str, content: bytes, part_bytes: int) -> str:
    """A multipart upload; its ETag."""
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts: list[Any] = []
    for number, start in enumerate(range(0, len(content), part_bytes), 1):
        part = client.upload_part(
            Bucket=bucket,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            Body=content[start : start + part_bytes],
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    done = client.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    return str(json.loads(done["ETag"]) if done["ETag"].startswith('"') else done["ETag"])
