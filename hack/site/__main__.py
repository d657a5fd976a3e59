"""`make docs`: builds the docs site into site/; any warning fails. `make check` builds it elsewhere.

python -m hack.site [--check]    exit code 1, and the reason, if the site can't be built
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hack.site import navigation
from hack.site.finishing import finish
from hack.site.pages import DOCS, places, relinked
from hack.site.staging import staged

# Links to read on are fine: those are <a>.
_LOADING = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>"
    r"|<link\b[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>"
)
ROOT = Path(__file__).resolve().parents[2]
CONFIG = "zensical.toml"
SITE = "site"


def lay_out(root: Path, stage: Path) -> None:
    """Write into `stage` what the site generator builds from. Raises ValueError, see navigation.expanded."""
    where = places(root)
    for source, place in where.items():
        target = stage / DOCS / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            target.write_text(staged(relinked((root / source).read_text(), source, where), place))
        else:
            shutil.copyfile(root / source, target)
    pages = [place for place in where.values() if place.endswith(".md")]
    (stage / CONFIG).write_text(navigation.expanded((root / CONFIG).read_text(), pages))


def build(root: Path, stage: Path) -> str:
    """Build the site into `stage`/site and return "", or else what is wrong with it."""
    try:
        lay_out(root, stage)
    except ValueError as error:
        return str(error)
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run(
        [program, "build", "--strict"], cwd=stage, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"{done.stdout}{done.stderr}"
    finish(stage / SITE, places(root))
    return "\n".join(from_elsewhere(stage / SITE))


def from_elsewhere(site: Path) -> Iterator[str]:
    """Yield what pages would load from other hosts: readers may have no way there."""
    for page in sorted(site.rglob("*.html")):
        for tag in _LOADING.finditer(page.read_text()):
            yield f"{page.relative_to(site)} loads from another host: {tag[0]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only tell whether it can be built")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory(prefix="aim-site-") as directory:
        stage = Path(directory)
        problem = build(ROOT, stage)
        if problem:
            print(problem, file=sys.stderr)
            return 1
        if not check:
            shutil.rmtree(ROOT / SITE, ignore_errors=True)
            shutil.move(stage / SITE, ROOT / SITE)
            print(f"{SITE}/index.html; read it with: python3 -m http.server --directory {SITE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
