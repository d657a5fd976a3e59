"""The URL path of a service: a route template over the AIMService, made a valid Gateway API PathPrefix.

Owns normalisation and its limits; the JSONPath is core.jsonpath's. Knows nothing of Gateways and
conflicts. Called by the service's plan.
"""

from __future__ import annotations

import re
import string
import unicodedata
from functools import lru_cache
from typing import Any
from urllib.parse import quote as percent_encode
from urllib.parse import unquote_to_bytes

import msgspec

from aim_operator.api.v1alpha1 import AIMService
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import jsonpath
from aim_operator.core.messages import quote
from aim_operator.errors import SpecError

MAX_PATH = 199
"""The seed: under 200 characters."""
MAX_VALUE = 1024
"""What one expression may select: an annotation can have 256 KiB. Longer than a path: slashes may go."""

NAMESPACE = "{.metadata.namespace}"
"""The only expression of a pathPrefix: of all that a service has, its users can't choose this."""
WELL_KNOWN = "/.well-known"
"""RFC 8615: where whoever answers proves that a host is theirs, to certificate authorities among others."""

_TRIPLET = re.compile(r"(%[0-9A-Fa-f]{2})", re.ASCII)
_FIELD = "routeTemplate: "
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")


def document(service: AIMService) -> dict[str, Any]:
    """Return the AIMService as the plain JSON that route templates are evaluated on.

    `spec.model` and its alias are both there. Status, resourceVersion and generation are not: the path
    would change with each write that it causes.
    """
    # Through JSON, not to_builtins: that leaves tuples, which are no JSON lists.
    parts = {"metadata": service.metadata, "spec": service.spec}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(parts))
    for field in ("resourceVersion", "generation"):
        plain["metadata"].pop(field, None)
    plain["spec"].setdefault("replicas", service.spec.replicas)
    model = service.spec.model or service.spec.aim_image_name
    if model is not None:
        plain["spec"] |= {"model": model, "aimImageName": model}
    # List items come without them, single objects with.
    return plain | {"apiVersion": API_VERSION, "kind": "AIMService"}


def render_path(
    template: str | None,
    service_document: dict[str, Any],
    *,
    namespace: str,
    uid: str,
    prefix: str | None = None,
) -> str:
    """Render and normalise a template; `<prefix>/<uid>` where there is none, or `/<namespace>/<uid>`.

    The result is a valid PathPrefix of under 200 characters, never `/`, and literal_path leaves it as
    it is. Raises SpecError(RouteTemplateInvalid) that names the expression or segment and the remedy.
    """
    if template is None:
        return _path(f"{prefix or _encoded(namespace)}/{_encoded(uid)}")
    parts = []
    for part in jsonpath.parse(template):
        if isinstance(part, jsonpath.Expression):
            parts.append(_encoded(_value(part, service_document)))
        else:
            parts.append(_encoded(part.text) if part.quoted else _encoded_literal(part.text))
    return _path("".join(parts))


def render_prefix(template: str, namespace: str) -> str:
    """Render a pathPrefix for a namespace. Raises SpecError(PathNotAllowed) where it is not valid."""
    try:
        return literal_path(template.replace(NAMESPACE, namespace))
    except SpecError as error:
        raise SpecError(
            Reason.PATH_NOT_ALLOWED,
            f'AIMClusterRuntimeConfig "default": routing.pathPrefix: {error.message.removeprefix(_FIELD)}; '
            "until a cluster administrator has corrected it there are no routes",
        ) from error


def keeps_apart(path_prefix: str | None) -> bool:
    """Whether a pathPrefix gives each namespace paths that no other one can have.

    The name has no slash, so that all prefixes have the same number of segments: none lies below another.
    """
    return path_prefix is not None and NAMESPACE in path_prefix


def covers(prefix: str, path: str) -> bool:
    """Whether a PathPrefix matches a request to `path`: `/a` does `/a` and `/a/b`, but not `/ab`."""
    return path == prefix or path.startswith(prefix + "/")


def _value(expression: jsonpath.Expression, service_document: dict[str, Any]) -> str:
    value = jsonpath.evaluate(expression, service_document)
    if len(value) > MAX_VALUE:
        raise _invalid(
            f"{quote(expression.source)} selects a text of {len(value)} characters",
            f"select one of at most {MAX_VALUE}",
        )
    return value


def literal_path(path: str) -> str:
    """Normalise a path that holds no expressions. Idempotent; raises as render_path does."""
    return _path(_encoded_literal(path))


def _encoded(text: str) -> str:
    """Encode data: every character but unreserved ones and '/', and '%' too."""
    try:
        return percent_encode(text.lower(), safe="/")
    except UnicodeEncodeError as error:
        raise _invalid(f"{quote(text)} is no valid Unicode text", "remove the broken characters") from error


@lru_cache(jsonpath.REMEMBERED)
def _encoded_literal(text: str) -> str:
    """Encode the template's own text: triplets stay, with upper-case digits; a bare '%' is data.

    Those of unreserved characters are written as the character, in lower case like all others. RFC 3986,
    6.2.2.2, has both equivalent and gateways decode before they match, so equal paths are equal here too.
    """
    pieces = _TRIPLET.split(text)
    return "".join(_triplet(piece) if index % 2 else _encoded(piece) for index, piece in enumerate(pieces))


def _triplet(triplet: str) -> str:
    character = chr(int(triplet[1:], 16))
    return character.lower() if character in _UNRESERVED else triplet.upper()


def _path(encoded: str) -> str:
    segments = [segment for segment in encoded.split("/") if segment]
    for segment in segments:
        _check(segment)
    path = "/" + "/".join(segments)
    if path == "/":
        raise _invalid(
            "the path is '/', which would take the whole Gateway", "add a segment that is not empty"
        )
    if covers(WELL_KNOWN, path):
        raise _invalid(
            f"the path {quote(path, 40)} is below {WELL_KNOWN}, which is about the whole host",
            "begin with another segment",
        )
    if len(path) > MAX_PATH:
        raise _invalid(
            f"the path {quote(path, 40)} has {len(path)} characters once encoded",
            f"shorten the template or the values it selects, to at most {MAX_PATH}",
        )
    return path


def _check(segment: str) -> None:
    """Refuse what a gateway reads in another way than it is written, and what Gateway API refuses."""
    if "%" not in segment and segment not in (".", ".."):
        return
    decoded = unquote_to_bytes(segment)
    if decoded in (b".", b".."):
        raise _invalid(f"segment {quote(segment)} stands for another directory", "remove or rename it")
    if b"/" in decoded:
        raise _invalid(f"segment {quote(segment)} has an encoded slash", "write / to separate segments")
    if b"\\" in decoded:
        # Browsers and some proxies read it as a slash.
        raise _invalid(f"segment {quote(segment)} has a backslash", "write / to separate segments")
    if any(unicodedata.category(char) == "Cc" for char in decoded.decode(errors="replace")):
        raise _invalid(f"segment {quote(segment)} has a control character", "remove it")


def _invalid(problem: str, remedy: str) -> SpecError:
    return SpecError(Reason.ROUTE_TEMPLATE_INVALID, f"{_FIELD}{problem}; {remedy}")
