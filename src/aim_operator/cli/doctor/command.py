"""`aimctl doctor`: what is installed, and is it enough. Parses and prints.

gather.py reads, checks.py judges.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aim_operator.cli import connect

if TYPE_CHECKING:
    from rich.console import RenderableType

    from aim_operator.cli.doctor.verdicts import Report

FORMS = ("table", "json", "yaml")
NOT_SOUND = 1


@connect.with_cluster
def doctor(
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="|".join(FORMS), help="How to print it.")
    ] = "table",
    cluster: connect.Cluster,
) -> None:
    """Say whether a cluster has what services need, and what to do.

    \b
    aimctl doctor                      # before and after installing
    aimctl doctor -o json | jq '.checks[] | select(.verdict != "ok")'

    Ends with 1 where something is missing without which no service runs. What you may not read is unknown;
    whoever installs operators may read all of it.
    """
    from aim_operator.cli import flags  # noqa: PLC0415 - `--help` need not import what follows
    from aim_operator.cli.doctor.checks import judge  # noqa: PLC0415
    from aim_operator.cli.doctor.gather import read  # noqa: PLC0415
    from aim_operator.cli.printing import STRUCTURED, console, structured  # noqa: PLC0415
    from aim_operator.cli.version import client as own_version  # noqa: PLC0415

    flags.one_of("--output", output, FORMS)
    found = cluster.ask(lambda client: read(client, cluster.namespace, own_version()))
    report = judge(found)
    if output in STRUCTURED:
        sys.stdout.write(structured(report, output))
    else:
        console().print(draw(report))
    if not report.sound:
        raise typer.Exit(NOT_SOUND)


def draw(report: Report) -> RenderableType:
    """Return the table, below it what to do, and one line that sums it up."""
    from rich.console import Group  # noqa: PLC0415 - `--help` need not import it
    from rich.text import Text  # noqa: PLC0415

    from aim_operator.cli.doctor.verdicts import Verdict  # noqa: PLC0415
    from aim_operator.cli.printing import Column, table  # noqa: PLC0415
    from aim_operator.cli.program import named  # noqa: PLC0415

    columns = (Column("CHECK"), Column("VERDICT"), Column("FOUND", wraps=True))
    parts: list[RenderableType] = [
        table(columns, [[each.name, each.verdict, each.found] for each in report.checks], wide=False)
    ]
    todo = [each for each in report.checks if each.remedy]
    if todo:
        parts += [Text(), Text("WHAT TO DO", style="bold")]
        parts += [Text(named(f"{each.name} ({each.found}): {each.remedy}")) for each in todo]
    unknown = [each for each in report.checks if each.verdict == Verdict.UNKNOWN]
    if unknown:
        parts += [Text(), Text("NOT SEEN", style="bold")]
        parts += [Text(f"{each.name}: {each.found}") for each in unknown]
    problems = sum(each.verdict == Verdict.PROBLEM for each in report.checks)
    warnings = sum(each.verdict == Verdict.WARNING for each in report.checks)
    verdict = (
        "no service can run yet"
        if problems
        else "services can run"
        if not unknown
        else "nothing is wrong that is seen"
    )
    parts += [Text(), Text(f"{verdict}; problems: {problems}, warnings: {warnings}, unknown: {len(unknown)}")]
    return Group(*parts)
