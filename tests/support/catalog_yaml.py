"""A small catalog of one namespace for tests on real clusters: image, configuration, template, services."""

from __future__ import annotations

IMAGE = "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0"


def catalog(namespace: str, *, image: str = IMAGE, gpus: int = 1) -> str:
    """Image `model`, configuration `default` that routes, and template `fast`."""
    return f"""
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMImage
metadata: {{name: model, namespace: {namespace}}}
spec:
  image: {image}
  defaultServiceTemplate: fast
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMRuntimeConfig
metadata: {{name: default, namespace: {namespace}}}
spec:
  routing:
    enabled: true
    gatewayRef: {{name: inference-gateway, namespace: gateways}}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMServiceTemplate
metadata: {{name: fast, namespace: {namespace}}}
spec:
  aimImageName: model
  metric: latency
  precision: fp16
  gpuSelector: {{count: {gpus}, model: MI300X}}
"""


def service(namespace: str, name: str) -> str:
    """An AIMService that fits a laptop's node."""
    return f"""
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  model: model
  resources:
    requests: {{cpu: 5m, memory: 16Mi}}
    limits: {{cpu: "1", memory: 128Mi}}
"""
