"""Faults of a real control plane: what it is asked for then, what is written, what users read meanwhile.

All stories break one control plane, one after the other and in any order, and leave it whole. There are
24 services, AIM_FAULTS_SERVICES=2000 makes it more. After each fault every service must be as it was last
edited, with at most one list of each kind by each replica, no write of what nobody edited, and no model
server changed.
"""

from __future__ import annotations

import os
import signal
import tempfile
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hack.cluster.external import VARIABLE
from hack.cluster.testing import cluster_for_tests
from tests.support.cluster import aim_crds
from tests.support.fault_site import ROUTES, SECONDS, Rule, Since, Site
from tests.support.operator_process import eventually
from tests.support.plugin import Measure
from tests.support.spec_cluster import foreign_crds

pytestmark = pytest.mark.needs_control_plane
LEASE_SECONDS = 15
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@pytest.fixture(scope="module")
def broken() -> Iterator[Site]:
    """The site of this module."""
    if os.environ.get(VARIABLE):
        pytest.skip(f"breaks a cluster of its own, and {VARIABLE} is set")
    directory = Path(tempfile.mkdtemp(prefix="aim-faults-"))
    cluster, missing = cluster_for_tests((), directory, crds=[*foreign_crds(), *aim_crds()])
    assert cluster is not None, missing
    site = Site(cluster)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        cluster.stop()


@pytest.fixture
def site(broken: Site) -> Site:
    """It, at rest, with a leader."""
    broken.settled()
    broken.leader()
    return broken


@contextmanager
def nothing_else_is_touched(site: Site, *edited: str) -> Iterator[Since]:
    """What is in the block may break anything; afterwards only `edited` was written, and models serve on."""
    models, since = site.models(), Since(site)
    yield since
    site.settled()
    # The queue is fair: with this one done, everything that was due before is done too.
    site.edit(site.names[-1])
    site.settled()
    touched = {*edited, site.names[-1]}
    assert since.written() <= touched
    after = site.models()
    assert {name: uid for name, (uid, _) in after.items()} == {name: uid for name, (uid, _) in models.items()}
    assert {name for name in models if after[name] != models[name]} <= touched
    assert [(what, count) for what, count in since.lists().items() if count > 1] == []
    assert site.all_alive()


def without(rules: list[Rule], resource: str, *verbs: str) -> list[Rule]:
    """The rules without some verbs on a resource."""
    changed: list[Rule] = []
    for rule in rules:
        others = [each for each in rule["resources"] if each != resource]
        if others == rule["resources"]:
            changed.append(rule)
            continue
        left = [verb for verb in rule["verbs"] if verb not in verbs]
        changed.append(rule | {"resources": [resource], "verbs": left})
        if others:
            changed.append(rule | {"resources": others})
    return changed


def test_watches_that_stall_and_break_lose_no_edit(site: Site) -> None:
    held, broken, slow = site.names[:3]
    with nothing_else_is_touched(site, held, broken, slow):
        proxies = [replica.proxy for replica in site.replicas]
        for proxy in proxies:
            assert proxy.stall_watches() > 15
        site.edit(held)
        assert site.unsettled() == [held], "nobody heard of it"
        for proxy in proxies:
            proxy.resume()
        site.settled("what was held back arrives")
        for proxy in proxies:
            proxy.cut()
        site.edit(broken)
        site.settled("watches go on where they broke")
        for proxy in proxies:
            proxy.slow(20_000)
        site.edit(slow)
        site.settled("a slow line is slow, no more")
        for proxy in proxies:
            proxy.resume()


def test_an_api_server_and_an_etcd_that_are_killed_under_load(site: Site) -> None:
    edited = site.names[:8]
    with nothing_else_is_touched(site, *edited), site.load(*edited):
        site.cluster.kill("etcd")
        site.cluster.start_etcd()
        site.follows(edited[0])
        site.cluster.kill("kube-apiserver", "etcd")
        assert site.all_alive(), "a restart would only lose the caches"
        site.cluster.start_etcd()
        site.start_apiserver()
        site.follows(edited[0])


def test_an_etcd_that_is_full_takes_up_again_once_there_is_room(site: Site) -> None:
    """While it is full nobody can write, so no status says so: the operator's log does."""
    name = site.names[0]
    with nothing_else_is_touched(site, name):
        quota = site.etcd.size() + 8 * 1024**2
        site.cluster.kill("etcd")
        site.cluster.start_etcd(quota)
        eventually(site.api.ready, "the API server has its etcd again", SECONDS)
        site.etcd.fill()
        with pytest.raises(urllib.error.HTTPError):
            site.edit(name)
        site.api.delete(f"{ROUTES}/{name}")
        eventually(lambda: "database space exceeded" in site.leader().log, "the log has the cause", SECONDS)
        assert site.all_alive()
        site.etcd.make_room()
        eventually(lambda: site.api.get(f"{ROUTES}/{name}") is not None, "the route is back", SECONDS)


def test_verbs_that_are_withdrawn_are_named_until_they_are_given_back(site: Site) -> None:
    refused, unseen = site.names[:2]
    with nothing_else_is_touched(site, refused, unseen):
        rules = site.rules()
        site.grant(without(rules, "inferenceservices", "create", "patch"))
        site.edit(refused)
        site.says(refused, 'the operator may not "patch" inferenceservices.serving.kserve.io')
        assert site.status(refused)["status"] == "Degraded"
        site.grant(without(rules, "httproutes", "list", "watch"))
        for replica in site.replicas:
            replica.proxy.cut()
        words = (
            r"may not \"watch\" httproutes.gateway.networking.k8s.io in the whole cluster: add it to its role"
        )
        eventually(lambda: all(words in r.log for r in site.replicas), "the log names the verb", SECONDS)
        site.api.delete(f"{ROUTES}/{unseen}")
        site.grant(rules)
        # An edit is tried at once; without one it is half a minute after the first refusal.
        site.edit(refused)
        eventually(lambda: site.api.get(f"{ROUTES}/{unseen}") is not None, "the route is back", SECONDS)


def test_a_webhook_of_kserve_that_is_down_is_quoted_until_it_is_back(site: Site) -> None:
    refused, other = site.names[:2]
    webhook = {
        "name": "inferenceservice.kserve-webhook-server.validator",
        "clientConfig": {"url": "https://127.0.0.1:1/validate"},
        "rules": [
            {
                "apiGroups": ["serving.kserve.io"],
                "apiVersions": ["v1beta1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["inferenceservices"],
            }
        ],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    with nothing_else_is_touched(site, refused, other):
        site.api.request("POST", WEBHOOKS, {"metadata": {"name": "kserve"}, "webhooks": [webhook]})
        site.edit(refused)
        site.says(refused, "failed calling webhook")
        assert site.status(refused)["status"] == "Degraded"
        site.api.delete(f"{ROUTES}/{other}")
        eventually(lambda: site.api.get(f"{ROUTES}/{other}") is not None, "routes are written", SECONDS)
        site.api.delete(f"{WEBHOOKS}/kserve")


def test_a_leader_that_stands_still_writes_nothing_when_it_wakes_and_tokens_end_meanwhile(
    site: Site, measure: Measure
) -> None:
    """The standby's token was renewed in time, as the kubelet does; the leader's was not."""
    first = site.leader()
    [second] = [replica for replica in site.replicas if replica is not first]
    name = site.names[0]
    with nothing_else_is_touched(site, name) as since:
        second.rotate()
        second.expire_tokens(but_the_last=True)
        first.expire_tokens()
        os.kill(first.process.pid, signal.SIGSTOP)
        began = datetime.now(UTC)
        try:
            site.edit(name)
            eventually(lambda: site.leads(second), "the standby leads", SECONDS)
            site.settled()
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
        seconds = (site.leading_since() - began).total_seconds()
        measure("Real faults", "seconds from SIGSTOP of the leader to the next", f"{seconds:.1f}")
        assert seconds <= LEASE_SECONDS + 2
        eventually(lambda: "does not accept the credentials" in first.log, "the log has the cause", SECONDS)
        first.rotate()
        accepted = Since(site)
        eventually(lambda: accepted.looked_at_the_lease(first), "it stands by again", SECONDS)
        assert since.writes(first) == []
