"""`aimctl` is installed as the README and the guide say, from a checkout, and works away from it."""

import os
import re
import subprocess
from pathlib import Path

from tests.docs.blocks import ROOT, commands_for

THIS = "tests/unit/cli/test_install.py"
(INSTALL,) = commands_for(THIS, "README.md")


def test_the_guide_has_the_same_command() -> None:
    assert commands_for(THIS, "docs/guides/command-line.md") == [INSTALL]


def test_aimctl_is_installed_from_a_checkout(tmp_path: Path) -> None:
    # As hack/setup.sh looks for it: setup has put it in one of these where the machine has none.
    places = (os.environ["PATH"], ROOT / ".venv" / "bin", ROOT / ".venv-uv" / "bin")
    environment = {
        **os.environ,
        "PATH": ":".join(map(str, places)),
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_NATIVE_TLS": "1",
        "UV_SYSTEM_CERTS": "1",
    }
    done = subprocess.run(
        INSTALL, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for program in ("aimctl", "kubectl-aim"):
        demo = [str(tmp_path / "bin" / program), "demo"]
        shown = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert shown.returncode == 0, shown.stderr
        assert "✔ 1 service running, 3 templates discovered" in shown.stdout
    # Where kubectl called it, Krew may have installed it: there is no `aimctl` beside that Python.
    assert re.search(r"^ +kubectl aim call ", shown.stdout, re.MULTILINE)
    # Installed as a tool there is no checkout to `make` anything in, and the examples are its own.
    assert "make " not in shown.stdout
    (objects,) = re.findall(r"^ +kubectl apply --server-side -f ([^-].*)$", shown.stdout, re.MULTILINE)
    assert (tmp_path / objects).is_relative_to(tmp_path / "tools")
    assert (tmp_path / objects / "04-service.yaml").is_file()
    # What `aimctl why` tells to do is in the package, too.
    (page,) = (tmp_path / "tools").rglob("why/reasons.md")
    assert page.read_text() == (ROOT / "docs" / "reference" / "reasons.md").read_text()
