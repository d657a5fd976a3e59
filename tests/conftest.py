"""Property tests: the same examples in every run, however slow the machine.

`HYPOTHESIS_PROFILE=explore pytest tests/unit/core` searches for new ones instead, and prints what it finds.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# On a busy machine an example takes as long as other processes let it, and so does making one up.
settings.register_profile(
    "repeat", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
