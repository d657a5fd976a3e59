"""`aimctl why` on broken clusters: the root and the remedy, as a user reads them."""

import io
from typing import Any

import pytest
import yaml

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.cli.objects import find
from aim_operator.cli.why.chain import Chain, lines, structured
from aim_operator.cli.why.look import explain
from aim_operator.errors import Forbidden, UserError
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault
from tests.simulation.world import World

IMAGE = "ghcr.io/example/llama:v1"
HUB = "hf://sandbox/llama"
CATALOG = f"""
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterImage
metadata: {{name: llama}}
spec: {{image: "{IMAGE}", defaultServiceTemplate: fast}}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterServiceTemplate
metadata: {{name: fast}}
spec: {{aimImageName: llama, metric: latency, precision: fp16, gpuSelector: {{model: MI300X, count: 1}}}}
"""
SERVICE: dict[str, Any] = {
    "apiVersion": "aim.silogen.ai/v1alpha1",
    "kind": "AIMService",
    "metadata": {"name": "chat", "namespace": "team"},
    "spec": {"model": "llama"},
}
ROUTED = {"routing": {"enabled": True, "gatewayRef": {"name": "inference-gateway", "namespace": "gateways"}}}


def service(**spec: Any) -> list[dict[str, Any]]:
    return [SERVICE | {"spec": SERVICE["spec"] | spec}]


async def why(world: World, text: str = "chat", namespace: str = "team") -> Chain:
    client = world.sandbox.client("somebody")
    return await world.clock.run(explain(client, find(text, namespace)))


def said(chain: Chain) -> list[str]:
    return [line for line, _ in lines(chain, {})]


def hops(chain: Chain) -> list[str]:
    return [hop.kind for hop in chain.hops]


async def test_a_service_that_runs_has_nothing_in_its_way() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        chain = await why(world)
    assert chain.good
    assert said(chain) == ["AIMService team/chat: Running", "Nothing is in its way."]


async def test_a_model_that_is_not_in_the_catalog() -> None:
    async with World() as world:
        world.apply(service(model="lama"))
        world.start()
        await world.pass_seconds(60)
        chain = await why(world)
    assert hops(chain) == ["AIMService"]
    assert chain.root.reason == "ImageNotFound"
    assert said(chain)[-1] == "Do: Create the image, or correct spec.model or spec.aimImageName."


async def test_no_operator_is_there() -> None:
    async with World() as world:
        world.apply(service())
        chain = await why(world)
    assert said(chain)[0] == "AIMService team/chat: not looked at"
    assert said(chain)[-1].startswith("Do: see that an operator runs which serves this namespace")


async def test_a_change_that_is_not_looked_at_since_the_operator_went() -> None:
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        operator = world.start()
        await world.pass_seconds(60)
        await world.stop(operator)
        world.apply(service(replicas=2))
        chain = await why(world)
    assert "has not been looked at yet" in chain.root.message


async def test_a_service_that_is_deleted_and_stays() -> None:
    """It was said to be Running, with nothing in its way."""
    async with World() as world:
        world.apply(CATALOG)
        kept = {"finalizers": ["example.com/audit"]}
        world.apply([SERVICE | {"metadata": SERVICE["metadata"] | kept}])
        world.start()
        await world.pass_seconds(60)
        await world.clock.run(world.admin.delete(aim.SERVICES, "chat", namespace="team"))
        await world.pass_seconds(60)
        chain = await why(world)
    assert not chain.good
    assert said(chain) == [
        "AIMService team/chat: being deleted",
        "  it stays until its finalizers are taken off: example.com/audit",
        "Do: see why whoever set example.com/audit does not take it off",
    ]


async def test_a_service_that_waits_for_what_belongs_to_it_to_be_deleted() -> None:
    """As of `kubectl delete --cascade=foreground` where a claim or a server is still in use."""
    async with World() as world:
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        patch = {"metadata": {"finalizers": ["example.com/held"]}}
        await world.clock.run(world.admin.patch(INFERENCE_SERVICES, "chat", patch, namespace="team"))
        deleted = world.admin.delete(aim.SERVICES, "chat", namespace="team", propagation="Foreground")
        await world.clock.run(deleted)
        await world.pass_seconds(60)
        chain = await why(world)
    assert said(chain)[0] == "AIMService team/chat: being deleted"
    assert said(chain)[-1].startswith("Do: wait until what belongs to it is gone")


async def test_a_paused_service() -> None:
    async with World() as world:
        world.apply(CATALOG)
        paused = {"annotations": {"aim.silogen.ai/reconciliation-paused": "true"}}
        world.apply([SERVICE | {"metadata": SERVICE["metadata"] | paused}])
        world.start()
        await world.pass_seconds(60)
        chain = await why(world)
    assert chain.root.reason == "Paused"
    assert said(chain)[-1] == "Do: Remove the annotation; the operator continues."


POD_FAULTS = [
    pytest.param(
        ImageBehaviour(outcome="pull error", message="401 Unauthorized: no basic auth credentials"),
        "Pod",
        "ImagePullAuthFailed",
        "Add imagePullSecrets to the runtime configuration or template.",
        id="a registry that wants credentials",
    ),
    pytest.param(
        ImageBehaviour(outcome="pull error", message="manifest unknown: v9"),
        "Pod",
        "ImagePullFailed",
        "Correct the image's spec.image, or the registry.",
        id="an image that is not there",
    ),
    pytest.param(
        ImageBehaviour(outcome="unschedulable", message="0/3 nodes are available: 3 Insufficient memory."),
        "Pod",
        "Unschedulable",
        "Make room, or remove taints.",
        id="no node",
    ),
    pytest.param(
        ImageBehaviour(outcome="quota", message='pods "x" is forbidden: exceeded quota: team'),
        "Job",
        "FailedCreate",
        "allow what the message names",
        id="a quota",
    ),
]


@pytest.mark.parametrize(("behaviour", "kind", "reason", "remedy"), POD_FAULTS)
async def test_a_discovery_that_does_not_go_on(
    behaviour: ImageBehaviour, kind: str, reason: str, remedy: str
) -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = behaviour
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(5)
        chain = await why(world)
    assert hops(chain)[:3] == ["AIMService", "AIMClusterServiceTemplate", "Job"]
    assert (chain.root.kind, chain.root.reason) == (kind, reason)
    assert behaviour.message.partition(":")[0] in chain.root.message
    assert remedy in said(chain)[-1]
    assert sum("← the root" in line for line in said(chain)) == 1


async def test_a_discovery_that_ended_with_an_error() -> None:
    async with World() as world:
        log = b"Error: cannot set both AIM_ID and AIM_MODEL_ID\n"
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="fails", log=log)
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(5)
        chain = await why(world, "clustertemplate/fast")
    assert hops(chain)[0] == "AIMClusterServiceTemplate"
    assert "AIM_MODEL_ID" in "".join(hop.message for hop in chain.hops)


async def test_a_model_server_that_kserve_does_not_get_ready() -> None:
    async with World() as world:
        world.sandbox.kserve.broken["team", "chat"] = "Deployment exceeded its progress deadline"
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(60)
        chain = await why(world)
    assert hops(chain)[:2] == ["AIMService", "InferenceService"]
    assert "progress deadline" in chain.root.message


async def test_a_listener_that_takes_no_routes_from_here() -> None:
    async with World() as world:
        listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
        world.apply(
            [
                {
                    "apiVersion": "gateway.networking.k8s.io/v1",
                    "kind": "Gateway",
                    "metadata": {"name": "inference-gateway", "namespace": "gateways"},
                    "spec": {"gatewayClassName": "sandbox", "listeners": listeners},
                }
            ]
        )
        world.apply(CATALOG)
        world.apply(service(**ROUTED))
        world.start()
        await world.pass_seconds(60)
        chain = await why(world)
    assert hops(chain) == ["AIMService", "HTTPRoute"]
    assert chain.root.reason == "NotAllowedByListeners"
    assert "allowedRoutes" in said(chain)[-1]


async def test_a_download_that_the_hub_refuses() -> None:
    async with World() as world:
        failure = ImageBehaviour(outcome="fails", message="AuthenticationFailed: the hub answered 401")
        world.sandbox.jobs.behaviours[HUB] = failure
        world.apply(CATALOG)
        world.apply(service(cacheModel=True))
        world.start()
        await world.pass_seconds(60)
        chain = await why(world)
    assert hops(chain)[:3] == ["AIMService", "AIMTemplateCache", "AIMModelCache"]
    assert "HF_TOKEN" in said(chain)[-1]


async def test_what_the_user_may_not_see_is_named_and_the_chain_ends_before_it() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="pull error", message="401 no")
        world.apply(CATALOG)
        world.apply(service())
        world.start()
        await world.pass_seconds(5)
        client = world.sandbox.client("somebody")
        denied = 'the operator may not "get" jobs.batch in the whole cluster: add it to its role'
        client.network.fail(Fault(error=Forbidden(denied), resource="jobs", times=9))
        chain = await world.clock.run(explain(client, find("chat", "team")))
    assert hops(chain) == ["AIMService", "AIMClusterServiceTemplate"]
    assert chain.root.reason == "ImagePullAuthFailed"
    assert 'not seen: you may not "get" jobs.batch in the whole cluster: ask for a role that has it' in said(
        chain
    )


async def test_json_marks_the_root() -> None:
    async with World() as world:
        world.apply(service(model="lama"))
        world.start()
        await world.pass_seconds(60)
        printed: Any = structured(await why(world))
    assert [hop["root"] for hop in printed["hops"]] == [True]
    assert printed["remedy"].startswith("Create the image")
    assert yaml.safe_dump(printed, io.StringIO()) is None


async def test_an_object_that_is_not_there() -> None:
    async with World() as world:
        with pytest.raises(UserError, match="there is no AIMService chat in namespace team"):
            await why(world)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("chat", (aim.SERVICES, "team", "chat")),
        ("service/chat", (aim.SERVICES, "team", "chat")),
        ("aimsvc/chat", (aim.SERVICES, "team", "chat")),
        ("AIMClusterImage/llama", (aim.CLUSTER_IMAGES, "", "llama")),
        ("caches/x", (aim.MODEL_CACHES, "team", "x")),
    ],
)
def test_objects_are_named_as_people_name_them(text: str, want: tuple[Any, str, str]) -> None:
    found = find(text, "team")
    assert (found.resource, found.namespace, found.name) == want


@pytest.mark.parametrize("text", ["servce/chat", "", "service/", "a/b/c"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        find(text, "team")


async def test_statuses_that_wait_for_each_other_end_the_chain() -> None:
    """Whoever may write statuses, as many roles of tenants may, could have it go round for ever."""

    def blocked(by: str) -> dict[str, Any]:
        waits = {"kind": "AIMService", "name": by, "reason": "Waiting"}
        return {"status": {"status": "Pending", "observedGeneration": 1, "blockedBy": waits}}

    async with World() as world:
        world.apply([SERVICE, SERVICE | {"metadata": {"name": "other", "namespace": "team"}}])
        somebody = world.sandbox.client("somebody")
        for name, by in (("chat", "other"), ("other", "chat")):
            await world.clock.run(somebody.patch_status(aim.SERVICES, name, blocked(by), namespace="team"))
        chain = await why(world)
    assert [hop.named for hop in chain.hops] == ["AIMService team/chat", "AIMService team/other"]
