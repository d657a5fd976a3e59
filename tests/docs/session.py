"""A shell that runs a page's commands one after the other, as a reader's does."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from hack.cluster.patience import Patience
from tests.docs.blocks import ROOT, Block, Command, commands
from tests.docs.output import difference

EVENTUALLY_SECONDS = 60.0
COMMAND_SECONDS = 180.0
_MARK = "=== the end of a command ==="
_NOT_LINKED = {".git", "site", "dist", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


class Ran(NamedTuple):
    output: str
    code: int


class Session:
    """Runs in `folder`, a directory that looks like the checkout but takes the files that a page saves."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self.backgrounds: list[int] = []
        for entry in ROOT.iterdir():
            if entry.name not in _NOT_LINKED:
                (folder / entry.name).symlink_to(entry)
        # Nothing of the machine's own clusters: a page must say what it works with.
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KUBE", "AIM_", "MAKE", "MFLAGS"))
        }
        path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**clean, "PATH": path, "TERM": "dumb", "COLUMNS": "200", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_backgrounds()
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.__exit__(kind, error, trace)

    def run(self, command: str, seconds: float = COMMAND_SECONDS) -> Ran:
        """Run a command in this shell; what it exports and where it goes holds for the next."""
        script = self._folder / ".command"
        script.write_text(command)
        assert self._shell.stdin is not None
        line = f"source {script} </dev/null; printf '\\n%s%s\\n' '{_MARK}' $?\n"
        self._shell.stdin.write(line.encode())
        self._shell.stdin.flush()
        output = self._until_mark(Patience(seconds), command)
        text, _, code = output.rpartition(_MARK)
        return Ran(text.strip("\n"), int(code))

    def block(self, block: Block) -> str:
        """Run a block. Returns "" or what is wrong with it."""
        if "saved as" in block.says:
            name = block.says["saved as"]
            target = self._folder / name
            if target.is_symlink() or not target.resolve().is_relative_to(self._folder.resolve()):
                return f"{block.where}: {name} is a file of the checkout; save it under another name"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
            return ""
        if "in the background until" in block.says:
            return self._background(block, block.says["in the background until"])
        todo = commands(block)
        for number, command in enumerate(todo):
            fails = "fails" in block.says and number == len(todo) - 1
            if problem := self._check(command, fails=fails, eventually="eventually" in block.says):
                return f"{block.page}:{command.line}: {problem}"
        return ""

    def _check(self, command: Command, *, fails: bool, eventually: bool) -> str:
        """Run one command. Returns "" or what is wrong with it."""
        patience = Patience(EVENTUALLY_SECONDS)
        while True:
            ran = self.run(command.text)
            problem = _problem(command, ran, fails=fails)
            if not problem or not eventually or patience.ended:
                return problem
            time.sleep(0.5)

    def _background(self, block: Block, until: str) -> str:
        """Start a block that goes on running, and wait until it has printed `until`."""
        *before, command = commands(block)
        for one in before:
            if problem := self._check(one, fails=False, eventually=False):
                return f"{block.page}:{one.line}: {problem}"
        log = self._folder / f".background-{len(self.backgrounds)}"
        log.touch()
        started = self.run(f"{{ exec {command.text}\n}} >{log} 2>&1 & echo $!")
        self.backgrounds.append(int(started.output))
        patience = Patience(EVENTUALLY_SECONDS)
        while until not in log.read_text(errors="replace"):
            if patience.ended or self.run(f"kill -0 {started.output}").code != 0:
                return f"{block.where}: did not print {until!r}:\n{log.read_text(errors='replace')[-2000:]}"
            time.sleep(0.1)
        return ""

    def stop_backgrounds(self) -> None:
        """End what runs in the background, as Ctrl-C in its terminal does."""
        for pid in self.backgrounds:
            self.run(f"kill -TERM {pid}; wait {pid}", seconds=30)
        self.backgrounds.clear()

    def _until_mark(self, patience: Patience, command: str) -> str:
        assert self._shell.stdout is not None
        read = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._shell.stdout, selectors.EVENT_READ)
            while True:
                text = read.decode(errors="replace")
                if _MARK in text and text.endswith("\n") and text.rpartition(_MARK)[2].strip():
                    return text
                left = patience.left
                if left <= 0 or not selector.select(left):
                    raise AssertionError(f"{command}\nstill runs; so far it printed:\n{text}")
                chunk = os.read(self._shell.stdout.fileno(), 65536)
                if not chunk:
                    raise AssertionError(f"{command}\nended the shell; it printed:\n{text}")
                read += chunk


def _problem(command: Command, ran: Ran, *, fails: bool) -> str:
    if (ran.code != 0) is not fails:
        wanted = "fail" if fails else "succeed"
        return f"did not {wanted} (exit code {ran.code}):\n$ {command.text}\n{ran.output}"
    if command.output is None:
        return ""
    different = difference(command.output, ran.output)
    return different and f"printed something else:\n$ {command.text}\n{different}"
