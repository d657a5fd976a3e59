"""Draws docs/performance.md's plots from the JSON of a measurement: python -m bench.plots SCALE.json DIR

Needs the dependency group `bench`: `uv sync --group bench`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench.scale import Result, kib_per_service

BLUE, GREY = "#2563eb", "#9ca3af"


def draw(result: Result, directory: Path) -> None:
    """Write scale.svg."""
    # Not at the top: measuring needs no plots, and plots no display.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("svg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    # Without a date and random ids, the same numbers give the same file.
    mpl.rcParams |= {"svg.hashsalt": "aim-operator", "font.size": 9, "axes.spines.top": False}
    mpl.rcParams |= {"axes.spines.right": False}
    sizes = [stage.services for stage in result.stages]
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 5.6), layout="constrained")

    def plot(axis: Any, title: str, lines: dict[str, list[float]], goal: float | None = None) -> None:
        for (label, values), colour in zip(lines.items(), (BLUE, GREY), strict=False):
            axis.plot(sizes, values, marker="o", color=colour, label=label)
            for number, (size, value) in enumerate(zip(sizes, values, strict=True)):
                # The higher of two has its number above, the lower one below.
                lowest = min(each[number] for each in lines.values())
                where = (0, -14) if len(lines) > 1 and value == lowest else (0, 6)
                text = f"{value:.3g}" if value < 100 else f"{value:.0f}"
                axis.annotate(text, (size, value), where, textcoords="offset points", ha="center")
        if goal is not None:
            axis.axhline(goal, color=GREY, linestyle="--", linewidth=1, label=f"goal: {goal:g}")
        axis.set(xscale="log", title=title, xlabel="services")
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.set_ylim(0, axis.get_ylim()[1] * 1.2)
        if len(lines) > 1 or goal is not None:
            axis.legend(frameon=False, loc="lower right")

    stages = result.stages
    plot(axes[0][0], "CPU, ms per service to Starting", {"CPU": [s.cpu_ms_per_service for s in stages]}, 4)
    plot(
        axes[0][1],
        "Memory, MiB",
        {
            "at rest": [s.memory_mib for s in stages],
            "after a restart": [s.restart_memory_mib for s in stages],
        },
    )
    plot(
        axes[1][0],
        "Change of one service, p99 in ms",
        {"operator": [s.change_p99_ms for s in stages], "API server alone": [s.bare_p99_ms for s in stages]},
    )
    plot(
        axes[1][1],
        "Restart, seconds until caches are synced",
        {"caches synced": [s.restart_synced_seconds for s in stages]},
        10,
    )
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / "scale.svg", metadata={"Date": None})
    each = kib_per_service(result, stages[-1])
    print(f"{directory}/scale.svg: {stages[-1].services} services at {each:.1f} KiB each")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scale", type=Path, help="what `bench.scale --json` wrote")
    parser.add_argument("directory", type=Path, help="where the plots go")
    options = parser.parse_args()
    draw(msgspec.json.decode(options.scale.read_bytes(), type=Result), options.directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
