"""Somebody who may only look, and what `aimctl why` takes of a machine when that person asks.

An answer shall come within two seconds. How long it takes on a machine that does much else says little: tests
report that, and assert what it takes of any machine, which are requests, one after the other, and CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from aim_operator.cli.connect import ask
from aim_operator.cli.objects import find
from aim_operator.cli.why.chain import Chain
from aim_operator.cli.why.look import explain
from aim_operator.kube import credentials
from aim_operator.kube.protocol import KubeClient
from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from hack.cluster.patience import Patience
from tests.cluster.test_user_roles import named_for, user_roles
from tests.support.counted import Counted
from tests.support.spec_world import World
from tests.support.why_situations import MOST_REQUESTS, Situation, lacks

ANSWER_SECONDS = 2.0
"""Of the CPU, for one answer."""
VIEWER = "somebody"
RBAC = "rbac.authorization.k8s.io"


def viewer_of(namespace: str) -> Manifest:
    """The binding by which somebody may look at everything in a namespace."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "viewer", "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": VIEWER}],
    }


def platform_view(suffix: str) -> Manifest:
    """The role that platforms add to `view` for kinds that are not Kubernetes' own."""
    rules = [
        {"apiGroups": [group], "resources": ["*"], "verbs": ["get", "list", "watch"]}
        for group in ("serving.kserve.io", "gateway.networking.k8s.io")
    ]
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": f"platform-view-{suffix}",
            "labels": {f"{RBAC}/aggregate-to-view": "true"},
        },
        "rules": rules,
    }


@contextmanager
def roles_of_users(cluster: Cluster, suffix: str) -> Iterator[None]:
    """The chart's roles for users, and the platform's, for as long as this lasts."""
    roles = [*(named_for(role, suffix) for role in user_roles()), platform_view(suffix)]
    try:
        for role in roles:
            cluster.api.apply(role)
        yield
    finally:
        for role in roles:
            cluster.api.delete(f"/apis/{RBAC}/v1/{role['kind'].lower()}s/{role['metadata']['name']}")


class Cost(NamedTuple):
    """What one answer takes."""

    requests: int
    cpu: float
    seconds: float


def why(connection: Any, situation: Situation, namespace: str) -> tuple[Chain, Cost]:
    """Ask as the command does, the connection included; return the answer and what it took."""
    named = find(situation.subject, namespace)
    counted: list[Counted] = []

    def explained(client: KubeClient) -> Coroutine[Any, Any, Chain]:
        counted.append(Counted(client))
        return explain(counted[0].as_client, named)

    cpu, began = time.process_time(), time.monotonic()
    chain = ask(connection, explained)
    return chain, Cost(counted[0].requests, time.process_time() - cpu, time.monotonic() - began)


def check_answers(
    cluster: Cluster, situations: Mapping[str, Situation], worlds: Mapping[str, World], *, seconds: float
) -> str:
    """Ask as the viewer until every answer names root and remedy; return what the answers took at most.

    Each situation has begun in the world of its name; its `then` is done here.
    """
    loaded = credentials.load(str(cluster.kubeconfig))
    connection = credentials.impersonating(loaded, VIEWER, ["system:authenticated"])
    patience = Patience(seconds)
    to_do = {name for name, each in situations.items() if each.then is not None}
    said = dict.fromkeys(situations, "nothing was asked yet")
    costs: list[Cost] = []
    while said and not patience.ended:
        for name in list(said):
            situation, world = situations[name], worlds[name]
            if name in to_do and situation.then is not None:
                if not situation.then(world):
                    continue
                to_do.discard(name)
            chain, cost = why(connection, situation, world.namespace)
            costs.append(cost)
            if answer := lacks(chain, situation):
                said[name] = answer
            else:
                del said[name]
    assert not said, "\n\n".join(f"{name}: {words}" for name, words in said.items())
    requests, cpu, longest = map(max, zip(*costs, strict=True))
    assert requests <= MOST_REQUESTS
    assert cpu < ANSWER_SECONDS
    return (
        f"{len(situations)} situations, {len(costs)} answers: {requests} requests, {cpu:.2f} s of the CPU "
        f"and {longest:.2f} s at most"
    )
