"""What the small commands of aimctl do to a cluster, and what they say."""

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.cli.everyday.addresses import GATEWAYS, base_url
from aim_operator.cli.everyday.annotations import annotate, said
from aim_operator.cli.everyday.event_list import read
from aim_operator.cli.everyday.waiting import until_ready
from aim_operator.cli.objects import find, find_of
from aim_operator.core import labels
from aim_operator.errors import UserError
from tests.simulation.test_why import CATALOG, service
from tests.simulation.world import World


async def test_pause_and_resume() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        client, named = world.sandbox.client("somebody"), find("chat", "team")
        await world.clock.run(annotate(client, named, labels.PAUSED, "true"))
        world.apply(service(replicas=3))
        await world.pass_seconds(60)
        assert served(world)["spec"]["predictor"]["minReplicas"] == 1
        await world.clock.run(annotate(client, named, labels.PAUSED, None))
        await world.pass_seconds(60)
        assert served(world)["spec"]["predictor"]["minReplicas"] == 3


async def test_what_is_paused_is_not_said_to_be_restarted() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        before, named = served(world), find("chat", "team")
        obj = await world.clock.run(annotate(world.admin, named, labels.PAUSED, "true"))
        assert said(named, obj, labels.PAUSED, "paused") == "AIMService team/chat: paused"
        obj = await world.clock.run(annotate(world.admin, named, labels.RESTART, "now"))
        await world.pass_seconds(60)
        assert served(world)["spec"] == before["spec"]
        assert said(named, obj, labels.RESTART, "its Pods are replaced") == (
            "AIMService team/chat: it is paused, and nothing is done before "
            "aimctl resume AIMService/chat -n team; then its Pods are replaced"
        )
        obj = await world.clock.run(annotate(world.admin, named, labels.PAUSED, None))
        assert said(named, obj, labels.PAUSED, "resumed") == "AIMService team/chat: resumed"
        await world.pass_seconds(60)
        assert served(world)["spec"] != before["spec"]


async def test_rediscover_asks_the_image_again() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.start()
        await world.pass_seconds(60)
        before = sum(name.startswith("Job ") for name in world.created)
        named = find_of("clustertemplate/fast", "team", (aim.TEMPLATES, aim.CLUSTER_TEMPLATES))
        await world.clock.run(annotate(world.admin, named, labels.REDISCOVER, "now"))
        await world.pass_seconds(60)
        assert sum(name.startswith("Job ") for name in world.created) == before + 1


async def test_restart_replaces_the_pods() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        before = served(world)
        await world.clock.run(annotate(world.admin, find("chat", "team"), labels.RESTART, "now"))
        await world.pass_seconds(60)
        assert served(world)["spec"] != before["spec"]


def served(world: World) -> dict[str, Any]:
    found = world.find(INFERENCE_SERVICES, "chat", "team")
    assert found is not None
    return found


async def test_what_is_not_there_or_of_another_kind_is_said() -> None:
    async with World() as world:
        with pytest.raises(UserError, match="there is no AIMService chat in namespace team"):
            await world.clock.run(annotate(world.admin, find("chat", "team"), "a", "b"))
    with pytest.raises(UserError, match="service/chat is an AIMService; this is for AIMModelCache"):
        find_of("service/chat", "team", (aim.MODEL_CACHES,))


async def test_the_url_of_a_service_is_its_gateways_and_its_path() -> None:
    async with World() as world:
        world.apply(CATALOG)
        routed = {"enabled": True, "gatewayRef": {"name": "inference-gateway", "namespace": "gateways"}}
        world.apply(service(routing=routed | {"routeTemplate": "/team/chat"}))
        world.start()
        await world.pass_seconds(60)
        with pytest.raises(UserError, match="Gateway gateways/inference-gateway has no address yet"):
            await world.clock.run(base_url(world.admin, "team", "chat"))
        for address, host in (("10.0.0.7", "10.0.0.7"), ("fd00::7", "[fd00::7]")):
            kind = world.sandbox.server.kinds.served(GATEWAYS)
            addresses = {"status": {"addresses": [{"type": "IPAddress", "value": address}]}}
            world.sandbox.server.patch(
                kind, "inference-gateway", addresses, namespace="gateways", subresource="status"
            )
            url = await world.clock.run(base_url(world.admin, "team", "chat"))
            assert url == f"http://{host}/team/chat/v1"
        forwarded = base_url(world.admin, "team", "chat", origin="http://127.0.0.1:8080/")
        assert await world.clock.run(forwarded) == "http://127.0.0.1:8080/team/chat/v1"


async def test_the_url_of_a_service_has_the_host_that_its_route_answers_to() -> None:
    """By the gateway's address nothing would be found there."""
    async with World() as world:
        world.apply(CATALOG)
        hosts = ["*.example.com", "chat.example.com"]
        routed = {"enabled": True, "gatewayRef": {"name": "inference-gateway", "namespace": "gateways"}}
        world.apply(service(routing=routed | {"routeTemplate": "/team/chat", "hostnames": hosts}))
        world.start()
        await world.pass_seconds(60)
        url = await world.clock.run(base_url(world.admin, "team", "chat"))
    assert url == "http://chat.example.com/team/chat/v1"


async def test_a_service_without_a_route_has_no_url() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        with pytest.raises(UserError, match=r"AIMService team/chat has no route; set routing\.enabled"):
            await world.clock.run(base_url(world.admin, "team", "chat"))
        with pytest.raises(UserError, match="there is no AIMService other in namespace team"):
            await world.clock.run(base_url(world.admin, "team", "other"))


async def test_events_are_the_objects_own_in_their_order() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        other = service()[0]
        world.apply([other | {"metadata": {"name": "other", "namespace": "team"}}])
        world.start()
        await world.pass_seconds(60)
        found = await world.clock.run(read(world.admin, find("chat", "team")))
        of_template = await world.clock.run(read(world.admin, find("clustertemplate/fast", "team")))
    assert [each.reason for each in found].count("InferenceServiceCreated") == 1
    assert {each.about for each in found} == {"AIMService/chat"}
    assert found == sorted(found)
    assert "DiscoverySucceeded" in {each.reason for each in of_template}


async def test_wait_tells_what_it_waits_for_and_ends_once_the_service_runs() -> None:
    said: list[str] = []
    async with World() as world:
        world.sandbox.jobs.run_seconds = 5.0
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        client = world.sandbox.client("somebody")
        waiting = until_ready(client, world.clock, find("chat", "team"), 300, said.append)
        assert await world.clock.run(waiting)
    assert any("TemplateNotAvailable" in line for line in said)
    assert said[-1] == "AIMService team/chat: Running"
    assert len(said) == len(set(said))


async def test_wait_ends_at_once_where_it_is_degraded() -> None:
    said: list[str] = []
    async with World() as world:
        world.apply(service(model="lama"))
        world.start()
        client = world.sandbox.client("somebody")
        waiting = until_ready(client, world.clock, find("chat", "team"), 300, said.append)
        assert not await world.clock.run(waiting)
        assert world.clock.monotonic() < 10
    assert "Degraded: ImageNotFound" in said[-1]


async def test_wait_gives_up_in_time_and_says_what_to_ask() -> None:
    said: list[str] = []
    async with World() as world:
        world.apply(service())
        client = world.sandbox.client("somebody")
        waiting = until_ready(client, world.clock, find("chat", "team"), 5, said.append)
        assert not await world.clock.run(waiting)
    assert said[-1] == "AIMService team/chat: not ready after 5 s; aimctl why AIMService/chat"
