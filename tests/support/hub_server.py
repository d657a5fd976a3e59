"""A small Hugging Face Hub: the real huggingface_hub works against it by HF_ENDPOINT.

    python -m tests.support.hub_server --root DIR [--host 127.0.0.1] [--port 0] [--cdn-port 0] [--log FILE]
        [--token TOKEN] [--gated owner/model] [--lfs-bytes N] [--fault SPEC]…

prints one line of JSON with its addresses, {"url": …, "cdn": …}, and serves until it is stopped. Models are
folders (hub_models.py); faults are those of faults.py and hub_faults.py. It refuses what the real one does.
A fault hits the request whose path fits: /api/… for listings, /owner/model/resolve/… for files, /cdn/… for
large ones, which are on another port, signed for --sign-seconds. The log tells which bytes were sent for
which request.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from aiohttp import web

from tests.support.faults import Faults
from tests.support.http_serving import Serving
from tests.support.hub_faults import KINDS, played
from tests.support.hub_models import HubFile, Models
from tests.support.ranges import Broken, RequestLog, serve_file

PAGE = 1000


class Hub:
    """The two servers, hub and CDN, to be run on one loop."""

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cdn_port: int = 0,
        log: Path | None = None,
        token: str = "",
        gated: tuple[str, ...] = (),
        lfs_bytes: int = 1024 * 1024,
        sign_seconds: float = 3600,
        faults: Faults | None = None,
    ) -> None:
        self.models = Models(root, lfs_bytes)
        self.faults = faults or Faults()
        self.log = RequestLog(log)
        self.token = token
        self.gated = set(gated)
        self.renamed: dict[str, str] = {}
        """Old names of models, such as those without an owner."""
        self.trees = True
        self.sizes = True
        self.heads = True
        self.link_host = ""
        self.sign_seconds = sign_seconds
        self.extra_entries: list[dict[str, Any]] = []
        self.listed_sha256: dict[str, str] = {}
        self._host = host
        self._ports = (port, cdn_port)
        self._large: dict[str, HubFile] = {}
        self._servers: list[Serving] = []
        self.url = self.cdn = ""

    async def start(self) -> None:
        hub = web.Application(middlewares=[self._broken])
        hub.router.add_get("/api/models/{owner}/{model}", self._info)
        hub.router.add_get("/api/models/{owner}/{model}/revision/{revision:.+}", self._info)
        hub.router.add_get("/api/models/{owner}/{model}/tree/{revision}", self._tree)
        hub.router.add_get("/{owner}/{model}/resolve/{revision}/{path:.+}", self._resolve)
        for old in ("/api/models/{model}", "/api/models/{model}/revision/{rest:.+}"):
            hub.router.add_get(old, self._elsewhere)
        for old in ("/api/models/{model}/tree/{rest:.+}", "/{model}/resolve/{rest:.+}"):
            hub.router.add_get(old, self._elsewhere)
        cdn = web.Application(middlewares=[self._broken])
        cdn.router.add_get("/cdn/{sha256}", self._from_cdn)
        addresses = []
        for application, port in zip((hub, cdn), self._ports, strict=True):
            server = await Serving.start(application, host=self._host, port=port)
            self._servers.append(server)
            addresses.append(f"http://{self._host}:{server.port}")
        self.url, self.cdn = addresses

    async def close(self) -> None:
        for server in self._servers:
            await server.close()

    @web.middleware
    async def _broken(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            if request.method == "HEAD" and not self.heads:
                raise web.HTTPMethodNotAllowed("HEAD", ["GET"])
            if "silent" in request.path:
                await asyncio.sleep(3600)
            fault = self.faults.take(request.path, KINDS)
            if fault is None:
                answer: web.StreamResponse = await handler(request)
                return answer
            if fault.kind == "status":
                code = int(fault.number("code"))
                self.log.write(
                    self.log.add(server="fault", path=request.path, method=request.method, status=code)
                )
            return await played(fault, request, handler)
        except Broken:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from None

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        """As the real one: what was renamed is redirected, path and query."""
        old = request.match_info["model"]
        if old not in self.renamed:
            raise web.HTTPNotFound(headers={"X-Error-Code": "RepoNotFound"})
        raise web.HTTPTemporaryRedirect(request.rel_url.raw_path_qs.replace(old, self.renamed[old], 1))

    def _commit(self, request: web.Request) -> tuple[str, str]:
        repository = f"{request.match_info['owner']}/{request.match_info['model']}"
        token = request.headers.get("Authorization")
        if token is not None and token != f"Bearer {self.token}" and self.token:
            # As the real one: of a token that is none it says so, whatever is asked for.
            raise web.HTTPUnauthorized(
                headers={"X-Error-Message": "Invalid credentials in Authorization header"}
            )
        if token is None and (self.token or not self.models.exists(repository)):
            # A model that is not there and one that is private are the same to whoever has no token.
            raise web.HTTPUnauthorized(
                headers={
                    "X-Error-Code": "RepoNotFound",
                    "X-Error-Message": "Invalid username or password.",
                }
            )
        if not self.models.exists(repository):
            raise web.HTTPNotFound(
                headers={"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            )
        if repository in self.gated and "/resolve/" in request.path:
            kind = web.HTTPForbidden if token else web.HTTPUnauthorized
            raise kind(headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        commit = self.models.commit(repository, request.match_info.get("revision", "main"))
        if commit is None:
            raise web.HTTPNotFound(headers={"X-Error-Code": "RevisionNotFound"})
        return repository, commit

    async def _info(self, request: web.Request) -> web.Response:
        repository, commit = self._commit(request)
        self._logged(request)
        info: dict[str, Any] = {
            "_id": "0",
            "id": repository,
            "modelId": repository,
            "sha": commit,
            "tags": [],
        }
        if "expand" in request.query and "blobs" in request.query:
            raise web.HTTPBadRequest(text="expand and blobs exclude each other")
        if not {"sha", "siblings"}.issuperset(request.query.getall("expand", ())):
            raise web.HTTPBadRequest(text="nothing of that name can be expanded")
        if "expand" not in request.query:
            siblings = []
            for file in self.models.files(repository, commit):
                sibling: dict[str, Any] = {"rfilename": file.path}
                if "blobs" in request.query and self.sizes:
                    sibling |= {"size": file.size, "blobId": file.blob_id}
                    if file.sha256:
                        sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
                siblings.append(sibling)
            info["siblings"] = siblings
        return web.json_response(info)

    async def _tree(self, request: web.Request) -> web.Response:
        repository, commit = self._commit(request)
        self._logged(request)
        if not self.trees:
            raise web.HTTPNotFound(text="this mirror has no trees")
        for flag in ("recursive", "expand"):
            if request.query.get(flag, "false").lower() not in ("true", "false"):
                raise web.HTTPBadRequest(text=f"{flag} is true or false")
        entries: list[dict[str, Any]] = [*self.extra_entries]
        for file in self.models.files(repository, commit):
            entry: dict[str, Any] = {
                "type": "file",
                "path": file.path,
                "size": file.size,
                "oid": file.blob_id,
            }
            if file.sha256:
                sha256 = self.listed_sha256.get(file.path, file.sha256)
                entry["lfs"] = {"oid": sha256, "size": file.size, "pointerSize": 134}
            entries.append(entry)
        try:
            # Opaque to clients, and with characters that have to be encoded in an address.
            first = int(base64.b64decode(request.query.get("cursor", "MA=="), validate=True))
        except ValueError:
            raise web.HTTPBadRequest(text="this is no cursor") from None
        headers = {}
        if first + PAGE < len(entries):
            cursor = base64.b64encode(str(first + PAGE).encode()).decode()
            following = request.url.update_query(cursor=cursor)
            headers["Link"] = (
                f'<{self.link_host}{following if not self.link_host else following.path_qs}>; rel="next"'
            )
        return web.json_response(entries[first : first + PAGE], headers=headers)

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        repository, commit = self._commit(request)
        file = self.models.file(repository, commit, request.match_info["path"])
        if file is None:
            raise web.HTTPNotFound(headers={"X-Error-Code": "EntryNotFound"})
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(file.size),
            "X-Linked-Etag": f'"{file.etag}"',
            "ETag": f'"{file.etag}"',
            "Content-Type": file.content_type,
        }
        if file.sha256 is None:
            fault = None if request.method == "HEAD" else self.faults.take(request.path)
            return await serve_file(request, file.where, file.size, headers, self.log, "hub", fault)
        self._logged(request)
        self._large[file.sha256] = file
        expires = time.time() + self.sign_seconds
        location = (
            f"{self.cdn}/cdn/{file.sha256}?name={quote(file.path)}&Expires={expires}&Signature=very-secret"
        )
        return web.Response(status=302, headers={**headers, "Location": location})

    async def _from_cdn(self, request: web.Request) -> web.StreamResponse:
        file = self._large.get(request.match_info["sha256"])
        if "Authorization" in request.headers:
            raise web.HTTPBadRequest(text="credentials of the hub were sent to the CDN")
        if file is None or request.query.get("Signature") != "very-secret":
            raise web.HTTPNotFound
        if float(request.query["Expires"]) < time.time():
            raise web.HTTPForbidden(text="expired")
        fault = None if request.method == "HEAD" else self.faults.take(f"/cdn/{file.path}")
        headers = {"ETag": f'"{file.sha256}"', "Content-Type": file.content_type}
        return await serve_file(request, file.where, file.size, headers, self.log, "cdn", fault)

    def _logged(self, request: web.Request) -> None:
        self.log.write(self.log.add(server="hub", method=request.method, path=request.path, status=200))


class HubThread:
    """A hub in a thread of this process: `with HubThread(root) as hub`."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.hub = Hub(root, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.hub.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.hub.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _serve(hub: Hub) -> None:
    await hub.start()
    sys.stdout.write(json.dumps({"url": hub.url, "cdn": hub.cdn}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.hub_server", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cdn-port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--token", default="")
    parser.add_argument("--gated", action="append", default=[])
    parser.add_argument("--lfs-bytes", type=int, default=1024 * 1024)
    parser.add_argument("--sign-seconds", type=float, default=3600)
    parser.add_argument("--fault", action="append", default=[])
    chosen = parser.parse_args()
    hub = Hub(
        chosen.root,
        host=chosen.host,
        port=chosen.port,
        cdn_port=chosen.cdn_port,
        log=chosen.log,
        token=chosen.token,
        gated=tuple(chosen.gated),
        lfs_bytes=chosen.lfs_bytes,
        sign_seconds=chosen.sign_seconds,
        faults=Faults(*chosen.fault),
    )
    asyncio.run(_serve(hub))


if __name__ == "__main__":
    main()
