"""What lies in a directory, held against the marker that a download left there. `aimctl fetch --verify`.

Reads only: a volume that is mounted read-only can be verified, also by another uid. Calls no source.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch import folders
from aim_operator.fetch.checksums import Digest, of_text
from aim_operator.fetch.listing import STATE_FOLDER, path_problem
from aim_operator.fetch.outcome import FetchReason, Outcome, outcome_of
from aim_operator.fetch.progress import Progress, size_text
from aim_operator.fetch.records import MarkedFile, Marker, read_done, read_marker
from aim_operator.fetch.threads import in_thread

_READ_BYTES = 1024 * 1024
_LOOK_SECONDS = 0.25
_SAY_SECONDS = 15.0
_MOST_SAID = 20
_MOST_NAMED = 3


class Verification(Struct, frozen=True, kw_only=True):
    """Which directory is to be verified."""

    directory: Path


async def verify(
    verification: Verification,
    say: Callable[[str], None],
    show: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Compare every file, and return what became of it; `say` gets a line for each that differs.

    Never raises but for cancellation and bugs.
    """
    check = _Check(verification.directory, Progress(say, show=show))

    async def work() -> Outcome:
        return await check.run(say, show)

    return await outcome_of(work, check.outcome)


class _Check:
    def __init__(self, directory: Path, progress: Progress) -> None:
        self._directory = directory
        self._progress = progress
        self._revision = ""
        self._files = 0

    def outcome(self, reason: str, message: str) -> Outcome:
        return Outcome(
            reason=reason,
            message=message,
            total_bytes=self._progress.total_bytes,
            downloaded_bytes=self._progress.downloaded_bytes,
            files=self._files,
            revision=self._revision,
        )

    async def run(self, say: Callable[[str], None], show: Callable[[Progress], None] | None) -> Outcome:
        root = await in_thread(self._open)
        try:
            marker, files = await in_thread(lambda: self._expected(root))
            self._revision, self._files = marker.revision, len(files)
            total = sum(file.size for file in files)
            self._progress.begin(total_bytes=total, stored_bytes=0, shown_bytes=0)
            say(f"verifying {len(files)} files, {size_text(total)}, of {marker.uri} at {marker.revision}")
            work = asyncio.ensure_future(in_thread(lambda: self._compare(root, files)))
            said_at = time.monotonic()
            while not work.done():
                await asyncio.wait((work,), timeout=_LOOK_SECONDS)
                if show is not None:
                    show(self._progress)
                elif time.monotonic() - said_at >= _SAY_SECONDS:
                    said_at = time.monotonic()
                    say(f"{size_text(self._progress.downloaded_bytes)} of {size_text(total)} are read")
            problems = work.result()
        finally:
            os.close(root)
        return self._ended(marker, files, problems, say)

    def _ended(
        self, marker: Marker, files: list[MarkedFile], problems: list[str], say: Callable[[str], None]
    ) -> Outcome:
        for problem in problems[:_MOST_SAID]:
            say(problem)
        if problems:
            more = f" and {len(problems) - _MOST_NAMED} others" if len(problems) > _MOST_NAMED else ""
            return self.outcome(
                FetchReason.VERIFICATION_FAILED,
                f"{len(problems)} of {len(files)} files are not what was downloaded:"
                f" {'; '.join(problems[:_MOST_NAMED])}{more}. Remove them, and fetch {marker.uri} again: only"
                " they are fetched",
            )
        self._progress.verified = True
        unverified = sum(of_text(file.checksum) is None for file in files)
        message = f"{len(files)} files, {size_text(self._progress.total_bytes)}, are as they were downloaded"
        if unverified:
            message += f"; {unverified} of them by their size only, since no checksum is known"
        say(f"done: {message}")
        return self.outcome(FetchReason.VERIFIED, message)

    def _open(self) -> int:
        try:
            return os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"{self._directory}: {error.strerror}; name a directory to verify") from error

    def _expected(self, root: int) -> tuple[Marker, list[MarkedFile]]:
        """The marker, and its files: those of a marker that lists none are in the log of what was done."""
        try:
            with folders.folder(root, STATE_FOLDER) as state:
                marker, done = read_marker(state), read_done(state)
        except FileNotFoundError:
            marker, done = None, {}
        if marker is None:
            raise FetchError(
                FetchReason.VERIFICATION_FAILED,
                f"{self._directory} has no complete download: there is no {STATE_FOLDER}/complete.json that"
                " can be read. Fetch into it first",
            )
        files = list(marker.contents) or [
            MarkedFile(path=one.path, size=one.size, checksum=one.checksum) for one in done.values()
        ]
        if len(files) != marker.files:
            raise FetchError(
                FetchReason.VERIFICATION_FAILED,
                f"the marker in {self._directory} is of {marker.files} files, and {len(files)} are listed"
                " beside it; fetch the model again, which keeps what is whole",
            )
        return marker, files

    def _compare(self, root: int, files: list[MarkedFile]) -> list[str]:
        problems = []
        for file in files:
            try:
                problem = path_problem(file.path) or self._difference(root, file)
            except FileNotFoundError:
                problem = "is missing"
            except OSError as error:
                problem = f"can't be read ({error.strerror or error})"
            except FetchError as error:
                problem = str(error)
            if problem:
                problems.append(f"{file.path[:200]} {problem}")
        return problems

    def _difference(self, root: int, file: MarkedFile) -> str:
        """How the file differs from what was downloaded; "" if it does not."""
        parent, _, name = file.path.rpartition("/")
        with folders.folder(root, parent) as inside:
            # A pipe would be waited for without that.
            descriptor = folders.open_file(inside, name, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as content:
            status = os.fstat(content.fileno())
            if not stat.S_ISREG(status.st_mode):
                return "is no file any more"
            if status.st_size != file.size:
                return f"has {status.st_size} bytes, and had {file.size}"
            checksum = of_text(file.checksum)
            if checksum is None:
                self._progress.stored(file.size)
                return ""
            digest = Digest(checksum, file.size)
            buffer = memoryview(bytearray(_READ_BYTES))
            while count := content.readinto(buffer):
                digest.update(buffer[:count])
                self._progress.stored(count)
        got = digest.hexdigest()
        return "" if got == checksum.value else f"has {checksum.algorithm} {got}, and had {checksum.value}"
