"""References `$(NAME)`: the kubelet puts the variable's value, secrets and all, where one stands.

It does so in the arguments, the command and the literal values of a container. What users write into the
`env` of their own namespace keeps that meaning. Whatever else gets there is text, and escaped here: what an
image printed, sources, models, patterns, engine arguments, and the environment of cluster-wide objects, whose
authors are not those of the Secrets in the Pod.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from aim_operator.api.v1alpha1 import EnvVar


def literal(text: str) -> str:
    """Return what a container gets as `text`, whatever variables it has.

    The kubelet takes `$$` for `$`, and starts no reference there: `Expand` in Kubernetes'
    third_party/forked/golang/expansion/expand.go. To escape only `$(` would open one in `$$(`.
    """
    return text.replace("$", "$$")


def literal_env(env: Iterable[EnvVar]) -> tuple[EnvVar, ...]:
    """Return an environment whose values refer to nothing; `valueFrom` is no text and stays."""
    return tuple(
        variable if variable.value is None else structs.replace(variable, value=literal(variable.value))
        for variable in env
    )
