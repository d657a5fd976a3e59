"""Nodes with GPUs, as the labels of GPU operators describe them. For the demo and tests."""

from __future__ import annotations

from aim_operator.api.meta import Manifest


def gpu_node(name: str, *, product: str = "AMD_Instinct_MI300X_OAM", gpus: int = 8) -> Manifest:
    """A ready node with `gpus` AMD GPUs of this product."""
    capacity = {"cpu": "96", "memory": "1Ti", "pods": "110", "amd.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "amd.com/gpu.product-name": product},
        },
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def plain_node(name: str) -> Manifest:
    """A ready node without GPUs."""
    capacity = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }
