"""`aimctl fetch`: a model onto a volume, in a Job or by hand. Parses; fetching.py runs it, fetch/ does it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from aim_operator.cli import flags
from aim_operator.errors import UserError

MOST_CONNECTIONS = 32
MOST_ATTEMPTS = 1000
MOST_SECONDS = 86400.0
MOST_CAPACITY = 1 << 60
_WIDE_UMASK = 0o002
"""Another uid of the volume's group may have to go on with it."""


def fetch(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="hf://owner/model[:revision] or s3://bucket/prefix.")
    ],
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where its files go, made if missing.")
    ] = None,
    *,
    list_only: Annotated[
        bool,
        typer.Option(
            "--list",
            envvar="AIM_LIST",
            show_envvar=False,
            help="Fetch nothing: print what would be fetched, how large it is, and what is left out.",
        ),
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(
            envvar="AIM_INCLUDE",
            show_envvar=False,
            metavar="PATTERN",
            help="Fetch only files whose path matches; may be given several times.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            envvar="AIM_EXCLUDE",
            show_envvar=False,
            metavar="PATTERN",
            help="Leave out files whose path matches; may be given several times.",
        ),
    ] = None,
    capacity: Annotated[
        str | None,
        typer.Option(
            envvar="AIM_CAPACITY",
            show_envvar=False,
            metavar="BYTES",
            help="Refuse a model of more, whatever the file system says is free.",
        ),
    ] = None,
    stall_seconds: Annotated[
        str,
        typer.Option(
            envvar="AIM_STALL_SECONDS",
            show_envvar=False,
            metavar="SECONDS",
            help="End when no byte came for so long; a silent connection is opened anew after half of it.",
        ),
    ] = "120",
    connections: Annotated[
        str,
        typer.Option(
            envvar="AIM_CONNECTIONS",
            show_envvar=False,
            metavar="N",
            help="Ranges fetched at once, at most; begins with two.",
        ),
    ] = "8",
    attempts: Annotated[
        str,
        typer.Option(
            envvar="AIM_ATTEMPTS",
            show_envvar=False,
            metavar="N",
            help="End after so many failures in a row, none of which gained 64 KiB.",
        ),
    ] = "8",
    retry_seconds: Annotated[
        str,
        typer.Option(
            envvar="AIM_RETRY_SECONDS",
            show_envvar=False,
            metavar="SECONDS",
            help="Wait so long after a first failure, twice that after the next, at most 30 s.",
        ),
    ] = "0.5",
    termination_log: Annotated[
        Path | None,
        typer.Option(
            envvar="AIM_TERMINATION_LOG",
            show_envvar=False,
            metavar="FILE",
            help="Write there, as JSON, how it ended; /dev/termination-log in a container.",
        ),
    ] = None,
) -> None:
    """Download a model's files into a directory, resumed and verified.

    Where the root has safetensors, other formats of the same weights are left out; --include '*' fetches all.

    HF_TOKEN and HF_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3
    and AWS_ENDPOINT_URL are honoured. Exit codes: 0 done, 2 an invalid call, 10 authentication failed, 11
    source not found, 12 insufficient space, 13 stalled, 14 download failed, 130 interrupted (SIGINT), 143
    asked to stop (SIGTERM).

    Every option can also be set in the environment: --connections as AIM_CONNECTIONS, and so on.
    """
    if list_only == (directory is not None):
        raise UserError(
            "--list fetches nothing: leave DIR out"
            if list_only
            else "name a directory to fetch into, or give --list to see what there is"
        )
    bytes_capacity = None if capacity is None else flags.count("--capacity", capacity, MOST_CAPACITY)
    stall = flags.seconds("--stall-seconds", stall_seconds, MOST_SECONDS)
    streams = flags.count("--connections", connections, MOST_CONNECTIONS)
    tries = flags.count("--attempts", attempts, MOST_ATTEMPTS)
    first_wait = flags.seconds("--retry-seconds", retry_seconds, MOST_SECONDS)

    # What can be refused without them comes before the imports that take time.
    from aim_operator.cli import fetching  # noqa: PLC0415
    from aim_operator.fetch.look import Question  # noqa: PLC0415
    from aim_operator.fetch.retrying import Policy  # noqa: PLC0415
    from aim_operator.fetch.run import Options  # noqa: PLC0415
    from aim_operator.fetch.selection import Selection, patterns  # noqa: PLC0415

    selection = Selection(
        include=patterns("--include", include or ()), exclude=patterns("--exclude", exclude or ())
    )
    policy = Policy(attempts=tries, first_seconds=first_wait)
    question = Question(uri=uri, selection=selection, stall_seconds=stall, policy=policy)
    if directory is not None:
        question = Options(
            uri=uri,
            selection=selection,
            stall_seconds=stall,
            policy=policy,
            directory=directory,
            capacity_bytes=bytes_capacity,
            connections=streams,
        )
    os.umask(_WIDE_UMASK)
    code = fetching.run(question, termination_log)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by way of the interpreter's end, which waits for threads: one may hang in a dead file system.
    os._exit(code)
