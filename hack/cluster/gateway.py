"""Starts a real gateway beside the cluster: the Gateway API's CRDs and Traefik, outside on loopback.

It forwards to the Pods' addresses, so Services need no kube-proxy.
"""

from __future__ import annotations

from hack.cluster import processes
from hack.cluster.api import Manifest, condition
from hack.cluster.build import ensure, program
from hack.cluster.components import TRAEFIK
from hack.cluster.instance import Instance
from hack.cluster.kserve import answers
from hack.cluster.manifests import crd_manifests, install_crds
from hack.cluster.ports import pick_ports
from hack.cluster.progress import Progress

NAMESPACE = "gateways"
GATEWAY = "inference-gateway"
CLASS = "traefik"
START_SECONDS = 60.0


def start_gateway(instance: Instance, progress: Progress) -> None:
    """Starts it and returns when the Gateway is programmed."""
    ensure(TRAEFIK, progress)
    crds = crd_manifests("gateway", progress)
    with progress.step("gateway", f"starting {TRAEFIK.title}", "ready in"):
        api = instance.api()
        install_crds(api, crds)
        instance.ports |= pick_ports(["gateway", "gateway-ping"])
        instance.save()
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for manifest in _gateway(instance.ports["gateway"]):
            api.apply_when_served(manifest)
        _start_process(instance)
        path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/gateways/{GATEWAY}"
        api.wait_for(
            path, lambda found: condition(found, "Programmed") == "True", START_SECONDS, "the Gateway is"
        )
        instance.gateway_url = f"http://127.0.0.1:{instance.ports['gateway']}"
        instance.save()


def _gateway(port: int) -> list[Manifest]:
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": port,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    group = "gateway.networking.k8s.io/v1"
    return [
        {
            "apiVersion": group,
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": group,
            "kind": "Gateway",
            "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
            "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
        },
    ]


def _start_process(instance: Instance) -> None:
    ping = f"127.0.0.1:{instance.ports['gateway-ping']}"
    process = processes.start(
        instance.directory,
        "traefik",
        [
            program(TRAEFIK),
            "--providers.kubernetesgateway=true",
            "--providers.kubernetesgateway.statusaddress.ip=127.0.0.1",
            # A listener is served by the entry point of the same port.
            f"--entrypoints.web.address=127.0.0.1:{instance.ports['gateway']}",
            f"--entrypoints.ping.address={ping}",
            "--ping=true",
            "--ping.entrypoint=ping",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
        ],
        {"KUBECONFIG": str(instance.kubeconfig)},
    )
    processes.wait_until(
        lambda: answers(f"http://{ping}/ping"), instance.directory, process, START_SECONDS, "Traefik"
    )
