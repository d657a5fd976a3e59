"""Files below a directory that others may write to as well: opened folder by folder, never through a link.

Every call takes the descriptor of the directory that it stays below. New folders are 0775 and files 0664,
so that another uid of the volume's group can go on.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from aim_operator.errors import FetchError
from aim_operator.fetch.outcome import FetchReason

FOLDER_MODE = 0o775
FILE_MODE = 0o664
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)
"""What opening a link or a file as a folder gives, on one file system or another."""


@contextlib.contextmanager
def folder(below: int, path: str, *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder `path`; "" is the directory itself. FileNotFoundError if it is missing."""
    current = os.dup(below)
    try:
        for name in filter(None, path.split("/")):
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, FOLDER_MODE, dir_fd=current)
            try:
                following = os.open(name, _FOLDER, dir_fd=current)
            except OSError as error:
                if error.errno in _NO_FOLDER:
                    raise in_the_way(name) from error
                raise
            os.close(current)
            current = following
        yield current
    finally:
        os.close(current)


def open_file(below: int, name: str, flags: int) -> int:
    """A descriptor of the file `name` in the directory; a link is refused."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=below)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise in_the_way(name) from error
        raise


def read_file(below: int, name: str, most_bytes: int) -> bytes | None:
    """The content, None where there is no file. Never more than `most_bytes`."""
    try:
        descriptor = open_file(below, name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most_bytes)


def write_file(below: int, name: str, content: bytes) -> None:
    """Write a file whole and durably: it has the old content or the new one, whatever happens."""
    fresh = f"{name}.new"
    remove(below, fresh)
    descriptor = open_file(below, fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(fresh, name, src_dir_fd=below, dst_dir_fd=below)
    sync_folder(below)


def sync_folder(descriptor: int) -> None:
    """Make names durable, where the file system knows how to (SMB and some FUSE ones do not)."""
    with contextlib.suppress(OSError):
        os.fsync(descriptor)


def remove(below: int, name: str) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=below)


def write_all(descriptor: int, content: bytes | bytearray | memoryview, offset: int) -> None:
    """Write all of it; the kernel may take less at once than it is given."""
    left = memoryview(content)
    while left:
        written = os.pwrite(descriptor, left, offset)
        offset += written
        left = left[written:]


def size_of(below: int, path: str) -> int | None:
    """Bytes of the regular file at `path`, None where there is none."""
    parent, _, name = path.rpartition("/")
    try:
        with folder(below, parent) as inside:
            status = os.stat(name, dir_fd=inside, follow_symlinks=False)
    except (FileNotFoundError, FetchError):
        return None
    return status.st_size if status.st_mode & 0o170000 == 0o100000 else None


def volume_error(error: OSError) -> FetchError:
    """What an error of the file system means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FetchError(
            FetchReason.INSUFFICIENT_SPACE,
            f"the volume is full ({error.strerror}), though there was room at the start: something else"
            " writes to it, or a quota holds; make room or use a larger volume. What is there stays, and the"
            " next run continues from it",
        )
    return FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"the volume: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}",
    )


def in_the_way(name: str) -> FetchError:
    """Say that something else lies where a file or a folder of the model belongs."""
    return FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"{name!r} on the volume is not what the model needs there (a link, a folder where a file belongs, or"
        " a file where a folder does); remove it",
    )
