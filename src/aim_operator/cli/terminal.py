"""A download as people see it on a terminal: sentences as they come, and below them a bar that moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from aim_operator.fetch.progress import Progress


class Terminal:
    """`say` prints a line, `show` moves the bar, `close` leaves it as it is. For one thread at a time."""

    def __init__(self, stdout: TextIO) -> None:
        self._console = Console(file=stdout)
        self._bar: Bar | None = None

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, progress: Progress) -> None:
        if not progress.total_bytes:
            return
        if self._bar is None:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bar.add_task("", total=progress.total_bytes)
            self._bar.start()
        (task,) = self._bar.task_ids
        # 100 % only once everything is verified, as in the log.
        shown = (
            progress.total_bytes
            if progress.verified
            else min(progress.downloaded_bytes, progress.total_bytes - 1)
        )
        self._bar.update(task, completed=shown, total=progress.total_bytes)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
