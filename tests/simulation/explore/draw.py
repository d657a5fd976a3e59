"""Random stories: a catalog, and edits of it by people who choose few names, so that much collides.

A story follows from its seed alone, not from what the operator does: that is what makes it repeatable after
a fix, and any part of it a story.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from aim_operator.core import labels
from aim_operator.core.naming import model_cache_name
from aim_operator.sandbox.nodes import gpu_node
from tests.simulation.catalog import API, IMAGE, routed
from tests.simulation.explore.steps import (
    Apply,
    Behave,
    Delete,
    DeleteNamespace,
    DeleteOne,
    Install,
    LabelOne,
    Lazy,
    Patch,
    Restart,
    Silence,
    Wait,
)
from tests.simulation.explore.stories import AnyStep, Story

NAMESPACES = ("team", "other")
MODELS = ("model", "small")
REFS = (IMAGE, "ghcr.io/example/model:v2", "ghcr.io/example/small:v1")
TEMPLATES = ("fast", "slow", "third")
CONFIGS = ("default", "mine")
SERVICES = ("chat", "bot")
SOURCES = ("hf://sandbox/model", "hf://sandbox/small")
PATHS = (
    *("/a", "/a", "/a/b", "/b", "/a/{.spec.model}"),
    *("/{.metadata.name}", "/{.metadata.labels['team']}"),
    *("/{.metadata.namespace}/{.metadata.name}",) * 2,
)
GPUS = ("MI300X", "MI325X", "MI210")
NODES = {
    "MI300X": "AMD_Instinct_MI300X_OAM",
    "MI325X": "AMD_Instinct_MI325X_OAM",
    "MI210": "AMD_Instinct_MI210",
}
TOKENS = ("one", "two")
ENDPOINTS = ("https://mirror.example.com", "https://hub.example.com")
CHILDREN = (
    *("InferenceService", "HTTPRoute", "ServingRuntime", "ClusterServingRuntime", "Job"),
    *("PersistentVolumeClaim", "AIMModelCache", "AIMTemplateCache", "AIMServiceTemplate"),
)
PAUSES = ("true", "false")
LONG = 0.1
"""How many stories are long. What breaks a rule takes few steps, once it is shortened."""
SILENT = 0.1
"""How many stories end with a quiet hour, which takes half as long as the rest of them."""

Object = dict[str, Any]


def story(seed: int) -> Story:
    """Return the story of a seed: a catalog, then one to six edits, or some more."""
    chance = random.Random(seed)
    return tuple(_Author(chance).steps())


def catalog(seed: int) -> list[Object]:
    """Return objects with which a service runs, most probably, and up to seven more beside them.

    No two have the same name and kind.
    """
    author = _Author(random.Random(seed))
    for made in author.working():
        author.keep(made)
    makers = (
        *(author.service, author.service, author.template, author.image, author.config),
        *(author.template_cache, author.model_cache),
    )
    for _ in range(author.chance.randint(0, 7)):
        author.keep(author.chance.choice(makers)())
    return author.known()


class _Author:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.made: dict[tuple[str, str, str], Object] = {}
        self.namespaces = NAMESPACES if chance.random() < 0.5 else NAMESPACES[:1]
        self.failures = chance.random() < 0.25
        self.away: set[str] = set()

    def steps(self) -> Iterator[AnyStep]:
        chance = self.chance
        drawn = self.working()
        drawn += [chance.choice(self.makers())() for _ in range(chance.randint(0, 5))]
        if chance.random() < 0.5:
            chance.shuffle(drawn)
        slow = chance.choice((0.0, 0.0, 3.0, 20.0))
        if slow:
            yield from (Behave(what=each, seconds_each=slow, seconds=0) for each in (*REFS, *SOURCES))
        if chance.random() < 0.5:
            some = (0.0, 0.0, 1.0, 15.0)
            fields = ("kserve", "gateway", "claims", "pods", "garbage")
            yield Lazy(seconds=0, **{field: chance.choice(some) for field in fields})
        for made in drawn[:-1]:
            yield Apply(manifest=self.keep(made), seconds=chance.choice((0, 0, 0, 1)))
        yield Apply(manifest=self.keep(drawn[-1]))
        for _ in range(chance.randint(7, 12) if chance.random() < LONG else chance.randint(1, 6)):
            yield self.edit()
        if chance.random() < SILENT and not self.failures:
            yield from (Wait(), Silence())

    def edit(self) -> AnyStep:
        chance = self.chance
        kinds: list[tuple[float, Callable[[], AnyStep | None]]] = [
            (30, self.make),
            (28, self.change),
            (14, self.delete),
            (6, self.annotate),
            (5, self.delete_child),
            (4, self.edit_child),
            (2, self.label),
            (3, self.hold),
            (3, self.node),
            (3, self.kinds),
            (2, self.namespace),
            (4, self.restart),
            (4 if self.failures else 0, self.behave),
            (1, lambda: Wait(seconds=700)),
        ]
        makers = [make for _, make in kinds]
        weights = [weight for weight, _ in kinds]
        while (step := chance.choices(makers, weights)[0]()) is None:
            pass
        if chance.random() < 0.2:
            # Two edits in a row, before everything is at rest.
            return type(step)(**{**_fields(step), "seconds": chance.choice((0, 0.5, 3))})
        return step

    def working(self) -> list[Object]:
        """Objects with which a service runs, most probably."""
        chance = self.chance
        image, template, service = self.image(), self.template(), self.service()
        image["metadata"]["name"] = template["spec"]["aimImageName"] = service["spec"]["model"] = MODELS[0]
        for made in (image, template, service):
            made["spec"].pop("runtimeConfigName", None)
            if "namespace" in made["metadata"]:
                made["metadata"]["namespace"] = self.namespaces[0]
        if image["kind"] == "AIMImage" and chance.random() < 0.7:
            image["spec"]["defaultServiceTemplate"] = template["metadata"]["name"]
        if "templateRef" in service["spec"]:
            service["spec"]["templateRef"] = template["metadata"]["name"]
        return [image, template, service]

    # Edits

    def make(self) -> AnyStep:
        return Apply(manifest=self.keep(self.chance.choice(self.makers())()))

    def change(self) -> AnyStep | None:
        """Another spec for an object that there is."""
        known = self.known()
        if not known:
            return None
        old = self.chance.choice(known)
        fresh = self.of_kind(old["kind"])
        if fresh is None:
            return None
        name = {**fresh["metadata"], "name": old["metadata"]["name"]}
        name.pop("namespace", None)
        if "namespace" in old["metadata"]:
            name["namespace"] = old["metadata"]["namespace"]
        spec = fresh["spec"]
        if self.chance.random() < 0.6:
            # One field only.
            field = self.chance.choice([*{**old["spec"], **spec}])
            spec = {**old["spec"]}
            spec.pop(field, None)
            if field in fresh["spec"]:
                spec[field] = fresh["spec"][field]
        fixed = ("aimImageName", "sourceUri", "size")
        spec |= {field: old["spec"][field] for field in fixed if field in old["spec"]}
        return Apply(manifest=self.keep({**fresh, "metadata": name, "spec": spec}))

    def delete(self) -> AnyStep | None:
        known = self.known()
        if not known:
            return None
        old = self.chance.choice(known)
        metadata = old["metadata"]
        again = None
        if self.chance.random() < 0.3:
            again = old
        else:
            del self.made[_key(old)]
        return Delete(
            kind=old["kind"], name=metadata["name"], namespace=metadata.get("namespace", ""), again=again
        )

    def annotate(self) -> AnyStep | None:
        known = [o for o in self.known() if o["kind"].startswith("AIM")]
        if not known:
            return None
        old = self.chance.choice(known)
        metadata = old["metadata"]
        words = {
            labels.PAUSED: self.chance.choice((*PAUSES, None)),
            labels.REDISCOVER: str(self.chance.randint(1, 3)),
            labels.RETRY: str(self.chance.randint(1, 3)),
        }
        word = self.chance.choice([*words])
        return Patch(
            kind=old["kind"],
            name=metadata["name"],
            namespace=metadata.get("namespace", ""),
            patch={"metadata": {"annotations": {word: words[word]}}},
        )

    def delete_child(self) -> AnyStep:
        return DeleteOne(kind=self.chance.choice(CHILDREN), number=self.chance.randint(0, 5))

    def edit_child(self) -> AnyStep:
        """`kubectl edit` of what the operator made: drift, and specs that mean something else."""
        namespace, name = self.chance.choice(self.namespaces), self.chance.choice(TEMPLATES)
        service = self.chance.choice(SERVICES)
        mine: dict[str, Any] = {labels.MANAGED_BY: self.chance.choice((None, "somebody", labels.CONTROLLER))}
        edits: list[tuple[str, str, Object]] = [
            ("AIMTemplateCache", name, {"spec": {"templateRef": self.chance.choice(TEMPLATES)}}),
            ("AIMTemplateCache", name, {"metadata": {"labels": mine}}),
            ("InferenceService", service, {"spec": {"predictor": {"minReplicas": 7}}}),
            ("InferenceService", service, {"metadata": {"labels": mine}}),
            ("HTTPRoute", service, {"spec": {"rules": []}}),
            ("HTTPRoute", service, {"metadata": {"ownerReferences": None}}),
            ("ServingRuntime", name, {"spec": {"containers": [{"name": "kserve-container", "image": "x"}]}}),
            ("ServingRuntime", name, {"metadata": {"labels": mine}}),
        ]
        kind, name, patch = self.chance.choice(edits)
        return Patch(kind=kind, name=name, namespace=namespace, patch=patch)

    def label(self) -> AnyStep:
        """Labels are anybody's: on what is a user's, and off what is the operator's."""
        return LabelOne(
            kind=self.chance.choice(CHILDREN),
            number=self.chance.randint(0, 5),
            value=self.chance.choice((None, "somebody", labels.CONTROLLER, labels.DERIVED_MANAGER)),
        )

    def hold(self) -> AnyStep | None:
        """Somebody's finalizer, which keeps what is deleted for a while."""
        known = [o for o in self.known() if o["kind"].startswith("AIM")]
        if not known:
            return None
        metadata = (old := self.chance.choice(known))["metadata"]
        finalizers = self.chance.choice((["example.com/backup"], None))
        return Patch(
            kind=old["kind"],
            name=metadata["name"],
            namespace=metadata.get("namespace", ""),
            patch={"metadata": {"finalizers": finalizers}},
        )

    def node(self) -> AnyStep:
        gpu = self.chance.choice(GPUS)
        if self.chance.random() < 0.3:
            return Delete(kind="Node", name="node-1")
        return Apply(manifest=gpu_node(self.chance.choice(("node-1", "node-2")), product=NODES[gpu]))

    def kinds(self) -> AnyStep:
        what = self.chance.choice(("kserve", "gateway"))
        self.away ^= {what}
        return Install(what=what, there=what not in self.away)

    def namespace(self) -> AnyStep:
        name = self.chance.choice(self.namespaces)
        for key in [key for key in self.made if key[1] == name]:
            del self.made[key]
        return DeleteNamespace(name=name)

    def restart(self) -> AnyStep:
        return Restart(down=self.chance.choice((0, 0, 1, 100)))

    def behave(self) -> AnyStep:
        outcomes = ("fails", "fails", "succeeds", "succeeds", "pull error", "unschedulable", "quota", "hangs")
        what = self.chance.choice((*REFS, *SOURCES))
        return Behave(
            what=what, outcome=self.chance.choice(outcomes), seconds_each=self.chance.choice((0, 5))
        )

    # Objects

    def makers(self) -> list[Callable[[], Object]]:
        return [
            *[self.service] * 4,
            *[self.template] * 3,
            *[self.image] * 2,
            *[self.config] * 2,
            *[self.template_cache] * 2,
            self.model_cache,
        ]

    def of_kind(self, kind: str) -> Object | None:
        makers: dict[str, Callable[[], Object]] = {
            "AIMService": self.service,
            "AIMServiceTemplate": self.template,
            "AIMClusterServiceTemplate": self.template,
            "AIMImage": self.image,
            "AIMClusterImage": self.image,
            "AIMRuntimeConfig": self.config,
            "AIMClusterRuntimeConfig": self.config,
            "AIMTemplateCache": self.template_cache,
            "AIMModelCache": self.model_cache,
        }
        for _ in range(20):
            made = makers[kind]()
            if made["kind"] == kind:
                return made
        return None

    def image(self) -> Object:
        spec = {
            "image": self.chance.choice(REFS),
            "defaultServiceTemplate": self.maybe(0.3, TEMPLATES),
            "runtimeConfigName": self.maybe(0.05, CONFIGS),
        }
        return self.scoped("Image", self.chance.choice(MODELS), spec)

    def template(self) -> Object:
        chance = self.chance
        spec: dict[str, Any] = {
            "aimImageName": chance.choice((*MODELS[:1] * 4, *MODELS)),
            "metric": self.maybe(0.8, ("latency", "throughput")),
            "precision": self.maybe(0.3, ("fp8", "fp16", "auto")),
            "gpuSelector": self.gpu() if chance.random() < 0.3 else None,
            "runtimeConfigName": self.maybe(0.08, CONFIGS),
        }
        made = self.scoped("ServiceTemplate", chance.choice(TEMPLATES), spec)
        if made["kind"] == "AIMServiceTemplate":
            if chance.random() < 0.25:
                made["spec"]["caching"] = {"enabled": chance.random() < 0.8}
            if chance.random() < 0.15:
                made["spec"]["env"] = self.env()
        return made

    def config(self) -> Object:
        chance = self.chance
        routing = {"enabled": chance.random() < 0.6, "gatewayRef": routed("")["gatewayRef"]}
        if chance.random() < 0.5:
            routing["routeTemplate"] = chance.choice(PATHS)
        spec = {
            "routing": routing,
            "env": self.env() if chance.random() < 0.3 else None,
            "defaultStorageClassName": self.maybe(0.2, ("standard", "quick")),
        }
        return self.scoped("RuntimeConfig", chance.choice(CONFIGS), spec)

    def service(self) -> Object:
        chance = self.chance
        overrides = {
            "metric": self.maybe(0.6, ("latency", "throughput")),
            "precision": self.maybe(0.4, ("fp8", "fp16")),
            "gpuSelector": self.gpu() if chance.random() < 0.2 else None,
        }
        spec = {
            "model": chance.choice((*MODELS[:1] * 4, *MODELS)),
            "templateRef": self.maybe(0.3, TEMPLATES),
            "runtimeConfigName": self.maybe(0.08, CONFIGS),
            "overrides": _set(overrides) if chance.random() < 0.25 else None,
            "cacheModel": self.maybe(0.3, (True, False)),
            "replicas": self.maybe(0.2, (1, 2, 3)),
            "env": self.env() if chance.random() < 0.15 else None,
            "routing": routed(chance.choice(PATHS)) if chance.random() < 0.5 else None,
        }
        made = self.namespaced("AIMService", chance.choice(SERVICES), _set(spec))
        if chance.random() < 0.3:
            made["metadata"]["labels"] = {"team": chance.choice(("a", "b"))}
        return made

    def template_cache(self) -> Object:
        chance = self.chance
        spec = {
            "templateRef": chance.choice(TEMPLATES),
            "templateScope": self.maybe(0.4, ("Namespace", "Cluster")),
            "shared": self.maybe(0.7, (True, False)),
            "env": self.env(downloads=True) if chance.random() < 0.3 else None,
            "storageClassName": self.maybe(0.1, ("standard", "quick")),
        }
        return self.namespaced("AIMTemplateCache", chance.choice((*TEMPLATES, "mine", "yours")), _set(spec))

    def model_cache(self) -> Object:
        chance = self.chance
        source = chance.choice(SOURCES)
        names = ("own", "own", model_cache_name(chance.choice(SOURCES), "", ""))
        spec = {
            "sourceUri": source,
            "size": "1Gi",
            "shared": self.maybe(0.7, (True, False)),
            "env": self.env(downloads=True) if chance.random() < 0.3 else None,
            "storageClassName": self.maybe(0.1, ("standard", "quick")),
        }
        return self.namespaced("AIMModelCache", chance.choice(names), _set(spec))

    # Parts

    def maybe(self, likelihood: float, values: tuple[Any, ...]) -> Any:
        return self.chance.choice(values) if self.chance.random() < likelihood else None

    def gpu(self) -> Object:
        return {"model": self.chance.choice(GPUS), "count": self.chance.choice((1, 1, 2))}

    def env(self, *, downloads: bool = False) -> list[Object]:
        chance = self.chance
        secret = {"secretKeyRef": {"name": chance.choice(TOKENS), "key": "token"}}
        variables: list[Object] = [
            {"name": "HF_TOKEN", "valueFrom": secret},
            {"name": "HF_ENDPOINT", "value": chance.choice(ENDPOINTS)},
            {"name": "A", "value": chance.choice(("1", "2"))},
        ]
        return chance.sample(variables[: 2 if downloads else 3], chance.randint(1, 2))

    def scoped(self, kind: str, name: str, spec: Object) -> Object:
        if self.chance.random() < 0.35:
            return _object(f"AIMCluster{kind}", name, "", _set(spec))
        return self.namespaced(f"AIM{kind}", name, _set(spec))

    def namespaced(self, kind: str, name: str, spec: Object) -> Object:
        return _object(kind, name, self.chance.choice(self.namespaces), spec)

    def known(self) -> list[Object]:
        return list(self.made.values())

    def keep(self, made: Object) -> Object:
        self.made[_key(made)] = made
        return made


def _set(spec: Object) -> Object:
    return {name: value for name, value in spec.items() if value is not None}


def _key(made: Object) -> tuple[str, str, str]:
    return made["kind"], made["metadata"].get("namespace", ""), made["metadata"]["name"]


def _object(kind: str, name: str, namespace: str, spec: Object) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def _fields(step: AnyStep) -> dict[str, Any]:
    return {name: getattr(step, name) for name in step.__struct_fields__}
