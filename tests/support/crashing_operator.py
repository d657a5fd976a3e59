"""The operator, killed by SIGKILL right after its n-th write: crashing_operator.py N KUBECONFIG NAMESPACE.

The seam is the client: writes are counted there, nothing is patched inside the operator.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from aim_operator.app import Operator
from aim_operator.kube.client import Client
from aim_operator.kube.credentials import load
from aim_operator.settings import Settings


class CrashingClient(Client):
    """Counts writes of anything but Events and Leases, and dies after the given one."""

    left = 0

    def _count(self, resource: Any) -> None:
        if resource.plural in ("events", "leases"):
            return
        CrashingClient.left -= 1
        if CrashingClient.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def apply(self, resource: Any, *args: Any, **kwargs: Any) -> Any:
        result = await super().apply(resource, *args, **kwargs)
        self._count(resource)
        return result

    async def patch_status(self, resource: Any, *args: Any, **kwargs: Any) -> Any:
        result = await super().patch_status(resource, *args, **kwargs)
        self._count(resource)
        return result

    async def delete(self, resource: Any, *args: Any, **kwargs: Any) -> None:
        await super().delete(resource, *args, **kwargs)
        self._count(resource)


async def main(kubeconfig: str, namespace: str) -> None:
    client = CrashingClient(load(kubeconfig))
    await Operator(client, Settings(namespaces=(namespace,))).run()


if __name__ == "__main__":
    CrashingClient.left = int(sys.argv[1])
    asyncio.run(main(*sys.argv[2:]))
