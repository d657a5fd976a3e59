"""What downloads and listings say in the sandbox: as `aimctl fetch` would, about files that nobody fetches.

Called by jobs.py for Jobs whose container runs `aimctl fetch`.
"""

from __future__ import annotations

import json

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.aim_image.commands import simulated_size
from aim_operator.sandbox.kubelet import arguments

STEPS = 4
FILES = 7
_GIB = 1024**3
_DEFAULT_GB = 1.0
_SHARE = 10 / 11  # the claim has a tenth of headroom


def source(container: Manifest) -> str:
    """The URI that a container downloads; "" if it does something else."""
    args = arguments(container)
    return args[1] if args[:1] == ["fetch"] else ""


def is_listing(container: Manifest) -> bool:
    return bool(source(container)) and "--list" in container["args"]


def progress_line(container: Manifest, step: int) -> bytes:
    total = _total(container)
    done = total * step // STEPS
    return f"progress downloadedBytes={done} totalBytes={total} percentage={100 * step // STEPS}\n".encode()


def last_word(container: Manifest, failure: str) -> str:
    """The termination message: that all went well, or (`failure` is "reason: message") what did not."""
    total = _total(container)
    reason, _, message = failure.partition(": ")
    if not failure:
        listing, checks = is_listing(container), "--check" in arguments(container)
        return json.dumps(
            {
                "reason": "Listed" if listing else "Verified" if checks else "Downloaded",
                "message": f"{FILES} files are there with their sizes" if checks else "",
                "totalBytes": total,
                "downloadedBytes": 0 if listing else total,
                "files": FILES,
                "revision": "main",
            }
        )
    return json.dumps({"reason": reason, "message": message, "totalBytes": total, "downloadedBytes": 0})


def _total(container: Manifest) -> int:
    """Bytes of the source: as many as discovery reports, but never more than fit the claim."""
    total = int((simulated_size(source(container)) or _DEFAULT_GB) * _GIB)
    args = arguments(container)
    if "--capacity" not in args:
        return total
    return min(total, int(int(args[args.index("--capacity") + 1]) * _SHARE))
