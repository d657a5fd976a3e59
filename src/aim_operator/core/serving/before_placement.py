"""The form of a predictor before Pods had the label aim.silogen.ai/placement.

What was made in it is recognized by the hash that it carries, and kept in it until something else changes: a
new version of the operator alone replaces no Pod (docs/adr/0024). Called by workload.
"""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import PodSettings, Serving


def as_given(fields: Manifest) -> Manifest:
    """Return fields as they were written then: as somebody gave them, without objects that are empty."""
    return {name: value for name, value in fields.items() if value != {}}


def predictor_of(
    predictor: Manifest,
    *,
    env: list[Manifest],
    pods: PodSettings,
    pull_secrets: Iterable[str],
    serving: Serving,
    where: Manifest,
    security: tuple[Manifest, Manifest],
    drains: bool,
) -> Manifest:
    """Return `predictor` as it was rendered then: lists in the order given.

    Not at all times was its end told to wait, as `drains` says, where nobody had chosen for how long.

    `env`, `pull_secrets`, `where` (what says where Pods run) and `security` (contexts of container and Pod)
    are as the levels give them.
    """
    model = {**predictor["model"], "env": env}
    former = {**predictor, **where, "model": model}
    for of, context in zip((model, former), security, strict=True):
        of.pop("securityContext", None)
        if context:
            of["securityContext"] = context
    chosen = (serving.drain_seconds, serving.termination_grace_period_seconds) != (None, None)
    if not drains and not chosen:
        model.pop("lifecycle", None)
        del former["terminationGracePeriodSeconds"]
    if pods.image_pull_policy is not None:
        model["imagePullPolicy"] = pods.image_pull_policy
    if pods.enable_service_links is not None:
        former["enableServiceLinks"] = pods.enable_service_links
    if names := dict.fromkeys(pull_secrets):
        former["imagePullSecrets"] = [{"name": name} for name in names]
    return former
