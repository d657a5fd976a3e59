"""What `aimctl fetch` may be asked for: hf://owner/model[:revision] and s3://bucket/prefix. Pure.

The Hub's oldest models have no owner: hf://gpt2, which it redirects to where they are now.
"""

from __future__ import annotations

import re

from msgspec import Struct

from aim_operator.api.v1alpha1.caches import HF_SOURCE, S3_SOURCE
from aim_operator.errors import UserError

_LONGEST = 1024
_DEFAULT_REVISION = "main"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""As in S3_SOURCE."""


class HubUri(Struct, frozen=True):
    repository: str
    revision: str


class S3Uri(Struct, frozen=True):
    bucket: str
    prefix: str


def parse(text: str) -> HubUri | S3Uri:
    """Return what the URI names; UserError says what to write instead. The same as an AIMModelCache takes."""
    if len(text) <= _LONGEST and not {".", ".."}.intersection(re.split(r"[/:]", text)):
        if re.fullmatch(HF_SOURCE, text, re.ASCII):
            repository, _, revision = text.removeprefix("hf://").partition(":")
            return HubUri(repository, revision or _DEFAULT_REVISION)
        if re.fullmatch(S3_SOURCE, text, re.ASCII):
            bucket, _, prefix = text.removeprefix("s3://").partition("/")
            return S3Uri(bucket, prefix)
    # Not quoted: what is no source may be anything, such as a secret that was expanded into it.
    how = "write hf://owner/model[:revision] or s3://bucket/prefix"
    if text.startswith("s3://") and not _BUCKET.fullmatch(text.removeprefix("s3://").partition("/")[0]):
        how = f"{how}; a bucket's name has 3 to 63 lower-case letters, digits, '-' and '.'"
    raise UserError(f"the source can't be fetched; {how}")
