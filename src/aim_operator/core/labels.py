"""Labels and annotations that the operator writes, and the words it looks for in those of others."""

from __future__ import annotations

NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"

CONTROLLER = "aim-controller"
"""managed-by of the children: Jobs, runtimes, InferenceServices, HTTPRoutes. Watches select by it."""
MANAGED_BY_CONTROLLER = f"{MANAGED_BY}={CONTROLLER}"
NOT_MANAGED_BY_CONTROLLER = f"{MANAGED_BY}!={CONTROLLER}"
DERIVED_MANAGER = "aim"
"""managed-by of derived templates."""

TEMPLATE = "aim.silogen.ai/template"
MODEL_ID = "aim.silogen.ai/model-id"
IMAGE = "aim.silogen.ai/aim-image"
TEMPLATE_METRIC = "aim.silogen.ai/template.metric"
TEMPLATE_PRECISION = "aim.silogen.ai/template.precision"
MODEL_CACHE = "aim.silogen.ai/model-cache"
REVISION = "aim.silogen.ai/revision"
"""Of an InferenceService and, through it, of its Pods: differs where the Pods would."""
DERIVED_TEMPLATE = "aim.silogen.ai/derived-template"

APPLIED = "aim.silogen.ai/applied"
"""Annotation with the hash of what was last applied."""
REDISCOVER = "aim.silogen.ai/rediscover"
RETRY = "aim.silogen.ai/retry"
"""Annotation of a model cache: any new value downloads again at once, after contents of a Secret changed."""
KNOWN_GPU = "aim.silogen.ai/known-gpu"
"""Annotation of a claim: the GPU model that nodes were labelled with when it was made."""
PAUSED = "aim.silogen.ai/reconciliation-paused"
