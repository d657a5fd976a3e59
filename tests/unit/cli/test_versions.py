"""Which operator and which CRDs a cluster has, as `aimctl version` says it."""

from typing import Any

from aim_operator.api.crd import all_crds
from aim_operator.cli.versions import Installed, Versions, compared, read
from aim_operator.errors import Forbidden
from aim_operator.runtime.clock import SystemClock
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.network import Fault

HOW_TO_INSTALL = "aimctl crds | kubectl apply --server-side -f -"


def lines(versions: Versions) -> str:
    return "\n".join(versions.lines)


async def test_operator_and_crds() -> None:
    sandbox = Sandbox(SystemClock(), evaluate_rules=False)
    client = sandbox.client()
    assert "operator  none" in lines(await read(client, "0.1.0"))
    assert "CRDs      v1alpha1, those of this aimctl" in lines(await read(client, "0.1.0"))


async def test_an_old_crd_and_a_missing_one_are_named() -> None:
    old, gone, *others = all_crds()
    sandbox = Sandbox(SystemClock(), crds=[changed(old), *others], evaluate_rules=False)
    found = await read(sandbox.client(), "0.1.0")
    name, missing = (crd["metadata"]["name"].partition(".")[0] for crd in (old, gone))
    assert found.crds.startswith(f"v1alpha1, {missing} missing; {name} of another version; ")
    assert found.crds.endswith(HOW_TO_INSTALL)


def changed(crd: dict[str, Any]) -> dict[str, Any]:
    (version,) = crd["spec"]["versions"]
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return crd | {"spec": crd["spec"] | {"versions": [version | {"schema": schema}]}}


async def test_without_crds_it_says_how_to_install_them() -> None:
    sandbox = Sandbox(SystemClock(), crds=(), evaluate_rules=False)
    assert (await read(sandbox.client(), "0.1.0")).crds == f"none; install them: {HOW_TO_INSTALL}"
    assert compared([]) == f"none; install them: {HOW_TO_INSTALL}"


async def test_who_may_not_read_crds_learns_whether_the_kinds_are_served() -> None:
    sandbox = Sandbox(SystemClock(), evaluate_rules=False)
    client = sandbox.client()
    denied = 'the operator may not "list" {} in the whole cluster: add it to its role'
    for resource in ("deployments", "customresourcedefinitions"):
        error = Forbidden(denied.format(resource))
        client.network.fail(Fault(error=error, verb="list", resource=resource, times=9))
    found = await read(client, "0.1.0")
    assert found.crds == "v1alpha1 is served"
    assert lines(found).count('not seen: you may not "list"') == 2


def test_the_image_tells_the_operators_version() -> None:
    for image, version in (
        ("ghcr.io:443/silogen/aim-operator:0.0.9", "0.0.9"),
        ("ghcr.io/silogen/aim-operator@sha256:abc", "ghcr.io/silogen/aim-operator@sha256:abc"),
    ):
        installed = Installed(namespace="kaiwo-system", name="aim-operator", image=image)
        assert lines(Versions(client="0.1.0", operators=(installed,))) == (
            f"operator  {version} (Deployment kaiwo-system/aim-operator, image {image})"
        )
