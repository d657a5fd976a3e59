"""Which files of a source are downloaded: patterns of their paths, and what those leave out."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule

FILE_PATTERN = "^[!#%-~]{1,256}$"
"""ASCII without spaces, quotes and '$', which a kubelet would take for the start of a variable."""
MOST_PATTERNS = 16

_RULES = (
    Rule(
        rule=f"self.matches('{FILE_PATTERN}')",
        message="write a pattern such as *.safetensors or original/*, without spaces, quotes and '$'",
    ),
    Rule(
        rule="!self.startsWith('/')",
        message="paths are below the source; write the pattern without a leading '/'",
    ),
)
FilePatterns = Annotated[
    tuple[str, ...],
    Field(
        max_items=MOST_PATTERNS,
        list_type="atomic",
        value=Field(min_length=1, max_length=256, rules=_RULES),
    ),
]

INCLUDE_DOC = (
    "Files to download, as patterns of their paths, where * stands for any characters, / too; "
    "if unset or empty, all but what only doubles the weights."
)
EXCLUDE_DOC = "Files to leave out, as patterns of their paths; overrides include."


class LeftOutFiles(Wire):
    """Files that one pattern leaves out."""

    pattern: Annotated[
        str, Field(doc="The pattern; 'not included' for what no include matches.", max_length=256)
    ]
    files: Annotated[int, Field(doc="How many files.", minimum=0)]
    total_bytes: Annotated[int, Field(doc="How many bytes.", minimum=0, format="int64")]
