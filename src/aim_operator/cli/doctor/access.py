"""Judges whether the operator reaches the API server, and may do there what it does. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address, ip_network

from aim_operator.cli.doctor.gather import Surroundings
from aim_operator.cli.doctor.policies import EgressRule, Endpoints, IPBlock, Policy
from aim_operator.cli.doctor.verdicts import Check, ok, problem, some, unknown, warning


def network(cluster: Surroundings) -> Check:
    """Compare what the NetworkPolicies of the operator's Pods allow with the API server's own addresses.

    Network plugins look at the address behind the Service `kubernetes`, not at that of the Service. Policies
    add up: what one of them allows is allowed, whatever the others say.
    """
    name = "network"
    if cluster.network_policies is None or cluster.endpoints is None:
        return unknown(
            name, cluster.why("network_policies" if cluster.network_policies is None else "endpoints")
        )
    limiting: dict[str, list[Policy]] = {}
    for each in cluster.network_policies:
        if "Egress" in (each.spec.policy_types or ()):
            limiting.setdefault(each.metadata.namespace, []).append(each)
    if not limiting:
        return ok(name, "no NetworkPolicy limits whom the operator reaches")
    ports = sorted({each.port for one in cluster.endpoints for each in one.ports or () if each.port})
    if not ports:
        return unknown(name, "the Service kubernetes in default has no EndpointSlice with a port")
    listens = ", ".join(map(str, ports))
    shut = _named(limiting, lambda rule: any(_has_port(rule, port) for port in ports))
    if shut:
        found = f"the API server listens on {listens}, which {some(shut)} does not allow"
        return _shut(cluster, found, f"add it to the chart's value networkPolicy.apiServerPorts: {listens}")
    for address in sorted({each for one in cluster.endpoints for each in _addresses(one)}):
        away = _named(limiting, partial(_reaches, ports, address))
        if away:
            return _shut(
                cluster,
                f"the API server is at {address}, whom {some(away)} does not allow",
                f"add an ipBlock with {address} to the rule with port {listens}, or take `to` out of it: no "
                "podSelector and no namespaceSelector has an API server",
            )
    return ok(name, f"the API server's port {listens} is allowed")


def _shut(cluster: Surroundings, found: str, remedy: str) -> Check:
    if cluster.down:
        return problem("network", found, remedy)
    # A Pod is ready: the network plugin enforces no policies, or looks at the Service.
    return warning("network", found, remedy)


def _named(limiting: Mapping[str, Sequence[Policy]], allows: Callable[[EgressRule], bool]) -> list[str]:
    """Return the policies, as NAMESPACE/NAME, of the namespaces where no rule `allows` it."""
    return sorted(
        f"{namespace}/{each.metadata.name}"
        for namespace, policies in limiting.items()
        if not any(allows(rule) for one in policies for rule in one.spec.egress or ())
        for each in policies
    )


def _addresses(endpoints: Endpoints) -> Iterator[str]:
    if endpoints.address_type != "FQDN":
        for each in endpoints.endpoints or ():
            yield from each.addresses


def _reaches(ports: Sequence[int], address: str, rule: EgressRule) -> bool:
    return any(_has_port(rule, port) for port in ports) and _has_peer(rule, address)


def _has_port(rule: EgressRule, port: int) -> bool:
    return not rule.ports or any(first <= port <= last for first, last in _ranges(rule))


def _ranges(rule: EgressRule) -> Iterator[tuple[int, int]]:
    for each in rule.ports or ():
        if each.protocol not in (None, "TCP"):
            continue
        if each.port is None:
            yield 1, 65535
        elif isinstance(each.port, int):
            yield each.port, each.end_port or each.port


def _has_peer(rule: EgressRule, address: str) -> bool:
    return not rule.to or any(
        _contains(each.ip_block, address) for each in rule.to if each.ip_block is not None
    )


def _contains(block: IPBlock, address: str) -> bool:
    """Whether it is in the block and in none of its exceptions. One of the other family never is."""
    inside = ip_address(address)
    return inside in ip_network(block.cidr, strict=False) and not any(
        inside in ip_network(each, strict=False) for each in block.except_ or ()
    )


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
