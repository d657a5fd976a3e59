"""Paths that a source lists: whatever passes is safe to make, and stays below the directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aim_operator.errors import FetchError
from aim_operator.fetch import folders, listing
from aim_operator.fetch.listing import RemoteFile

SEGMENTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["..", ".", "", "a", ".aim-fetch", "lost+found", "x" * 256, "a\\b", "\u202e", "\0", "~", "é"]
    ),
)
PATHS = st.one_of(st.text(max_size=40), st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join))


@settings(max_examples=60)
@given(path=PATHS)
def test_what_passes_can_be_made_and_stays_inside(path: str) -> None:
    if listing.path_problem(path):
        return
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        descriptor = os.open(root, os.O_RDONLY)
        try:
            parent, _, name = path.rpartition("/")
            with folders.folder(descriptor, parent, make=True) as inside:
                os.close(folders.open_file(inside, name, os.O_WRONLY | os.O_CREAT))
        finally:
            os.close(descriptor)
        made = root / path
        assert made.is_file()
        assert made.resolve() == made
        assert made.relative_to(root).parts[0] not in (".aim-fetch", "lost+found")


@pytest.mark.parametrize(
    ("files", "want"),
    [
        pytest.param([("a", 1), ("a", 2)], "twice", id="a name twice"),
        pytest.param([("a", 1), ("a/b", 1)], "as a file and as a folder", id="a file that is a folder too"),
        pytest.param([("a/b/c", 1), ("a", 1)], "as a file and as a folder", id="the same, two levels up"),
        pytest.param([("a", -1)], "no size to believe", id="a negative size"),
        pytest.param([("a", 1 << 60)], "no size to believe", id="an exabyte"),
        pytest.param([("../a", 1)], "no plain relative path", id="a path upwards"),
    ],
)
def test_a_listing_that_is_refused(files: list[tuple[str, int]], want: str) -> None:
    with pytest.raises(FetchError, match=want):
        listing.check(RemoteFile(path, size, "e") for path, size in files)


def test_a_listing_without_end_is_left() -> None:
    def endless() -> Iterator[RemoteFile]:
        number = 0
        while True:
            yield RemoteFile(f"f{number}", 1, "e")
            number += 1

    with pytest.raises(FetchError, match="more than 100000 files"):
        listing.check(endless())
