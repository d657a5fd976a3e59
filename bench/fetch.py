"""Throughput of `aimctl fetch` beside huggingface_hub's snapshot_download and beside curl, in one run.

A hub in a process of its own serves, by sendfile(2), one large file, then many small ones. Each way fetches
them into an empty directory, in turn, round after round; the best round of each counts. Times are of whole
processes, start-up included, as a Job pays it. The directory is in memory (/dev/shm) unless another is
given: a disk would be what is measured, and only `aimctl fetch` waits for it (fsync). `aimctl fetch` also
lists the model and verifies checksums, which curl does not: "curl, then SHA-256" is curl with the second, and
"listing alone" is how long the first takes a process that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from msgspec import Struct

from bench import report
from bench.report import REPOSITORY, Machine

MIB = 1024 * 1024
GOAL = 0.9
CONNECTIONS = 8
SNAPSHOT = """\
import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[1], local_dir=sys.argv[2])
"""
SHA256 = """\
import hashlib, pathlib, sys
for path in pathlib.Path(sys.argv[1]).iterdir():
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
"""
LISTING = """\
import sys
from huggingface_hub import HfApi
list(HfApi().list_repo_tree(sys.argv[1], recursive=True))
"""
OURS = "aimctl fetch"
OTHERS = ("snapshot_download", "curl", "curl --parallel")
VERIFIED = "curl, then SHA-256"


class Run(Struct, frozen=True, kw_only=True):
    """One process (or two, one after the other)."""

    seconds: float
    cpu_seconds: float
    resident_mib: float


class Result(Struct, frozen=True, kw_only=True):
    model: str
    files: int
    bytes: int
    runs: dict[str, Run]
    listing_seconds: float
    """Of a process that only lists the model by huggingface_hub: any that does so takes longer."""
    share_of_best: float
    """Throughput of ours as a share of the better one of the others."""


class Report(Struct, frozen=True, kw_only=True):
    machine: Machine
    directory: str
    rounds: int
    goal: float
    results: list[Result]


def make_models(models: Path, large_mib: int, small: int) -> None:
    generator = random.Random(0)  # noqa: S311 - content, no secret
    for name in ("large", "small"):
        (models / "bench" / name).mkdir(parents=True)
    with (models / "bench" / "large" / "model.safetensors").open("wb") as file:
        for _ in range(large_mib):
            file.write(generator.randbytes(MIB))
    for number in range(small):
        content = generator.randbytes(generator.randrange(1024, 256 * 1024))
        (models / "bench" / "small" / f"part-{number:04}.json").write_bytes(content)


@contextmanager
def hub(models: Path) -> Iterator[str]:
    """The address of a hub that serves the models."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.hub_server", "--root", str(models)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
    finally:
        server.terminate()
        server.wait()


def ways(url: str, model: str, commit: str, names: list[str], out: Path) -> dict[str, list[list[str]]]:
    """For each way the commands that it consists of."""
    config = out.with_suffix(".curl")
    config.write_text(
        "".join(f'url = "{url}/{model}/resolve/{commit}/{name}"\noutput = "{out}/{name}"\n' for name in names)
    )
    curl = ["curl", "--no-progress-meter", "--fail", "--location", "--config", str(config)]
    parallel = [*curl, "--parallel", "--parallel-max", str(CONNECTIONS)]
    return {
        OURS: [[str(Path(sys.executable).with_name("aimctl")), "fetch", f"hf://{model}", str(out)]],
        "snapshot_download": [[sys.executable, "-c", SNAPSHOT, model, str(out)]],
        "curl": [curl],
        "curl --parallel": [parallel],
        VERIFIED: [curl, [sys.executable, "-c", SHA256, str(out)]],
    }


def measure(root: Path, url: str, model: str, rounds: int) -> Result:
    source = {path.name: path.stat().st_size for path in sorted((root / "models" / model).iterdir())}
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    # By its commit, as the other two ask: the hub has to look a branch up for every file.
    with urlopen(f"{url}/api/models/{model}/revision/main") as answer:  # noqa: S310 - the hub started above
        commit = json.load(answer)["sha"]
    best: dict[str, Run] = {}
    # The hub hashes what it is asked for first; nobody is to wait for that: round 0 does not count.
    for number in range(rounds + 1):
        out = root / f"out-{number}"
        for name, commands in ways(url, model, commit, list(source), out).items():
            out.mkdir()
            got = run(commands, environment)
            assert {path.name: path.stat().st_size for path in out.iterdir() if path.is_file()} == source, (
                name
            )
            shutil.rmtree(out)
            if number and (name not in best or got.seconds < best[name].seconds):
                best[name] = got
    listing = [run([[sys.executable, "-c", LISTING, model]], environment).seconds for _ in range(rounds + 1)]
    return Result(
        model=model,
        files=len(source),
        bytes=sum(source.values()),
        runs=best,
        listing_seconds=min(listing),
        share_of_best=round(min(best[name].seconds for name in OTHERS) / best[OURS].seconds, 3),
    )


def run(commands: list[list[str]], environment: Mapping[str, str]) -> Run:
    """Wall-clock and CPU seconds of all, and the most memory that was resident in one."""
    seconds = cpu_seconds = resident_mib = 0.0
    for command in commands:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds += time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{command[:3]} ended with {process.returncode}"
        cpu_seconds += usage.ru_utime + usage.ru_stime
        resident_mib = max(resident_mib, usage.ru_maxrss / 1024)
    return Run(
        seconds=round(seconds, 3), cpu_seconds=round(cpu_seconds, 3), resident_mib=round(resident_mib, 1)
    )


def tables(result: Report) -> str:
    parts = []
    for each in result.results:
        rows = [
            [name, got.seconds, each.bytes / MIB / got.seconds, got.cpu_seconds, got.resident_mib]
            for name, got in each.runs.items()
        ]
        rows.append(["listing alone", each.listing_seconds, None, None, None])
        title = f"{each.model}: {each.files} files, {each.bytes / MIB:.0f} MiB, in {result.directory}"
        head = ["", "seconds", "MiB/s", "CPU seconds", "resident MiB"]
        share = f"  {OURS} has {each.share_of_best:.2f} of the throughput of the best other one; goal {GOAL}"
        parts.append(f"{report.table(title, head, rows)}\n{share}")
    return "\n\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where source and copies are")  # noqa: S108
    parser.add_argument("--large-mib", type=int, default=2048, help="size of the one large file")
    parser.add_argument("--small", type=int, default=500, help="number of small files")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="aim-bench-") as folder:
        root = Path(folder)
        make_models(root / "models", options.large_mib, options.small)
        with hub(root / "models") as url:
            results = [measure(root, url, model, options.rounds) for model in ("bench/large", "bench/small")]
    result = Report(
        machine=report.machine(),
        directory=str(options.dir),
        rounds=options.rounds,
        goal=GOAL,
        results=results,
    )
    print(tables(result))
    if options.json is not None:
        report.dump(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
