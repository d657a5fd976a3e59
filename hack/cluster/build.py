"""Owns building components and keeping them in the cache directory.

A component is either there whole or not at all: it is built aside and renamed. Two processes never build
the same one at once: the second says that it waits, and then finds the result. build_all.py builds several.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from hack.cluster.api import Manifest
from hack.cluster.cache import cache_dir, locked
from hack.cluster.commands import Commands
from hack.cluster.components import (
    CONTROL_PLANE,
    Component,
    LocalProgram,
    ModuleManifests,
    ModuleProgram,
    inputs_hash,
)
from hack.cluster.errors import CannotError, ClusterError
from hack.cluster.progress import Progress
from hack.cluster.toolchain import ensure_go, go_environment

LOG_TAIL_LINES = 15
# How Go says that the module proxy did not answer.
UNREACHABLE = (
    "dial tcp",
    "lookup ",
    "i/o timeout",
    "TLS handshake",
    "module lookup disabled",
    "proxyconnect",
)


def directory_of(component: Component) -> Path:
    return cache_dir() / f"{component.name}-{component.version}-{inputs_hash(component)}"


def is_built(component: Component) -> bool:
    return directory_of(component).is_dir()


def program(component: Component) -> str:
    """The path of a built component's program."""
    return str(directory_of(component) / component.name)


def ensure(component: Component, progress: Progress, commands: Commands | None = None) -> Path:
    """The component's directory, built first if need be, with `commands`, which may end it early."""
    target = directory_of(component)
    if target.is_dir():
        return target
    if isinstance(component, ModuleManifests):
        ensure(CONTROL_PLANE, progress)  # it converts YAML to JSON

    def say_waiting() -> None:
        progress.line(component.name, "another process builds it, waiting for that")

    with locked(target, say_waiting) as lock:
        if target.is_dir():
            return target
        go = ensure_go(progress)
        # One name, so that what a killed build left behind is found and removed by the next.
        partial = cache_dir() / f".building-{component.name}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        source = "from Go modules" if not isinstance(component, ModuleManifests) else "from its Go module"
        doing = f"building {component.title} {source}, first time takes {component.expected}"
        with progress.step(component.name, doing, f"{component.title} built in"):
            _Builder(go, partial, commands or Commands(), lock).build(component)
        shutil.rmtree(partial / "work", ignore_errors=True)
        partial.rename(target)
    return target


class _Builder:
    """Builds one component into one directory."""

    def __init__(self, go: Path, output: Path, commands: Commands, lock: int) -> None:
        self._go = go
        self._output = output
        self._commands = commands
        self._lock = lock
        self._log = cache_dir() / "logs" / f"build{output.name.removeprefix('.building')}.log"
        self._log.parent.mkdir(exist_ok=True)
        self._log.write_text("")

    def build(self, component: Component) -> None:
        match component:
            case LocalProgram():
                # Copied, because `go build` may write go.sum beside the sources.
                work = self._copy(component.sources)
                self._compile(work, ".", component.name, component.ldflags)
            case ModuleProgram():
                work = self._copy(self._download(component.module))
                self._compile(work, component.package, component.name, component.ldflags)
            case ModuleManifests():
                self._convert(self._download(component.module), component)

    def _copy(self, source: Path) -> Path:
        work = self._output / "work"
        # The module cache is read-only, and `copytree` would keep that.
        shutil.copytree(source, work, copy_function=shutil.copyfile, symlinks=True)
        for directory in (work, *work.rglob("*/")):
            if directory.is_dir() and not directory.is_symlink():
                directory.chmod(0o755)
        return work

    def _compile(self, work: Path, package: str, name: str, ldflags: str) -> None:
        output = self._output / name
        self._run(
            work,
            str(self._go), "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", str(output),
            package,
        )  # fmt: skip

    def _download(self, module: str) -> Path:
        # `go mod download` outside of any module needs no go.mod of ours.
        answer = self._run(self._output, str(self._go), "mod", "download", "-json", module)
        return Path(json.loads(answer)["Dir"])

    def _convert(self, source: Path, component: ModuleManifests) -> None:
        for name, globs in component.files:
            manifests: dict[str, object] = {}
            for path in (path for glob in globs for path in sorted(source.glob(glob))):
                for manifest in yaml_to_json(without_helm_actions(path.read_text())):
                    # A file that Helm only includes and its template would be the same object twice.
                    manifests[f"{manifest['kind']}/{manifest['metadata']['name']}"] = manifest
            text = json.dumps(list(manifests.values()))
            (self._output / f"{name}.json").write_text(text)

    def _run(self, work: Path, *argv: str) -> str:
        with self._log.open("a") as log:
            finished = self._commands.run(
                argv, directory=work, environment=go_environment(), errors=log, held=self._lock
            )
        if finished.code != 0:
            tail = "\n".join(self._log.read_text().splitlines()[-LOG_TAIL_LINES:]) + finished.output[-2000:]
            reason = f"`go {' '.join(argv[1:3])}` failed:\n{tail}"
            if any(sign in tail for sign in UNREACHABLE):
                raise CannotError(reason, "Go modules come from GOPROXY: make it reachable and try again.")
            raise ClusterError(reason, f"The whole log is {self._log}.")
        return finished.output


def without_helm_actions(text: str) -> str:
    """Chart templates without their `{{ … }}` lines: what remains is the plain manifest."""
    return re.sub(r"^\s*\{\{.*\}\}\s*$", "", text, flags=re.MULTILINE)


def yaml_to_json(text: str) -> list[Manifest]:
    """YAML documents as Python values, without a YAML library: the control-plane binary knows how."""
    finished = subprocess.run(
        [program(CONTROL_PLANE), "yaml-to-json"], input=text, capture_output=True, text=True, check=False
    )
    if finished.returncode != 0:
        raise ClusterError(f"not valid YAML: {finished.stderr.strip()}")
    documents: list[Manifest] = json.loads(finished.stdout)
    return documents
