"""The program of a stand-in image: `python3 -m aim_image [serve|dry-run|list-profiles|download-to-cache]`.

What only stand-ins have: AIM_STAND_IN=broken|garbage|slow|old (slow sleeps AIM_TEST_SLEEP seconds before a
dry run, 5 by default), AIM_STAND_IN_HUB=simulated (without HF_ENDPOINT no hub is asked: every model is
there), AIM_STAND_IN_START_SECONDS (what loading takes).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from . import commands
from .commands import STAND_IN, Run
from .variables import RefusedError, check_ids

SAMPLE_BYTES = 64 * 1024
USAGE = "serve (or nothing), dry-run --format=json|yaml, list-profiles, download-to-cache"


def main(arguments: list[str], env: Mapping[str, str]) -> int:
    """Returns the exit code; a server ends by a signal only."""
    # As PID 1 a signal without a handler would be ignored, and each deletion would take 30 s.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    command, *options = arguments or ["serve"]
    try:
        if env.get(STAND_IN, "") != commands.OLD:
            check_ids(env)
        match command, options:
            case "serve", []:
                return _serve(env)
            case "dry-run", [] | ["--format=json"] | ["--format", "json"]:
                return _print(_dry_run(env, "json"))
            case "dry-run", ["--format=yaml"] | ["--format", "yaml"]:
                return _print(_dry_run(env, "yaml"))
            case "list-profiles", []:
                return _print(commands.list_profiles(env))
            case "download-to-cache", []:
                return _download(env)
    except RefusedError as error:
        return _print(Run(1, "", f"error: {error}\n"))
    return _print(Run(2, "", f"error: unknown command {' '.join(arguments)!r}; expected {USAGE}\n"))


def _dry_run(env: Mapping[str, str], form: str) -> Run:
    if env.get(STAND_IN, "") == "slow":
        time.sleep(float(env.get("AIM_TEST_SLEEP", "5")))
    if _simulated(env):
        return commands.dry_run(env, form=form)

    def size_of(source: str) -> float | None:
        from .hub import Hub  # noqa: PLC0415 - urllib takes longer to import than all the rest

        return Hub(env).size_gb(source)

    return commands.dry_run(env, form=form, size_of=size_of)


def _serve(env: Mapping[str, str]) -> int:
    from .server import serve  # noqa: PLC0415 - http.server takes as long to import as all the rest

    variables, chosen = commands.start(env)
    sys.stderr.write("".join(commands.line(variables, "WARNING", each) for each in variables.warnings))
    cached = Path(variables.cache_path, chosen.model)
    if cached.is_dir():
        message = f"read {chosen.model} from {cached}, {_read(cached)} files"
    elif _simulated(env):
        message = f"fetching {chosen.source} from the simulated hub"
    else:
        from .hub import Hub  # noqa: PLC0415

        message = f"fetched {chosen.source}, {Hub(env).fetch(chosen.source, None)} bytes of it"
    sys.stderr.write(commands.line(variables, "INFO", message))
    time.sleep(float(env.get("AIM_STAND_IN_START_SECONDS", "") or "0"))
    serve(variables, chosen)
    return 0


def _read(directory: Path) -> int:
    """The number of files, of each of which the beginning was read."""
    number = 0
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                file.read(SAMPLE_BYTES)
            number += 1
    return number


def _download(env: Mapping[str, str]) -> int:
    from .hub import Hub  # noqa: PLC0415

    variables, chosen = commands.start(env)
    directory = Path(variables.cache_path, chosen.model)
    done = Hub(env).fetch(chosen.source, directory)
    sys.stderr.write(commands.line(variables, "INFO", f"{done} bytes of {chosen.source} are in {directory}"))
    return 0


def _simulated(env: Mapping[str, str]) -> bool:
    return env.get("AIM_STAND_IN_HUB", "") == "simulated" and not env.get("HF_ENDPOINT", "")


def _print(run: Run) -> int:
    sys.stderr.write(run.stderr)
    sys.stderr.flush()
    sys.stdout.write(run.stdout)
    sys.stdout.flush()
    return run.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
