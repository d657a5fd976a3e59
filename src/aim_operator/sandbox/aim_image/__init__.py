"""A stand-in for AIM images that keeps their contract: how they choose a profile, refuse, print and serve.

Standard library only, and no import from the rest of the project: stand-in images hold this package alone
and run `python3 -m aim_image`; the sandbox calls `dry_run` and `check` for what such an image would do.
Nothing here is a model: answers are made up, and no weights are loaded.
"""

from .commands import OLD, STAND_IN, Run, check, dry_run
from .tables import Entry, entries

__all__ = ["OLD", "STAND_IN", "Entry", "Run", "check", "dry_run", "entries"]
