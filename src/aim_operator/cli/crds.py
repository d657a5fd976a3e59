"""`aimctl crds`: the CustomResourceDefinitions of the nine kinds, as YAML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aim_operator.errors import UserError


def crds(
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write one file per kind into DIR instead, made if missing."),
    ] = None,
) -> None:
    """Print the CRDs of the nine kinds, to pipe into kubectl.

    aimctl crds | kubectl apply --server-side -f -
    """
    from aim_operator.api import crd  # noqa: PLC0415 - generating schemas is for this command alone

    files = crd.files()
    if output_dir is None:
        for text in files.values():
            sys.stdout.write(f"---\n{text.removeprefix('---').lstrip()}")
        sys.stdout.flush()
        return
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output_dir / name).write_text(text)
    except OSError as error:
        raise UserError(
            f"--output-dir {output_dir}: {error.strerror}; choose a directory you may write to"
        ) from error
    typer.echo(f"{len(files)} files written to {output_dir}", err=True)
