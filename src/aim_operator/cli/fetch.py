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
        str | None,
        typer.Argument(
            metavar="[URI]",
            help="The model: hf://owner/model, hf://owner/model:revision, or s3://bucket/prefix.",
        ),
    ] = None,
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where its files go; made if missing.")
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
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Fetch nothing: read the files in DIR again, and compare them with what was downloaded.",
        ),
    ] = None,
    check_only: Annotated[
        bool,
        typer.Option(
            "--check",
            envvar="AIM_CHECK",
            show_envvar=False,
            help="Write nothing: see whether DIR has the source's files, by their names and sizes.",
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
            metavar="SIZE",
            help="Refuse a model larger than this, even if the disk has room: 10Gi, 500M, or bytes.",
        ),
    ] = None,
    stall_seconds: Annotated[
        str,
        typer.Option(
            envvar="AIM_STALL_SECONDS",
            show_envvar=False,
            metavar="SECONDS",
            help="Give up after this long without a byte; a silent connection is renewed after half of it.",
        ),
    ] = "120",
    connections: Annotated[
        str,
        typer.Option(
            envvar="AIM_CONNECTIONS",
            show_envvar=False,
            metavar="N",
            help="How many ranges are fetched at once, at most; it begins with two.",
        ),
    ] = "8",
    attempts: Annotated[
        str,
        typer.Option(
            envvar="AIM_ATTEMPTS",
            show_envvar=False,
            metavar="N",
            help="Give up after so many failures in a row, none of which gained 64 KiB.",
        ),
    ] = "8",
    retry_seconds: Annotated[
        str,
        typer.Option(
            envvar="AIM_RETRY_SECONDS",
            show_envvar=False,
            metavar="SECONDS",
            help="How long to wait after a failure; doubles with each further one, up to 30 s.",
        ),
    ] = "0.5",
    termination_log: Annotated[
        Path | None,
        typer.Option(
            envvar="AIM_TERMINATION_LOG",
            show_envvar=False,
            metavar="FILE",
            help="Write how it ended there, as JSON; /dev/termination-log in a container.",
        ),
    ] = None,
) -> None:
    """Download a model's files into a directory. Interrupt it at any time: the next run continues.

    `aimctl fetch hf://Qwen/Qwen3-8B models/qwen` brings the files of a Hugging Face model into models/qwen;
    `aimctl fetch s3://bucket/path models/mine` those below a path of a bucket. Every file is verified by its
    checksum before it appears under its name. Run it again, and it fetches what is missing.

    To look first, `aimctl fetch hf://Qwen/Qwen3-8B --list` prints files and sizes. To check later,
    `aimctl fetch --verify models/qwen` reads every file again and names those that have changed; it asks
    nobody.

    Models often hold the same weights in several formats. Where there are safetensors at the root, other
    formats are left out; --include '*' fetches all, --exclude '*.md' leaves out more.

    For a private or gated model set HF_TOKEN; for a mirror HF_ENDPOINT. For a bucket set AWS_ACCESS_KEY_ID
    and AWS_SECRET_ACCESS_KEY (or awsAnonymousCredential=true, if it is public), AWS_REGION, and
    AWS_ENDPOINT_URL where it is not Amazon's. HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE hold for both.

    When it fails, the last line says why, and what to set. Exit codes: 0 done, 2 an
    invalid call, 10 authentication failed, 11 source not found, 12 insufficient space, 13 stalled, 14
    download failed, 15 verification failed, 130 interrupted (SIGINT), 143 asked to stop (SIGTERM).

    Every option can be set in the environment too: --connections as AIM_CONNECTIONS, and so on.
    """
    _check_what(uri, directory, verify, list_only=list_only, check_only=check_only)
    bytes_capacity = None if capacity is None else flags.size("--capacity", capacity, MOST_CAPACITY)
    stall = flags.seconds("--stall-seconds", stall_seconds, MOST_SECONDS)
    streams = flags.count("--connections", connections, MOST_CONNECTIONS)
    tries = flags.count("--attempts", attempts, MOST_ATTEMPTS)
    first_wait = flags.seconds("--retry-seconds", retry_seconds, MOST_SECONDS)

    # What can be refused without them comes before the imports that take time.
    from aim_operator.cli import fetching  # noqa: PLC0415
    from aim_operator.fetch.check import Check  # noqa: PLC0415
    from aim_operator.fetch.look import Question  # noqa: PLC0415
    from aim_operator.fetch.retrying import Policy  # noqa: PLC0415
    from aim_operator.fetch.run import Options  # noqa: PLC0415
    from aim_operator.fetch.selection import Selection, patterns  # noqa: PLC0415
    from aim_operator.fetch.verify import Verification  # noqa: PLC0415

    selection = Selection(
        include=patterns("--include", include or ()), exclude=patterns("--exclude", exclude or ())
    )
    policy = Policy(attempts=tries, first_seconds=first_wait)
    question: Question | Verification
    if uri is None or verify is not None:
        question = Verification(directory=verify or Path())
    elif directory is None:
        question = Question(uri=uri, selection=selection, stall_seconds=stall, policy=policy)
    elif check_only:
        question = Check(
            uri=uri, selection=selection, stall_seconds=stall, policy=policy, directory=directory
        )
    else:
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


def _check_what(
    uri: str | None, directory: Path | None, verify: Path | None, *, list_only: bool, check_only: bool
) -> None:
    """UserError unless exactly one thing is asked for, with all that it needs."""
    if check_only and (verify is not None or list_only or uri is None or directory is None):
        raise UserError(
            "--check compares a directory with a source: write aimctl fetch --check URI DIR. Without one,"
            " aimctl fetch --verify DIR reads again what aimctl downloaded there"
        )
    if verify is not None:
        if uri is not None or list_only:
            raise UserError("--verify asks no source: write aimctl fetch --verify DIR, and nothing else")
        return
    if uri is None:
        raise UserError(
            "name a model and a directory, as in aimctl fetch hf://Qwen/Qwen3-8B models/qwen; or a directory"
            " to verify, as in aimctl fetch --verify models/qwen"
        )
    if list_only == (directory is not None):
        raise UserError(
            "--list fetches nothing: leave DIR out"
            if list_only
            else "name a directory to fetch into, or give --list to see what there is"
        )
