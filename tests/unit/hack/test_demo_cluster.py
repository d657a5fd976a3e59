"""`make demo-cluster`: what it refuses before it starts anything."""

import subprocess
import sys
from pathlib import Path


def test_an_example_that_is_not_there_starts_no_cluster(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hack.demo_cluster", "--example=nope", f"--dir={tmp_path / 'cluster'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --example nope: ")
    assert "quickstart" in done.stderr
    assert not (tmp_path / "cluster").exists()
