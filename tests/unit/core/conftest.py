"""Property tests: the same examples in every run, however slow the machine.

`HYPOTHESIS_PROFILE=explore pytest tests/unit/core` searches for new ones instead, and prints what it finds.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeat", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
