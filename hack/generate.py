"""Writes the files that are generated from code: deploy/crds/ and parts of docs/reference/.

`make generate` and `make check` call it.

python -m hack.generate            write what differs, remove what is no longer generated
python -m hack.generate --check    write nothing; exit 1 and name the files that differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from aim_operator.api import crd
from hack.reference import api, cli, metrics

ROOT = Path(__file__).resolve().parent.parent


class Generated(NamedTuple):
    """Files of one folder: what they must hold, and which others there are leftovers."""

    folder: Path
    files: dict[str, str]
    leftovers: str
    """A glob of files that nobody writes by hand; "" if the folder has such."""


def everything() -> list[Generated]:
    """What must be on disk."""
    reference = ROOT / "docs" / "reference"
    return [
        Generated(ROOT / "deploy" / "crds", crd.files(), "*.yaml"),
        Generated(reference / "api", api.files(), "*.md"),
        Generated(reference, {"cli.md": cli.text(), "metrics.md": metrics.text()}, ""),
    ]


def drifted(generated: Generated) -> list[str]:
    """Names of the files that are missing, differ from what is wanted, or should not be there."""
    folder, wanted = generated.folder, generated.files
    left = {path.name for path in folder.glob(generated.leftovers)} if generated.leftovers else set()
    return sorted(name for name in wanted.keys() | left if wanted.get(name) != _text(folder / name))


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only tell which files are out of date")
    check = parser.parse_args().check
    found = False
    for generated in everything():
        for name in drifted(generated):
            found = True
            path = generated.folder / name
            print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
            if check:
                continue
            if name in generated.files:
                generated.folder.mkdir(parents=True, exist_ok=True)
                path.write_text(generated.files[name])
            else:
                path.unlink()
    if check and found:
        print("Run `make generate` and commit the result.")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
