"""What a download says in the sandbox: as `aimctl fetch` would, about files that nobody fetches.

Called by jobs.py for Jobs whose container runs `aimctl fetch`.
"""

from __future__ import annotations

import json

from aim_operator.api.meta import Manifest

STEPS = 4
_SHARE = 10 / 11  # the claim has a tenth of headroom


def source(container: Manifest) -> str:
    """The URI that a container downloads; "" if it does something else."""
    arguments = container.get("args") or []
    return str(arguments[1]).replace("$$", "$") if arguments[:1] == ["fetch"] else ""


def progress_line(container: Manifest, step: int) -> bytes:
    total = _total(container)
    done = total * step // STEPS
    return f"progress downloadedBytes={done} totalBytes={total} percentage={100 * step // STEPS}\n".encode()


def last_word(container: Manifest, failure: str) -> str:
    """The termination message: that all went well, or (`failure` is "reason: message") what did not."""
    total = _total(container)
    reason, _, message = failure.partition(": ")
    if not failure:
        return json.dumps(
            {"reason": "Downloaded", "message": "", "totalBytes": total, "downloadedBytes": total}
        )
    return json.dumps({"reason": reason, "message": message, "totalBytes": total, "downloadedBytes": 0})


def _total(container: Manifest) -> int:
    arguments = container["args"]
    if "--capacity" not in arguments:
        return 0
    return int(int(arguments[arguments.index("--capacity") + 1]) * _SHARE)
