"""Writes the files that are generated from code.

    deploy/crds/, charts/aim-operator/files/crds/     from the API types
    charts/aim-operator/files/rules/                  from the permissions that the code declares
    charts/aim-operator/files/dashboards/             from their table of panels (hack/dashboards.py)
    charts/aim-operator/README.md                     from its schema and values
    deploy/kube-state-metrics.yaml                    from the API types (hack/state_metrics.py)
    deploy/aim-operator.yaml                          from the chart, by Helm (hack/plain_manifests.py)
    docs/assets/demo.svg                              from a run of the demo
    parts of docs/reference/                          from the types, the flags, the metrics and uv.lock

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
from hack import dashboards, plain_manifests, recording, roles, state_metrics, stills, supply_chain
from hack.reference import api, chart, cli, metrics

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "aim-operator"
KEEP = "  annotations:\n    helm.sh/resource-policy: keep\n"


class Generated(NamedTuple):
    """Files of one folder: what they must hold, and which others there are leftovers."""

    folder: Path
    files: dict[str, str]
    leftovers: str
    """A glob of files that nobody writes by hand; "" if the folder has such."""


def everything() -> list[Generated]:
    """What must be on disk."""
    crds = crd.files()
    reference = ROOT / "docs" / "reference"
    pages = {"chart.md": chart.text(), "cli.md": cli.text(), "metrics.md": metrics.text()}
    return [
        Generated(ROOT / "deploy" / "crds", crds, "*.yaml"),
        Generated(CHART / "files" / "crds", {name: kept(text) for name, text in crds.items()}, "*.yaml"),
        Generated(CHART / "files" / "rules", roles.files(), "*.yaml"),
        Generated(CHART / "files" / "dashboards", dashboards.files(), "*.json"),
        Generated(ROOT / "deploy", state_metrics.files(), ""),
        Generated(CHART, {"README.md": chart.readme()}, ""),
        Generated(reference / "api", api.files(), "*.md"),
        Generated(reference, pages | supply_chain.files(), ""),
        Generated(ROOT / "docs" / "assets", {"demo.svg": recording.text(), **stills.files()}, ""),
    ]


def drifted(generated: Generated) -> list[str]:
    """Names of the files that are missing, differ from what is wanted, or should not be there."""
    folder, wanted = generated.folder, generated.files
    left = {path.name for path in folder.glob(generated.leftovers)} if generated.leftovers else set()
    return sorted(name for name in wanted.keys() | left if wanted.get(name) != _text(folder / name))


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def kept(text: str) -> str:
    """A CRD that Helm leaves alone when the release is uninstalled: all objects of its kind would go."""
    head, metadata, rest = text.partition("\nmetadata:\n")
    if not metadata or "\n  annotations:" in "\n" + rest.partition("\nspec:")[0]:
        raise ValueError("the CRD's metadata is not as expected: no annotations, and before the spec")
    return head + metadata + KEEP + rest


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only tell which files are out of date")
    check = parser.parse_args().check
    found = False
    for generated in everything():
        for name in drifted(generated):
            found = True
            _tell(generated.folder / name, check=check)
            if not check:
                _write(generated.folder / name, generated.files.get(name))
    # After the files above, which are part of the chart.
    if plain_manifests.outdated():
        found = True
        _tell(plain_manifests.PATH, check=check)
        if not check:
            _write(plain_manifests.PATH, plain_manifests.render())
    if check and found:
        print("Run `make generate` and commit the result.")
    return 1 if check and found else 0


def _tell(path: Path, *, check: bool) -> None:
    print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")


def _write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
