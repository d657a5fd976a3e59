"""`aimctl fetch` beside curl and beside huggingface_hub, in turn, round after round, from one local hub.

nginx serves by sendfile(2), over HTTP and over TLS. Each way fetches into an empty directory, whole processes
with their start-up, as a Job pays it. Medians of all rounds count, and the median of the ratio to the best
other way of the same round: machines get slower and faster from one minute to the next. Directories are in
memory (/dev/shm) unless another is given: a disk would be what is measured, and only `aimctl fetch` waits
for it (fsync). `aimctl fetch` also lists the model and verifies checksums; "curl, then SHA-256" is curl with
the second.

Server and client share the machine's cores, which is what limits them on the loopback interface.
`--link-gbit` puts a network between them, as there is one to a real hub.

What a process takes before and after its bytes flow is the same for 2 GiB and for 200: with the cases of one
tiny file in the same run, ratios are also told without it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

from msgspec import Struct

from bench import link, report
from bench.hub import Hub, hub
from bench.process import peak_mib
from bench.report import REPOSITORY, Machine

MIB = 1024 * 1024
CONNECTIONS = 8
_KEPT_OUT = "_proxy", "dontwritebytecode"
"""Of the environment. Without bytecode, which images have, each start would be mostly compiling."""
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
OURS, SNAPSHOTS, HF, CURL = "aimctl fetch", "snapshot_download", "hf download", "curl"
PARALLEL, VERIFIED = "curl --parallel", "curl, then SHA-256"


class Case(Struct, frozen=True, kw_only=True):
    """What is fetched how. `goal` is the least ratio to the best of `against`."""

    name: str
    model: str
    ways: tuple[str, ...]
    against: tuple[str, ...] = ()
    goal: float | None = None
    most_seconds: float | None = None
    most_mib: float | None = None
    secure: bool = False
    on_disk: bool = False
    once: bool = False


CASES = (
    Case(
        name="large",
        model="bench/large",
        ways=(OURS, CURL, SNAPSHOTS, HF, VERIFIED),
        against=(CURL,),
        goal=0.9,
    ),
    Case(
        name="tls",
        model="bench/large",
        ways=(OURS, CURL, SNAPSHOTS, HF),
        against=(CURL,),
        goal=0.8,
        secure=True,
    ),
    Case(
        name="small",
        model="bench/small",
        ways=(OURS, SNAPSHOTS, HF, CURL, PARALLEL),
        against=(SNAPSHOTS, HF),
        goal=1.0,
    ),
    Case(name="start-up", model="bench/tiny", ways=(OURS, SNAPSHOTS, HF, CURL), most_seconds=0.3),
    Case(name="start-up-tls", model="bench/tiny", ways=(OURS, CURL), most_seconds=0.3, secure=True),
    Case(name="64-files", model="bench/sixty-four", ways=(OURS,), most_mib=80, on_disk=True, once=True),
    Case(name="20000-files", model="bench/many", ways=(OURS,), most_mib=80, on_disk=True, once=True),
)


class Run(Struct, frozen=True, kw_only=True):
    """One process (or two, one after the other)."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


class Result(Struct, frozen=True, kw_only=True):
    case: Case
    files: int
    bytes: int
    runs: dict[str, list[Run]]

    def median(self, way: str) -> Run:
        runs = self.runs[way]
        return Run(
            seconds=median(run.seconds for run in runs),
            cpu_seconds=median(run.cpu_seconds for run in runs),
            peak_mib=max(run.peak_mib for run in runs),
        )

    def ratios(self) -> list[float]:
        """Throughput of ours as a share of the best other way's, of each round."""
        others = [self.runs[way] for way in self.case.against if way in self.runs]
        if not others:
            return []
        return [
            min(runs[number].seconds for runs in others) / ours.seconds
            for number, ours in enumerate(self.runs[OURS])
        ]


def without_start(result: Result, start: Result) -> float | None:
    """The median ratio of throughput, each way's seconds for one tiny file taken off; None where it has none.

    A way that `start` has not, or that took no longer than for the tiny file, says nothing either.
    """
    fixed = {way: start.median(way).seconds for way in start.runs}
    others = [way for way in result.case.against if way in result.runs]
    if not others or not {OURS, *others} <= fixed.keys():
        return None
    flowing = {way: [run.seconds - fixed[way] for run in result.runs[way]] for way in (OURS, *others)}
    if min(min(seconds) for seconds in flowing.values()) <= 0:
        return None
    return median(
        min(flowing[way][number] for way in others) / seconds for number, seconds in enumerate(flowing[OURS])
    )


def rates(results: list[Result]) -> list[str]:
    """A line for each case that can be told without start-up."""
    starts = {result.case.secure: result for result in results if result.case.most_seconds is not None}
    lines = []
    for result in results:
        start = starts.get(result.case.secure)
        if start is not None and (ratio := without_start(result, start)) is not None:
            fixed = start.median(OURS).seconds
            lines.append(f"{result.case.name}: {ratio:.2f} without start-up ({fixed:.2f} s of {OURS})")
    return lines


class Report(Struct, frozen=True, kw_only=True):
    machine: Machine
    directory: str
    rounds: int
    results: list[Result]


def make_models(models: Path, cases: Iterable[Case], large_mib: int, small: int) -> None:
    generator = random.Random(0)  # noqa: S311 - content, no secret
    for name in sorted({case.model for case in cases}):
        folder = models / name
        folder.mkdir(parents=True)
        match name.rpartition("/")[2]:
            case "large":
                with (folder / "model.safetensors").open("wb") as file:
                    for _ in range(large_mib):
                        file.write(generator.randbytes(MIB))
            case "small":
                for number in range(small):
                    content = generator.randbytes(generator.randrange(1024, 256 * 1024))
                    (folder / f"part-{number:04}.json").write_bytes(content)
            case "tiny":
                (folder / "config.json").write_bytes(generator.randbytes(1024))
            case "sixty-four":
                # One content under many names: the copies take up the space, the source need not.
                (folder / "model-00.safetensors").write_bytes(generator.randbytes(100_000_000))
                for number in range(1, 64):
                    (folder / f"model-{number:02}.safetensors").hardlink_to(folder / "model-00.safetensors")
            case "many":
                for number in range(20_000):
                    (folder / f"part-{number:05}.json").write_bytes(generator.randbytes(1024))


def commands(way: str, out: Path, *, url: str, model: str, commit: str, names: list[str]) -> list[list[str]]:
    """What the way consists of."""
    config = out.with_suffix(".curl")
    config.write_text(
        "".join(f'url = "{url}/{model}/resolve/{commit}/{name}"\noutput = "{out}/{name}"\n' for name in names)
    )
    here = Path(sys.executable)
    curl = ["curl", "--no-progress-meter", "--fail", "--location", "--config", str(config)]
    return {
        OURS: [[str(here.with_name("aimctl")), "fetch", f"hf://{model}", str(out)]],
        SNAPSHOTS: [[sys.executable, "-c", SNAPSHOT, model, str(out)]],
        HF: [[str(here.with_name("hf")), "download", model, "--local-dir", str(out)]],
        CURL: [curl],
        PARALLEL: [[*curl, "--parallel", "--parallel-max", str(CONNECTIONS)]],
        VERIFIED: [curl, [sys.executable, "-c", SHA256, str(out)]],
    }[way]


def measure(root: Path, out_root: Path, server: Hub, case: Case, *, rounds: int, ways: list[str]) -> Result:
    source = {path.name: path.stat().st_size for path in sorted((root / "models" / case.model).iterdir())}
    url = server.secure_url if case.secure else server.url
    environment = {
        **{name: value for name, value in os.environ.items() if not name.lower().endswith(_KEPT_OUT)},
        "HF_ENDPOINT": url,
        "HF_HOME": str(root / "hf-home"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "SSL_CERT_FILE": str(server.ca),
        "CURL_CA_BUNDLE": str(server.ca),
    }
    chosen = [way for way in case.ways if way in ways]
    runs: dict[str, list[Run]] = {way: [] for way in chosen}
    # Round 0 is for the page cache, and for the listing's first answer; it does not count.
    for number in range(1, 2) if case.once else range(rounds + 1):
        for way in chosen:
            out = out_root / "out"
            out.mkdir()
            commit = server.commits[case.model]
            each = commands(way, out, url=url, model=case.model, commit=commit, names=list(source))
            got = run(each, environment)
            there = {path.name: path.stat().st_size for path in out.iterdir() if path.is_file()}
            assert there == source, f"{way} did not fetch all"
            shutil.rmtree(out)
            if number:
                runs[way].append(got)
    return Result(case=case, files=len(source), bytes=sum(source.values()), runs=runs)


def run(each: list[list[str]], environment: Mapping[str, str]) -> Run:
    """Wall-clock and CPU seconds of all, and the most memory that was resident in one."""
    seconds = cpu_seconds = most_mib = 0.0
    for command in each:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=REPOSITORY)
        with peak_mib(process.pid) as peak:
            _, status, usage = os.wait4(process.pid, 0)
        seconds += time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{command[:3]} ended with {process.returncode}"
        cpu_seconds += usage.ru_utime + usage.ru_stime
        most_mib = max(most_mib, peak.mib)
    return Run(seconds=round(seconds, 3), cpu_seconds=round(cpu_seconds, 3), peak_mib=round(most_mib, 1))


def table(result: Result, directory: str) -> str:
    case, mib = result.case, result.bytes / MIB
    rows = []
    for way in result.runs:
        got = result.median(way)
        rows.append([way, got.seconds, mib / got.seconds, got.cpu_seconds, got.peak_mib])
    over = "TLS" if case.secure else "HTTP"
    title = f"{case.name}: {result.files} files, {mib:.0f} MiB over {over}, into {directory}"
    lines = [report.table(title, ["", "seconds", "MiB/s", "CPU seconds", "peak MiB"], rows)]
    ours = result.median(OURS)
    if ratios := result.ratios():
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        lines.append(
            f"  {OURS} has {median(ratios):.2f} of the throughput of the best of {', '.join(case.against)}"
            f" ({each}); goal {case.goal}"
        )
    if case.most_seconds is not None:
        lines.append(f"  {OURS}: {ours.seconds:.2f} s; goal {case.most_seconds} s")
    if case.most_mib is not None:
        lines.append(f"  {OURS}: {ours.peak_mib:.0f} MiB; goal {case.most_mib:.0f} MiB")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where source and copies are")  # noqa: S108
    parser.add_argument("--disk", type=Path, default=None, help="where the copies of the memory cases are")
    parser.add_argument("--large-mib", type=int, default=2048, help="size of the one large file")
    parser.add_argument("--small", type=int, default=500, help="number of small files")
    parser.add_argument("--rounds", type=int, default=5)
    names = [case.name for case in CASES]
    parser.add_argument("--case", action="append", choices=names, help="these only; may be repeated")
    parser.add_argument(
        "--link-gbit", type=float, metavar="N", help="over a network of so many Gbit/s (root)"
    )
    every = [OURS, SNAPSHOTS, HF, CURL, PARALLEL, VERIFIED]
    parser.add_argument("--way", action="append", choices=every, help="beside ours these only")
    options = parser.parse_args()
    if options.link_gbit is not None:
        link.enter(options.link_gbit)
    cases = [case for case in CASES if case.name in (options.case or names)]
    ways = [OURS, *options.way] if options.way else every
    results = []
    with (
        tempfile.TemporaryDirectory(dir=options.dir, prefix="aim-bench-") as folder,
        tempfile.TemporaryDirectory(dir=options.disk, prefix="aim-bench-") as disk,
    ):
        root = Path(folder)
        make_models(root / "models", cases, options.large_mib, options.small)
        with hub(root) as server:
            for case in cases:
                out_root = Path(disk) if case.on_disk else root
                result = measure(root, out_root, server, case, rounds=options.rounds, ways=ways)
                results.append(result)
                where = str(options.disk or tempfile.gettempdir()) if case.on_disk else str(options.dir)
                print(table(result, where), end="\n\n", flush=True)
    for line in rates(results):
        print(line)
    if options.json is not None:
        whole = Report(
            machine=report.machine(), directory=str(options.dir), rounds=options.rounds, results=results
        )
        report.dump(options.json, whole)
    return 0


if __name__ == "__main__":
    sys.exit(main())
