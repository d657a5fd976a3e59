"""Faults of a real control plane: what it is asked for then, what is written, what users read meanwhile.

All stories break one control plane, one after the other and in any order, and leave it whole. There are
24 services, AIM_FAULTS_SERVICES=2000 makes it more. After each fault every service must be as it was last
edited, with at most one list of each kind by each replica, no write of what nobody edited, none more of an
InferenceService than its service was edited, and no model server changed.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
Whole = Callable[..., AbstractContextManager[Since]]
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


@pytest.fixture
def whole(site: Site, measure: Measure, request: pytest.FixtureRequest) -> Whole:
    """`nothing_else_is_touched` of this test's site; what it took is in the table at the end of the run."""

    @contextmanager
    def fault(*edited: str) -> Iterator[Since]:
        with nothing_else_is_touched(site, *edited) as since:
            yield since
            began = time.monotonic()
            site.settled()
            took = time.monotonic() - began
        measure(
            f"Real faults, {len(site.names)} services",
            request.node.name.removeprefix("test_"),
            f"{took:.1f} s until all is well",
            f"{max(replica.process.peak_bytes for replica in site.replicas) / 1024**2:.0f} MiB at most",
        )

    return fault


@contextmanager
def nothing_else_is_touched(site: Site, *edited: str) -> Iterator[Since]:
    """What is in the block may break anything; afterwards only `edited` was written, and models serve on."""
    models, since, edits = site.models(), Since(site), site.edits.copy()
    yield since
    site.settled()
    # The queue is fair: with this one done, everything that was due before is done too.
    site.edit(site.names[-1])
    site.settled()
    touched = {*edited, site.names[-1]}
    assert since.written() <= touched
    assert since.repeated(site.edits - edits) == []
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


def test_watches_that_stall_and_break_lose_no_edit(site: Site, whole: Whole) -> None:
    held, broken, slow = site.names[:3]
    with whole(held, broken, slow):
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


def test_an_api_server_and_an_etcd_that_are_killed_under_load(site: Site, whole: Whole) -> None:
    edited = site.names[:8]
    with whole(*edited), site.load(*edited):
        site.cluster.kill("etcd")
        site.cluster.start_etcd()
        site.follows(edited[0])
        site.cluster.kill("kube-apiserver", "etcd")
        assert site.all_alive(), "a restart would only lose the caches"
        site.cluster.start_etcd()
        site.start_apiserver()
        assert site.renewed_since(datetime.now(UTC)) <= LEASE_SECONDS + 2
        site.follows(edited[0])


def test_an_etcd_that_is_full_takes_up_again_once_there_is_room(site: Site, whole: Whole) -> None:
    """While it is full nobody can write, so no status says so: the operator's log does."""
    name = site.names[0]
    with whole(name):
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


def test_verbs_that_are_withdrawn_are_named_until_they_are_given_back(site: Site, whole: Whole) -> None:
    refused, unseen = site.names[:2]
    with whole(refused, unseen):
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


def test_a_webhook_of_kserve_that_is_down_is_quoted_until_it_is_back(site: Site, whole: Whole) -> None:
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
    with whole(refused, other):
        site.api.request("POST", WEBHOOKS, {"metadata": {"name": "kserve"}, "webhooks": [webhook]})
        site.edit(refused)
        site.says(refused, "failed calling webhook")
        assert site.status(refused)["status"] == "Degraded"
        site.api.delete(f"{ROUTES}/{other}")
        eventually(lambda: site.api.get(f"{ROUTES}/{other}") is not None, "routes are written", SECONDS)
        site.api.delete(f"{WEBHOOKS}/kserve")


def test_a_leader_that_is_killed_is_followed_within_its_lease_and_comes_back_as_the_standby(
    site: Site, whole: Whole, measure: Measure
) -> None:
    first = site.leader()
    [second] = [replica for replica in site.replicas if replica is not first]
    name = site.names[0]
    with whole(name):
        first.kill()
        began = datetime.now(UTC)
        site.edit(name)
        eventually(lambda: site.leads(second), "the standby leads", SECONDS)
        seconds = (site.leading_since() - began).total_seconds()
        measure("Fail-over", "SIGKILL of the leader", f"{seconds:.1f} s until the next leads")
        assert seconds <= LEASE_SECONDS + 2
        first.start()
        eventually(lambda: first.alive() and first.process.synced(), "it stands by", SECONDS)
        assert site.leads(second)


def test_a_leader_that_stands_still_writes_nothing_when_it_wakes_and_tokens_end_meanwhile(
    site: Site, whole: Whole, measure: Measure
) -> None:
    """The standby's token was renewed in time, as the kubelet does; the leader's was not."""
    first = site.leader()
    [second] = [replica for replica in site.replicas if replica is not first]
    name = site.names[0]
    with whole(name) as since:
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
        measure("Fail-over", "SIGSTOP of the leader", f"{seconds:.1f} s until the next leads")
        assert seconds <= LEASE_SECONDS + 2
        eventually(lambda: "does not accept the credentials" in first.log, "the log has the cause", SECONDS)
        first.rotate()
        accepted = Since(site)
        eventually(lambda: accepted.looked_at_the_lease(first), "it stands by again", SECONDS)
        assert since.writes(first) == []
