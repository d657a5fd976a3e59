"""The directory that a model is fetched into: its files at the root, everything else in .aim-fetch.

Owns the layout, what is already there, and the way of a verified file to its place. Blocking; called from
threads. Who may use it is lock.py's.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from aim_operator.errors import UserError
from aim_operator.fetch import folders
from aim_operator.fetch.checksums import as_text
from aim_operator.fetch.folders import volume_error
from aim_operator.fetch.listing import STATE_FOLDER, Checksum, RemoteFile
from aim_operator.fetch.partial import CHUNK_BYTES, SMALL_BYTES, LargeFile, Partial, SmallFile, mapped_bytes
from aim_operator.fetch.records import Done, MarkedFile, Marker, Records

_PARTIAL = "partial"
_LAYOUT = 1
_PARTIAL_NAME = re.compile(r"([0-9a-f]{32})\.(data|map)", re.ASCII)


_NOT_ALLOWED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL),
)
"""What a wrong or a closed directory gives. Anything else is the volume's own trouble."""


class Space(Struct, frozen=True):
    """Bytes of the volume."""

    free: int
    total: int


def space_of(descriptor: int, ask: Callable[[int], os.statvfs_result] = os.fstatvfs) -> Space | None:
    """Return what the file system says; None where it says nothing, as some network ones.

    They answer with zeros, or that they have no such call (FUSE without `statfs`).
    """
    try:
        status = ask(descriptor)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return None
        raise
    if not status.f_blocks:
        return None
    return Space(free=status.f_bavail * status.f_frsize, total=status.f_blocks * status.f_frsize)


def identity(file: RemoteFile) -> str:
    """Name of one content of one file; another size or etag is another one."""
    content = json.dumps([_LAYOUT, CHUNK_BYTES, file.path, file.size, file.etag])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


class Volume:
    """Makes the directory and .aim-fetch in it where they are missing."""

    def __init__(self, directory: Path) -> None:
        self.steps = 0
        """Rises while something is done here that takes long: a volume that answers is not a hung one."""
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=folders.FOLDER_MODE)
            self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with folders.folder(self._root, f"{STATE_FOLDER}/{_PARTIAL}", make=True) as partial:
                self._partial = os.dup(partial)
            with folders.folder(self._root, STATE_FOLDER) as state:
                self.state_folder = os.dup(state)
        except OSError as error:
            if error.errno not in _NOT_ALLOWED:
                raise volume_error(error) from error
            raise UserError(
                f"{directory}: {error.strerror}; give a directory that uid {os.geteuid()} may write to"
            ) from error
        self.records = Records(self.state_folder)

    def close(self) -> None:
        self.records.close()
        for descriptor in (self._partial, self.state_folder, self._root):
            os.close(descriptor)

    def space(self) -> Space | None:
        return space_of(self._root)

    def tidy(self, files: Iterable[RemoteFile]) -> None:
        """Keep what this listing can use, and remove the rest of what earlier runs left. Nobody else's files.

        Afterwards every file of `records.done` is in its place, with its size.
        """
        files_by_identity = {identity(file): file for file in files}
        paths = {file.path for file in files_by_identity.values()}
        kept = []
        for done in self.records.done.values():
            self.steps += 1
            if done.identity in files_by_identity:
                self._finish_move(done)
                if folders.size_of(self._root, done.path) == done.size:
                    kept.append(done)
            elif done.path not in paths:
                self._remove_place(done.path)
        self.records.keep(kept)
        for name in os.listdir(self._partial):  # noqa: PTH208 - pathlib takes no descriptor
            self.steps += 1
            match = _PARTIAL_NAME.fullmatch(name)
            if match is None or match[1] not in files_by_identity or match[1] in self.records.done:
                with contextlib.suppress(IsADirectoryError, PermissionError):
                    folders.remove(self._partial, name)

    def whole(self, marker: Marker) -> bool:
        """Whether every file of a complete download is still there, with its size.

        A marker of a version that listed none has them in the other record.
        """
        return all(self._has(one) for one in marker.contents or self.records.done.values())

    def _has(self, file: Done | MarkedFile) -> bool:
        self.steps += 1
        return folders.size_of(self._root, file.path) == file.size

    def bytes_there(self, files: Iterable[RemoteFile]) -> int:
        """Bytes of these files that take up space already, finished or not."""
        there = 0
        for file in files:
            self.steps += 1
            key = identity(file)
            if key in self.records.done:
                there += file.size
                continue
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(f"{key}.data", dir_fd=self._partial, follow_symlinks=False)
                there += min(status.st_blocks * 512, file.size)
        return there

    def stored_bytes(self, files: Iterable[RemoteFile]) -> int:
        """Bytes of these files that need not be fetched any more: of whole files, and of whole chunks."""
        stored = 0
        for file in files:
            self.steps += 1
            key = identity(file)
            stored += file.size if key in self.records.done else mapped_bytes(self._partial, key, file.size)
        return stored

    def partial(self, file: RemoteFile, *, verifiable: bool) -> Partial:
        """The file's bytes so far. Without a checksum to verify it by, every chunk is synced."""
        key = identity(file)
        if file.size <= SMALL_BYTES:
            return SmallFile(self._partial, key, file.size)
        return LargeFile(self._partial, key, file.size, sync_chunks=not verifiable)

    def finish(self, file: RemoteFile, partial: Partial, checksum: Checksum | None) -> None:
        """Give a verified file its place. Remembered first: a kill in between loses nothing."""
        done = Done(
            identity=identity(file),
            path=file.path,
            size=file.size,
            checksum=as_text(checksum) if checksum else None,
        )

        def place() -> None:
            self.records.add(done)
            self._move(done)

        partial.finish(place)

    def contents(self, files: Iterable[RemoteFile]) -> tuple[MarkedFile, ...]:
        """Return the files as the marker lists them, once all of them are in their places."""
        return tuple(
            MarkedFile(
                path=file.path,
                size=file.size,
                checksum=self.records.done[identity(file)].checksum
                or (as_text(file.checksum) if file.checksum else None),
            )
            for file in files
        )

    def sync(self, files: Iterable[RemoteFile]) -> None:
        """Make the places of all files durable; their content is since they were finished."""
        self.records.sync()
        parents = {""}
        for file in files:
            parent = file.path.rpartition("/")[0]
            while parent not in parents:
                parents.add(parent)
                parent = parent.rpartition("/")[0]
        for parent in parents:
            self.steps += 1
            with folders.folder(self._root, parent) as inside:
                folders.sync_folder(inside)

    def _finish_move(self, done: Done) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._move(done)

    def _move(self, done: Done) -> None:
        parent, _, name = done.path.rpartition("/")
        os.stat(f"{done.identity}.data", dir_fd=self._partial, follow_symlinks=False)
        with folders.folder(self._root, parent, make=True) as inside:
            try:
                os.rename(f"{done.identity}.data", name, src_dir_fd=self._partial, dst_dir_fd=inside)
            except IsADirectoryError as error:
                raise folders.in_the_way(done.path) from error

    def _remove_place(self, path: str) -> None:
        """Remove a file that the source no longer has, and the folders that it leaves empty."""
        parent, _, name = path.rpartition("/")
        with contextlib.suppress(FileNotFoundError):
            with folders.folder(self._root, parent) as inside:
                folders.remove(inside, name)
            while parent:
                above, _, name = parent.rpartition("/")
                with folders.folder(self._root, above) as inside, contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=inside)
                parent = above
