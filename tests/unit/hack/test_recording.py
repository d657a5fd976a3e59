"""The recording of the demo, and the other pictures: that they show what they should wherever they are shown.

Whether the recording is up to date is for `make check` to tell.
"""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hack import stills
from hack.recording import Frame, record, shown, svg

SVG = "{http://www.w3.org/2000/svg}"
ASSETS = Path("docs/assets")


def test_it_shows_the_command_and_the_verdict_of_a_real_run() -> None:
    frames = record()
    assert len(frames) > 5
    assert frames == record()
    first, last = frames[0].lines, frames[-1].lines
    assert first[0] == last[0] == (("$ make demo", "bold"),)
    verdict = "".join(text for text, _ in last[-1])
    assert re.fullmatch(r" ✔ 1 service running, 3 templates discovered, 1\.\d s", verdict)


def test_a_row_is_drawn_once_for_as_long_as_it_stays() -> None:
    a, b = (("a", ""),), (("b", "green"),)
    frames = [Frame(0.0, (a, b)), Frame(1.0, (a,)), Frame(2.0, (a, a))]
    assert shown(frames) == [(0, a, 0, 3), (1, b, 0, 1), (1, a, 2, 3)]


def test_where_nothing_moves_it_is_the_last_frame() -> None:
    frames = [Frame(0.0, ((("old", ""),),)), Frame(1.0, ((("new & last", ""),),))]
    picture = svg(frames, title="old and new", words="first old, then new")
    rows = {"".join(row.itertext()): row.get("class") for row in ET.fromstring(picture).iter(f"{SVG}text")}
    assert rows == {"old": "t0-1", "new & last": "t1-2"}
    assert ".t0-1 { visibility: hidden }" in picture
    outside, _, motion = picture.partition("@media (prefers-reduced-motion: no-preference)")
    assert "animation" not in outside
    assert ".t1-2 { animation: " in motion


@pytest.mark.parametrize(
    "name", ["demo.svg", "objects.svg", "states.svg", "status.svg", "why.svg", "plan.svg"]
)
def test_pictures_are_readable_on_any_ground_and_load_nothing(name: str) -> None:
    text = (ASSETS / name).read_text()
    root = ET.fromstring(text)
    # A picture in a page does not learn whether the page is dark: it brings its own ground.
    ground = next(root.iter(f"{SVG}rect"))
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    assert float(ground.attrib["width"]) >= width - 1
    assert float(ground.attrib["height"]) >= height - 1
    assert root.find(f"{SVG}title") is not None
    assert not re.search(r"href=|url\((?!#)|@import|<script", text)


def _shown(picture: str) -> list[str]:
    return ["".join(row.itertext()) for row in ET.fromstring(picture).iter(f"{SVG}text")]


def test_pictures_of_commands_are_of_real_runs_and_the_same_each_time() -> None:
    drawn = stills.files()
    assert drawn == stills.files()
    status, why, plan = (_shown(drawn[name]) for name in ("status.svg", "why.svg", "plan.svg"))
    assert status[:2] == [
        "$ aimctl status -A",
        "all namespaces: 5 services; 3 Running, 1 Pending, 1 Degraded; 4 GPUs",
    ]
    assert any("Progressing" in line and "%" in line for line in status)
    assert sum("← the root" in line for line in why) == 1
    assert why[-2].startswith("Do: Add imagePullSecrets")
    assert plan[1] == "AIMService ml-team/llama-chatwould run"
