"""Builds this checkout's container image without a registry, and loads it onto the node of an instance.

The repository's own Dockerfile is built, by Debian's buildah; only its BASE is another: Debian bookworm with
its Python, made by mmdebstrap from wherever apt gets its packages. The base and the layer of dependencies
are kept in the cache directory; what a change of the source costs is the last layer. Images of another
architecture than this machine's are for hack/foreign_image.py, which has it run their programs.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from hack.cluster.cache import cache_dir, locked
from hack.cluster.errors import CannotError, ClusterError
from hack.cluster.instance import Instance
from hack.cluster.kernel import overlay_works
from hack.cluster.node import import_images
from hack.cluster.progress import Progress

PART = "operator-image"
LOCK = "operator image"
REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "ghcr.io/silogen/aim-operator"
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
REFERENCE = f"{NAME}:{VERSION}"

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""By Debian's and OCI's name of the architecture, the kernel's."""
NATIVE = next((name for name, machine in MACHINES.items() if machine == platform.machine()), "unknown")

# What the Dockerfile copies, and itself.
SOURCES = (
    "Dockerfile", ".dockerignore",
    "pyproject.toml", "uv.lock", "README.md", "LICENSE", "src", "examples",
    "docs/reference/reasons.md",
)  # fmt: skip
SUITE = "bookworm"
BASE_PACKAGES = ("python3", "python3.11-venv", "ca-certificates")
BASE_OPTIONS = (
    "--variant=essential",
    f"--include={','.join(BASE_PACKAGES)}",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)
# The machine's own trust: the packages may come through a proxy that signs with a certificate of its own.
CERTIFICATES = Path("/etc/ssl/certs")
BUNDLE = CERTIFICATES / "ca-certificates.crt"
ARCHIVES_KEPT = 3
LOG_TAIL_LINES = 15
LOADED = "operator-image.json"


def start_operator_image(instance: Instance, progress: Progress) -> None:
    """Makes the node know REFERENCE, as this checkout is now. Does nothing if it does already."""
    if "node" not in instance.parts:
        raise ClusterError(f"{PART} needs a node to be loaded onto", f"Start both: `--parts node,{PART}`.")
    with _lock(progress):
        archive = _ensure_archive(progress)
        loaded = instance.directory / LOADED
        # Onto each node there is.
        wanted = f"{archive.name} {instance.second_network}".rstrip()
        if loaded.exists() and loaded.read_text() == wanted:
            progress.line(PART, f"{REFERENCE} is loaded already")
            return
        with progress.step(PART, f"loading {REFERENCE} onto the node", "loaded in"):
            import_images(instance, archive)
            loaded.write_text(wanted)


def ensure_archive(progress: Progress, architecture: str = NATIVE) -> Path:
    """A docker archive of the image of this checkout, built if need be."""
    with _lock(progress):
        return _ensure_archive(progress, architecture)


def reference(architecture: str) -> str:
    """The image's name in an archive; that of another architecture must not take the place of ours."""
    return REFERENCE if architecture == NATIVE else f"{REFERENCE}-{architecture}"


def run(progress: Progress, architecture: str, command: Sequence[str]) -> str:
    """What a program of the image prints, in a container that is removed again."""
    with _lock(progress):
        return _Store(architecture).run(command)


def builder(progress: Progress) -> tuple[list[str], str]:
    """How buildah is called with the store of this module, and the tag of the base in it; hold LOCK."""
    with _lock(progress):
        store = _Store(NATIVE)
        return ["buildah", *store.options], store.ensure_base(progress)


def _lock(progress: Progress) -> AbstractContextManager[int]:
    return locked(LOCK, lambda: progress.line(PART, "another process builds it, waiting"))


def _ensure_archive(progress: Progress, architecture: str = NATIVE) -> Path:
    directory = cache_dir() / "operator-images"
    directory.mkdir(exist_ok=True)
    archive = directory / f"{sources_hash(architecture=architecture)}.tar"
    if archive.exists():
        archive.touch()  # used just now: the last to be removed
        return archive
    store = _Store(architecture)
    base = store.ensure_base(progress)
    name = reference(architecture)
    with progress.step(PART, f"building {name}, first time takes half a minute", "built in"):
        partial = directory / "partial"
        partial.unlink(missing_ok=True)
        store.build(base, partial)
    partial.rename(archive)
    megabytes = archive.stat().st_size / 1_000_000
    progress.line(PART, f"{name} has {megabytes:.0f} MB, uncompressed")
    for old in sorted(directory.glob("*.tar"), key=lambda path: path.stat().st_mtime)[:-ARCHIVES_KEPT]:
        old.unlink()
    return archive


def sources_hash(repository: Path = REPOSITORY, architecture: str = NATIVE) -> str:
    """Changes with anything that goes into the image."""
    digest = hashlib.sha256(base_hash(architecture).encode())
    for path in _source_files(repository):
        digest.update(str(path.relative_to(repository)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _source_files(repository: Path) -> Iterator[Path]:
    for name in SOURCES:
        path = repository / name
        if path.is_dir():
            yield from sorted(f for f in path.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
        else:
            yield path


def base_hash(architecture: str = NATIVE) -> str:
    text = f"{MACHINES.get(architecture, architecture)} {SUITE} {BASE_OPTIONS}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class _Store:
    """Buildah's images and layers, in the cache directory and apart from those of the machine's user."""

    def __init__(self, architecture: str) -> None:
        self._architecture = architecture
        root = cache_dir() / "buildah"
        # What buildah holds mounted does not outlive a boot, and so must not its notes of it.
        run = Path("/run/aim-operator") / hashlib.sha256(str(root).encode()).hexdigest()[:12]
        driver = "overlay" if overlay_works(cache_dir()) else "vfs"
        self.options = [f"--root={root}", f"--runroot={run}", f"--storage-driver={driver}"]
        self._log = cache_dir() / "logs" / f"{PART}.log"
        self._log.parent.mkdir(exist_ok=True)
        self._log.write_text("")

    def ensure_base(self, progress: Progress) -> str:
        """The tag of the Debian base."""
        tag = f"localhost/aim-base:{base_hash(self._architecture)}"
        if self._buildah("images", "--quiet", "--filter", f"reference={tag}"):
            return tag
        archive = cache_dir() / ".building-base.tar"
        archive.unlink(missing_ok=True)
        doing = f"making a Debian {SUITE} base, first time takes one to two minutes"
        with progress.step(PART, doing, "base made in"):
            # Its scratch directory is as large as the base: /tmp may be in memory.
            env = {**os.environ, "TMPDIR": str(cache_dir())}
            try:
                options = ["--mode=root", f"--architectures={self._architecture}", *BASE_OPTIONS]
                self._run(["mmdebstrap", *options, SUITE, str(archive)], env)
            except ClusterError as error:
                raise CannotError(error.reason, "Make Debian's packages reachable and try again.") from error
            container = self._buildah("from", "scratch")
            self._buildah("config", f"--arch={self._architecture}", container)
            self._buildah("add", "--quiet", container, str(archive), "/")
            self._buildah("commit", "--quiet", "--rm", container, tag)
        archive.unlink()
        return tag

    def build(self, base: str, archive: Path) -> None:
        """Builds the Dockerfile on a base, into a docker archive."""
        options = ["--layers", "--isolation=chroot", "--pull-never", f"--build-arg=BASE={base}"]
        options += [f"--arch={self._architecture}"]
        if BUNDLE.exists():
            options += [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro", f"--build-arg=PIP_CERT={BUNDLE}"]
        # What a build that was killed left would keep pruning from its end; nobody else uses this store.
        self._buildah("rm", "--all")
        # The dependencies' stage has a name of its own, so that pruning what older builds left spares it.
        name = reference(self._architecture)
        dependencies = name.replace(NAME, "localhost/aim-dependencies").replace(VERSION, "latest")
        for extra in (["--target=dependencies", f"--tag={dependencies}"], [f"--tag={name}"]):
            self._buildah("build", *options, *extra, str(REPOSITORY))
        self._buildah("push", "--quiet", name, f"docker-archive:{archive}:{name}")
        self._buildah("rmi", "--prune")

    def run(self, command: Sequence[str]) -> str:
        container = self._buildah("from", "--pull-never", reference(self._architecture))
        try:
            return self._buildah("run", "--isolation=chroot", container, "--", *command)
        finally:
            self._buildah("rm", container)

    def _buildah(self, *arguments: str) -> str:
        return self._run(["buildah", *self.options, *arguments], dict(os.environ)).strip()

    def _run(self, argv: list[str], env: dict[str, str]) -> str:
        with self._log.open("a") as log:
            finished = subprocess.run(
                argv, env=env, stdout=subprocess.PIPE, stderr=log, text=True, check=False
            )
        if finished.returncode != 0:
            lines = [*self._log.read_text().splitlines(), *finished.stdout.splitlines()]
            tail = "\n".join(lines[-LOG_TAIL_LINES:])
            raise ClusterError(f"`{argv[0]}` failed:\n{tail}", f"The whole log is {self._log}.")
        return finished.stdout
