"""Who hears of what (wakes.yaml): for each row of the wake tables a change, and what must be looked at again.

Of whoever is left out, what is wrong would stay wrong until something else happens to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from aim_operator.controllers.cache_dependents import CacheDependents
from aim_operator.controllers.dependents import Dependents
from aim_operator.controllers.images import image_wakes
from aim_operator.controllers.model_caches import model_cache_wakes
from aim_operator.controllers.route_owners import RouteOwners
from aim_operator.controllers.runtime_configs import runtime_config_wakes
from aim_operator.controllers.services import service_wakes
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.template_caches import template_cache_wakes
from aim_operator.controllers.templates import template_wakes
from aim_operator.controllers.watched import Watched
from aim_operator.core.service.route import GatewayKey, ListenerPath
from aim_operator.runtime.metrics import MetricSink
from tests.support.fake_client import FakeClient
from tests.support.template_builders import OPERATOR_NAMESPACE
from tests.support.virtual_clock import VirtualClock

Manifest = dict[str, Any]
TABLE: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("wakes.yaml").read_text())
DERIVED = "fast-ovr-0a1b2c3d"
_WANTED = ListenerPath(GatewayKey(("gateways", "gateway"), "", 0), "/mine", ())


class Cluster:
    """The stores filled with the objects of wakes.yaml, and whom the next change wakes."""

    def __init__(self) -> None:
        self.watched = Watched(
            FakeClient(),
            clock=VirtualClock(),
            metrics=MetricSink(),
            namespaces=(),
            operator_namespace=OPERATOR_NAMESPACE,
        )
        self._version = 0
        self._objects: dict[str, Manifest] = {}
        catalog = StoreCatalog(self.watched)
        depend = Dependents(self.watched, catalog, operator_namespace=OPERATOR_NAMESPACE)
        caching = CacheDependents(self.watched, catalog)
        routes = RouteOwners(self.watched, clock=VirtualClock(), wake=lambda _: None, apart=lambda: False)
        for informer, manifests in TABLE["world"].items():
            for manifest in manifests:
                self.put(informer, manifest)
        chooses = self.watched.services.store.get("team", "by-choice")
        assert chooses is not None
        routes.set_paths(chooses, (_WANTED,))
        self.woken: set[str] = set()
        tables = {
            "images": image_wakes(self.watched, depend),
            "runtime configs": runtime_config_wakes(self.watched),
            "templates": template_wakes(self.watched, depend, caching),
            "template caches": template_cache_wakes(self.watched, caching),
            "model caches": model_cache_wakes(self.watched, caching),
            "services": service_wakes(self.watched, depend, caching, routes),
        }
        for controller, triggers in tables.items():
            for trigger in triggers:
                wake = self._waker(controller)
                trigger.connect(wake, wake)
        self.woken.clear()

    def _waker(self, controller: str) -> Callable[[Any], None]:
        def wake(ref: Any) -> None:
            self.woken.add(f"{controller} {ref.namespace}/{ref.name}".replace(" /", " "))

        return wake

    def put(self, informer: str, manifest: Manifest) -> None:
        """Have the watch of a kind bring an object, new or changed."""
        self._version += 1
        metadata = manifest["metadata"]
        name = f"{metadata.get('namespace', '')}/{metadata['name']}"
        self._objects[f"{informer} {name}"] = manifest
        full = {
            **manifest,
            "metadata": {
                "uid": f"uid of {informer} {name}",
                "resourceVersion": str(self._version),
                "generation": self._version,
                **metadata,
                "ownerReferences": [
                    _owner(*each.split()[1:]) for each in metadata.get("ownerReferences", ())
                ],
            },
        }
        sink: Any = getattr(self.watched, informer)
        sink._streams[""].changed(msgspec.json.decode(msgspec.json.encode(full), type=sink.resource.type))

    def edit(self, informer: str, name: str, **fields: Any) -> None:
        """Change an object: these fields, or only its version and generation."""
        self.put(informer, {**self._objects[_key(informer, name)], **fields})

    def delete(self, informer: str, name: str) -> None:
        metadata = self._objects[_key(informer, name)]["metadata"]
        sink: Any = getattr(self.watched, informer)
        sink._streams[""].deleted(sink.store.get(metadata.get("namespace", ""), metadata["name"]).metadata)


def _key(informer: str, name: str) -> str:
    return f"{informer} {name if '/' in name else f'/{name}'}"


def _owner(kind: str, name: str) -> Manifest:
    return {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": kind,
        "name": name,
        "uid": f"uid of {kind} {name}",
        "controller": True,
    }


def _rows(name: str) -> list[Any]:
    return [pytest.param(*objects, id=sentence) for row in TABLE[name] for sentence, objects in row.items()]


@pytest.mark.parametrize(("changed", "woken"), _rows("edited"))
def test_who_hears_of_an_edit(changed: str, woken: str) -> None:
    cluster = Cluster()
    cluster.edit(*changed.split())
    assert woken in cluster.woken


@pytest.mark.parametrize(("deleted", "woken"), _rows("deleted"))
def test_who_hears_of_a_deletion(deleted: str, woken: str) -> None:
    cluster = Cluster()
    cluster.delete(*deleted.split())
    assert woken in cluster.woken


def test_a_template_cache_hears_of_a_service_that_comes_to_ask_for_it() -> None:
    """It names no template: which one it is, resolution tells."""
    cluster = Cluster()
    cluster.put(
        "services",
        {"metadata": {"name": "new", "namespace": "team"}, "spec": {"model": "llama", "cacheModel": True}},
    )
    assert "template caches team/fast" in cluster.woken


def test_a_derived_template_hears_that_what_ran_on_it_moved_on() -> None:
    cluster = Cluster()
    spec = {"predictor": {"model": {"runtime": "fast"}}}
    cluster.edit("inference_services", "team/chat", spec=spec)
    assert f"templates team/{DERIVED}" in cluster.woken


def test_what_only_a_status_says_wakes_nobody_who_reads_the_spec() -> None:
    cluster = Cluster()
    image: Any = cluster.watched.images
    live = image.store.get("team", "llama")
    assert live is not None
    image._streams[""].changed(live)
    assert cluster.woken == {"images team/llama"}
