"""What follows from versions of objects alone, worked out once for each.

A version of an object is one value in memory, which all who read the cache share and nobody changes. So what
is made of an image, a template and a configuration is the same for every service of them, until one changes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

REMEMBERED = 64
"""Combinations, for each function: they keep at most so many objects that are gone."""


def once(function: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """Have a pure function called once for the same arguments: the very same, equal ones are others.

    What it raises is not remembered. The combinations that came first are forgotten first.
    """
    known: dict[tuple[int, ...], tuple[tuple[*Ts], T]] = {}

    @wraps(function)
    def remembering(*args: *Ts) -> T:
        key = tuple(map(id, args))
        found = known.get(key)
        if found is not None:
            return found[1]
        result = function(*args)
        # With the arguments: as long as they are kept here, no other object has their identity.
        known[key] = (args, result)
        if len(known) > REMEMBERED:
            del known[next(iter(known))]
        return result

    return remembering
