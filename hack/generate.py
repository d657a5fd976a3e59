"""Writes the files that are generated from code: deploy/crds/. `make generate` and `make check` call it.

python -m hack.generate            write what differs, remove what is no longer generated
python -m hack.generate --check    write nothing; exit 1 and name the files that differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aim_operator.api import crd

ROOT = Path(__file__).resolve().parent.parent
CRDS = ROOT / "deploy" / "crds"


def drifted(directory: Path, wanted: dict[str, str]) -> list[str]:
    """Names of the files in `directory` that are missing, differ from `wanted`, or should not be there."""
    have = {path.name: path.read_text() for path in directory.glob("*.yaml")}
    return sorted(name for name in wanted.keys() | have.keys() if wanted.get(name) != have.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only tell which files are out of date")
    check = parser.parse_args().check
    wanted = crd.files()
    names = drifted(CRDS, wanted)
    for name in names:
        path = CRDS / name
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
        if check:
            continue
        if name in wanted:
            CRDS.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name])
        else:
            path.unlink()
    if check and names:
        print("Run `make generate` and commit the result.")
    return 1 if check and names else 0


if __name__ == "__main__":
    sys.exit(main())
