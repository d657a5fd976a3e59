"""Which labels and annotations of an object reach what is made for it."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule

TRACKING = (
    "app.kubernetes.io/",
    "applyset.kubernetes.io/",
    "argocd.argoproj.io/",
    "cli-utils.sigs.k8s.io/",
    "config.kubernetes.io/",
    "configsync.gke.io/",
    "fleet.cattle.io/",
    "helm.sh/",
    "helm.toolkit.fluxcd.io/",
    "internal.config.kubernetes.io/",
    "kapp.k14s.io/",
    "kubectl.kubernetes.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "objectset.rio.cattle.io/",
    "velero.io/",
)
"""By these GitOps programs know what is theirs, and prune the rest. A copy would be theirs, too."""
_SWITCHES = (
    "aim.silogen.ai/",
    "batch.kubernetes.io/",
    "internal.serving.kserve.io/",
    "serving.kserve.io/",
)
NEVER = (*TRACKING, *_SWITCHES)
NEVER_KEYS = ("app", "component", "controller-uid", "job-name", "pod-template-hash")

_ANY_OF_THEM = " || ".join(f"self.startsWith('{prefix}')" for prefix in NEVER)

Prefixes = Annotated[
    tuple[str, ...],
    Field(
        max_items=16,
        list_type="set",
        value=Field(
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule="self.matches('^[A-Za-z0-9][-A-Za-z0-9_.]*(/[-A-Za-z0-9_.]*)?$')",
                    message="not the beginning of a key; write one such as example.com/ or team",
                ),
                Rule(
                    rule=f"!({_ANY_OF_THEM})",
                    message="by keys such as this one GitOps programs, KServe, Kubernetes and the operator "
                    "know what is theirs, and they are never handed on; choose others",
                ),
            ),
        ),
    ),
]


class Propagate(Wire):
    """Labels and annotations, by the beginnings of their keys, that are handed on.

    Those of a service reach the Pods of its model server; those of a template its discovery Job and, with
    those of an AIMTemplateCache, the AIMModelCaches that are made for it; those of an AIMModelCache its Jobs.
    The Pods of Jobs have what the Jobs have.
    """

    labels: Annotated[
        Prefixes | None,
        Field(doc="Beginnings of labels' keys, such as kueue.x-k8s.io/. At most 16 labels are handed on."),
    ] = None
    annotations: Annotated[
        Prefixes | None,
        Field(
            doc="Beginnings of annotations' keys. At most 16 are handed on, of 8 KiB together, and none "
            "that has '{{'."
        ),
    ] = None
