"""`aimctl init`: the first files of a catalog. Parses; catalog.py makes them, folder.py writes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aim_operator.errors import UserError

if TYPE_CHECKING:
    from aim_operator.cli.init.catalog import Wish

MOST_REPLICAS = 1000
FORMS = ("folder", "yaml")


def init(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder to write to; the service's name if left out.")
    ] = None,
    *,
    image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Container image that implements the model.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the model in the catalog; from the image's name if unset."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the template; model, precision and metric if unset."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the service; the model's if unset.")
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", metavar="NAME", help="Namespace of the service; else default."),
    ] = None,
    namespaced: Annotated[
        bool,
        typer.Option(
            "--namespaced", help="Image and template in that namespace too, not for the whole cluster."
        ),
    ] = False,
    metric: Annotated[str | None, typer.Option(metavar="METRIC", help="latency or throughput.")] = None,
    precision: Annotated[str | None, typer.Option(metavar="PRECISION", help="Such as fp8.")] = None,
    gpus: Annotated[str | None, typer.Option(metavar="COUNT", help="GPUs of each copy.")] = None,
    gpu_model: Annotated[str | None, typer.Option(metavar="MODEL", help="GPU, such as MI300X.")] = None,
    replicas: Annotated[str | None, typer.Option(metavar="COUNT", help="Copies of the server.")] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Download the model to a volume before it starts.")
    ] = False,
    gateway: Annotated[
        str | None, typer.Option(metavar="NAMESPACE/NAME", help="Gateway to reach the service through.")
    ] = None,
    path: Annotated[str | None, typer.Option(metavar="/PATH", help="Path on that Gateway.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over files that are there, and name them.")
    ] = False,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="|".join(FORMS), help="A folder, or YAML on standard output."),
    ] = "folder",
) -> None:
    """Write an image, a template and a service.

    \b
    aimctl init                                     # asks, on a terminal
    aimctl init chat --image ghcr.io/org/llama:v1   # a placeholder: name yours; no question is asked
    aimctl init --image ghcr.io/org/llama:v1 --gpu-model MI300X --metric latency -n team
    aimctl init --image ghcr.io/org/llama:v1 --gateway gateways/inference --path /team/chat
    aimctl init --image ghcr.io/org/llama:v1 -o yaml | aimctl plan -

    What it writes is held to the schemas and rules of the API server before. No cluster is asked. Then:

    \b
    aimctl plan chat/                               # what would come of it
    kubectl apply -k chat/                          # make it so
    """
    from aim_operator.cli import flags, program  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli.init import catalog, questions  # noqa: PLC0415
    from aim_operator.cli.init.folder import write  # noqa: PLC0415

    flags.one_of("--output", output, FORMS)
    if output == "yaml" and (folder is not None or overwrite):
        raise UserError("-o yaml writes to standard output: leave out DIR and --overwrite")
    if path is not None and gateway is None:
        raise UserError("--path needs --gateway: it is the path there")
    wish = catalog.Wish(
        image=image or "",
        model=model or "",
        template=template or "",
        service=service or "",
        namespace=flags.namespace("--namespace", namespace) if namespace else "default",
        namespaced=namespaced,
        metric=metric,
        precision=precision,
        gpus=flags.count_of("--gpus", gpus, questions.MOST_GPUS) if gpus is not None else None,
        gpu_model=gpu_model,
        replicas=flags.count_of("--replicas", replicas, MOST_REPLICAS) if replicas is not None else None,
        cache=cache,
        gateway=gateway,
        path=path,
    )
    if not image:
        wish = _asked(wish)
    made = catalog.files(wish)
    if output == "yaml":
        objects = [text for name, text in made.items() if name != "kustomization.yaml"]
        sys.stdout.write("---\n".join(objects))
        return
    where = folder if folder is not None else Path(wish.service_name)
    replaced = write(where, made, overwrite=overwrite)
    for name in made:
        typer.echo(f"{where / name}{': overwritten' if where / name in replaced else ''}")
    typer.echo(program.named(f"next: aimctl plan {where}"))
    typer.echo(f"then: kubectl apply -k {where}")


def _asked(wish: Wish) -> Wish:
    """Return the wish with answers for what no flag said. Raises UserError where nobody can be asked."""
    from msgspec import structs  # noqa: PLC0415

    from aim_operator.cli.init import questions  # noqa: PLC0415
    from aim_operator.cli.init.catalog import Wish  # noqa: PLC0415

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError("--image is missing, and without a terminal nobody can be asked for it")
    unset = Wish(image="")
    fields = (field.name for field in structs.fields(Wish))
    open_ = frozenset(name for name in fields if getattr(wish, name) == getattr(unset, name))
    return questions.ask(wish, open_)
