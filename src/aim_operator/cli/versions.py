"""Which operator runs in a cluster, and whether its CRDs are those of this program. Called by version.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.crd import all_crds
from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.resource import Resource
from aim_operator.cli.connect import everything, in_the_users_words
from aim_operator.errors import Forbidden, NotFound, NotInstalled
from aim_operator.kube.protocol import KubeClient

NAME_LABEL = "app.kubernetes.io/name=aim-operator"
"""On the operator's Deployment, by the chart and by the plain manifests."""


class _Container(Struct):
    image: str = ""


class _PodSpec(Struct):
    containers: list[_Container] = []


class _PodTemplate(Struct):
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


class _DeploymentSpec(Struct):
    template: _PodTemplate = msgspec.field(default_factory=_PodTemplate)


class Deployment(KubeObject):
    spec: _DeploymentSpec = msgspec.field(default_factory=_DeploymentSpec)


class Definition(KubeObject):
    """A CustomResourceDefinition with its whole spec."""

    spec: Manifest = msgspec.field(default_factory=dict)


DEPLOYMENTS = Resource(
    group="apps", version="v1", plural="deployments", kind="Deployment", namespaced=True, type=Deployment
)
DEFINITIONS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    type=Definition,
)


class Installed(Struct, frozen=True, rename="camel"):
    """An operator that is deployed: where, and from which image."""

    namespace: str
    name: str
    image: str


class Versions(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`crds` says how those of the cluster compare with this program's; "" where no cluster was asked.

    `unseen` are the reasons why something could not be read.
    """

    client: str
    operators: tuple[Installed, ...] = ()
    crds: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def lines(self) -> Iterator[str]:
        """What is said below the program's own version."""
        for each in self.operators:
            _, _, tag = each.image.rpartition("/")[2].partition(":")
            tag = "" if "@" in each.image else tag
            where = f"Deployment {each.namespace}/{each.name}"
            yield f"operator  {tag or each.image} ({where}, image {each.image})"
        if self.crds and not self.operators and not self.unseen:
            yield "operator  none: no Deployment has the label app.kubernetes.io/name=aim-operator"
        if self.crds:
            yield f"CRDs      {self.crds}"
        for why in self.unseen:
            yield f"not seen: {why}"


async def read(client: KubeClient, own: str) -> Versions:
    """Return the versions in the cluster; `own` is this program's."""
    unseen: list[str] = []
    operators: list[Installed] = []
    try:
        page = await client.list(DEPLOYMENTS, label_selector=NAME_LABEL)
        operators = [_installed(deployment) for deployment in page.items]
    except Forbidden as error:
        unseen.append(in_the_users_words(error))
    except NotInstalled:
        # Small servers of CRDs alone, such as kcp, have no Deployments.
        pass
    try:
        crds = compared(await everything(client, DEFINITIONS))
    except Forbidden as error:
        unseen.append(in_the_users_words(error))
        crds = await _served(client)
    return Versions(client=own, operators=tuple(operators), crds=crds, unseen=tuple(unseen))


def compared(definitions: list[Definition]) -> str:
    """Return how the CRDs of a cluster compare with those of this program."""
    ours: dict[str, Manifest] = {crd["metadata"]["name"]: crd["spec"] for crd in all_crds()}
    there = {each.metadata.name: each.spec for each in definitions if each.metadata.name in ours}
    missing = sorted(ours.keys() - there.keys())
    if len(missing) == len(ours):
        return "none; install them: aimctl crds | kubectl apply --server-side -f -"
    different = sorted(name for name in there if _schema(there[name]) != _schema(ours[name]))
    if not missing and not different:
        return f"{aim.VERSION}, those of this aimctl"
    parts = [f"{', '.join(_short(missing))} missing"] if missing else []
    parts += [f"{', '.join(_short(different))} of another version"] if different else []
    return (
        f"{aim.VERSION}, {'; '.join(parts)}; if this aimctl is the newer one: "
        "aimctl crds | kubectl apply --server-side -f -"
    )


def _schema(spec: Manifest) -> Any:
    """Return what of a CRD says which objects are taken: the API server fills in the rest by itself."""
    versions = spec.get("versions") or ()
    return {version.get("name"): (version.get("schema") or {}).get("openAPIV3Schema") for version in versions}


def _short(names: list[str]) -> list[str]:
    return [name.partition(".")[0] for name in names]


def _installed(deployment: Deployment) -> Installed:
    containers = deployment.spec.template.spec.containers
    return Installed(
        namespace=deployment.metadata.namespace,
        name=deployment.metadata.name,
        image=containers[0].image if containers else "",
    )


async def _served(client: KubeClient) -> str:
    """Return whether the kinds are there at all, for those who may not read the CRDs."""
    try:
        await client.list(aim.SERVICES, limit=1)
    except NotInstalled:
        return "none; install them: aimctl crds | kubectl apply --server-side -f -"
    except (Forbidden, NotFound):
        pass
    return f"{aim.VERSION} is served"
