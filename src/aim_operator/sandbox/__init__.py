"""An in-memory API server behind the client interface of kube/protocol.py, with stand-ins for controllers.

What `aimctl demo`, unit tests and simulations run on. It implements the real server's semantics that an
operator can notice; tests/cluster/scenarios.py holds both to the same answers. Only cli and tests import it.
"""

from aim_operator.sandbox.client import SandboxClient
from aim_operator.sandbox.clock import Clock
from aim_operator.sandbox.network import Network
from aim_operator.sandbox.sandbox import Sandbox
from aim_operator.sandbox.server import SandboxServer

__all__ = ["Clock", "Network", "Sandbox", "SandboxClient", "SandboxServer"]
