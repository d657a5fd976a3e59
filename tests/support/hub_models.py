"""Folders as models of a Hugging Face Hub: commits, git blob ids, what is large enough for LFS.

ROOT/owner/model is the branch `main`, ROOT/owner/model@branch another one. A commit is a hash of a folder's
content, and is remembered with the folder: a branch that is a symbolic link can be moved, and its old
commit stays.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

_LARGE_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt")


@dataclass(frozen=True)
class HubFile:
    path: str
    where: Path
    size: int
    blob_id: str
    sha256: str | None

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id

    @property
    def content_type(self) -> str:
        return mimetypes.guess_type(self.path)[0] or "application/octet-stream"


class Models:
    def __init__(self, root: Path, lfs_bytes: int) -> None:
        self.root = root
        self._lfs_bytes = lfs_bytes
        self._folders: dict[tuple[str, str], Path] = {}
        self._hashes: dict[tuple[str, int, int], tuple[str, str]] = {}

    def exists(self, repository: str) -> bool:
        return (self.root / repository).is_dir()

    def commit(self, repository: str, revision: str) -> str | None:
        """The commit that a branch or a commit names, None where there is none."""
        if (repository, revision) in self._folders:
            return revision
        folder = self.root / (repository if revision == "main" else f"{repository}@{revision}")
        if not folder.is_dir():
            return None
        folder = folder.resolve()
        content = "\n".join(f"{file.path} {file.etag}" for file in self._files(folder))
        commit = hashlib.sha1(f"{folder}\n{content}".encode(), usedforsecurity=False).hexdigest()
        self._folders[repository, commit] = folder
        return commit

    def forget(self, repository: str, commit: str) -> None:
        """As if history had been rewritten."""
        self._folders.pop((repository, commit), None)

    def moved(self, before: Path, after: Path) -> None:
        """A folder was renamed; its commits go with it."""
        self._folders = {key: after if folder == before else folder for key, folder in self._folders.items()}

    def files(self, repository: str, commit: str) -> list[HubFile]:
        return self._files(self._folders[repository, commit])

    def file(self, repository: str, commit: str, path: str) -> HubFile | None:
        folder = self._folders.get((repository, commit))
        where = folder / path if folder else None
        if (
            folder is None
            or where is None
            or not where.is_file()
            or not where.resolve().is_relative_to(folder)
        ):
            return None
        return self._described(folder, where)

    def _files(self, folder: Path) -> list[HubFile]:
        return [self._described(folder, where) for where in sorted(folder.rglob("*")) if where.is_file()]

    def _described(self, folder: Path, where: Path) -> HubFile:
        stat = where.stat()
        key = (str(where), stat.st_size, stat.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = _hashes(where, stat.st_size)
        blob_id, sha256 = self._hashes[key]
        is_large = stat.st_size >= self._lfs_bytes or where.suffix in _LARGE_SUFFIXES
        return HubFile(
            path=where.relative_to(folder).as_posix(),
            where=where,
            size=stat.st_size,
            blob_id=blob_id,
            sha256=sha256 if is_large else None,
        )


def _hashes(where: Path, size: int) -> tuple[str, str]:
    git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    sha256 = hashlib.sha256()
    with where.open("rb") as file:
        while block := file.read(1 << 20):
            git.update(block)
            sha256.update(block)
    return git.hexdigest(), sha256.hexdigest()
