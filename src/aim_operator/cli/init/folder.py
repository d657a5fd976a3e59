"""Where `aimctl init` writes: into a folder, all files or none of them, and over none of somebody's.

Called by command.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aim_operator.errors import UserError


def write(folder: Path, files: Mapping[str, str], *, overwrite: bool) -> list[Path]:
    """Write the files and return those that were there before with another text, and are no more.

    Raises UserError, before anything is written, where one is there and `overwrite` is not asked for; a file
    with the very text is left as it is.
    """
    paths = {folder / name: text for name, text in files.items()}
    try:
        there = [path for path, text in paths.items() if _other(path, text)]
        if there and not overwrite:
            named = ", ".join(map(str, there))
            raise UserError(f"{named} would be overwritten; choose another folder, or say --overwrite")
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename or folder} can't be written: {error.strerror}") from error
    return there


def _other(path: Path, text: str) -> bool:
    """Whether there is a file, or anything else, that is not `text` already."""
    try:
        return path.read_text(encoding="utf-8") != text
    except FileNotFoundError:
        # A link to nothing would be written through.
        return path.is_symlink()
    except UnicodeDecodeError:
        return True
