"""`aimctl fetch` in a process of its own, as a Job runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

AIMCTL = str(Path(sys.executable).with_name("aimctl"))
_PROGRESS = re.compile(
    r"progress downloadedBytes=(\d+) totalBytes=(\d+) percentage=(\d+) rate=[\d.]+[KMGT]?i?B/s remaining=\w+"
)


class FetchProcess:
    """Starts on construction. Its lines and its termination message are there once it ended."""

    def __init__(
        self,
        uri: str,
        directory: Path | None,
        log: Path,
        *flags: str,
        environment: dict[str, str],
        user: int | None = None,
    ) -> None:
        self.log = log
        self.termination_log = log.with_suffix(".termination")
        self.termination_log.touch(mode=0o666)
        self.termination_log.chmod(0o666)
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [
                    *(AIMCTL, "fetch", uri, *((str(directory),) if directory is not None else ())),
                    *("--termination-log", str(self.termination_log), "--retry-seconds", "0.05", *flags),
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **environment},
                cwd="/",
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

    def wait(self, timeout_seconds: float = 60) -> int:
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def text(self) -> str:
        return self.log.read_text()

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.termination_log.read_bytes())
        return found


def progress(text: str) -> list[tuple[int, int, int]]:
    """(downloaded, total, percentage) of each progress line; fails on one that a machine can't read."""
    found = []
    for line in text.splitlines():
        if line.startswith("progress"):
            match = _PROGRESS.fullmatch(line)
            assert match, line
            found.append((int(match[1]), int(match[2]), int(match[3])))
    return found


def assert_same_files(directory: Path, model: Path) -> None:
    """What is in the directory, .aim-fetch apart, is the model."""

    def content(root: Path) -> dict[str, bytes]:
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and ".aim-fetch" not in path.relative_to(root).parts
        }

    want, got = content(model), content(directory)
    assert sorted(got) == sorted(want)
    assert [path for path in want if got[path] != want[path]] == []
