"""What a download says about itself is read with suspicion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.core.model_cache.report import Contents, Progress, last_word, parse_progress
from tests.support.cache_builders import make_download_pod

GIB = 1024**3


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param(
            "progress downloadedBytes=5 totalBytes=10 percentage=50 rate=1MiB/s",
            Progress(downloaded_bytes=5, total_bytes=10),
            id="a line of progress",
        ),
        pytest.param("resumed: 3 of 5 files are there", None, id="any other line"),
        pytest.param("progress downloadedBytes=11 totalBytes=10", None, id="more than there is"),
        pytest.param("progress downloadedBytes=-1 totalBytes=10", None, id="less than nothing"),
        pytest.param(f"progress downloadedBytes=1 totalBytes={'9' * 40}", None, id="an absurd number"),
        pytest.param("x progress downloadedBytes=1 totalBytes=2", None, id="progress that is quoted"),
    ],
)
def test_progress_lines(line: str, want: Progress | None) -> None:
    assert parse_progress(line) == want


@given(st.text(max_size=200))
def test_no_line_is_too_strange(line: str) -> None:
    got = parse_progress(line)
    assert got is None or 0 <= got.downloaded_bytes <= got.total_bytes


def word(exit_code: int, message: Any = None, reason: str | None = None) -> tuple[str, str]:
    text = message if isinstance(message, str) or message is None else json.dumps(message)
    pod = make_download_pod(phase="Failed", exit_code=exit_code, message=text, reason=reason)
    got = last_word(pod, "download")
    assert got is not None
    if got.failure is None:
        return "", got.revision
    return got.failure.reason, got.failure.message


@pytest.mark.parametrize(
    ("exit_code", "message", "reason", "want"),
    [
        pytest.param(0, {"reason": "Downloaded", "revision": "abc"}, None, ("", "abc"), id="success"),
        pytest.param(
            10,
            {"reason": "AuthenticationFailed", "message": "set HF_TOKEN"},
            None,
            ("AuthenticationFailed", "set HF_TOKEN"),
            id="a cause in its own words",
        ),
        pytest.param(
            1,
            {"reason": "Stalled", "message": "no byte"},
            None,
            ("Stalled", "no byte"),
            id="whatever its code",
        ),
        pytest.param(
            12, None, None, ("InsufficientSpace", "the download exited with code 12"), id="a code alone"
        ),
        pytest.param(
            137,
            None,
            "OOMKilled",
            ("DownloadFailed", "the download exited with code 137 (OOMKilled)"),
            id="killed without a word",
        ),
        pytest.param(
            1,
            {"reason": "Running", "message": "a\nb"},
            None,
            ("DownloadFailed", "a b"),
            id="a reason that is none of its own, in several lines",
        ),
        pytest.param(
            1, "Traceback …", None, ("DownloadFailed", "the download exited with code 1"), id="no JSON"
        ),
        pytest.param(
            1,
            '{"totalBytes": "x"}',
            None,
            ("DownloadFailed", "the download exited with code 1"),
            id="JSON of another shape",
        ),
        pytest.param(
            1, {"message": "x" * 5000}, None, ("DownloadFailed", "x" * 1023 + "…"), id="a long word is cut"
        ),
    ],
)
def test_the_last_word(exit_code: int, message: Any, reason: str | None, want: tuple[str, str]) -> None:
    assert word(exit_code, message, reason) == want


def test_a_pod_that_runs_has_not_said_its_last_word() -> None:
    assert last_word(make_download_pod(), "download") is None


def contents(**message: Any) -> Contents | None:
    got = last_word(
        make_download_pod(phase="Succeeded", exit_code=0, message=json.dumps(message)), "download"
    )
    assert got is not None
    return got.contents


def test_files_may_be_empty() -> None:
    assert contents(totalBytes=0, files=1) == Contents(total_bytes=0, files=1)


def test_of_what_is_left_out_no_more_is_kept_than_a_status_takes() -> None:
    left_out = [{"pattern": f"*.{number}", "files": 1, "totalBytes": 1} for number in range(20)]
    got = contents(totalBytes=1, files=1, leftOut=left_out)
    assert got is not None
    assert [each.pattern for each in got.left_out] == [f"*.{number}" for number in range(8)]


def test_the_last_word_tells_how_far_it_got() -> None:
    pod = make_download_pod(
        phase="Failed", exit_code=13, message=json.dumps({"totalBytes": 4 * GIB, "downloadedBytes": GIB})
    )
    got = last_word(pod, "download")
    assert got is not None
    assert got.progress == Progress(downloaded_bytes=GIB, total_bytes=4 * GIB)
