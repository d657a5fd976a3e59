"""Files that somebody else put into a directory, compared with the source. `aimctl fetch URI DIR --check`.

Reads only, so a volume that is mounted read-only will do. Names and sizes are compared, with the marker of an
earlier download or else with the source's own listing. Where no source can be asked, as on an air-gapped
site, files that look like a model's are taken as they are, and the outcome says so.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch import folders
from aim_operator.fetch.listing import STATE_FOLDER
from aim_operator.fetch.look import Question
from aim_operator.fetch.outcome import FetchReason, Outcome, outcome_of
from aim_operator.fetch.patience import on_volume
from aim_operator.fetch.progress import size_text
from aim_operator.fetch.records import Marker, read_marker
from aim_operator.fetch.selection import choose
from aim_operator.fetch.sources import source_of
from aim_operator.fetch.threads import in_thread

_WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".onnx")
_MOST_NAMED = 3
_MOST_WALKED = 100_000


class Check(Question, frozen=True, kw_only=True):
    """Which directory is to hold which source's files."""

    directory: Path


class _File(Struct, frozen=True):
    path: str
    size: int


async def check(question: Check, environment: Mapping[str, str], say: Callable[[str], None]) -> Outcome:
    """Compare, and return what became of it. Never raises but for bugs and cancellation."""

    async def work() -> Outcome:
        return await _check(question, environment, say)

    return await outcome_of(work, lambda reason, message: Outcome(reason=reason, message=message))


async def _check(question: Check, environment: Mapping[str, str], say: Callable[[str], None]) -> Outcome:
    limit = question.stall_seconds
    root = await on_volume(lambda: _open(question.directory), limit)
    marker = await on_volume(lambda: _marker(root), limit)
    if marker is not None and marker.uri != question.uri:
        raise UserError(f"{question.directory} holds {marker.uri}, not {question.uri}; name the right one")
    if marker is not None and marker.contents:
        listed = [_File(one.path, one.size) for one in marker.contents]
        return await _compared(root, question, listed, marker.revision, limit)
    try:
        chosen = await _listed(question, environment, say)
    except FetchError as error:
        say(f"the source can't be asked ({error}); what is there is taken as it is")
        return await _as_it_is(root, question, str(error), limit)
    return await _compared(root, question, chosen[0], chosen[1], limit)


async def _listed(
    question: Check, environment: Mapping[str, str], say: Callable[[str], None]
) -> tuple[list[_File], str]:
    source = source_of(
        question.uri,
        environment,
        policy=question.policy,
        limit_seconds=question.stall_seconds / 2,
        retried=lambda cause: say(f"trying again after: {cause}"),
    )
    with contextlib.closing(source):
        listing = choose(await in_thread(lambda: source.list(None)), question.selection).listing
    return [_File(file.path, file.size) for file in listing.files], listing.revision


async def _compared(root: int, question: Check, files: list[_File], revision: str, limit: float) -> Outcome:
    problems = await on_volume(lambda: list(_problems(root, files)), limit)
    if problems:
        more = f" and {len(problems) - _MOST_NAMED} others" if len(problems) > _MOST_NAMED else ""
        raise FetchError(
            FetchReason.VERIFICATION_FAILED,
            f"{len(problems)} of {len(files)} files of {question.uri} are not in {question.directory} as they"
            f" should be: {'; '.join(problems[:_MOST_NAMED])}{more}. Put them there, nothing is written by a"
            " check",
        )
    total = sum(file.size for file in files)
    return Outcome(
        reason=FetchReason.VERIFIED,
        message=f"{len(files)} files, {size_text(total)}, are there with their sizes",
        total_bytes=total,
        downloaded_bytes=total,
        files=len(files),
        revision=revision,
    )


async def _as_it_is(root: int, question: Check, why: str, limit: float) -> Outcome:
    files = await on_volume(lambda: list(_walk(root)), limit)
    if not any(file.path.endswith(_WEIGHTS) and file.size for file in files):
        raise FetchError(
            FetchReason.VERIFICATION_FAILED,
            f"{question.directory} has no weights of a model ({', '.join(_WEIGHTS)}), and the source can't be"
            f" asked: {why}",
        )
    if problems := await on_volume(lambda: list(_problems(root, files)), limit):
        raise FetchError(FetchReason.VERIFICATION_FAILED, "; ".join(problems[:_MOST_NAMED]))
    total = sum(file.size for file in files)
    return Outcome(
        reason=FetchReason.VERIFIED,
        message=f"{len(files)} files, {size_text(total)}, are there; not compared with the source: {why}",
        total_bytes=total,
        downloaded_bytes=total,
        files=len(files),
    )


def _open(directory: Path) -> int:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; name a directory with a model's files") from error


def _marker(root: int) -> Marker | None:
    try:
        with folders.folder(root, STATE_FOLDER) as state:
            return read_marker(state)
    except OSError:
        return None


def _problems(root: int, files: Iterable[_File]) -> Iterator[str]:
    for file in files:
        if problem := _problem(root, file):
            yield f"{file.path[:200]} {problem}"


def _problem(root: int, file: _File) -> str:
    """How a file differs from what it should be, or why it can't be read; "" if it can and does not."""
    parent, _, name = file.path.rpartition("/")
    try:
        with folders.folder(root, parent) as inside:
            # Links are followed: hub caches have the files elsewhere. A pipe would be waited for.
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    except FileNotFoundError:
        return "is missing"
    except PermissionError:
        return f"can't be read by uid {os.geteuid()}"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return "is no file"
    return "" if status.st_size == file.size else f"has {status.st_size} bytes instead of {file.size}"


def _walk(root: int) -> Iterator[_File]:
    """Yield the files below a directory but for hidden folders, up to a number that no model has."""
    count = 0
    for path, directories, names, descriptor in os.fwalk(".", dir_fd=root):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in names:
            count += 1
            if count > _MOST_WALKED:
                return
            with contextlib.suppress(OSError):
                size = os.stat(name, dir_fd=descriptor).st_size
                yield _File(os.path.normpath(os.path.join(path, name)), size)  # noqa: PTH118 - of a descriptor
