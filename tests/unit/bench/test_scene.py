"""How services are spread over namespaces and models."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import msgspec

from aim_operator.api.v1alpha1 import AIMClusterImage, AIMClusterServiceTemplate
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.template.discovery import digest
from aim_operator.core.template.observed import TemplateObserved
from aim_operator.core.template.plan import DiscoveryOptions, decide
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


def test_templates_need_no_discovery() -> None:
    """Nothing in a scene runs Pods: a template to be discovered again would never be available."""
    image = msgspec.convert(
        {"kind": "AIMClusterImage", "metadata": {"name": "model-0"}, "spec": scene.image_spec(0)},
        AIMClusterImage,
    )
    body = {
        "kind": "AIMClusterServiceTemplate",
        "metadata": {"name": "template-0", "uid": "u", "generation": 1},
        "spec": scene.template_spec("model-0"),
    }
    template = msgspec.convert(body, AIMClusterServiceTemplate)
    status = scene.discovered(template, image)
    template = msgspec.convert({**body, "status": status}, AIMClusterServiceTemplate)
    observed = TemplateObserved(
        template=template,
        image=image,
        runtime_config=RuntimeConfig(),
        discovery_namespace=scene.OPERATOR_NAMESPACE,
        digest=digest(template, image, RuntimeConfig()),
    )
    plan = decide(observed, now=datetime.now(UTC), options=DiscoveryOptions(requests={}))
    assert [child.kind for child in plan.children] == ["ClusterServingRuntime"]
    assert plan.status is not None
    assert plan.status.status == "Available"
