"""How services are spread over namespaces and models."""

from __future__ import annotations

from collections import Counter

from bench import scene
from bench.report import table


def test_services_are_spread_evenly() -> None:
    made = scene.names("svc", range(100), ["a", "b"], 5)
    assert Counter(name.namespace for name in made) == {"a": 50, "b": 50}
    assert Counter(name.model for name in made) == {f"model-{i}": 20 for i in range(5)}
    assert len({name.name for name in made}) == 100


def test_every_tenth_service_has_the_popular_model() -> None:
    made = scene.names("svc", range(1000), ["a"], 50, popular=10)
    models = Counter(name.model for name in made)
    assert models["model-0"] == 100
    assert len(models) == 50


def test_tables_align_numbers_to_the_right() -> None:
    assert table("t", ("", "n"), [("a", 1.234), ("bb", 1234.5)]).splitlines() == [
        "t",
        "         n",
        "  a   1.23",
        "  bb  1234",
    ]
