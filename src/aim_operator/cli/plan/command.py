"""`aimctl plan`: what would come of files, without a cluster. Parses; the modules beside it do the rest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aim_operator.cli import connect
from aim_operator.cli.plain import error_line, without_controls
from aim_operator.cli.program import Command
from aim_operator.errors import UserError

if TYPE_CHECKING:
    from aim_operator.cli.plan.consequences import Plan
    from aim_operator.cli.plan.snapshot import Snapshot

FORMS = ("tree", "yaml", "json", "markdown", "github")
NOTHING, DEGRADED, CHANGES, BAD_INPUT = 0, 1, 2, 3


class PlanCommand(Command):
    """Ends with 3 for a call that is none: 2 means changes here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "exit_code", 0) == CHANGES:
                error.exit_code = BAD_INPUT  # type: ignore[attr-defined]
            raise


COMMAND_CLASS = PlanCommand
"""What app.py makes of `plan`."""


@connect.with_cluster
def plan(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders, or - for standard input.")
    ],
    *,
    profiles: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="JSON files with what images print in discovery, as in examples/quickstart/profiles; may be "
            "given several times. Folders called profiles below a PATH are always read.",
        ),
    ] = None,
    snapshot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A cluster as `aimctl snapshot` wrote it down: what changes there."
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="What changes in the cluster of the kubeconfig, as --context does.")
    ] = False,
    output: Annotated[
        str, typer.Option("--output", "--format", "-o", metavar="|".join(FORMS), help="How to print it.")
    ] = "tree",
    check: Annotated[
        bool,
        typer.Option("--check", help="For hooks: end with 0 where all is well, also if something is made."),
    ] = False,
    cluster: connect.Cluster,
) -> None:
    """Show what would come of files, and what is wrong with them. Needs no cluster.

    \b
    aimctl plan catalog/                         # what each service comes to, and why
    kustomize build . | aimctl plan -            # from standard input
    aimctl plan catalog/ --profiles profiles/    # with what discovery found, for images that are known
    aimctl plan catalog/ --format github         # annotations on a pull request
    aimctl plan catalog/ -o yaml                 # with every object that the operator would make
    aimctl plan catalog/ --context prod          # what changes in a cluster: restarts, routes, downloads
    aimctl plan catalog/ --snapshot prod.json    # the same, of a cluster that `aimctl snapshot` wrote down

    Each object is held to the schemas and rules of the API server, then the real operator runs on a cluster
    in memory until nothing changes any more. Discovery is not invented: what an image without a profile would
    answer is shown as unknown.

    With a cluster nothing is written there: it is copied into memory, and the change applied to the copy.

    Exit codes: 0 nothing would be made or changed, 2 something would, 1 something would
    be Degraded or Failed, 3 the files or the call are not right.
    """
    from aim_operator.cli import flags  # noqa: PLC0415 - `--help` need not import what follows

    try:
        flags.one_of("--output", output, FORMS)
        before = _before(cluster, snapshot, live=live)
        own = cluster.given_namespace or ("default" if before is None or snapshot else cluster.namespace)
        namespace = flags.namespace("--namespace", own)
        try:
            made, wrong = _planned(paths, profiles or [], namespace, before)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if snapshot is None:
                raise
            # What a file says that is as `aimctl snapshot` writes them, with values that no server has.
            raise UserError(
                f"--snapshot {snapshot} has values that no API server stores: take it again; "
                f"if it is as aimctl snapshot wrote it, report this: {error!r}"
            ) from error
    except UserError as error:
        print(error_line(error), file=sys.stderr)  # noqa: T201
        raise typer.Exit(BAD_INPUT) from error
    _print(made, output)
    if wrong:
        raise typer.Exit(BAD_INPUT)
    if made.degraded:
        raise typer.Exit(DEGRADED)
    if made.changes and not check:
        raise typer.Exit(CHANGES)


def _before(cluster: connect.Cluster, file: Path | None, *, live: bool) -> Snapshot | None:
    """Return the cluster that is to change; None where there is none. Raises UserError."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from aim_operator.cli.plan import snapshot  # noqa: PLC0415

    # Variables that other commands need do not make a plan ask a cluster.
    asked = live or cluster.as_user or cluster.typed & {"context", "kubeconfig"}
    if file is not None and asked:
        raise UserError("--snapshot and --live, --context, --kubeconfig or --as: choose one")
    if file is not None:
        return snapshot.read(file)
    if not asked:
        return None
    server, now = cluster.connection.server, datetime.now(UTC)
    return cluster.ask(lambda client: snapshot.take(client, server, now))


def _planned(
    paths: list[str], profiles: list[Path], namespace: str, before: Snapshot | None
) -> tuple[Plan, bool]:
    """Return the plan, and whether the input has mistakes: what follows from the rest is shown all the same.

    Raises UserError.
    """
    import asyncio  # noqa: PLC0415
    import gc  # noqa: PLC0415

    from aim_operator.cli.plan import documents, world  # noqa: PLC0415
    from aim_operator.cli.plan.planning import planned  # noqa: PLC0415

    # Thousands of plain objects and hardly a cycle: looking for some takes a third of the time.
    was_on = gc.isenabled()
    gc.disable()
    try:
        found = documents.read(paths)
        images = world.images([*profiles, *documents.profile_folders(paths)])
        return asyncio.run(planned(found, images, namespace, before))
    finally:
        if was_on:
            gc.enable()


def _print(plan: Plan, output: str) -> None:
    from aim_operator.cli.plan import view  # noqa: PLC0415
    from aim_operator.cli.printing import STRUCTURED, console, structured  # noqa: PLC0415

    if output in STRUCTURED:
        sys.stdout.write(structured(plan, output))
    elif output == "markdown":
        sys.stdout.write(without_controls(view.markdown(plan)))
    elif output == "github":
        sys.stdout.write(without_controls(f"{view.github(plan.problems)}{view.summary(plan)}\n"))
    else:
        console().print(view.tree(plan))
