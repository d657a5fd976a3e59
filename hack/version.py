"""The version of the project is that of pyproject.toml; whatever else names it has to agree.

    python -m hack.version                 prints it
    python -m hack.version --tag v0.1.0    fails unless that is its tag and the changelog has its notes
    python -m hack.version --notes         prints what the changelog says of it

Used by .github/workflows/release.yaml. To change it: pyproject.toml, the places that the error names, then
`make generate`.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = {
    "charts/aim-operator/Chart.yaml": r"^(?:version|appVersion): (\S+)$",
    "src/aim_operator/settings.py": r'^DOWNLOADER_IMAGE = "[^":]+:([^"]+)"$',
}
"""Files beside pyproject.toml that name the version, and where."""


def version(root: Path = ROOT) -> str:
    with (root / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def disagreeing(root: Path = ROOT) -> list[str]:
    """Return a sentence for each place that names another version, or none."""
    expected = version(root)
    problems = []
    for name, pattern in PLACES.items():
        found = re.findall(pattern, (root / name).read_text(), re.MULTILINE)
        if not found or set(found) != {expected}:
            problems.append(f"{name} says {', '.join(found) or 'nothing'}, pyproject.toml {expected}")
    return problems


def notes(root: Path = ROOT) -> str:
    """Return what CHANGELOG.md says of the version, "" where it has no heading with a date of its own."""
    heading = rf"^## \[{re.escape(version(root))}\] - \d{{4}}-\d\d-\d\d$"
    text = (root / "CHANGELOG.md").read_text()
    parts = re.split(heading, text, maxsplit=1, flags=re.MULTILINE)
    return re.split(r"^## ", parts[1], maxsplit=1, flags=re.MULTILINE)[0].strip() if len(parts) == 2 else ""


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.version", description=__doc__)
    parser.add_argument("--tag")
    parser.add_argument("--notes", action="store_true")
    chosen = parser.parse_args(arguments)
    problems = disagreeing(root)
    if chosen.tag is not None and chosen.tag != f"v{version(root)}":
        problems.append(f"the tag is {chosen.tag}, pyproject.toml says {version(root)}")
    if (chosen.tag is not None or chosen.notes) and not notes(root):
        problems.append(f"CHANGELOG.md has no text below a `## [{version(root)}] - YEAR-MONTH-DAY`")
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if not problems:
        sys.stdout.write((notes(root) if chosen.notes else version(root)) + "\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
