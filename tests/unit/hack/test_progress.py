"""What a person sees of steps that take a while."""

from __future__ import annotations

import io
import re
import time

from hack.cluster.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_steps_at_the_same_time_share_the_line_that_counts() -> None:
    terminal = Terminal()
    progress = Progress(terminal)
    with progress.step("kubernetes", "building Kubernetes"), progress.step("helm", "building Helm"):
        deadline = time.monotonic() + 10
        while not any("kubernetes" in shown and "helm" in shown for shown in terminal.getvalue().split("\r")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    first, second = (line.split("\x1b[2K")[-1] for line in terminal.getvalue().splitlines()[-2:])
    assert first.split()[:2] == ["helm", "ready"]
    assert second.split()[:2] == ["kubernetes", "ready"]


def test_a_quick_step_is_one_line_where_nothing_can_be_taken_back() -> None:
    stream = io.StringIO()
    with Progress(stream).step("helm", "building Helm", "built in"):
        pass
    (line,) = stream.getvalue().splitlines()
    # How quick it was, a busy machine decides.
    assert re.fullmatch(r"  helm                  built in \d+\.\d s", line)
