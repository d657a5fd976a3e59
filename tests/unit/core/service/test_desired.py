"""A service's children, field by field where a golden file would not say why."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.meta import Manifest
from aim_operator.core.naming import label_value
from aim_operator.core.service import desired
from aim_operator.core.service.route import Route
from aim_operator.errors import SpecError
from tests.support.service_builders import (
    ROUTED,
    FakeCatalog,
    make_image,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
    make_template_status,
)


def inference_service(
    *,
    config: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    discovered: dict[str, Any] | None = None,
    **spec: Any,
) -> Manifest:
    status = make_template_status(**(discovered or {}))
    catalog = FakeCatalog(
        make_image(), make_template(status=status, **(template or {})), make_runtime_config(**(config or {}))
    )
    observed = make_service_observed(make_service(**spec), catalog)
    found = observed.resolution
    assert found.image is not None
    assert found.template is not None
    assert found.config is not None
    return desired.inference_service(observed.service, found.image, found.template, found.config).manifest


def predictor(**wanted: Any) -> Manifest:
    got: Manifest = inference_service(**wanted)["spec"]["predictor"]
    return got


@pytest.mark.parametrize(
    ("resources", "count", "want"),
    [
        pytest.param({}, 4, ("4", "4"), id="as discovered where nobody sets it"),
        pytest.param({"limits": {"amd.com/gpu": 2}}, 4, ("2", "2"), id="mirrored where one side is set"),
        pytest.param(
            {"requests": {"amd.com/gpu": "2"}}, 4, ("2", "2"), id="mirrored from the other side too"
        ),
        pytest.param({}, 0, (None, None), id="none where discovery found none"),
        pytest.param({}, "many", (None, None), id="none where discovery found no number"),
    ],
)
def test_gpus_are(resources: dict[str, Any], count: object, want: tuple[str | None, str | None]) -> None:
    got = predictor(resources=resources, discovered={"gpu_count": count})["model"]["resources"]
    assert (got["requests"].get("amd.com/gpu"), got["limits"].get("amd.com/gpu")) == want


def test_the_image_label_is_that_of_the_image_that_was_discovered() -> None:
    """Until a new one is: KServe copies labels to Pods, so another label would restart them."""
    label = "aim.silogen.ai/aim-image"
    assert inference_service()["metadata"]["labels"][label] == label_value(make_image().spec.image)
    labels = inference_service(discovered={"discovered_image": "old:v1"})["metadata"]["labels"]
    assert labels[label] == label_value("old:v1")


def test_a_request_above_its_limit_names_quantity_and_tiers() -> None:
    with pytest.raises(SpecError) as caught:
        inference_service(
            resources={"limits": {"cpu": "2"}}, template={"resources": {"requests": {"cpu": "4"}}}
        )
    assert caught.value.reason == "ResourcesInvalid"
    for word in ("cpu", "service", "template"):
        assert word in caught.value.message


def test_only_the_services_own_env_is_on_the_inference_service() -> None:
    own = [{"name": "A", "value": "service"}]
    got = predictor(env=own, template={"env": [{"name": "B", "value": "template"}]})
    assert got["model"]["env"] == own


def test_what_nobody_asks_for_is_absent() -> None:
    got = predictor(discovered={"sources": ()})
    assert set(got) == {"model", "minReplicas", "maxReplicas"}
    assert set(got["model"]) == {"modelFormat", "runtime", "resources", "storage"}


def test_kserve_downloads_nothing_and_takes_it_for_an_ordinary_predictor() -> None:
    """The server fetches by itself. Without `storage` KServe would add its agent."""
    model = predictor()["model"]
    assert model["storage"] == {}
    assert "storageUri" not in model


def test_pull_secrets_are_the_services_and_the_configurations() -> None:
    got = predictor(
        imagePullSecrets=[{"name": "b"}, {"name": "a"}],
        config={"imagePullSecrets": [{"name": "a"}, {"name": "c"}], "serviceAccountName": "server"},
    )
    assert got["imagePullSecrets"] == [{"name": "b"}, {"name": "a"}, {"name": "c"}]
    assert got["serviceAccountName"] == "server"


def test_labels_tell_what_was_discovered_else_what_was_asked_for() -> None:
    def labels(**wanted: Any) -> tuple[str, str]:
        got = inference_service(**wanted)["metadata"]["labels"]
        return got["aim.silogen.ai/template.metric"], got["aim.silogen.ai/template.precision"]

    asked = {"metric": "throughput", "precision": "auto"}
    assert labels(template=asked, discovered={"precision": "fp8"}) == ("latency", "fp8")
    assert labels(template=asked, discovered={"metric": "", "precision": None}) == ("throughput", "auto")


def http_route(**routing: Any) -> Manifest:
    observed = make_service_observed(make_service(routing={**ROUTED, **routing}))
    assert isinstance(observed.route, Route)
    return desired.http_route(observed.service, observed.route).manifest


def test_a_timeout_and_annotations_are_there_only_if_asked_for() -> None:
    assert "timeouts" not in http_route()["spec"]["rules"][0]
    assert "annotations" not in http_route()["metadata"]
    got = http_route(requestTimeout="30s", annotations={"a": "b"})
    assert got["spec"]["rules"][0]["timeouts"] == {"request": "30s"}
    assert got["metadata"]["annotations"] == {"a": "b"}


def test_the_backend_is_the_service_that_kserve_makes() -> None:
    assert desired.predictor_service("chat") == "chat-predictor"
    assert http_route()["spec"]["rules"][0]["backendRefs"] == [
        {"name": "chat-predictor", "port": 80, "kind": "Service"}
    ]


def test_what_a_pod_has_too_of_the_security_context_is_on_the_pod_for_kserves_initializer() -> None:
    context = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "allowPrivilegeEscalation": False,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    got = predictor(config={"securityContext": context})
    assert got["model"]["securityContext"] == context
    assert got["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
