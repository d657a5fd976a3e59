"""Judges whether the operator reaches the API server, and may do there what it does. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aim_operator.cli.doctor.gather import Surroundings
from aim_operator.cli.doctor.policies import Policy
from aim_operator.cli.doctor.verdicts import Check, ok, problem, some, unknown, warning


def network(cluster: Surroundings) -> Check:
    """Compare the ports that the operator's NetworkPolicies allow with those of the API server's own address.

    Network plugins look at the address behind the Service `kubernetes`, not at the Service's port.
    """
    name = "network"
    if cluster.network_policies is None or cluster.endpoints is None:
        return unknown(
            name, cluster.why("network_policies" if cluster.network_policies is None else "endpoints")
        )
    limiting = [each for each in cluster.network_policies if "Egress" in (each.spec.policy_types or ())]
    if not limiting:
        return ok(name, "no NetworkPolicy limits whom the operator reaches")
    ports = sorted({each.port for one in cluster.endpoints for each in one.ports or () if each.port})
    if not ports:
        return unknown(name, "the Service kubernetes in default has no EndpointSlice with a port")
    listens = ", ".join(map(str, ports))
    shut = [
        f"{each.metadata.namespace}/{each.metadata.name}"
        for each in limiting
        if not any(_allows(each, port) for port in ports)
    ]
    if not shut:
        return ok(name, f"the API server's port {listens} is allowed")
    found = f"the API server listens on {listens}, which {some(sorted(shut))} does not allow"
    remedy = f"add it to the chart's value networkPolicy.apiServerPorts: {listens}"
    if cluster.down:
        return problem(name, found, remedy)
    # A Pod is ready: the network plugin enforces no policies, or looks at the Service's port.
    return warning(name, found, remedy)


def _allows(policy: Policy, port: int) -> bool:
    return any(first <= port <= last for first, last in _ranges(policy))


def _ranges(policy: Policy) -> Iterator[tuple[int, int]]:
    for rule in policy.spec.egress or ():
        if not rule.ports:
            yield 1, 65535
        for each in rule.ports or ():
            if each.protocol not in (None, "TCP"):
                continue
            if each.port is None:
                yield 1, 65535
            elif isinstance(each.port, int):
                yield each.port, each.end_port or each.port


def rights(cluster: Surroundings) -> Check:
    """Say what the operator's account may not do that this version of the operator does."""
    name = "RBAC"
    if cluster.denied is None:
        return unknown(name, cluster.why("denied"))
    if not cluster.accounts:
        return unknown(name, "there is no operator whose rights could be asked for")
    if not cluster.denied:
        return ok(name, f"all that it needs: {', '.join(cluster.accounts)}")
    found = some(sorted({str(each) for each in cluster.denied}))
    return problem(
        name,
        f"its account may not {found}",
        "upgrade its roles with the chart (rbac.create), or add this to a role that you wrote",
    )
