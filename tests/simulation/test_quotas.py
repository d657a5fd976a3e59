"""Namespaces with a ResourceQuota on what Pods may use: what is read there, and what lets Jobs go on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aim_operator.api.external import PODS
from aim_operator.api.v1alpha1 import MODEL_CACHES, TEMPLATES
from aim_operator.core import quantity
from aim_operator.errors import Forbidden
from tests.simulation.catalog import NAMESPACE, config, image, template
from tests.simulation.test_caches import model_cache
from tests.simulation.world import World

WANTED = frozenset({"limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
"""What each container of a Pod has to say something of, where a quota is on it (`validationSet`)."""
AN_HOUR = 3600
Manifest = dict[str, Any]


class Quota:
    """As Kubernetes 1.35 admits Pods: pkg/quota/v1/evaluator/core/pods.go of k8s.io/kubernetes and
    pkg/admission/plugin/resourcequota/controller.go of k8s.io/apiserver, whose words these are."""

    def __init__(self, world: World, **hard: str) -> None:
        self.hard = {name.replace("_", "."): amount for name, amount in hard.items()}
        self._world = world
        world.sandbox.server.validating[world.sandbox.server.kinds.served(PODS).id] = self._admit

    def _admit(self, pod: Manifest) -> None:
        if pod["metadata"]["namespace"] != NAMESPACE:
            return
        names = sorted(self.hard)
        lacking = {
            name: sorted(each["name"] for each in _containers(pod) if _amount(each, name) is None)
            for name in names
            if name in WANTED
        }
        if missing := "; ".join(f"{name} for: {','.join(who)}" for name, who in lacking.items() if who):
            self._refuse(pod, f"failed quota: team: must specify {missing}")
        there = [each for each in self._world.all(PODS) if _lives(each)]
        used = {name: sum((_of(each, name) for each in there), Decimal(0)) for name in names}
        wanted = {name: _of(pod, name) for name in names}
        most = {name: quantity.parse(amount) or Decimal(0) for name, amount in self.hard.items()}
        beyond = [name for name in names if used[name] + wanted[name] > most[name]]
        if beyond:
            parts = [
                ",".join(f"{name}={amounts[name].normalize():f}" for name in beyond)
                for amounts in (wanted, used, most)
            ]
            self._refuse(pod, "exceeded quota: team, requested: {}, used: {}, limited: {}".format(*parts))

    def _refuse(self, pod: Manifest, why: str) -> None:
        message = f'pods "{pod["metadata"].get("name", "")}" is forbidden: {why}'
        raise Forbidden(message, code=403, reason="Forbidden")


def _containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]


def _amount(container: Manifest, name: str) -> Decimal | None:
    kind, _, resource = name.partition(".")
    found = (container.get("resources") or {}).get(kind, {}).get(resource)
    return None if found is None else quantity.parse(found)


def _of(pod: Manifest, name: str) -> Decimal:
    return sum((_amount(each, name) or Decimal(0) for each in pod["spec"]["containers"]), Decimal(0))


def _lives(pod: Manifest) -> bool:
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return pod["metadata"]["namespace"] == NAMESPACE and not ended


def available(world: World) -> bool:
    return (
        world.state_of(TEMPLATES, "fast", NAMESPACE) == "Available"
        and world.state_of(MODEL_CACHES, "own", NAMESPACE) == "Available"
    )


def said(world: World) -> tuple[str, str]:
    """What is read at the template and at the cache."""
    messages = []
    for kind, name, type_ in ((TEMPLATES, "fast", "Discovered"), (MODEL_CACHES, "own", "Ready")):
        (found,) = (c for c in world.status(kind, name, NAMESPACE)["conditions"] if c["type"] == type_)
        messages.append(f"{found['reason']}: {found['message']}")
    return messages[0], messages[1]


def refused(world: World) -> bool:
    return all(
        world.reason(kind, name, NAMESPACE, type_) == "False/JobRefused"
        for kind, name, type_ in ((TEMPLATES, "fast", "Discovered"), (MODEL_CACHES, "own", "Ready"))
    )


async def test_a_quota_that_wants_limits_takes_the_pods_of_jobs_as_they_are() -> None:
    """They have limits by themselves, where a Pod without them is refused."""
    async with World() as world:
        Quota(world, limits_cpu="8", limits_memory="8Gi", requests_cpu="4", requests_memory="8Gi")
        bare = {
            "metadata": {"name": "bare", "namespace": NAMESPACE},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        with pytest.raises(Forbidden, match=r"must specify limits\.cpu for: c; limits\.memory for: c"):
            world.apply([{"apiVersion": "v1", "kind": "Pod", **bare}])
        world.apply([image(), template(), model_cache(size=None)])
        world.start()
        await world.until(lambda: available(world), limit_seconds=60)


async def test_a_quota_below_the_limits_of_jobs_is_named_and_limits_of_the_configuration_let_them_go_on() -> (
    None
):
    async with World() as world:
        Quota(world, limits_cpu="1", limits_memory="8Gi")
        world.apply([image(), template(), model_cache()])
        world.start()
        await world.until(lambda: refused(world), limit_seconds=60)
        await world.pass_seconds(AN_HOUR)
        discovery, download = said(world)
        assert "the discovery Pod was refused" in discovery
        assert (
            "exceeded quota: team, requested: limits.cpu=2, used: limits.cpu=0, limited: limits.cpu=1"
            in discovery
        )
        assert "the download Pod was refused" in download
        assert "requested: limits.cpu=4, used: limits.cpu=0, limited: limits.cpu=1" in download
        small = {"resources": {"limits": {"cpu": "1"}}}
        world.apply([config(jobs={"discovery": small, "download": small})])
        await world.until(lambda: available(world), limit_seconds=AN_HOUR)


async def test_a_quota_that_is_raised_lets_refused_jobs_go_on_by_themselves() -> None:
    async with World() as world:
        quota = Quota(world, limits_cpu="1", limits_memory="8Gi")
        world.apply([image(), template(), model_cache()])
        world.start()
        await world.until(lambda: refused(world), limit_seconds=60)
        await world.pass_seconds(AN_HOUR)
        quota.hard["limits.cpu"] = "6"
        await world.until(lambda: available(world), limit_seconds=600)
