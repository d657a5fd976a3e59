"""A server that asks to wait: understood in every form, waited for, shown, and no stall."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aim_operator.fetch.retrying import Policy
from aim_operator.fetch.threads import in_thread
from aim_operator.fetch.waits import wanted_seconds
from tests.support.fetch_process import FetchProcess, assert_same_files
from tests.support.fetching import fetched
from tests.support.hub_server import Hub
from tests.support.operator_process import eventually

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
INFORMATION = "/api/models/acme/tiny/revision/*"
TREE = "/api/models/acme/tiny/tree/*"
SMALL = "*/resolve/*/config.json"
CDN = "/cdn/*"


@pytest.mark.parametrize(
    ("headers", "want"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"Retry-After": "30"}, 30, id="seconds"),
        pytest.param({"Retry-After": " 1.5 "}, 1.5, id="a fraction, as some proxies write"),
        pytest.param({"Retry-After": "Wed, 21 Oct 2026 07:29:00 GMT"}, 60, id="a date"),
        pytest.param({"Retry-After": "Wednesday, 21-Oct-26 07:29:00 GMT"}, 60, id="an old date"),
        pytest.param({"Retry-After": "Wed Oct 21 07:29:00 2026"}, 60, id="a date of C"),
        pytest.param({"Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT"}, 0, id="a date that has passed"),
        pytest.param({"Retry-After": "soon"}, None, id="a word"),
        pytest.param({"Retry-After": "-5"}, None, id="a negative number"),
        pytest.param({"Retry-After": "9" * 5000}, None, id="a number without end"),
        pytest.param({"Retry-After": "Wed, 21 Oct 99999999999 07:29:00 GMT"}, None, id="a year without end"),
        pytest.param({"RateLimit": '"api";r=0;t=55'}, 55, id="as the Hub says it"),
        pytest.param({"RateLimit": "r=0;t=30"}, 30, id="without a name"),
        pytest.param({"RateLimit": '"api"; r = 0 ; t = 55'}, 55, id="with spaces"),
        pytest.param({"RateLimit": '"api";r=7;t=55'}, None, id="of a limit that is not used up"),
        pytest.param({"RateLimit": '"pages";r=3;t=9, "api";r=0;t=55'}, 55, id="of several limits"),
        pytest.param({"RateLimit": "limit=100, remaining=0, reset=50"}, 50, id="the older form"),
        pytest.param({"RateLimit": "limit=100, remaining=4, reset=50"}, None, id="the same, not used up"),
        pytest.param({"RateLimit-Reset": "20"}, 20, id="a header of its own"),
        pytest.param({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 40)}, 40, id="a moment"),
        pytest.param({"Retry-After": "5", "RateLimit": '"api";r=0;t=55'}, 55, id="the longest of two"),
        pytest.param({"RateLimit": "t=" * 100_000}, None, id="nonsense without end"),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], want: float | None) -> None:
    assert wanted_seconds(headers, NOW) == want


@pytest.mark.parametrize(
    "asks", ["retry_after=1", "date_after=2", 'ratelimit="api";r=0;t=1', "ratelimit=r=0;t=1"]
)
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(INFORMATION, id="information"),
        pytest.param(TREE, id="listing"),
        pytest.param(SMALL, id="file"),
        pytest.param(CDN, id="large file"),
    ],
)
async def test_a_limit_of_requests_is_waited_for_and_shown(
    path: str, asks: str, hub: Hub, tmp_path: Path
) -> None:
    """The waits together are longer than what would be a stall."""
    hub.faults.add(f"status:code=429,path={path},times=2,{asks}")
    started = time.monotonic()
    outcome, lines = await fetched(
        "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, stall_seconds=10
    )
    assert outcome.reason == "Downloaded", lines
    # No upper limit: a machine may be as slow as it likes.
    assert time.monotonic() - started > 1
    assert "answered 429 (too many requests); it asks to wait" in "\n".join(lines)
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


@pytest.mark.parametrize("path", [INFORMATION, TREE, SMALL])
async def test_a_limit_that_lasts_ends_the_download_and_says_so(path: str, hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(f"status:code=429,path={path},ratelimit=r=0;t=1")
    outcome, lines = await fetched(
        "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, attempts=3, stall_seconds=1
    )
    assert outcome.reason == "DownloadFailed", "a limit is no stall"
    assert "answered 429 (too many requests); it asks to wait 1 s (3 attempts in a row" in outcome.message
    assert any("trying again after" in line for line in lines), "that is read meanwhile"


async def test_a_download_that_waits_is_stopped_at_once_and_leaves_no_thread(
    hub: Hub, tmp_path: Path
) -> None:
    hub.faults.add(f"status:code=429,path={TREE},retry_after=3600")
    before = set(threading.enumerate())
    said: list[str] = []
    task = asyncio.create_task(
        fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, said=said)
    )
    waits = "it asks to wait 3600 s"
    await in_thread(lambda: eventually(lambda: any(waits in line for line in said), "it waits"))
    task.cancel()
    outcome, lines = await task
    assert outcome.reason == "Interrupted", lines

    def left() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one not in before and one is not asking]

    asking = threading.current_thread()
    for one in left():
        one.join(60)
    assert left() == [], "nobody is there to ask for anything more"


def test_what_the_log_of_a_job_says_of_a_limit(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(f"status:code=429,path={INFORMATION},retry_after=3600")
    process = FetchProcess(
        "hf://acme/tiny", tmp_path / "out", tmp_path / "log", environment={"HF_ENDPOINT": hub.url}
    )
    said = f"trying again after: {hub.url[7:]} answered 429 (too many requests); it asks to wait 3600 s"
    eventually(lambda: said in process.text, "it is said before the wait")
    process.process.terminate()
    assert process.wait() == 143, process.text


@pytest.mark.parametrize("asked", [0.0, 0.001])
def test_a_server_that_asks_to_wait_for_nothing_does_not_use_up_all_attempts_in_a_moment(
    asked: float,
) -> None:
    """`Retry-After: 0`, a date that has passed, `t=0`: the pauses are at least our own."""
    policy = Policy(attempts=8, first_seconds=0.5)
    waits = [policy.wait_seconds(failures, asked) for failures in range(1, policy.attempts)]
    assert sum(waits) > 20
    assert policy.wait_seconds(1, 20.0) >= 20
