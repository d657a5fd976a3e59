"""Makes the archives of `kubectl aim` for Krew, and aim.yaml, which names them by address and SHA-256.

    python -m hack.krew --base https://HOST/PATH --out DIR

The archives are to be found below --base, once somebody puts them there: the release workflow. The same
checkout, wheel and Python make the same archives. --platform and --python make fewer, to try one.
Why a folder with four Pythons: docs/adr/0026-kubectl-aim-by-krew.md.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import sys
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from hack.krew.manifest import NAME, manifest
from hack.krew.tree import PLATFORMS, PYTHONS, Platform, build, files, run
from hack.version import version

LEVEL = 9
"""Of compression: made once, fetched often."""
_EPOCH = 315_532_800
"""1980-01-01, the oldest that a zip can hold; of all files."""


def pack(folder: Path, archive: Path, level: int = LEVEL) -> str:
    """Write a folder as a .tar.gz without owners and times; return its SHA-256."""
    with (
        archive.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=level, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for path in files(folder):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            entry.mode = 0o755 if path.stat().st_mode & 0o100 and not path.suffix else 0o644
            entry.mtime = _EPOCH
            with path.open("rb") as content:
                tar.addfile(entry, content)
    with archive.open("rb") as packed:
        return hashlib.file_digest(packed, "sha256").hexdigest()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hack.krew", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--base", required=True, type=_address, help="where the archives will be")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument("--wheel", type=Path, help="of aim-operator; built from this checkout without")
    parser.add_argument("--platform", action="append", type=_platform, metavar="OS/ARCH")
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--level", type=int, default=LEVEL, help="of compression, 1 to 9")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    names: dict[Platform, str] = {}
    sums: dict[Platform, str] = {}
    with tempfile.TemporaryDirectory() as work:
        wheel = chosen.wheel.resolve() if chosen.wheel else _wheel(Path(work))
        for platform in chosen.platform or PLATFORMS:
            folder = Path(work) / f"{platform.os}-{platform.arch}"
            build(platform, chosen.python or PYTHONS, wheel, folder)
            names[platform] = f"kubectl-{NAME}_v{version()}_{platform.os}_{platform.arch}.tar.gz"
            sums[platform] = pack(folder, chosen.out / names[platform], chosen.level)
            print(chosen.out / names[platform])
    (chosen.out / f"{NAME}.yaml").write_text(manifest(version(), chosen.base, sums, names))
    print(chosen.out / f"{NAME}.yaml")
    return 0


def _wheel(folder: Path) -> Path:
    run("build", "--quiet", "--wheel", f"--out-dir={folder}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def _address(text: str) -> str:
    if urlsplit(text).scheme != "https" or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError(f"{text}: not an https:// address")
    return text


def _platform(text: str) -> Platform:
    for platform in PLATFORMS:
        if text == f"{platform.os}/{platform.arch}":
            return platform
    known = ", ".join(f"{each.os}/{each.arch}" for each in PLATFORMS)
    raise argparse.ArgumentTypeError(f"{text}: not one of {known}")


if __name__ == "__main__":
    sys.exit(main())
