"""Building the cluster's programs: two at once, never twice, and an interrupted build goes on.

By the command itself, as a person starts it, with a `go` in PATH that compiles nothing and notes each build.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

SECONDS = 20.0
# A build waits while there is a file `hold-NAME`, and fails if there is one `break-NAME`.
GO = """\
#!/bin/sh
here=${0%/*}
case "$1" in
env) echo go1.26.0 ;;
mod) echo '{"Dir": "'"$here/module"'"}' ;;
build)
  for each in "$@"; do
    [ "$before" = -o ] && out=$each
    before=$each
  done
  name=${out##*/}
  echo $$ >>"$here/began-$name"
  while [ -e "$here/hold-$name" ]; do sleep 0.05; done
  if [ -e "$here/break-$name" ]; then echo "$name does not compile" >&2; exit 1; fi
  echo "#!/bin/sh" >"$out"
  ;;
esac
"""


class Scene:
    """A machine with that `go` and an empty cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.builds: list[subprocess.Popen[str]] = []
        (folder / "module").mkdir()
        (folder / "go").write_text(GO)
        (folder / "go").chmod(0o755)

    def start(self) -> subprocess.Popen[str]:
        build = subprocess.Popen(
            [sys.executable, "-m", "hack.cluster", "build", "--parts=helm"],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "PYTHONUNBUFFERED": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.builds.append(build)
        return build

    def build(self) -> tuple[int, str]:
        """Run a whole build: its exit code and output."""
        build = self.start()
        output, _ = build.communicate(timeout=SECONDS)
        return build.returncode, output

    def hold(self, name: str) -> None:
        (self.folder / f"hold-{name}").touch()

    def let_go(self, name: str) -> None:
        (self.folder / f"hold-{name}").unlink(missing_ok=True)

    def compilers(self, name: str) -> list[int]:
        """The process ids of every `go build` of that program so far."""
        began = self.folder / f"began-{name}"
        return [int(line) for line in began.read_text().split()] if began.exists() else []

    def built(self) -> set[str]:
        return {
            path.name.partition("-")[0] for path in self.folder.glob("cache/aim-operator/cluster/[!.]*-*")
        }


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    for held in tmp_path.glob("hold-*"):
        held.unlink()
    for build in scene.builds:
        build.kill()
        build.communicate()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_are_built_at_once_and_none_again(scene: Scene) -> None:
    scene.hold("controlplane")
    scene.hold("helm")
    build = scene.start()
    wait_for(lambda: scene.compilers("controlplane") and scene.compilers("helm"))
    scene.let_go("controlplane")
    scene.let_go("helm")
    assert build.wait(SECONDS) == 0
    code, output = scene.build()
    assert code == 0, output
    assert (len(scene.compilers("controlplane")), len(scene.compilers("helm"))) == (1, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_no_compiler_and_goes_on_with_what_is_done(
    number: signal.Signals, scene: Scene
) -> None:
    scene.hold("controlplane")
    build = scene.start()
    wait_for(lambda: scene.compilers("controlplane") and "helm" in scene.built())
    build.send_signal(number)
    output, _ = build.communicate(timeout=SECONDS)
    assert (build.returncode, "the next build goes on from there" in output) == (130, True), output
    assert not alive(scene.compilers("controlplane")[0])
    scene.let_go("controlplane")
    assert scene.build()[0] == 0
    assert (len(scene.compilers("controlplane")), len(scene.compilers("helm"))) == (2, 1)


def test_after_a_kill_the_next_build_waits_for_the_compiler_that_was_left(scene: Scene) -> None:
    scene.hold("controlplane")
    killed = scene.start()
    wait_for(lambda: scene.compilers("controlplane") and "helm" in scene.built())
    killed.kill()
    killed.wait()
    following = scene.start()
    assert following.stdout is not None
    assert "another process builds it, waiting for that" in following.stdout.readline()
    assert len(scene.compilers("controlplane")) == 1
    scene.let_go("controlplane")
    assert following.wait(SECONDS) == 0
    assert len(scene.compilers("controlplane")) == 2


def test_a_program_that_fails_ends_the_other_and_says_why(scene: Scene) -> None:
    scene.hold("controlplane")
    (scene.folder / "break-helm").touch()
    code, output = scene.build()
    assert code == 1
    assert "error: `go build -trimpath` failed:\nhelm does not compile" in output
    assert not scene.built()
    assert not [pid for pid in scene.compilers("controlplane") if alive(pid)]
