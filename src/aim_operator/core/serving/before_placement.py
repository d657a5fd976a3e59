"""The form of a predictor before Pods had the label aim.silogen.ai/placement.

What was made in it is recognized by the hash that it carries, and kept in it until something else changes: a
new version of the operator alone replaces no Pod (docs/adr/0024). Called by workload.
"""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import PodSettings, Serving


def predictor_of(
    predictor: Manifest,
    *,
    env: list[Manifest],
    pods: PodSettings,
    pull_secrets: Iterable[str],
    serving: Serving,
) -> Manifest:
    """Return `predictor` as it was rendered then: lists in the order given, and no end that is told to wait.

    `env` and `pull_secrets` are in the order in which the levels give them.
    """
    model = {**predictor["model"], "env": env}
    former = {**predictor, "model": model}
    if serving.drain_seconds is None and serving.termination_grace_period_seconds is None:
        model.pop("lifecycle", None)
        del former["terminationGracePeriodSeconds"]
    if pods.image_pull_policy is not None:
        model["imagePullPolicy"] = pods.image_pull_policy
    if pods.enable_service_links is not None:
        former["enableServiceLinks"] = pods.enable_service_links
    if names := dict.fromkeys(pull_secrets):
        former["imagePullSecrets"] = [{"name": name} for name in names]
    return former
