"""`python -m tests.support.stand_ins DIR`: runs until killed, beside the control plane of DIR."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aim_operator.kube.client import Client
from aim_operator.kube.credentials import load
from hack.cluster.errors import ClusterError
from hack.cluster.instance import Instance
from tests.support.stand_ins.common import Surroundings
from tests.support.stand_ins.node import Node
from tests.support.stand_ins.serving import Gateway, KServe

READY = "stand-ins at work"


async def main(directory: Path) -> None:
    instance = Instance.load(directory)
    if instance is None:
        raise ClusterError(f"no cluster runs in {directory}")
    client = Client(load(str(instance.kubeconfig)))
    around = Surroundings(client)
    node = Node(around, instance.api(), instance.certificates)
    kserve, gateway = KServe(around), Gateway(around)
    async with asyncio.TaskGroup() as tasks:
        for informer in around.informers:
            tasks.create_task(informer.run())
        for informer in around.informers:
            await informer.wait_synced()
        await node.register()
        for stand_in in (node, kserve, gateway):
            tasks.create_task(stand_in.run())
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
