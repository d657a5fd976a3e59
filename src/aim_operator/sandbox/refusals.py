"""The API server's refusals, in its own words, as errors.ApiError.

Read off a real kube-apiserver 1.35; kube/client.py raises the same types for the same HTTP answers.
Called by every module of the sandbox that answers a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aim_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    NotInstalled,
    Unavailable,
)


class Cause(NamedTuple):
    """One violation: `field` is its path, `message` what is wrong there."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def not_installed() -> NotInstalled:
    return NotInstalled("the server could not find the requested resource", code=404, reason="NotFound")


def not_found(qualified: str, name: str) -> NotFound:
    return NotFound(f'{qualified} "{name}" not found', code=404, reason="NotFound")


def already_exists(qualified: str, name: str) -> AlreadyExists:
    return AlreadyExists(f'{qualified} "{name}" already exists', code=409, reason="AlreadyExists")


def conflict(qualified: str, name: str, why: str) -> Conflict:
    message = f'Operation cannot be fulfilled on {qualified} "{name}": {why}'
    return Conflict(message, code=409, reason="Conflict")


def modified(qualified: str, name: str) -> Conflict:
    return conflict(
        qualified,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def owned_by_others(conflicts: Sequence[tuple[str, Sequence[str]]]) -> Conflict:
    """`conflicts` are pairs of a manager, as the server words it, and the fields that it owns."""
    count = sum(len(fields) for _, fields in conflicts)
    parts = []
    for manager, fields in conflicts:
        if len(fields) == 1:
            parts.append(f"conflict with {manager}: {fields[0]}")
        else:
            parts.append("\n- ".join([f"conflicts with {manager}:", *fields]))
    noun = "conflict" if count == 1 else "conflicts"
    return Conflict(f"Apply failed with {count} {noun}: " + "\n".join(parts), code=409, reason="Conflict")


def invalid(qualified_kind: str, name: str, causes: Sequence[Cause]) -> Invalid:
    details = str(causes[0]) if len(causes) == 1 else f"[{', '.join(str(cause) for cause in causes)}]"
    error = Invalid(f'{qualified_kind} "{name}" is invalid: {details}', code=422, reason="Invalid")
    error.causes = tuple(causes)
    return error


def bad_request(message: str) -> Invalid:
    return Invalid(message, code=400, reason="BadRequest")


def internal(message: str) -> ApiError:
    """The real server answers some unusable requests with a bare 500."""
    return Unavailable(message, code=500)


def forbidden(qualified: str, name: str, why: str) -> Forbidden:
    return Forbidden(f'{qualified} "{name}" is forbidden: {why}', code=403, reason="Forbidden")


def gone(message: str) -> Expired:
    return Expired(message, code=410, reason="Expired")
