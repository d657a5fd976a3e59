"""`aimctl why` in more than forty broken situations at once, with the rights of those who may only look."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from aim_operator.cli.connect import ask
from aim_operator.cli.objects import find
from aim_operator.cli.why.chain import Chain, lines
from aim_operator.cli.why.look import explain
from aim_operator.cli.why.remedies import remedy
from aim_operator.kube import credentials
from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from tests.cluster.spec.why_situations import OTHERS, SITUATIONS, Situation
from tests.cluster.test_user_roles import named_for, user_roles
from tests.support.plugin import Measure
from tests.support.spec_world import World

ALL_SECONDS = 90.0
"""For all of them together; they come by themselves within a few seconds."""
ANSWER_SECONDS = 2.0
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


def why(connection: Any, situation: Situation, namespace: str) -> tuple[Chain, float]:
    """Ask as the command does, the connection included; return the answer and how long it took."""
    named = find(situation.subject.format(model=namespace), namespace)
    began = time.monotonic()
    chain = ask(connection, lambda client: explain(client, named))
    return chain, time.monotonic() - began


def wrong(chain: Chain, want: Situation) -> str:
    """Return what an answer lacks; "" where it names root and remedy."""
    root, printed = chain.root, [line for line, _ in lines(chain, {})]
    text = "\n".join(printed)
    if root.kind != want.root or want.says not in f"{root.reason} {root.message}":
        return f"the root is not {want.root} {want.says!r}:\n{text}"
    last = printed[-1]
    if not last.startswith("Do: ") or (want.remedy or remedy(root.reason) or "?") not in last:
        return f"the last line does not say {want.remedy or remedy(root.reason)!r}:\n{text}"
    return f"something is not seen:\n{text}" if chain.unseen else ""


def test_there_are_forty_and_a_third_is_not_about_our_kinds() -> None:
    assert len(SITUATIONS) >= 40
    assert 3 * len(OTHERS) >= len(SITUATIONS)


def test_the_root_and_the_remedy_of_every_situation_with_the_rights_of_a_viewer(
    spec_cluster: Cluster, measure: Measure
) -> None:
    loaded = credentials.load(str(spec_cluster.kubeconfig))
    connection = credentials.impersonating(loaded, VIEWER, ["system:authenticated"])
    with ExitStack() as stack:
        worlds: dict[str, World] = {}
        for name in SITUATIONS:
            namespace = stack.enter_context(spec_cluster.namespace("why"))
            worlds[name] = World(spec_cluster, namespace)
            spec_cluster.api.apply(viewer_of(namespace))
        first = next(iter(worlds.values())).namespace
        stack.enter_context(roles_of_users(spec_cluster, first))
        for name, situation in SITUATIONS.items():
            situation.begin(worlds[name])
        began = time.monotonic()
        to_do = {name for name, each in SITUATIONS.items() if each.then is not None}
        said = dict.fromkeys(SITUATIONS, "nothing was asked yet")
        slowest = 0.0
        while said and time.monotonic() - began < ALL_SECONDS:
            for name in list(said):
                situation, world = SITUATIONS[name], worlds[name]
                if name in to_do and situation.then is not None:
                    if not situation.then(world):
                        continue
                    to_do.discard(name)
                chain, seconds = why(connection, situation, world.namespace)
                answer = wrong(chain, situation)
                if not answer and seconds > ANSWER_SECONDS:
                    # Asked again: on a busy machine one answer alone says little.
                    answer = f"it took {seconds:.1f} s"
                if answer:
                    said[name] = answer
                else:
                    slowest = max(slowest, seconds)
                    del said[name]
        measure("aimctl why", f"{len(SITUATIONS)} situations", f"slowest answer {slowest:.2f} s")
        assert not said, "\n\n".join(f"{name}: {words}" for name, words in said.items())
