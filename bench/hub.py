"""A hub behind nginx: what is measured is then never the server, whose part in Python answers listings only.

Small files come from the hub's own address, large ones by a redirect from another (the CDN), as at the real
one; both over HTTP and over TLS, with a certificate of a CA made for the run.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from msgspec import Struct

from bench.report import REPOSITORY
from tests.support.hub_models import HubFile, Models

LFS_BYTES = 1024 * 1024
_CONFIG = """\
daemon off;
{user}worker_processes 2;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  etag off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  types {{ }}
  default_type application/octet-stream;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  map_hash_max_size 262144;
  map_hash_bucket_size 256;
  ssl_certificate {root}/server.pem;
  ssl_certificate_key {root}/server.pem;
  map $file $etag {{ default ""; include {root}/etags; }}
  map $file $moved {{ default ""; include {root}/moved; }}
{servers}}}
"""
_SERVER = """\
  server {{
    listen 127.0.0.1:{port}{tls};
    location /api/ {{
      proxy_pass {listings};
      proxy_set_header Host $http_host;
    }}
    location ~ ^/(?<model>[^/]+/[^/]+)/resolve/(?<commit>[^/]+)/(?<name>.+)$ {{
      set $file $model/$name;
      add_header X-Repo-Commit $commit always;
      add_header ETag $etag always;
      if ($moved) {{ return 302 {scheme}://localhost:{cdn}/cdn/$file; }}
      alias {models}/$file;
    }}
  }}
  server {{
    listen 127.0.0.1:{cdn}{tls};
    location ~ ^/cdn/(?<file>.+)$ {{
      add_header ETag $etag always;
      alias {models}/$file;
    }}
  }}
"""


class Hub(Struct, frozen=True, kw_only=True):
    """Its addresses, the file with the CA's certificate, and the commit of each model."""

    url: str
    secure_url: str
    ca: Path
    commits: dict[str, str]


@contextmanager
def hub(root: Path) -> Iterator[Hub]:
    """Serve the models below root/models; its own files are in root/server."""
    if shutil.which("nginx") is None:
        raise SystemExit("nginx is missing: apt-get install nginx-light")
    state, models = root / "server", root / "models"
    state.mkdir()
    ca = trustme.CA()
    ca.cert_pem.write_to_path(state / "ca.pem")
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(state / "server.pem")
    commits = _described(models, state)
    python = subprocess.Popen(
        [sys.executable, "-m", "tests.support.hub_server", "--root", str(models)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        assert python.stdout is not None
        listings = json.loads(python.stdout.readline())["url"]
        with _nginx(state, models, listings) as (plain, secure):
            yield Hub(
                url=f"http://localhost:{plain}",
                secure_url=f"https://localhost:{secure}",
                ca=state / "ca.pem",
                commits=commits,
            )
    finally:
        python.terminate()
        python.wait()


def _described(models: Path, state: Path) -> dict[str, str]:
    """Write what nginx looks up for each file; the commit of each model."""
    known, commits = Models(models, LFS_BYTES), {}
    files: list[tuple[str, HubFile]] = []
    for folder in sorted(models.glob("*/*")):
        model = folder.relative_to(models).as_posix()
        commit = known.commit(model, "main")
        assert commit is not None
        commits[model] = commit
        files += [(f"{model}/{file.path}", file) for file in known.files(model, commit)]
    (state / "etags").write_text("".join(f"{path} '\"{file.etag}\"';\n" for path, file in files))
    (state / "moved").write_text("".join(f"{path} 1;\n" for path, file in files if file.sha256))
    return commits


@contextmanager
def _nginx(state: Path, models: Path, listings: str) -> Iterator[tuple[int, int]]:
    """The ports of the hub over HTTP and over TLS."""
    ports = _free_ports(4)
    servers = "".join(
        _SERVER.format(port=port, cdn=cdn, tls=tls, scheme=scheme, models=models, listings=listings)
        for port, cdn, tls, scheme in ((*ports[:2], "", "http"), (*ports[2:], " ssl", "https"))
    )
    # Started by root it would serve as a user who may not read the models.
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = state / "nginx.conf"
    config.write_text(_CONFIG.format(root=state, user=user, servers=servers))
    nginx = subprocess.Popen(["nginx", "-p", str(state), "-e", str(state / "error.log"), "-c", str(config)])
    try:
        for port in ports:
            _wait_for(port, nginx)
        yield ports[0], ports[2]
    finally:
        nginx.terminate()
        nginx.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 10
    while True:
        assert process.poll() is None, "nginx ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < until, "nginx does not answer"
            time.sleep(0.05)
        else:
            return


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports
