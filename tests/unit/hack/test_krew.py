"""`kubectl aim` as Krew installs it: archives, their manifest, and what the script in them says."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster.build import program
from hack.cluster.components import CONTROL_PLANE, KREW
from hack.krew.__main__ import main, pack
from hack.krew.manifest import manifest
from hack.krew.tree import PARTS, PLATFORMS, DifferentError, Platform, launcher, merge
from hack.version import version
from tests.docs.blocks import ROOT, commands_for

BASE = "https://example.com/v1"
HERE = next(each for each in PLATFORMS if each.os == sys.platform and each.machine == platform.machine())
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
THIS = "tests/unit/hack/test_krew.py"


class Machine:
    """Somebody's machine with an empty home, kubectl, Krew and a Python, and nothing else of ours."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        commands = folder / "bin"
        commands.mkdir()
        (commands / "kubectl").write_text(f'#!/bin/sh\nexec "{program(CONTROL_PLANE)}" kubectl "$@"\n')
        (commands / "kubectl").chmod(0o755)
        (commands / "kubectl-krew").symlink_to(program(KREW))
        (commands / "python3").symlink_to(sys.executable)
        path = f"{self.home}/.krew/bin:{commands}:/usr/bin:/bin"
        self.environment = {"HOME": str(self.home), "PATH": path}

    def run(self, command: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=ROOT,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    yield Machine(tmp_path / "machine")
    # 90 MB.
    shutil.rmtree(tmp_path / "machine")


@pytest.mark.needs_krew
def test_krew_installs_kubectl_aim_which_works_in_an_empty_home(machine: Machine, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    (built, install) = commands_for(THIS, "docs/guides/command-line.md")
    assert built == f"make krew BASE={BASE}"
    # As that does, for one platform and one Python.
    of_here = ["--platform", f"{HERE.os}/{HERE.arch}", "--python", PYTHON, "--level", "1"]
    assert main(["--base", BASE, "--out", str(dist), *of_here]) == 0
    archive = dist / f"kubectl-aim_v{version()}_{HERE.os}_{HERE.arch}.tar.gz"
    as_written = install.replace("linux_amd64", f"{HERE.os}_{HERE.arch}").replace("dist/krew", str(dist))
    assert machine.run(as_written)[0] == 0
    archive.unlink()
    assert machine.run("kubectl aim version --client") == (0, f"aimctl    {version()}\n")
    code, planned = machine.run("kubectl aim plan examples/quickstart")
    assert code == 2
    assert "1 service (1 would run)" in planned
    # It calls itself so, and nothing was left outside of Krew's folder.
    assert "kubectl aim status -A" in machine.run("kubectl aim --help")[1]
    assert [each.name for each in machine.home.iterdir()] == [".krew"]


@pytest.mark.needs_krew
@pytest.mark.parametrize("there", PLATFORMS, ids=lambda each: f"{each.os}/{each.arch}")
def test_krew_takes_the_archive_of_its_platform_and_no_other(
    machine: Machine, tmp_path: Path, there: Platform
) -> None:
    sums = {}
    names = {}
    for each in PLATFORMS:
        folder = tmp_path / each.os / each.arch
        folder.mkdir(parents=True)
        (folder / "kubectl-aim").write_text(f"#!/bin/sh\necho for {each.os} {each.arch}\n")
        (folder / "kubectl-aim").chmod(0o755)
        names[each] = f"{each.os}-{each.arch}.tar.gz"
        sums[each] = pack(folder, tmp_path / names[each])
    (tmp_path / "aim.yaml").write_text(manifest(version(), BASE, sums, names))
    install = f"kubectl krew install --manifest={tmp_path}/aim.yaml --archive={tmp_path}"
    chosen = {"KREW_OS": there.os, "KREW_ARCH": there.arch}
    other = PLATFORMS[PLATFORMS.index(there) - 1]
    code, output = machine.run(f"{install}/{names[other]}", **chosen)
    assert code != 0
    assert "checksum does not match" in output
    code, output = machine.run(f"{install}/{names[there]}", **chosen)
    assert code == 0, output
    assert machine.run("kubectl aim") == (0, f"for {there.os} {there.arch}\n")


def test_the_manifest_fits_krews_index(tmp_path: Path) -> None:
    """Its validate-krew-manifest warns of lines that are longer than 80, and 70 for the shortest."""
    del tmp_path
    digest = "0" * 64
    text = manifest(
        "1.2.3", f"{BASE}/", dict.fromkeys(PLATFORMS, digest), dict.fromkeys(PLATFORMS, "a.tar.gz")
    )
    written: dict[str, Any] = yaml.safe_load(text)["spec"]
    assert written["version"] == "v1.2.3"
    assert {each["uri"] for each in written["platforms"]} == {f"{BASE}/a.tar.gz"}
    assert len(written["shortDescription"]) <= 70
    assert max(len(line) for line in (written["description"] + written["caveats"]).split("\n")) <= 80
    # Lines as people write them, not one that is folded.
    assert "  caveats: |\n    It runs on a Python of yours" in text


def test_the_same_files_make_the_same_archive_whenever_and_by_whom(tmp_path: Path) -> None:
    sums: list[str] = []
    for name, mode, names in (("a", 0o700, "xy"), ("b", 0o755, "yx")):
        folder = tmp_path / name / "lib"
        folder.mkdir(parents=True)
        for each in names:
            (folder / each).write_text(each)
            os.utime(folder / each, (len(sums), len(sums)))
        (folder / "run").write_text("")
        (folder / "run").chmod(mode)
        sums.append(pack(tmp_path / name, tmp_path / f"{name}.tar.gz"))
    assert sums[0] == sums[1]
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        found = [(each.name, each.mode, each.uid, each.uname) for each in tar]
    assert found == [("lib/run", 0o755, 0, ""), ("lib/x", 0o644, 0, ""), ("lib/y", 0o644, 0, "")]


def test_pythons_that_need_different_files_of_one_name_are_no_archive(tmp_path: Path) -> None:
    library = tmp_path / "lib"
    for python, text in (("3.11", "1"), ("3.12", "2")):
        package = tmp_path / python / "package"
        package.mkdir(parents=True)
        (package / f"fast.cpython-{python}.so").write_text(text)
        (package / "same.py").write_text("")
        merge(tmp_path / python, library)
    found = sorted(each.name for each in (library / "package").iterdir())
    assert found == ["fast.cpython-3.11.so", "fast.cpython-3.12.so", "same.py"]
    (tmp_path / "3.13" / "package").mkdir(parents=True)
    (tmp_path / "3.13" / "package" / "same.py").write_text("other")
    with pytest.raises(DifferentError, match=r"package/same\.py is not the same for all Pythons"):
        merge(tmp_path / "3.13", library)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--base", "example.com"], "example.com: not an https:// address"),
        (["--base", BASE, "--platform", "windows/amd64"], "windows/amd64: not one of linux/amd64, "),
        (["--base", BASE, "--python", "3.10"], "invalid choice: '3.10'"),
    ],
)
def test_a_call_that_makes_no_archive_says_why(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--out", str(tmp_path)])
    assert words in capsys.readouterr().err


class Unpacked:
    """The script with stand-ins of the rest, below links as Krew makes them, and a PATH of its own."""

    def __init__(self, folder: Path, platform: Platform = HERE, pythons: tuple[str, ...] = (PYTHON,)) -> None:
        store = folder / "store" / "aim"
        (store / "lib" / "aim_operator").mkdir(parents=True)
        (store / "lib" / "msgspec.py").write_text("")
        (store / "lib" / "aim_operator" / "__init__.py").write_text("")
        cli = "import sys\n\n\ndef main() -> int:\n    print(sys.argv)\n    return 7\n"
        (store / "lib" / "aim_operator" / "cli.py").write_text(cli)
        shutil.copy(PARTS / "start.py", store)
        (store / "kubectl-aim").write_text(launcher(platform, pythons))
        (store / "kubectl-aim").chmod(0o755)
        self.store = store
        (folder / "bin").mkdir()
        (folder / "bin" / "kubectl-aim").symlink_to("../link")
        (folder / "link").symlink_to(store / "kubectl-aim")
        self.link = folder / "bin" / "kubectl-aim"
        self.path = folder / "path"
        self.path.mkdir()
        for name in ("readlink", "dirname"):
            found = shutil.which(name)
            assert found
            (self.path / name).symlink_to(found)

    def has(self, name: str, text: str | None = None) -> None:
        if text is None:
            (self.path / name).symlink_to(sys.executable)
            return
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [self.link, *arguments],
            env={"PATH": str(self.path), "PYTHONPATH": "/nonexistent", "PYTHONSTARTUP": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


def test_arguments_and_the_exit_code_come_through_links(tmp_path: Path) -> None:
    unpacked = Unpacked(tmp_path)
    unpacked.has("python3")
    assert unpacked.run("plan", "a folder", "") == (7, "['kubectl-aim', 'plan', 'a folder', '']\n", "")


def test_an_old_python3_is_passed_over_for_a_newer_one(tmp_path: Path) -> None:
    """A name of pyenv's that it has no version for fails, too."""
    unpacked = Unpacked(tmp_path)
    unpacked.has("python3", '#!/bin/sh\necho "pyenv: python3: command not found" >&2\nexit 127\n')
    unpacked.has(f"python{PYTHON}")
    assert unpacked.run()[:2] == (7, "['kubectl-aim']\n")


@pytest.mark.parametrize(
    ("platform", "pythons", "says"),
    [
        (HERE, ("3.1", "3.2"), f"needs Python 3.1 to 3.2 (CPython for {HERE.machine})"),
        (
            next(each for each in PLATFORMS if each.machine != HERE.machine),
            (PYTHON,),
            f"needs Python {PYTHON} (CPython for ",
        ),
    ],
    ids=["no version", "another processor"],
)
def test_where_no_python_can_run_it_one_line_says_which_could(
    tmp_path: Path, platform: Platform, pythons: tuple[str, ...], says: str
) -> None:
    unpacked = Unpacked(tmp_path, platform, pythons)
    unpacked.has("python3")
    code, output, error = unpacked.run("version")
    names = ", ".join(["python3", *(f"python{each}" for each in reversed(pythons))])
    assert (code, output) == (2, "")
    assert error.startswith(f"error: kubectl aim {says}")
    assert error.endswith(f"in PATH none of these is: {names}\n")
    assert error.count("\n") == 1


def test_compiled_parts_that_do_not_load_are_one_line(tmp_path: Path) -> None:
    """As on Alpine, or on a glibc that is older than the wheels."""
    unpacked = Unpacked(tmp_path)
    unpacked.has("python3")
    (unpacked.store / "lib" / "msgspec.py").write_text(
        "raise ImportError('libc.so.6: GLIBC_2.28 not found')\n"
    )
    code, output, error = unpacked.run("version")
    assert (code, output) == (2, "")
    assert error.endswith(" can't load what kubectl aim brings: libc.so.6: GLIBC_2.28 not found\n")
    assert error.startswith(f"error: {unpacked.path}/python3 ")
    assert error.count("\n") == 1
