"""Hashes of whole files and of files in parts, however their pieces come."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from aim_operator.fetch.checksums import Digest
from aim_operator.fetch.listing import Checksum


@given(pieces=st.lists(st.binary(max_size=40), max_size=10), part_size=st.integers(1, 50))
def test_pieces_do_not_matter(pieces: list[bytes], part_size: int) -> None:
    content = b"".join(pieces)
    parts = [content[start : start + part_size] for start in range(0, len(content), part_size)]
    want = {
        Checksum("sha256", ""): hashlib.sha256(content),
        Checksum("md5", ""): hashlib.md5(content),
        Checksum("git", ""): hashlib.sha1(b"blob %d\0" % len(content) + content),
        Checksum("md5", "", part_size): hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)),
    }
    for checksum, hashed in want.items():
        digest = Digest(checksum, len(content))
        for piece in pieces:
            digest.update(piece)
        assert digest.hexdigest() == hashed.hexdigest(), checksum
