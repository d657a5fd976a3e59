"""How a kubelet reads a container: variables stand in the place of `$(NAME)` in arguments and values.

`expand` is `Expand` of Kubernetes' third_party/forked/golang/expansion/expand.go, quirks included. Where a
variable's own value comes from (`valueFrom`) is not known here. Called by downloads and profiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aim_operator.api.meta import Manifest


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in the place of references; one that names none stays as it is written."""
    parts, position = [], 0
    while (at := text.find("$", position)) >= 0 and at + 1 < len(text):
        parts.append(text[position:at])
        end = text.find(")", at + 2) if text[at + 1] == "(" else -1
        if end >= 0:
            name = text[at + 2 : end]
            parts.append(variables.get(name, f"$({name})"))
            position = end + 1
        else:
            parts.append("$" if text[at + 1] == "$" else text[at : at + 2])
            position = at + 2
    return "".join(parts) + text[position:]


def environment(env: Iterable[Manifest]) -> dict[str, str]:
    """Return the variables with a literal value; each may refer to those before it."""
    variables: dict[str, str] = {}
    for variable in env:
        if "value" in variable:
            variables[variable["name"]] = expand(str(variable["value"]), variables)
    return variables


def arguments(container: Manifest) -> list[str]:
    """Return the arguments that the container's program gets."""
    variables = environment(container.get("env") or ())
    return [expand(str(argument), variables) for argument in container.get("args") or ()]
