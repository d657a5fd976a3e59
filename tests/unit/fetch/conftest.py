"""A hub of models made for each test, in a thread of this process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub_server import Hub, HubThread
from tests.support.s3_server import S3Server


@pytest.fixture(scope="session")
def running_store() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


@pytest.fixture
def store(running_store: S3Server) -> Iterator[S3Server]:
    """An S3 that knows everything, until a test says otherwise. Each test has a bucket of its own name."""
    running_store.log.entries.clear()
    running_store.as_new()
    yield running_store
    running_store.as_new()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """With one model, acme/tiny: a few small files and one of three chunks."""
    model = tmp_path / "models" / "acme" / "tiny"
    (model / "variants").mkdir(parents=True)
    (model / "config.json").write_text('{"architectures": ["Tiny"]}')
    (model / "empty.txt").touch()
    (model / "variants" / "params.json").write_text("{}")
    (model / "model.safetensors").write_bytes(random.Random(1).randbytes(20_000_001))
    with HubThread(tmp_path / "models") as running:
        yield running.hub
