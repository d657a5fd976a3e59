"""hack.cluster.ports: free, distinct, and not handed out twice in a row."""

import socket
from pathlib import Path

import pytest

from hack.cluster import ports


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_names_get_distinct_ports_below_the_ephemeral_range() -> None:
    got = ports.pick_ports(["a", "b", "c"])
    assert set(got) == {"a", "b", "c"}
    assert len(set(got.values())) == 3
    assert all(port in ports.RANGE for port in got.values())


def test_a_port_is_not_handed_out_again_before_its_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "RANGE", range(21_000, 21_040))
    first = ports.pick_ports(["a", "b"])
    second = ports.pick_ports(["a", "b"])
    assert not set(first.values()) & set(second.values())


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])
