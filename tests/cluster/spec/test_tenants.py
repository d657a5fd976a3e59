"""What a user of one namespace can't make the operator do; names of others' are refused in test_crds.py."""

from __future__ import annotations

from tests.support.spec_world import World, refused, routed

# Labels and annotations that mean something to KServe, to gateways, or to the operator itself.
MEANT_FOR_OTHERS = {
    "app.kubernetes.io/managed-by": "somebody",
    "aim.silogen.ai/template": "another",
    "serving.kserve.io/deploymentMode": "Knative",
    "networking.knative.dev/visibility": "cluster-local",
}


def test_labels_and_annotations_of_a_service_are_not_passed_on(world: World) -> None:
    service = world.service(routing=routed(world.path()), labels=dict(MEANT_FOR_OTHERS))
    service["metadata"]["annotations"] = {"serving.kserve.io/autoscalerClass": "hpa", "example.com/a": "b"}
    world.run(*world.catalog(), service)
    for kind in ("InferenceService", "HTTPRoute"):
        metadata = world.need(kind, "chat")["metadata"]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "aim-controller"
        assert metadata["labels"].get("aim.silogen.ai/template") in ("fast", None)
        assert not {"serving.kserve.io/deploymentMode", "networking.knative.dev/visibility"} & {
            *metadata["labels"]
        }
        assert "example.com/a" not in metadata["annotations"]
    annotations = world.need("InferenceService", "chat")["metadata"]["annotations"]
    assert annotations["serving.kserve.io/autoscalerClass"] == "none"
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"


def test_annotations_that_are_too_large_together_are_refused_and_what_fits_is_served(world: World) -> None:
    """Kubernetes takes 256 KiB of them on an HTTPRoute; sixteen are room for what gateways read."""
    large = {f"example.com/{number}": "x" * 4096 for number in range(5)}
    service = world.service(routing=routed(world.path(), annotations=large))
    assert "the values have more than 16 KiB together; shorten them" in refused(world, service)
    fitting = {f"example.com/{number}": "x" * 4000 for number in range(4)}
    world.run(*world.catalog(), world.service(routing=routed(world.path(), annotations=fitting)))
    assert fitting.items() <= world.need("HTTPRoute", "chat")["metadata"]["annotations"].items()


def test_an_image_and_a_template_of_another_namespace_are_not_there(world: World) -> None:
    with world.cluster.namespace("elsewhere") as elsewhere:
        image = world.image(defaultServiceTemplate="theirs")
        image["metadata"]["namespace"] = elsewhere
        template = world.template("theirs")
        template["metadata"]["namespace"] = elsewhere
        world.apply(image, template, world.config(), world.service())
        world.until_service("Degraded", "ImageNotFound")
        world.apply(world.image(), world.service(templateRef="theirs"))
        world.until_service("Degraded", "TemplateNotFound")
