"""A model on a hub that the Pods of a cluster can reach, and what was sent of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster.cluster import Cluster
from tests.support.hub_server import Hub, HubThread

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
"""What the stand-in image of hack/cluster says that it needs."""
WEIGHTS = "model-00001-of-00001.safetensors"
MIB = 1024 * 1024


class ModelHub:
    """The hub, and the model's files with their checksums."""

    def __init__(self, hub: Hub, checksums: dict[str, str], total_bytes: int) -> None:
        self.hub = hub
        self.checksums = checksums
        self.total_bytes = total_bytes

    @property
    def sent_bytes(self) -> int:
        """How much of the files went out so far, whoever asked."""
        return sum(entry.get("sent", 0) for entry in self.hub.log.entries)

    def slow_down(self, bytes_per_second: int) -> None:
        """Limit each connection that is opened from now on."""
        self.hub.faults.add(f"slow:rate={bytes_per_second},path=/cdn/*")

    def speed_up(self) -> None:
        self.hub.faults.clear()


@contextmanager
def model_hub(cluster: Cluster, directory: Path, *, weights_mib: int, token: str = "") -> Iterator[ModelHub]:
    """A hub at the node's address with one model, of `weights_mib` and a few small files.

    With a token it answers nobody who does not send it.
    """
    folder = directory / MODEL
    folder.mkdir(parents=True)
    rng = random.Random(weights_mib)
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}\n')
    (folder / "tokenizer.json").write_bytes(rng.randbytes(40_000))
    (folder / WEIGHTS).write_bytes(rng.randbytes(weights_mib * MIB))
    checksums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    total = sum(path.stat().st_size for path in folder.iterdir())
    with HubThread(directory, host=cluster.node_ip, token=token) as running:
        yield ModelHub(running.hub, checksums, total)
