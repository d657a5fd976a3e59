"""Images: whether what a catalog entry refers to exists."""

from __future__ import annotations

import pytest
from msgspec import structs

from aim_operator.api.meta import KubeObject
from aim_operator.core import images
from aim_operator.core.catalog import Image
from tests.support.service_builders import FakeCatalog
from tests.support.status import assert_status_well_formed
from tests.support.template_builders import (
    NOW,
    make_cluster_image,
    make_cluster_runtime_config,
    make_cluster_template,
    make_image,
    make_template,
)

GOOD = (make_template(), make_cluster_runtime_config("platform"))


@pytest.mark.parametrize(
    ("image", "objects", "want"),
    [
        pytest.param(
            make_image(), (), "Ready True/Valid: what it refers to exists", id="it refers to nothing"
        ),
        pytest.param(
            make_image(defaultServiceTemplate="fast", runtimeConfigName="platform"),
            GOOD,
            "Ready True/Valid: what it refers to exists",
            id="all that it refers to is there",
        ),
        pytest.param(
            make_image(defaultServiceTemplate="fast"),
            (make_cluster_template(),),
            "Ready True/Valid: what it refers to exists",
            id="a cluster template will do",
        ),
        pytest.param(
            make_image(defaultServiceTemplate="fast"),
            (),
            "Degraded False/TemplateNotFound: spec.defaultServiceTemplate: no template 'fast' in namespace "
            "'ml' or the cluster; create it, or name one in services",
            id="its template is missing",
        ),
        pytest.param(
            make_image(defaultServiceTemplate="fast"),
            (make_template(aimImageName="other"),),
            "Degraded False/TemplateImageMismatch: spec.defaultServiceTemplate: template 'fast' is for image "
            "'other'",
            id="its template is another image's",
        ),
        pytest.param(
            make_image(runtimeConfigName="platform"),
            (),
            "Degraded False/RuntimeConfigMissing: spec.runtimeConfigName: no runtime configuration "
            "'platform'; create it",
            id="its configuration is missing",
        ),
        pytest.param(
            make_cluster_image(defaultServiceTemplate="fast"),
            (make_template(),),
            "Ready True/Valid: spec.defaultServiceTemplate: no template 'fast' in the cluster; create it, or "
            "name one in services",
            id="a cluster image only mentions what namespaces may have",
        ),
    ],
)
def test_what_an_image_says(image: Image, objects: tuple[KubeObject, ...], want: str) -> None:
    catalog = FakeCatalog(*objects)
    plan = images.decide(image, catalog, now=NOW)
    status = plan.status
    assert status is not None
    assert_status_well_formed(status)
    (ready,) = status.conditions or ()
    assert f"{status.status} {ready.status}/{ready.reason}: {ready.message}" == want
    assert (plan.children, plan.removals, plan.requeue_after_seconds, plan.events) == ((), (), None, ())
    again = structs.replace(image, status=status)
    assert images.decide(again, catalog, now=NOW).status == status
