"""The demo's picture and lines: what is in them, and that they fit the terminal."""

import io

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from aim_operator.cli.demo_snapshot import (
    EventRow,
    ImageRow,
    JobRow,
    ServiceRow,
    Snapshot,
    Source,
    TemplateRow,
    transitions,
)
from aim_operator.cli.demo_view import draw

SOURCE = Source("hf://meta-llama/Llama-3.1-8B-Instruct", 9094593249)


def make_template(**fields: object) -> TemplateRow:
    defaults: dict[str, object] = {
        "name": "llama-3-8b-throughput",
        "namespace": "ml-research",
        "state": "Available",
        "engine": "vllm",
        "metric": "throughput",
        "precision": "fp8",
        "gpus": "2 MI300X",
        "sources": (SOURCE,),
    }
    return TemplateRow(**(defaults | fields))  # type: ignore[arg-type]


def make_service(**fields: object) -> ServiceRow:
    defaults: dict[str, object] = {
        "name": "llama-chat",
        "namespace": "ml-team",
        "state": "Running",
        "template": "llama-3-8b-latency",
        "path": "/ml-team/chat",
    }
    return ServiceRow(**(defaults | fields))  # type: ignore[arg-type]


def make_job(state: str = "Running") -> JobRow:
    return JobRow(name="discover-x", namespace="ml-team", template="x", state=state)


def make_snapshot(**fields: object) -> Snapshot:
    event = EventRow(
        uid="1", seconds=0.2, warning=False, reason="DiscoveryStarted", about="x", message="y" * 200
    )
    defaults: dict[str, object] = {
        "seconds": 1.0,
        "images": (ImageRow(name="llama", namespace="", image="ghcr.io/" + "x" * 150, state="Ready"),) * 3,
        "templates": (make_template(),) * 3,
        "jobs": (make_job(),) * 3,
        "services": (make_service(),),
        "events": (event,) * 9,
    }
    return Snapshot(**(defaults | fields))  # type: ignore[arg-type]


def drawn(
    snapshot: Snapshot, width: int, height: int | None = None, title: str = "demo: of something"
) -> list[str]:
    console = Console(width=width, file=io.StringIO(), legacy_windows=False)
    with console.capture() as captured:
        console.print(draw(snapshot, title=title, width=width, height=height))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_picture(width: int, snapshot: SnapshotAssertion) -> None:
    assert "\n".join(line.rstrip() for line in drawn(make_snapshot(), width)) == snapshot


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_it_fits_the_width(width: int) -> None:
    assert max(map(len, drawn(make_snapshot(), width))) <= width


@pytest.mark.parametrize(
    ("width", "want"),
    [
        pytest.param(120, " ✔ demo  a cluster in memory, no GPU, nothing downloaded", id="all of it"),
        pytest.param(50, " ✔ demo  a cluster in memory, no GPU", id="whole parts of it"),
        pytest.param(30, " ✔ demo  a cluster in …", id="at least the beginning of the first"),
    ],
)
def test_the_heading_is_cut_where_a_part_of_it_ends(width: int, want: str) -> None:
    title = "demo: a cluster in memory, no GPU, nothing downloaded"
    heading = next(line for line in drawn(make_snapshot(seconds=1.6), width, title=title) if line)
    assert heading == f"{want}{'1.6 s '.rjust(width - len(want))}"


@pytest.mark.parametrize("height", [24, 30, 40])
def test_it_fits_the_height_and_keeps_what_matters(height: int) -> None:
    lines = drawn(make_snapshot(), 80, height)
    assert len(lines) <= height
    text = "\n".join(lines)
    assert "Services" in text
    assert "Templates" in text
    assert "/ml-team/chat" in text


def test_what_there_is_no_room_for_becomes_one_line() -> None:
    lines = drawn(make_snapshot(jobs=(make_job(), make_job(state="Complete"))), 80, 16)
    assert "   3 images ready · 1 of 2 discovery jobs complete · 9 events" in [
        line.rstrip() for line in lines
    ]
    assert not any("Catalog" in line for line in drawn(make_snapshot(), 80, 24))
    assert any("Catalog" in line for line in drawn(make_snapshot(), 80, 60))


@pytest.mark.parametrize("width", [80, 120])
def test_it_shows_what_discovery_found(width: int) -> None:
    text = "\n".join(drawn(make_snapshot(), width))
    for word in ("vllm", "throughput", "fp8", "2 MI300X", SOURCE.uri, "8.47 GiB"):
        assert word in text


def test_a_failed_service_says_why() -> None:
    failed = make_service(state="Degraded", message="ImageNotFound: no image 'x'")
    assert any("ImageNotFound: no image 'x'" in line for line in drawn(make_snapshot(services=(failed,)), 80))


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        pytest.param((), (make_service(state=""),), 0, id="an object that nobody judged yet is not told"),
        pytest.param((make_service(),), (make_service(),), 0, id="no change, no line"),
        pytest.param((make_service(state="Starting"),), (make_service(),), 1, id="another state is told"),
        pytest.param(
            (make_service(state="Pending", message="A: x"),),
            (make_service(state="Pending", message="A: y"),),
            0,
            id="another wording of the same reason is not told",
        ),
        pytest.param(
            (make_service(state="Pending", message="A: x"),),
            (make_service(state="Pending", message="B: x"),),
            1,
            id="another reason is told",
        ),
    ],
)
def test_lines_tell_transitions(old: tuple[ServiceRow, ...], new: tuple[ServiceRow, ...], want: int) -> None:
    got = list(transitions(Snapshot(seconds=0, services=old), Snapshot(seconds=1, services=new)))
    assert len(got) == want


@pytest.mark.parametrize(
    ("templates", "services", "done", "settled"),
    [
        pytest.param((make_template(),), (make_service(),), True, True, id="all well"),
        pytest.param((make_template(),), (make_service(state="Starting"),), False, False, id="under way"),
        pytest.param(
            (make_template(state="Failed"),), (make_service(),), False, True, id="nothing more to come"
        ),
        pytest.param((make_template(state=""),), (make_service(),), False, False, id="not seen yet"),
    ],
)
def test_when_a_demo_is_over(
    templates: tuple[TemplateRow, ...], services: tuple[ServiceRow, ...], *, done: bool, settled: bool
) -> None:
    snapshot = make_snapshot(templates=templates, services=services)
    assert (snapshot.done, snapshot.settled) == (done, settled)
