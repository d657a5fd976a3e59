"""Which Pods go first in a roll-out: the new ones come, or the old ones make room.

New ones come first, until the scheduler or a quota says that there is no room beside the old ones. What it
says is the whole knowledge of nodes, taints, volumes and other Pods that a count of GPUs would guess at
(docs/adr/0024). Old ones go only for what fits in their place: else the model would be away for good.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from aim_operator.api.external import Pod
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import Rollout, RolloutStatus, UnlabelledPods
from aim_operator.core import labels
from aim_operator.core.conditions import parse_time
from aim_operator.core.messages import one_line
from aim_operator.core.naming import short_hash
from aim_operator.core.pods import is_ready

AUTO, ROLLING_UPDATE, RECREATE, OLD_FIRST = "Auto", "RollingUpdate", "Recreate", "OldFirst"
PATIENCE_SECONDS = 30
"""A Pod that is ending elsewhere may make room by itself."""
ROOM_DEADLINE_SECONDS = 600
"""Room that was made is taken within seconds, by the new Pod or by somebody else's."""

_ONE_BY_ONE = {"type": ROLLING_UPDATE, "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
_NODE_FIELDS = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "runtimeClassName",
    "schedulerName",
)
_SHORT_OF = re.compile(r"Insufficient ([a-z0-9./-]+)")
# The old Pod's own node may be the one: then its room is nobody's.
_CLOSED = "node(s) were unschedulable"
_QUOTA = "exceeded quota"
_MADE_ROOM = "the old Pods have made room for the new ones, and the model is away until one of these is ready"


class Handover(Struct, frozen=True, kw_only=True):
    """`decided` is for the status; `wait_seconds` until it may change by time alone, 0 for never.

    `message` is "" where new Pods simply come first. `can_force`: old Pods stay although there is no room.
    """

    decided: RolloutStatus | None = None
    message: str = ""
    wait_seconds: float = 0.0
    can_force: bool = False


def placement(predictor: Manifest) -> str:
    """Return a label value: equal first halves may be on the same node, equal ones take the same room there.

    The first half is about nodes, devices and volumes, the second about everything that is requested.
    """
    requests = predictor["model"]["resources"]["requests"]
    nodes = {name: predictor.get(name) for name in _NODE_FIELDS}
    devices = {name: amount for name, amount in requests.items() if "/" in name}
    claims = sorted(
        volume["persistentVolumeClaim"]["claimName"]
        for volume in predictor["volumes"]
        if "persistentVolumeClaim" in volume
    )
    return f"{short_hash([nodes, devices, claims])}-{short_hash(requests)}"


def strategy(rollout: Rollout | None, decided: RolloutStatus | None, revision: str) -> Manifest | None:
    """Return the Deployment's strategy; None leaves KServe its own, which is Kubernetes' default."""
    wanted = Rollout() if rollout is None else rollout
    if wanted.strategy == RECREATE:
        return {"type": RECREATE}
    if _old_first(wanted, decided, revision):
        return _ONE_BY_ONE
    bounds: dict[str, Any] = {}
    if wanted.max_surge is not None:
        bounds["maxSurge"] = _count(wanted.max_surge)
    if wanted.max_unavailable is not None:
        bounds["maxUnavailable"] = _count(wanted.max_unavailable)
    if bounds:
        return {"type": ROLLING_UPDATE, "rollingUpdate": bounds}
    return {"type": ROLLING_UPDATE} if wanted.strategy == ROLLING_UPDATE else None


def handover(
    rollout: Rollout | None,
    before: RolloutStatus | None,
    pods: Sequence[Pod],
    *,
    revision: str,
    want: str,
    replicas: int,
    refused: str,
    unlabelled: UnlabelledPods | None = None,
    now: datetime,
) -> Handover:
    """Decide for the roll-out to `revision`, once: what was decided `before` for it stays.

    `want` is the `placement` of its Pods. `refused` is why the cluster took no Pod since the youngest was
    made. `unlabelled` tells where Pods of before that label are.
    """
    wanted = Rollout() if rollout is None else rollout
    present = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    current = [pod for pod in present if pod.metadata.label(labels.REVISION) == revision]
    old = [pod for pod in present if pod.metadata.label(labels.REVISION) != revision]
    if _old_first(wanted, before, revision):
        # One that is ending has not made room yet.
        going = any(pod.metadata.label(labels.REVISION) != revision for pod in pods)
        after = "" if any(map(is_ready, current)) else _MADE_ROOM
        return Handover(decided=before, message=_told(replicas, "") if going else after)
    if not old or wanted.strategy in (ROLLING_UPDATE, RECREATE):
        return Handover()
    obstacle, since = _obstacle(current, refused)
    if not obstacle:
        return Handover()
    if not _fits(obstacle, want, {_placement_of(pod, unlabelled) for pod in old}):
        return Handover(can_force=True)
    waited = 0.0 if since is None else max(0.0, (now - parse_time(since)).total_seconds())
    loses_something = any(map(is_ready, old))
    if since is not None and loses_something and waited < PATIENCE_SECONDS:
        return Handover(
            message=f"waiting for room beside the old Pods: {obstacle}",
            wait_seconds=PATIENCE_SECONDS - waited,
        )
    return Handover(
        decided=RolloutStatus(revision=revision, strategy=OLD_FIRST), message=_told(replicas, obstacle)
    )


def may_pass(refused: str, pods: Sequence[Pod], *, revision: str) -> bool:
    """Whether a Pod that is refused may be taken once the old ones are gone, those that are ending included.

    A quota may take minutes to be asked again. Whatever else refuses a Pod has nothing to do with old ones.
    """
    return _QUOTA in refused or any(pod.metadata.label(labels.REVISION) != revision for pod in pods)


def overdue(
    rollout: Rollout | None, pods: Sequence[Pod], *, revision: str, now: datetime
) -> tuple[str, float]:
    """Return what to say of Pods that take longer than the deadline, "" if none does; and when one would.

    In seconds from now, 0 where nothing is waited for.
    """
    deadline = rollout.progress_deadline_seconds if rollout is not None else None
    if deadline is None:
        return "", 0.0
    starting = [
        parse_time(pod.metadata.creation_timestamp)
        for pod in pods
        if pod.metadata.label(labels.REVISION) == revision
        and pod.metadata.deletion_timestamp is None
        and pod.metadata.creation_timestamp is not None
        and not is_ready(pod)
    ]
    if not starting:
        return "", 0.0
    left = deadline - (now - min(starting)).total_seconds()
    if left > 0:
        return "", left
    return f"not ready {deadline} seconds after it was started (rollout.progressDeadlineSeconds)", 0.0


def without_room(
    rollout: Rollout | None,
    decided: RolloutStatus | None,
    pods: Sequence[Pod],
    *,
    revision: str,
    replicas: int,
    refused: str,
    away_since: str | None,
    now: datetime,
) -> tuple[str, float]:
    """Return what to say once the room that old Pods made is somebody else's for long; and when that may be.

    "" if it is not, or not yet. In seconds from now, 0 where nothing is waited for. Nothing answers since
    `away_since`, None if something does. How long a server loads is another matter: see `overdue`.
    """
    wanted = Rollout() if rollout is None else rollout
    if not _old_first(wanted, decided, revision):
        return "", 0.0
    old = [pod for pod in pods if pod.metadata.label(labels.REVISION) != revision]
    ending = any(pod.metadata.deletion_timestamp is not None for pod in old)
    if ending or len(old) >= replicas:
        return "", 0.0
    current = [
        pod
        for pod in pods
        if pod.metadata.deletion_timestamp is None and pod.metadata.label(labels.REVISION) == revision
    ]
    obstacle, since = _obstacle(current, refused)
    since = away_since if since is None else since
    if not obstacle or since is None:
        return "", 0.0
    deadline = wanted.progress_deadline_seconds
    deadline = ROOM_DEADLINE_SECONDS if deadline is None else deadline
    left = deadline - (now - parse_time(since)).total_seconds()
    if left > 0:
        return "", left
    taken = "although the old Pods have made some, which others may have taken"
    return f"no room for {deadline} seconds, {taken}: {one_line(obstacle)}", 0.0


def _old_first(wanted: Rollout, decided: RolloutStatus | None, revision: str) -> bool:
    return wanted.strategy in (None, AUTO) and decided is not None and decided.revision == revision


def _told(replicas: int, obstacle: str) -> str:
    why = f" ({obstacle})" if obstacle else ""
    if replicas > 1:
        return f"there is no room for a Pod beside the old ones{why}: they go first, one at a time"
    return (
        f"there is no room for a Pod beside the old one{why}: it goes first, and the model is away until the "
        "new one is ready"
    )


def _obstacle(current: Sequence[Pod], refused: str) -> tuple[str, str | None]:
    """Return why a Pod of the new revision is not placed, and since when the scheduler says so."""
    for pod in current:
        for condition in pod.status.conditions or ():
            if (condition.type, condition.status, condition.reason) == (
                "PodScheduled",
                "False",
                "Unschedulable",
            ):
                return condition.message or "Unschedulable", condition.last_transition_time
    if not current and refused:
        return refused, None
    return "", None


def _placement_of(pod: Pod, unlabelled: UnlabelledPods | None) -> str:
    """Return where a Pod is, "" for nobody knows."""
    if unlabelled is not None and pod.metadata.label(labels.REVISION) == unlabelled.revision:
        return unlabelled.placement
    return pod.metadata.label(labels.PLACEMENT) or ""


def _fits(obstacle: str, want: str, have: set[str]) -> bool:
    """Whether a Pod placed as `want` says can be where an old one is, as far as that is certain."""
    if _QUOTA in obstacle:
        return have == {want}
    short = set(_SHORT_OF.findall(obstacle))
    if not short or _CLOSED in obstacle:
        return False
    # In the same room, an old Pod has whatever resource is short; else only devices are known to be equal.
    same_place = {_place(each) for each in have} == {_place(want)}
    return have == {want} or (same_place and all("/" in name for name in short))


def _place(label: str) -> str:
    return label.partition("-")[0]


def _count(value: int | str) -> int | str:
    """Return a count as Kubernetes takes it: text is a share."""
    return int(value) if isinstance(value, str) and value.isdigit() else value
