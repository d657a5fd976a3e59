"""The state of one instance: what DIR/state.json says, and the paths under DIR.

The state is written before anything it names is made, so that `down` can undo a start that was killed at
any point, from the directory alone.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.cluster.api import Api
from hack.cluster.errors import ClusterError

# Below the directory of an instance, the second node's. Short: there are Unix sockets in it.
SECOND_DIRECTORY = "n2"
SECOND_PART = "second-node"
ADMIN = "admin"
OPERATOR = "operator"


@dataclass(slots=True)
class Instance:
    """One cluster on this machine. `save` after every change."""

    directory: Path
    parts: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)  # by user name
    audit: bool = False
    network: str = ""  # the node's bridge and cgroup; unique on this machine
    node_ip: str = ""
    second_network: str = ""  # of the second node, where there is one
    second_node_ip: str = ""
    gateway_url: str = ""

    @classmethod
    def load(cls, directory: Path) -> Instance | None:
        """The instance in a directory; None if there is none."""
        try:
            state: dict[str, Any] = json.loads((directory / "state.json").read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ClusterError(f"{directory}/state.json is damaged: {error}") from error
        known = {entry.name for entry in dataclasses.fields(cls)}
        values = {key: value for key, value in state.items() if key in known}
        return cls(**{**values, "directory": directory})

    def save(self) -> None:
        """Replaces state.json whole; derived entries in it are for readers such as scripts."""
        state = dataclasses.asdict(self) | {
            "directory": str(self.directory),
            "kubeconfig": str(self.kubeconfig),
            "server": self.server,
        }
        partial = self.directory / ".state.json"
        partial.write_text(json.dumps(state, indent=2) + "\n")
        partial.chmod(0o600)
        partial.replace(self.directory / "state.json")

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.ports['apiserver']}"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    def kubeconfig_of(self, user: str) -> Path:
        return self.kubeconfig if user == ADMIN else self.directory / f"kubeconfig-{user}"

    @property
    def certificates(self) -> Path:
        """Holds ca.crt, tls.crt, tls.key of the API server, and sa.key."""
        return self.directory / "certificates"

    @property
    def audit_log(self) -> Path:
        return self.directory / "audit.log"

    def api(self, user: str = ADMIN) -> Api:
        return Api(self.server, self.tokens[user], (self.certificates / "ca.crt").read_text())

    def write_kubeconfig(self, user: str) -> None:
        """A kubeconfig that needs no other file. JSON is YAML."""
        authority = (self.certificates / "ca.crt").read_bytes()
        cluster = {"server": self.server, "certificate-authority-data": base64.b64encode(authority).decode()}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "aim", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "aim", "context": {"cluster": "aim", "user": user}}],
            "current-context": "aim",
        }
        path = self.kubeconfig_of(user)
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=2) + "\n")
