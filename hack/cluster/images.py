"""Makes container images without a registry, a builder or a base image: busybox and a script.

All images share two layers and differ in their configuration only, so one docker archive of 2 MB holds
them all. `ctr images import` loads it.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import posixpath
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import CannotError

STAND_IN = Path(__file__).parent / "standin" / "model.sh"
PAUSE_IMAGE = "local/pause:1"
# KServe's own tag here is `latest`, which would be pulled each time.
STORAGE_INITIALIZER_IMAGE = "kserve/storage-initializer:v0.20.0"
APPLETS = (
    "[", "basename", "cat", "chmod", "cp", "date", "dd", "df", "du", "echo", "env", "expr", "false", "find",
    "grep", "head", "hostname", "httpd", "id", "kill", "ln", "ls", "md5sum", "mkdir", "mount", "mv", "nc",
    "printf", "ps", "pwd", "readlink", "rm", "sed", "sh", "sha256sum", "sleep", "stat", "sync", "tail", "tar",
    "test", "touch", "tr", "true", "truncate", "wc", "wget", "xargs", "yes",
)  # fmt: skip
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# A layer's content: a file with its mode, a directory's mode, or a link's target.
Entry = tuple[bytes, int] | int | str


@dataclass(frozen=True, slots=True)
class Image:
    """An image over the shared layers."""

    reference: str
    entrypoint: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""


MODEL = ("/bin/sh", "/aim/model.sh")
IMAGES = (
    # Ends at once on SIGTERM: `sleep` as PID 1 would make every Pod take 30 s to go.
    Image(PAUSE_IMAGE, ("/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done")),
    Image("ghcr.io/example/llama-3.1-8b-instruct:v1.2.0", MODEL),
    Image("ghcr.io/ml-team/llama-3.1-8b-instruct:dev-latest", MODEL),
    Image("ghcr.io/example/broken:v1", MODEL, ("AIM_STAND_IN=broken",)),
    Image("ghcr.io/example/garbage:v1", MODEL, ("AIM_STAND_IN=garbage",)),
    Image("ghcr.io/example/slow:v1", MODEL, ("AIM_STAND_IN=slow",)),
    # The real one downloads SOURCE DIRECTORY …; nothing reads what it would have downloaded.
    Image(
        STORAGE_INITIALIZER_IMAGE, ("/bin/sh", "-c", 'mkdir -p "$2" && echo "stand-in for $1"', "initialize")
    ),
)


def write_archive(path: Path, images: tuple[Image, ...] = IMAGES, busybox: Path | None = None) -> None:
    """Writes a docker archive of the images. The same inputs give the same bytes."""
    shell = busybox or _static_busybox()
    base: dict[str, Entry] = {"bin/busybox": (shell.read_bytes(), 0o755), "tmp": 0o1777}
    base |= {f"bin/{applet}": "busybox" for applet in APPLETS}
    # For programs that look up their own user: the one that discovery Jobs run as.
    base["etc/passwd"] = (b"root:x:0:0::/:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/sh\n", 0o644)
    layers = [_layer(base), _layer({"aim/model.sh": (STAND_IN.read_bytes(), 0o755)})]
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    files: dict[str, Entry] = {
        f"{digest}/layer.tar": (layer, 0o644) for digest, layer in zip(digests, layers, strict=True)
    }
    manifest = []
    for image in images:
        config = _config(image, digests)
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        files[name] = (config, 0o644)
        paths = [f"{digest}/layer.tar" for digest in digests]
        manifest.append({"Config": name, "RepoTags": [image.reference], "Layers": paths})
    files["manifest.json"] = (json.dumps(manifest).encode(), 0o644)
    path.write_bytes(_layer(files))


def _config(image: Image, layer_digests: list[str]) -> bytes:
    machine = platform.machine()
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "Entrypoint": list(image.entrypoint),
            "Env": ["PATH=/bin", *image.env],
            "User": image.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in layer_digests]},
        "history": [{"created_by": "hack.cluster.images"} for _ in layer_digests],
    }
    return json.dumps(config, sort_keys=True).encode()


def _layer(entries: dict[str, Entry]) -> bytes:
    """A tar file, parent directories included: containerd does not make them up."""
    parents = {parent for path in entries for parent in _parents(path)}
    complete: dict[str, Entry] = dict.fromkeys(parents, 0o755) | entries
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(complete):
            entry = complete[path]
            member = tarfile.TarInfo(path)
            match entry:
                case int():
                    member.type, member.mode = tarfile.DIRTYPE, entry
                    archive.addfile(member)
                case str():
                    member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry, 0o777
                    archive.addfile(member)
                case (content, mode):
                    member.size, member.mode = len(content), mode
                    archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _parents(path: str) -> list[str]:
    parent = posixpath.dirname(path)
    return [*_parents(parent), parent] if parent else []


def _static_busybox() -> Path:
    found = shutil.which("busybox")
    if found is None:
        raise CannotError("no busybox for the stand-in images", "Run `apt-get install busybox-static`.")
    return Path(found)
