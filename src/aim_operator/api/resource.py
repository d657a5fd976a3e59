"""A kind as the API server serves it: where its objects live, and the type they decode to."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from msgspec import Struct

from aim_operator.api.meta import KubeObject, ObjectMeta, ObjectRef

K = TypeVar("K", bound=KubeObject)


class Resource(Struct, Generic[K], frozen=True, kw_only=True):
    """`type` is the view that list, watch and get decode to; two views of one kind are two resources.

    `metadata_only` asks the server for PartialObjectMetadata: for kinds whose objects are large
    and matter only by existing.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    type: type[K]
    metadata_only: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`plural.group`, as kubectl and RBAC messages spell it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def collection_path(self, namespace: str = "") -> str:
        """URL path of the collection; `namespace` "" means all namespaces (or a cluster kind)."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{where}/{self.plural}"

    def object_path(self, name: str, namespace: str = "", subresource: str = "") -> str:
        tail = f"/{subresource}" if subresource else ""
        return f"{self.collection_path(namespace)}/{name}{tail}"

    def ref(self, obj: KubeObject) -> ObjectRef:
        return ObjectRef(self.kind, obj.metadata.namespace, obj.metadata.name)


class Page(Struct, Generic[K], frozen=True, kw_only=True):
    """One page of a list. `continue_token` is "" on the last one.

    `undecodable` are the objects that do not fit their type, as far as their metadata tells of them.
    """

    items: tuple[K, ...]
    resource_version: str
    continue_token: str = ""
    undecodable: tuple[ObjectMeta, ...] = ()


class WatchEvent(Struct, Generic[K], frozen=True, kw_only=True):
    """One line of a watch. A BOOKMARK carries no object, only how far the server has come.

    `initial_events_end` marks the bookmark that ends a streamed initial list (KEP-3157). `undecodable` is
    what can be said of an object that does not fit its type: it was deleted, or it is there, all the same.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    resource_version: str
    object: K | None = None
    undecodable: ObjectMeta | None = None
    initial_events_end: bool = False
