"""`aimctl models`: which models a namespace can serve, and what it looks like."""

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from aim_operator.cli.everyday.catalog import draw, models
from aim_operator.cli.printing import console, structured
from aim_operator.cli.status.rows import ImageRow, ServiceRow, Status, TemplateRow, Unseen


def image(name: str, namespace: str = "", **more: Any) -> ImageRow:
    return ImageRow(
        kind="AIMImage" if namespace else "AIMClusterImage",
        namespace=namespace,
        name=name,
        status="Ready",
        image=f"ghcr.io/example/{name}:v1",
        **more,
    )


def template(
    name: str, image: str, namespace: str = "", status: str = "Available", **more: Any
) -> TemplateRow:
    kind = "AIMServiceTemplate" if namespace else "AIMClusterServiceTemplate"
    return TemplateRow(kind=kind, namespace=namespace, name=name, status=status, image=image, **more)


def service(name: str, namespace: str, model: str) -> ServiceRow:
    return ServiceRow(kind="AIMService", namespace=namespace, name=name, status="Running", model=model)


FAST: dict[str, Any] = {
    "engine": "vllm",
    "metric": "latency",
    "precision": "fp8",
    "gpu_count": 2,
    "gpu_model": "MI300X",
}
CATALOG = Status(
    images=(
        image("llama", default_template="llama-fast"),
        image("mistral"),
        image("whisper-with-a-name-as-long-as-names-of-models-are-apt-to-be"),
        image("llama", "team"),
    ),
    templates=(
        template("llama-cheap", "llama", engine="vllm", precision="int4", gpu_count=1, gpu_model="MI210"),
        template("llama-fast", "llama", **FAST),
        template(
            "mistral",
            "mistral",
            status="Degraded",
            reason="ImagePullAuthFailed",
            message="401\nUnauthorized",
        ),
        template("derived", "mistral", "team", derived=True),
        template("own", "llama", "team", status="Unknown"),
    ),
    services=(service("chat", "team", "llama"), service("chat", "other", "llama")),
)


def test_a_namespaces_own_model_hides_the_clusters_of_that_name() -> None:
    found = {each.name: each for each in models(CATALOG, "team").models}
    assert (found["llama"].namespace, found["llama"].status) == ("team", "Unknown")
    assert found["llama"].services == ("team/chat",)
    assert found["llama"].reason == "NotLookedAt"


def test_of_all_namespaces_both_are_shown_each_with_its_own() -> None:
    everyone = models(CATALOG, "").models
    cluster, own = (each for each in everyone if each.name == "llama")
    assert (cluster.services, own.services) == (("other/chat",), ("team/chat",))
    # The default first.
    assert cluster.templates == ("llama-fast", "llama-cheap")
    assert own.templates == ("own",)


def test_why_a_model_can_not_be_served_is_its_templates_reason() -> None:
    found = {each.name: each for each in models(CATALOG, "").models}
    mistral = found["mistral"]
    assert (mistral.reason, mistral.message) == (
        "ImagePullAuthFailed",
        "template mistral: 401 Unauthorized",
    )
    assert found["whisper-with-a-name-as-long-as-names-of-models-are-apt-to-be"].reason == "NoTemplate"


@pytest.mark.parametrize(("width", "wide"), [(80, False), (60, False), (200, True)], ids=str)
def test_the_picture(*, width: int, wide: bool, snapshot: SnapshotAssertion) -> None:
    out = io.StringIO()
    screen = Console(file=out, width=width, highlight=False, color_system=None)
    screen.print(draw(models(CATALOG, ""), namespace="", wide=wide))
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    assert max(map(len, text.splitlines())) <= width
    assert text == snapshot


def test_to_a_pipe_no_line_is_filled_up_with_spaces() -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        console().print(draw(models(CATALOG, ""), namespace="", wide=True))
    assert max(map(len, out.getvalue().splitlines())) < 300


def test_what_may_not_be_read_is_named_and_an_empty_catalog_says_what_to_do() -> None:
    unseen = (Unseen(kind="AIMClusterImage", why="you may not list aimclusterimages"),)
    out = io.StringIO()
    Console(file=out, width=80).print(
        draw(models(Status(unseen=unseen), "team"), namespace="team", wide=False)
    )
    assert out.getvalue().startswith("no models for namespace team: apply an AIMClusterImage")
    assert "AIMClusterImage: you may not list aimclusterimages" in out.getvalue()
    assert json.loads(structured(models(CATALOG, ""), "json"))["models"][0]["availableTemplates"]


def test_what_may_not_be_read_is_not_counted_as_none() -> None:
    unseen = tuple(Unseen(kind=kind, why="") for kind in ("AIMService", "AIMClusterServiceTemplate"))
    (found,) = models(Status(images=(image("llama"),), unseen=unseen), "team").models
    assert found.services is None
    assert found.message == "you may not read every AIMClusterServiceTemplate"
