"""Owns the user's cache directory and the file locks in it.

Built binaries, Go itself (where the machine has none) and default instances live here. Locks are kept
here too, not beside what they guard, so that removing an instance's directory leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """$XDG_CACHE_HOME/aim-operator/cluster, made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(base) / "aim-operator" / "cluster"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def default_instance_dir() -> Path:
    """Where `up` puts the instance that was given no directory: $AIM_CLUSTER_DEFAULT, or in the cache."""
    chosen = os.environ.get("AIM_CLUSTER_DEFAULT")
    return Path(chosen) if chosen else cache_dir() / "default"


@contextmanager
def locked(subject: str | Path, on_wait: Callable[[], None] | None = None) -> Iterator[int]:
    """Holds the machine-wide lock of `subject`; yields its file descriptor.

    `on_wait` is called once if another process holds it. The lock goes with its process, also on SIGKILL, and
    with every child that was given the descriptor.
    """
    digest = hashlib.sha256(str(subject).encode()).hexdigest()[:16]
    path = cache_dir() / "locks" / digest
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()
