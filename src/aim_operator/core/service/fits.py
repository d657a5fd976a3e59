"""Whether a service that waits has somewhere to run, as far as the operator can tell without counting GPUs.

What the scheduler, a quota and labels of nodes say is the whole knowledge of nodes, taints, volumes and other
Pods (docs/adr/0024); the operator watches no Pods of others. `aimctl fit` counts, for one service at a time.
"""

from __future__ import annotations

from aim_operator.api import quantity
from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1 import AIMServiceStatus, AIMServiceTemplateStatus, GpuSelector
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import conditions, gpu_memory, hardware, pods
from aim_operator.core.caching import sources_of
from aim_operator.core.catalog import Template
from aim_operator.core.messages import one_line
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.template.desired import gpu_count, gpu_model

_QUOTA = "exceeded quota"


def fits(observed: ServiceObserved, old: AIMServiceStatus) -> Condition | None:
    """Return the condition Fits of a service whose Pods do not run; None while nothing speaks against it.

    Once something did, it is True when a node has taken the Pod. It changes only with what it says.
    """
    present = [pod for pod in observed.pods if pod.metadata.deletion_timestamp is None]
    stuck = pods.waiting(present, "the model server's Pod", "scheduling")
    if stuck is not None and stuck.reason == Reason.UNSCHEDULABLE:
        return _condition("False", Reason.UNSCHEDULABLE, stuck.message)
    if _QUOTA in observed.pods_refused:
        return _condition("False", Reason.QUOTA_EXCEEDED, one_line(observed.pods_refused))
    if present:
        before = conditions.find(old.conditions or (), c.FITS)
        if before is None or not any(map(pods.is_scheduled, present)):
            return before  # a Pod alone is no room: the scheduler has not looked at it, or a queue holds it
        return _condition("True", Reason.PLACED, "a node has room for its Pod")
    template = observed.resolution.template
    return _by_template(template) if template is not None else None


def _by_template(template: Template) -> Condition | None:
    """Judge by the profile, before there is a Pod: a download of hours need not end first."""
    status = template.status or AIMServiceTemplateStatus()
    model = gpu_model(template, status)
    if model is None or not hardware.needs_gpu(model):
        return None
    found = conditions.find(status.conditions or (), c.HARDWARE_AVAILABLE)
    if found is not None and found.reason == Reason.HARDWARE_NOT_FOUND:
        return _condition("False", Reason.HARDWARE_NOT_FOUND, found.message)
    resource = (template.spec.gpu_selector or GpuSelector()).resource_name
    memory = gpu_memory.judge(
        model,
        gpu_count(template, status) or 0,
        size_bytes(template),
        partition=resource not in (None, hardware.gpu_resource(model)),
    )
    return _condition("False", Reason.GPU_MEMORY_TOO_SMALL, memory.message) if memory.fits is False else None


def size_bytes(template: Template) -> int | None:
    """Return the bytes of all files of a template's model; None unless each of them is known, and can be."""
    sizes = [quantity.parse(source.size) if source.size else None for source in sources_of(template)]
    known = [int(size) for size in sizes if size is not None and 0 <= size <= quantity.MAX]
    return sum(known) if known and len(known) == len(sizes) else None


def _condition(status: str, reason: str, message: str) -> Condition:
    return Condition(type=c.FITS, status=status, reason=reason, message=message)
