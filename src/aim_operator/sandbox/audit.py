"""What clients asked of the server, as its audit log tells: for tests of silence and of needless writes.

Filled by client.py; stand-ins write past it.
"""

from __future__ import annotations

from typing import NamedTuple


class AuditEntry(NamedTuple):
    """One request. `resource` is plural.group; `code` its HTTP status; `changed`: it wrote something."""

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    changed: bool
