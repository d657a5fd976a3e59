"""What a decision is made of, and what came of carrying it out: plain data that core and runtime share.

core decides (a `Plan`), runtime/reconcile.py writes (`Outcomes`), core says it (a `Report`). Knows nothing
of AIM and nothing of how writing works.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from enum import Enum
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.resource import Resource
from aim_operator.errors import ApiError, Conflict

S = TypeVar("S")


class Child(Struct, frozen=True, kw_only=True):
    """An object to be as `manifest` says, by server-side apply."""

    resource: Resource[Any]
    manifest: Manifest
    disposable: bool = False
    """Whether it is done with, as a finished Job is, of which most can't be changed. Only the fields that the
    manifest has beside its metadata are written, into what there is: it is never made, and deleted where the
    API server refuses that."""
    after: str = ""
    """The kind of another child of the plan that must exist, and be ours, before this one is written."""

    @property
    def kind(self) -> str:
        return self.resource.kind

    @property
    def namespace(self) -> str:
        namespace: str = self.manifest["metadata"].get("namespace", "")
        return namespace

    @property
    def name(self) -> str:
        name: str = self.manifest["metadata"]["name"]
        return name


class Removal(Struct, frozen=True, kw_only=True):
    """A live object to delete, with its uid (and, on request, its resourceVersion) as precondition."""

    resource: Resource[Any]
    live: KubeObject
    unchanged: bool = False


class EventNote(Struct, frozen=True, kw_only=True):
    """One event about the reconciled object. `action` is what the operator did or tried."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    action: str = "Reconcile"


class OutcomeType(Enum):
    """What became of one child."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FOUND = "found"
    """It had been out of sight, without the labels that the operator finds it by; it has them again."""
    SKIPPED = "skipped"
    """Not tried, because the child that it comes after is not there."""
    HELD = "held"
    """A repair is put off: somebody undoes it each time."""
    GOING_AWAY = "going away"
    """Its predecessor of the same name is still being deleted."""
    FOREIGN = "foreign"
    """Its name is taken by an object that is not managed by the operator."""
    REFUSED = "refused"
    """The API server does not accept it; a person has to change something."""
    FAILED = "failed"
    """The write failed and is tried again with backoff."""


_FINE = frozenset(
    {
        OutcomeType.CREATED,
        OutcomeType.UPDATED,
        OutcomeType.UNCHANGED,
        OutcomeType.FOUND,
        OutcomeType.SKIPPED,
    }
)


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of one child. `object` is ours as last seen, None where there is none."""

    child: Child
    type: OutcomeType
    object: KubeObject | None = None
    message: str = ""
    """The cause in the words of whoever refused, failed or undid the write."""
    error: ApiError | None = None
    retry_after_seconds: float | None = None
    """When a held repair is due."""

    @property
    def is_problem(self) -> bool:
        """Whether users should read about it. A stale cache is none: the next attempt comes at once."""
        return self.type not in _FINE and not isinstance(self.error, Conflict)


class Undeleted(Struct, frozen=True, kw_only=True):
    """A removal that failed, and why; it is tried again with backoff."""

    removal: Removal
    error: ApiError


class Outcomes(Struct, frozen=True):
    """The outcomes of a plan's children, in the plan's order, those that come after others last.

    `undeleted` are the removals that failed.
    """

    each: tuple[Outcome, ...] = ()
    undeleted: tuple[Undeleted, ...] = ()

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.each)

    def problem(self, kind: str, name: str = "") -> Outcome | None:
        """Return the first problem with a child of that kind (and name), or None."""
        return next(
            (o for o in self.each if o.is_problem and o.child.kind == kind and name in ("", o.child.name)),
            None,
        )

    def still_there(self, kind: str, *, but: Container[str] = ()) -> Undeleted | None:
        """Return the first object of that kind that could not be deleted, `but` for some by name; or None.

        A stale cache is no reason: the next attempt comes at once.
        """
        return next(
            (
                each
                for each in self.undeleted
                if each.removal.resource.kind == kind
                and each.removal.live.metadata.name not in but
                and not isinstance(each.error, Conflict)
            ),
            None,
        )

    @property
    def found(self) -> bool:
        """Whether a child turned out to be there that the plan was made without."""
        return any(outcome.type is OutcomeType.FOUND for outcome in self.each)

    @property
    def errors(self) -> tuple[ApiError, ...]:
        """Return the errors of children and removals."""
        of_children = (outcome.error for outcome in self.each if outcome.error is not None)
        return (*of_children, *(each.error for each in self.undeleted))


class Report(Struct, Generic[S], frozen=True, kw_only=True):
    """What is said about the object. `events` tell of the transition that writing `status` makes."""

    status: S
    events: tuple[EventNote, ...] = ()
    write_events: tuple[EventNote, ...] = ()
    """About children that were written; recorded whatever becomes of the status."""


class LogSource(Struct, frozen=True):
    """The log of one container of a running Pod."""

    namespace: str
    pod: str
    pod_uid: str
    container: str


class Plan(Struct, Generic[S], frozen=True, kw_only=True):
    """What to write, and what to say once it is known what came of that.

    `report` is pure and is called once, with the outcomes of `children`. None leaves the status alone: the
    object is going away, or is not ours to write.
    """

    report: Callable[[Outcomes], Report[S]] | None = None
    children: tuple[Child, ...] = ()
    removals: tuple[Removal, ...] = ()
    requeue_after_seconds: float | None = None
    follow: LogSource | None = None
    """The log to follow from now on, if any: what is heard there wakes the key."""
    unread: ApiError | None = None
    """Why something that the decision needs could not be read: the key comes back with backoff."""

    @property
    def status(self) -> S | None:
        """The status if every write succeeds without changing anything."""
        return self.report(Outcomes()).status if self.report is not None else None

    @property
    def events(self) -> tuple[EventNote, ...]:
        """The events that go with `status`."""
        return self.report(Outcomes()).events if self.report is not None else ()
