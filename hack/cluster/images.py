"""Makes container images without a registry, a builder or a base image: busybox, and Python for the models.

Model images are the stand-in of aim_operator.sandbox.aim_image. All of them share their layers and differ in
their configuration only, so one docker archive of 30 MB holds them all. `ctr images import` loads it.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import posixpath
import shutil
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import python_layer
from hack.cluster.cache import cache_dir, locked
from hack.cluster.errors import CannotError

PAUSE_IMAGE = "local/pause:1"
# KServe's own tag here is `latest`, which would be pulled each time.
STORAGE_INITIALIZER_IMAGE = "kserve/storage-initializer:v0.20.0"
APPLETS = (
    "[", "basename", "cat", "chmod", "cp", "date", "dd", "df", "du", "echo", "env", "expr", "false", "find",
    "grep", "head", "hostname", "httpd", "id", "kill", "ln", "ls", "md5sum", "mkdir", "mount", "mv", "nc",
    "printf", "ps", "pwd", "readlink", "rm", "sed", "sh", "sha256sum", "sleep", "stat", "sync", "tail", "tar",
    "test", "touch", "tr", "true", "truncate", "wc", "wget", "xargs", "yes",
)  # fmt: skip
MODEL = (python_layer.INTERPRETER, "-S", "-u", "-m", "aim_image")
"""Without `site`, which would look for packages that are not there."""
LAYERS_KEPT = 3
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

WORKSPACE = "/workspace"
_REPOSITORY = Path(__file__).parents[2]
_EXAMPLES = _REPOSITORY / "examples"
PROGRAM = _REPOSITORY / "src" / "aim_operator" / "sandbox" / "aim_image"

# A layer's content: a file with its mode, a directory's mode, or a link's target.
Entry = tuple[bytes, int] | int | str


@dataclass(frozen=True, slots=True)
class Image:
    """An image over the shared layers; without an entry point it is a model image."""

    reference: str
    entrypoint: tuple[str, ...] = ()
    env: tuple[str, ...] = ()

    @property
    def is_model(self) -> bool:
        return not self.entrypoint


EXAMPLE_IMAGE = "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0"


def _models() -> Iterator[Image]:
    """The images of the examples, as their profiles describe them, and those for tests."""
    described: dict[str, dict[str, str]] = {}
    for path in sorted(_EXAMPLES.glob("*/profiles/*.json")):
        file = json.loads(path.read_text())
        described |= dict.fromkeys(file["images"], file["env"])
    for behaviour in ("broken", "garbage", "slow"):
        described[f"ghcr.io/example/{behaviour}:v1"] = described[EXAMPLE_IMAGE] | {"AIM_STAND_IN": behaviour}
    described["ghcr.io/example/before-0.8:v1"] = {"AIM_STAND_IN": "old"}
    described["ghcr.io/example/base:v1"] = {}
    described["ghcr.io/example/cpu:v1"] = {"AIM_ID": "stand-in/cpu-model"}
    for reference, env in described.items():
        # No hub is asked, so that sizes are known and nothing is fetched, unless HF_ENDPOINT names one.
        variables = {"AIM_STAND_IN_HUB": "simulated"} | env
        yield Image(reference, env=tuple(f"{name}={value}" for name, value in variables.items()))


IMAGES = (
    # Ends at once on SIGTERM: `sleep` as PID 1 would make every Pod take 30 s to go.
    Image(PAUSE_IMAGE, ("/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done")),
    *_models(),
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
    shared = [_layer(base)]
    model = [*shared, _python_layer()]
    names = {layer: hashlib.sha256(layer).hexdigest() for layer in model}
    files: dict[str, Entry] = {f"{digest}/layer.tar": (layer, 0o644) for layer, digest in names.items()}
    manifest = []
    for image in images:
        digests = [names[layer] for layer in (model if image.is_model else shared)]
        config = _config(image, digests)
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        files[name] = (config, 0o644)
        paths = [f"{digest}/layer.tar" for digest in digests]
        manifest.append({"Config": name, "RepoTags": [image.reference], "Layers": paths})
    files["manifest.json"] = (json.dumps(manifest).encode(), 0o644)
    path.write_bytes(_layer(files))


def _python_layer() -> bytes:
    """The stand-in, and this machine's Python as far as it needs that; made once for what it is made of."""
    sources = [*sorted(PROGRAM.glob("*.py")), Path(__file__), Path(python_layer.__file__)]
    made_of = [sys.version, python_layer.INTERPRETER, *(path.read_text() for path in sources)]
    digest = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]
    directory = cache_dir() / "stand-in-images"
    directory.mkdir(exist_ok=True)
    cached = directory / f"{digest}.tar"
    with locked("stand-in images"):
        if not cached.exists():
            entries: dict[str, Entry] = dict(python_layer.python_files(PROGRAM))
            for path in sorted(PROGRAM.glob("*.py")):
                entries |= python_layer.source_files(f"{WORKSPACE}/{PROGRAM.name}/{path.name}"[1:], path)
            entries[f"{WORKSPACE[1:]}/model-cache"] = 0o755
            partial = directory / "partial"
            partial.write_bytes(_layer(entries))
            partial.rename(cached)
            for old in sorted(directory.glob("*.tar"), key=lambda path: path.stat().st_mtime)[:-LAYERS_KEPT]:
                old.unlink()
        cached.touch()
        return cached.read_bytes()


def _config(image: Image, layer_digests: list[str]) -> bytes:
    machine = platform.machine()
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "Entrypoint": list(image.entrypoint or MODEL),
            "Env": ["PATH=/bin", f"PYTHONPATH={WORKSPACE}", *image.env],
            "WorkingDir": WORKSPACE if image.is_model else "/",
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
