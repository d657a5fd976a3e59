"""KServe's and a gateway's controller, as far as others see them: the predictor's Service, and statuses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from aim_operator.api.meta import Manifest
from aim_operator.errors import AlreadyExists
from tests.support.stand_ins.common import SERVICES, Key, Plain, Queue, Surroundings, condition, resource

INFERENCE_SERVICES = resource("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
RUNTIMES = resource("serving.kserve.io/v1alpha1", "ServingRuntime", "servingruntimes")
CLUSTER_RUNTIMES = resource(
    "serving.kserve.io/v1alpha1", "ClusterServingRuntime", "clusterservingruntimes", namespaced=False
)
ROUTES = resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
GATEWAYS = resource("gateway.networking.k8s.io/v1", "Gateway", "gateways")
CONTROLLER = "stand-in.test/gateway-controller"


class KServe:
    """Makes every InferenceService ready whose runtime exists."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._services = around.informer(INFERENCE_SERVICES)
        self._runtimes = around.informer(RUNTIMES)
        self._cluster_runtimes = around.informer(CLUSTER_RUNTIMES)
        self._queue = Queue(self._look)
        self._queue.watch(self._services)
        around.when_released(self._queue, self._services)
        for runtimes in (self._runtimes, self._cluster_runtimes):
            runtimes.add_handler(lambda _old, _new: self._look_at_all())

    async def run(self) -> None:
        await self._queue.run()

    def _look_at_all(self) -> None:
        for service in self._services.store.all():
            self._queue.put(Key(service.metadata.namespace, service.metadata.name))

    async def _look(self, key: Key) -> None:
        service = self._services.store.get(*key)
        if service is None or self._around.held(key.namespace, "kserve"):
            return
        runtime = service.spec["predictor"]["model"].get("runtime", "")
        found = self._runtimes.store.get(key.namespace, runtime) or self._cluster_runtimes.store.get(
            "", runtime
        )
        if found is not None:
            await self._make_backend(service)
        await self._tell(service, ready=found is not None)

    async def _tell(self, service: Plain, *, ready: bool) -> None:
        status = service.status
        known = [c["status"] for c in status.get("conditions", []) if c["type"] == "Ready"]
        word = "True" if ready else "False"
        generation = service.metadata.generation
        if known == [word] and status.get("observedGeneration") == generation:
            return
        said = "" if ready else "waiting for its runtime"
        conditions = [
            condition(type_, word, "" if ready else "RuntimeNotRecognized", said, _now())
            for type_ in ("PredictorReady", "Ready")
        ]
        await self._around.client.patch_status(
            INFERENCE_SERVICES,
            service.metadata.name,
            {"status": {"observedGeneration": generation, "conditions": conditions}},
            namespace=service.metadata.namespace,
        )

    async def _make_backend(self, service: Plain) -> None:
        metadata = service.metadata
        owner = {
            "apiVersion": INFERENCE_SERVICES.api_version,
            "kind": INFERENCE_SERVICES.kind,
            "name": metadata.name,
            "uid": metadata.uid,
            "controller": True,
        }
        name = f"{metadata.name}-predictor"
        if self._around.services.store.get(metadata.namespace, name) is not None:
            return
        manifest: Manifest = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": {"ports": [{"port": 80, "targetPort": 8000}]},
        }
        try:
            await self._around.client.create(SERVICES, manifest, namespace=metadata.namespace)
        except AlreadyExists:
            return


class Gateway:
    """Judges routes whose Gateway exists; of others it says nothing, as real ones do."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._routes = around.informer(ROUTES)
        self._gateways = around.informer(GATEWAYS)
        self._queue = Queue(self._look)
        self._queue.watch(self._routes)
        around.when_released(self._queue, self._routes)
        self._gateways.add_handler(lambda _old, _new: self._look_at(self._routes.store.all()))
        around.services.add_handler(lambda old, new: self._look_at(self._routes_to(new or old)))

    async def run(self) -> None:
        await self._queue.run()

    def _look_at(self, routes: Iterable[Plain]) -> None:
        for route in routes:
            self._queue.put(Key(route.metadata.namespace, route.metadata.name))

    def _routes_to(self, service: Plain | None) -> list[Plain]:
        assert service is not None
        where = (service.metadata.namespace, service.metadata.name)
        return [
            each for each in self._routes.store.all() if (each.metadata.namespace, _backend(each)) == where
        ]

    async def _look(self, key: Key) -> None:
        route = self._routes.store.get(*key)
        if route is None or self._around.held(key.namespace, "gateway"):
            return
        parents = [said for ref in route.spec.get("parentRefs", []) if (said := self._verdict(route, ref))]
        if _without_times(parents) == _without_times(route.status.get("parents", [])):
            return
        await self._around.client.patch_status(
            ROUTES, key.name, {"status": {"parents": parents}}, namespace=key.namespace
        )

    def _verdict(self, route: Plain, ref: Manifest) -> Manifest | None:
        gateway = self._gateways.store.get(ref.get("namespace", route.metadata.namespace), ref["name"])
        if gateway is None:
            return None
        section = ref.get("sectionName")
        accepted = ("True", "Accepted", "")
        if section is not None and section not in [each["name"] for each in gateway.spec["listeners"]]:
            accepted = ("False", "NoMatchingParent", f"no listener is named {section}")
        resolved = ("True", "ResolvedRefs", "")
        backend = _backend(route)
        if self._around.services.store.get(route.metadata.namespace, backend) is None:
            resolved = ("False", "BackendNotFound", f"service {backend} not found")
        conditions = [
            condition(type_, *said, _now()) | {"observedGeneration": route.metadata.generation}
            for type_, said in (("Accepted", accepted), ("ResolvedRefs", resolved))
        ]
        return {"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions}


def _backend(route: Plain) -> str:
    name: str = route.spec["rules"][0]["backendRefs"][0]["name"]
    return name


def _without_times(parents: list[Manifest]) -> list[Manifest]:
    return [
        parent
        | {
            "conditions": [
                {key: value for key, value in c.items() if key != "lastTransitionTime"}
                for c in parent["conditions"]
            ]
        }
        for parent in parents
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
