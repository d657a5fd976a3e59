"""Who hears of what (wakes.yaml): for each row of the wake tables a change, and what must be looked at again.

Of whoever is left out, what is wrong would stay wrong until something else happens to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from aim_operator.controllers.cache_dependents import CacheDependents
from aim_operator.controllers.dependents import Dependents
from aim_operator.controllers.images import image_wakes
from aim_operator.controllers.model_caches import model_cache_wakes
from aim_operator.controllers.route_owners import RouteOwners
from aim_operator.controllers.runtime_configs import runtime_config_wakes
from aim_operator.controllers.services import service_wakes
from aim_operator.controllers.template_caches import template_cache_wakes
from aim_operator.controllers.templates import template_wakes
from aim_operator.core import labels
from aim_operator.core.service.route import GatewayKey, ListenerPath
from tests.support.filled_stores import FilledStores
from tests.support.template_builders import OPERATOR_NAMESPACE

TABLE: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("wakes.yaml").read_text())
DERIVED = "fast-ovr-0a1b2c3d"
_WANTED = ListenerPath(GatewayKey(("gateways", "gateway"), "", 0), "/mine", ())


class Cluster(FilledStores):
    """The stores with the objects of wakes.yaml, and whom the next change wakes."""

    def __init__(self) -> None:
        super().__init__()
        watched = self.watched
        depend = Dependents(watched, self.catalog, operator_namespace=OPERATOR_NAMESPACE)
        caching = CacheDependents(watched, self.catalog)
        routes = RouteOwners(watched, clock=self.clock, wake=lambda _: None, apart=lambda: False)
        for informer, manifests in TABLE["world"].items():
            for manifest in manifests:
                self.put(informer, manifest)
        chooses = watched.services.store.get("team", "by-choice")
        assert chooses is not None
        routes.set_paths(chooses, (_WANTED,))
        self.woken: set[str] = set()
        tables = {
            "images": image_wakes(watched, depend),
            "runtime configs": runtime_config_wakes(watched),
            "templates": template_wakes(watched, depend, caching),
            "template caches": template_cache_wakes(watched, caching),
            "model caches": model_cache_wakes(watched, caching),
            "services": service_wakes(watched, depend, caching, routes),
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


def test_a_template_cache_that_is_paused_no_more_is_looked_at() -> None:
    """Annotations leave the generation as it is."""
    cluster = Cluster()
    cluster.annotate("template_caches", "team/twin", note="changed")
    assert "template caches team/twin" in cluster.woken


def test_an_image_hears_that_its_default_template_came() -> None:
    cluster = Cluster()
    cluster.delete("templates", "team/fast")
    cluster.woken.clear()
    cluster.new("templates", "team/fast", spec={"aimImageName": "llama"})
    assert "images team/llama" in cluster.woken


def test_a_model_cache_without_room_hears_that_one_before_it_is_paused() -> None:
    """Which then keeps no room from others. Annotations leave the generation as it is."""
    cluster = Cluster()
    cluster.annotate("model_caches", "team/found", **{labels.PAUSED: "true"})
    assert "model caches team/waits" in cluster.woken


def test_a_model_cache_without_room_hears_how_large_one_before_it_is() -> None:
    """A status leaves the generation as it is, too."""
    cluster = Cluster()
    cluster.tell("model_caches", "team/found", listing={"totalBytes": 2**30})
    assert "model caches team/waits" in cluster.woken


def test_a_model_cache_hears_that_a_template_cache_takes_the_files_of_another() -> None:
    """Of the same source: it is not used any more, and says so."""
    cluster = Cluster()
    listed = {"sourceUri": "hf://example/llama", "name": "found"}
    cluster.edit("template_caches", "team/senior", status={"modelCaches": [listed]})
    assert "model caches team/files" in cluster.woken


def test_a_template_cache_hears_that_an_older_one_uses_its_model_cache_no_more() -> None:
    """It keeps the references of that one from then on: a token, an endpoint."""
    cluster = Cluster()
    cluster.tell("template_caches", "team/senior")
    assert "template caches team/junior" in cluster.woken
