"""What errors of the volume mean."""

from __future__ import annotations

import errno

import pytest

from aim_operator.fetch.transfer import volume_error


@pytest.mark.parametrize(
    ("number", "reason", "want"),
    [
        pytest.param(errno.ENOSPC, "InsufficientSpace", "the volume is full", id="no space left"),
        pytest.param(errno.EDQUOT, "InsufficientSpace", "a quota holds", id="a quota"),
        pytest.param(errno.EIO, "DownloadFailed", "the volume: I/O error", id="a broken disk"),
        pytest.param(errno.EROFS, "DownloadFailed", "the volume: ", id="a read-only mount"),
    ],
)
def test_errors_of_the_volume(number: int, reason: str, want: str) -> None:
    got = volume_error(OSError(number, "I/O error" if number == errno.EIO else "said by the kernel"))
    assert (got.reason, want in str(got)) == (reason, True), str(got)
