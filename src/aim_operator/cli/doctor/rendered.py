"""The Pods that the operator makes, as far as quotas and LimitRanges look at them. Pure.

Of Jobs it is what would be made now: by the operator's flags, and by the namespace's runtime configuration
over the cluster's. Of servers it is what their InferenceServices ask for. Called by gather.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct, structs

from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.api.meta import UNREADABLE, KubeObject, Wire
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import AIMClusterRuntimeConfigSpec, AIMRuntimeConfigSpec, Jobs
from aim_operator.cli.doctor.policies import Amounts, Operator
from aim_operator.core import config_layers
from aim_operator.core.jobs import rendering
from aim_operator.core.model_cache import desired as download
from aim_operator.core.template import desired as discovery
from aim_operator.settings import Settings


class Server(KubeObject):
    """An InferenceService. KServe's minimal CRDs take any spec; of one that can't be read no Pod comes."""

    spec: msgspec.Raw = msgspec.Raw()


class _Resources(Wire):
    requests: dict[str, str | int] | None = None
    limits: dict[str, str | int] | None = None


class _Model(Wire):
    resources: _Resources | None = None


class _Predictor(Wire):
    model: _Model | None = None
    priority_class_name: str | None = None


class _ServerSpec(Wire):
    predictor: _Predictor | None = None


SERVERS: Resource[Server] = structs.replace(
    cast("Resource[Any]", INFERENCE_SERVICES), type=Server, metadata_only=False
)


class Pod(Struct, frozen=True, kw_only=True):
    """`what` is for people. `priority_class` is None where it names none."""

    namespace: str
    what: str
    requests: Amounts
    limits: Amounts
    priority_class: str | None = None


def of_jobs(
    operators: Iterable[Operator],
    serving: Collection[str],
    homes: Collection[str],
    configs: Mapping[str, AIMRuntimeConfigSpec | AIMClusterRuntimeConfigSpec],
) -> Iterator[Pod]:
    """Yield one of each sort in each namespace. `configs` are the defaults; that of "" is the cluster's."""
    operator = next(iter(operators), None)
    of = Settings()
    discovering = {
        "cpu": _flag(operator, "--discovery-cpu-request", of.discovery_cpu_request),
        "memory": _flag(operator, "--discovery-memory-request", of.discovery_memory_request),
    }
    downloading = {
        "cpu": _flag(operator, "--download-cpu-request", of.download_cpu_request),
        "memory": _flag(operator, "--download-memory-request", of.download_memory_request),
    }
    for namespace in sorted({*serving, *homes}):
        jobs = _config(configs, namespace).jobs or Jobs()
        sorts = {"discoveries": rendering.resources(discovering, discovery.LIMITS, jobs.discovery)}
        if namespace in serving:
            sorts["downloads"] = rendering.resources(downloading, download.LIMITS, jobs.download)
        for what, resources in sorts.items():
            yield Pod(
                namespace=namespace,
                what=what,
                requests=resources["requests"],
                limits=resources["limits"],
                priority_class=jobs.scheduling.priority_class_name if jobs.scheduling is not None else None,
            )


def of_servers(inference_services: Iterable[Server], services: Iterable[tuple[str, str]]) -> Iterator[Pod]:
    """Yield those of the services, NAMESPACE and NAME, that have an InferenceService."""
    ours = frozenset(services)
    for live in inference_services:
        namespace, name = live.metadata.namespace, live.metadata.name
        predictor = _predictor(live) if (namespace, name) in ours else None
        if predictor is not None:
            resources = (predictor.model or _Model()).resources or _Resources()
            yield Pod(
                namespace=namespace,
                what=f"service {name}",
                requests=resources.requests or {},
                limits=resources.limits or {},
                priority_class=predictor.priority_class_name,
            )


def _predictor(live: Server) -> _Predictor | None:
    try:
        return msgspec.json.decode(live.spec, type=_ServerSpec).predictor
    except UNREADABLE:
        return None


def _config(
    configs: Mapping[str, AIMRuntimeConfigSpec | AIMClusterRuntimeConfigSpec], namespace: str
) -> AIMRuntimeConfigSpec | AIMClusterRuntimeConfigSpec:
    own, general = configs.get(namespace), configs.get("")
    if isinstance(own, AIMRuntimeConfigSpec) and isinstance(general, AIMClusterRuntimeConfigSpec):
        return config_layers.layered(own, general)[0]
    return own or general or AIMRuntimeConfigSpec()


def _flag(operator: Operator | None, flag: str, default: str) -> str:
    return (operator.argument(flag) if operator is not None else None) or default
