"""The choice of a profile: by equality, or by name, which wins over everything. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from .tables import Entry
from .variables import AUTO, NO_GPU, Variables

RANK = ("optimized", "preview", "unoptimized", "general")


class NoMatchError(Exception):
    """No profile fits; the message counts why not."""


def choose(variables: Variables, entries: Iterable[Entry]) -> Entry:
    """The best of the profiles that fit. Raises NoMatchError."""
    candidates = [entry for entry in entries if _belongs(variables, entry)]
    if variables.profile_id:
        named = [entry for entry in candidates if profile_id(entry) == variables.profile_id]
        if not named:
            raise NoMatchError(f"no profile {variables.profile_id} among {len(candidates)} profiles")
        return named[0]
    reasons: Counter[str] = Counter()
    fitting = []
    for entry in candidates:
        mismatches = list(_mismatches(variables, entry))
        reasons.update(mismatches)
        if not mismatches:
            fitting.append(entry)
    if not fitting:
        counts = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        raise NoMatchError(f"no profile of {len(candidates)} fits: {counts or 'there are none'}")
    return min(fitting, key=_rank)


def profile_id(entry: Entry) -> str:
    name: str = entry["filename"]
    return name.removesuffix(".yaml")


def _belongs(variables: Variables, entry: Entry) -> bool:
    profile = entry["profile"]
    if profile["metadata"].get("type") == "general":
        return variables.general_fallback
    aim_id: str = profile.get("aim_id", variables.aim_id)
    return aim_id == variables.aim_id


def _mismatches(variables: Variables, entry: Entry) -> Iterator[str]:
    metadata = entry["profile"]["metadata"]
    # There is no GPU to detect here: without a model, only a profile for none fits.
    gpu = variables.gpu_model or NO_GPU
    count = variables.gpu_count
    if count is None:
        count = 0 if gpu == NO_GPU else 1
    if metadata.get("engine") != variables.engine:
        yield "engine_mismatch"
    if metadata.get("gpu") != gpu:
        yield "gpu_mismatch"
    if metadata.get("gpu_count") != count:
        yield "gpu_count_mismatch"
    if metadata.get("metric") != variables.metric:
        yield "metric_mismatch"
    if variables.precision not in (AUTO, metadata.get("precision")):
        yield "precision_mismatch"
    if metadata.get("manual_selection_only"):
        yield "manual_selection_only"


def _rank(entry: Entry) -> int:
    type_ = entry["profile"]["metadata"].get("type", "optimized")
    return RANK.index(type_) if type_ in RANK else len(RANK)
