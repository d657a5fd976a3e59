"""The questions asked before the operator starts: what a refusal says."""

from typing import Any

import pytest

from aim_operator.api.external import JOBS, PODS
from aim_operator.app import Operator
from aim_operator.cli.access import check_access
from aim_operator.errors import ApiError, Forbidden, NotInstalled, Unauthorized, Unavailable, UserError
from aim_operator.kube.authorization import Anonymous
from aim_operator.kube.credentials import Connection
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.informer import Informer
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.network import Fault
from aim_operator.settings import Settings

CONNECTION = Connection(server="https://k8s", authorization=Anonymous(), source="context here of file")


def forbidden(resource: str) -> Forbidden:
    return Forbidden(f'the operator may not "list" {resource} in the whole cluster: add it to its role')


@pytest.mark.parametrize(
    ("faults", "want"),
    [
        pytest.param(
            {"jobs": forbidden("jobs.batch")},
            'the operator may not "list" jobs.batch in the whole cluster: add it to its role',
            id="a missing right is named by verb and resource",
        ),
        pytest.param(
            {"jobs": forbidden("jobs.batch"), "pods": forbidden("pods")},
            'the operator may not "list" jobs.batch in the whole cluster: add it to its role; nor pods',
            id="several are named in one line",
        ),
        pytest.param(
            {"customresourcedefinitions": Unauthorized("the credentials are not accepted")},
            "context here of file: the credentials are not accepted; renew them, or choose another --context",
            id="credentials that are not taken",
        ),
        pytest.param(
            {"customresourcedefinitions": Unavailable("cannot connect")},
            "the API server https://k8s can't be used: cannot connect",
            id="nobody answers",
        ),
        pytest.param(
            {"customresourcedefinitions": NotInstalled("it is not installed: <!DOCTYPE HTML>…")},
            "https://k8s answers, but is no Kubernetes API server: it knows no CustomResourceDefinitions; "
            "correct the server's address (context here of file)",
            id="somebody else answers",
        ),
    ],
)
async def test_refusals(faults: dict[str, ApiError], want: str) -> None:
    clock = SystemClock()
    client = Sandbox(clock, evaluate_rules=False).client()
    for resource, error in faults.items():
        client.network.fail(Fault(error=error, verb="list", resource=resource, times=99))
    informers: list[Informer[Any]] = [
        Informer(client, JOBS, clock=clock),
        Informer(client, PODS, clock=clock),
    ]
    with pytest.raises(UserError) as refused:
        await check_access(client, CONNECTION, informers)
    assert str(refused.value) == want


async def test_kinds_that_are_not_installed_are_waited_for() -> None:
    clock = SystemClock()
    client = Sandbox(clock, crds=(), kserve=False, gateway=False, evaluate_rules=False).client()

    operator = Operator(client, Settings(), clock=clock)
    await check_access(client, CONNECTION, operator.watched.all)
