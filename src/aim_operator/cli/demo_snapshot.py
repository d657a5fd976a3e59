"""What a demo shows at one moment: frozen rows, and the lines that tell what changed between two moments.

Pure. Filled by demo_follow.py from the operator's caches, drawn by demo_view.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from msgspec import Struct

from aim_operator.api.v1alpha1.conditions import State

COMPLETE = "Complete"
RUNNING_JOB = "Running"
NAME_WIDTH = 52
"""Room for the longest names of the examples: those of discovery Jobs, with their namespace."""


class ImageRow(Struct, frozen=True, kw_only=True):
    """`namespace` is "" for a cluster image; `state` "" until the operator has judged it."""

    name: str
    namespace: str
    image: str = ""
    state: str = ""
    message: str = ""


class Source(Struct, frozen=True):
    uri: str
    size_bytes: int


class TemplateRow(Struct, frozen=True, kw_only=True):
    """The profile's fields are "" until discovery has answered; then they are what it answered."""

    name: str
    namespace: str
    state: str = ""
    message: str = ""
    engine: str = ""
    metric: str = ""
    precision: str = ""
    gpus: str = ""
    sources: tuple[Source, ...] = ()


class JobRow(Struct, frozen=True, kw_only=True):
    name: str
    namespace: str
    template: str
    state: str


class ServiceRow(Struct, frozen=True, kw_only=True):
    name: str
    namespace: str
    state: str = ""
    message: str = ""
    template: str = ""
    path: str = ""


class EventRow(Struct, frozen=True, kw_only=True):
    uid: str
    seconds: float
    warning: bool
    reason: str
    about: str
    message: str


Row = ImageRow | TemplateRow | JobRow | ServiceRow
R = TypeVar("R", ImageRow, TemplateRow, JobRow, ServiceRow)


class Snapshot(Struct, frozen=True, kw_only=True):
    """`seconds` since the demo began."""

    seconds: float
    images: tuple[ImageRow, ...] = ()
    templates: tuple[TemplateRow, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    services: tuple[ServiceRow, ...] = ()
    events: tuple[EventRow, ...] = ()

    @property
    def done(self) -> bool:
        """Whether every template is Available and every service Running."""
        return not self.unfinished

    @property
    def unfinished(self) -> tuple[TemplateRow | ServiceRow, ...]:
        templates = tuple(row for row in self.templates if row.state != State.AVAILABLE)
        services = tuple(row for row in self.services if row.state != State.RUNNING)
        return templates + services

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be expected without somebody changing something."""
        final = (State.AVAILABLE, State.RUNNING, State.FAILED, State.DEGRADED)
        states = [row.state for row in self.templates] + [row.state for row in self.services]
        return all(state in final for state in states)


def qualified(row: Row) -> str:
    """`namespace/name`, or the name alone for a cluster object."""
    return f"{row.namespace}/{row.name}" if row.namespace else row.name


def profile(row: TemplateRow) -> str:
    """Engine, metric, precision and GPUs in a few words; "" before they are known."""
    return " ".join(part for part in (row.engine, row.metric, row.precision, row.gpus) if part)


def counted(reached: int, total: int, noun: str) -> str:
    """Return `3 services` where all are there, else `1 of 3 services`."""
    nouns = noun if total == 1 else f"{noun}s"
    return f"{total} {nouns}" if reached == total else f"{reached} of {total} {nouns}"


def transitions(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """Tell what changed, a line each: for logs and terminals that show no live view."""
    for image in _changed(old.images, new.images):
        yield _line(new, "image", image, image.message or image.image)
    for job in _changed(old.jobs, new.jobs):
        yield _line(new, "job", job, f"discovery of {job.template}")
    for template in _changed(old.templates, new.templates):
        sources = ", ".join(f"{each.uri} ({gibibytes(each.size_bytes)})" for each in template.sources)
        answer = f"{profile(template)}: {sources}"
        yield _line(new, "template", template, template.message or answer)
    for service in _changed(old.services, new.services):
        answer = f"on {service.template}, path {service.path or 'none'}"
        yield _line(new, "service", service, service.message or answer)


def headings() -> str:
    """Return what stands above the lines of `transitions`."""
    return _columns("time", "kind", "name", "status", "details")


def gibibytes(size_bytes: int) -> str:
    return f"{size_bytes / 1024**3:.2f} GiB"


def _changed(old: tuple[R, ...], new: tuple[R, ...]) -> Iterator[R]:
    """The rows that got a state, another one, or another reason for it."""
    last_reported = {qualified(row): _reported(row) for row in old}
    return (row for row in new if row.state and _reported(row) != last_reported.get(qualified(row)))


def _reported(row: Row) -> tuple[str, str]:
    reason = "" if isinstance(row, JobRow) else row.message.partition(":")[0]
    return row.state, reason


def _line(snapshot: Snapshot, what: str, row: Row, detail: str) -> str:
    return _columns(f"{snapshot.seconds:.2f} s", what, qualified(row), row.state, detail)


def _columns(when: str, what: str, name: str, state: str, detail: str) -> str:
    return f"{when:>8}  {what:<8}  {name:<{NAME_WIDTH}}  {state:<11}  {detail}".rstrip()
