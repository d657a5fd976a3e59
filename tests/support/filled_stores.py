"""The stores of everything that is watched, filled object by object as the watches would."""

from __future__ import annotations

from typing import Any

import msgspec

from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import Watched
from aim_operator.runtime.metrics import MetricSink
from tests.support.fake_client import FakeClient
from tests.support.template_builders import OPERATOR_NAMESPACE
from tests.support.virtual_clock import VirtualClock

Manifest = dict[str, Any]


class FilledStores:
    """Objects are named as `team/chat`, by the informer that brings them: an attribute of Watched.

    Each has a uid and, unless it says otherwise, a new generation with each change. Owner references are
    written as `of KIND NAME`.
    """

    def __init__(self, watched: Watched | None = None) -> None:
        self.client, self.clock = FakeClient(), VirtualClock()
        self.watched = watched or Watched(
            self.client,
            clock=self.clock,
            metrics=MetricSink(),
            namespaces=(),
            operator_namespace=OPERATOR_NAMESPACE,
        )
        self.catalog = StoreCatalog(self.watched)
        self._version = 0
        self._objects: dict[str, Manifest] = {}

    def put(self, informer: str, manifest: Manifest) -> Any:
        """Have the watch of a kind bring an object, new or changed. Returns it as the store has it."""
        self._version += 1
        metadata = manifest["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        self._objects[f"{informer} {namespace}/{name}"] = manifest
        full = {
            **manifest,
            "metadata": {
                "uid": f"uid of {informer} {namespace}/{name}",
                "resourceVersion": str(self._version),
                "generation": self._version,
                **metadata,
                "ownerReferences": [
                    _owner(*each.split()[1:]) for each in metadata.get("ownerReferences", ())
                ],
            },
        }
        sink = getattr(self.watched, informer)
        sink._streams[""].changed(msgspec.json.decode(msgspec.json.encode(full), type=sink.resource.type))
        return sink.store.get(namespace, name)

    def new(self, informer: str, where: str, *, metadata: Manifest | None = None, **fields: Any) -> Any:
        """The same of an object of that name."""
        namespace, _, name = where.rpartition("/")
        return self.put(
            informer, {"metadata": {"namespace": namespace, "name": name, **(metadata or {})}, **fields}
        )

    def edit(self, informer: str, name: str, **fields: Any) -> Any:
        """Change an object: these fields, or only its version and generation."""
        return self.put(informer, {**self._objects[_key(informer, name)], **fields})

    def annotate(self, informer: str, name: str, **annotations: str) -> Any:
        """Change the annotations of an object, which leaves its generation as it is."""
        return self.put(informer, self._of_same_generation(informer, name, annotations=annotations))

    def tell(self, informer: str, name: str, **status: Any) -> Any:
        """Change the status of an object, which leaves its generation as it is."""
        return self.put(informer, {**self._of_same_generation(informer, name), "status": status})

    def _of_same_generation(self, informer: str, name: str, **metadata: Any) -> Manifest:
        manifest = self._objects[_key(informer, name)]
        live = getattr(self.watched, informer).store.get(*_key(informer, name).split(" ")[1].split("/"))
        kept = {"generation": live.metadata.generation, **metadata}
        return {**manifest, "metadata": {**manifest["metadata"], **kept}}

    def delete(self, informer: str, name: str) -> None:
        metadata = self._objects[_key(informer, name)]["metadata"]
        sink = getattr(self.watched, informer)
        sink._streams[""].deleted(sink.store.get(metadata.get("namespace", ""), metadata["name"]).metadata)

    def spoil(self, informer: str, name: str) -> None:
        """Have the watch bring an object that does not fit its type."""
        sink = getattr(self.watched, informer)
        namespace, _, own = name.rpartition("/")
        stranger = msgspec.convert(
            {"name": own, "namespace": namespace, "uid": "another"}, _metadata_type(sink)
        )
        sink._streams[""].undecodable(stranger)


def _metadata_type(sink: Any) -> Any:
    return next(f.type for f in msgspec.structs.fields(sink.resource.type) if f.name == "metadata")


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
