"""The real process against a real hub: what a Job sees."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.fetch_process import AIMCTL, FetchProcess, assert_same_files, progress
from tests.support.hub_server import Hub
from tests.support.operator_process import eventually


def test_a_model_is_fetched_once(hub: Hub, tmp_path: Path) -> None:
    """Files at the root, the marker last, and a second run that asks for nothing."""
    environment = {"HF_ENDPOINT": hub.url}
    first = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "first", environment=environment)
    assert first.wait() == 0, first.text
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")

    total = sum(
        file.size for file in hub.models.files("acme/tiny", hub.models.commit("acme/tiny", "main") or "")
    )
    steps = progress(first.text)
    assert steps == sorted(steps)
    assert steps[0] == (0, total, 0)
    assert steps[-1] == (total, total, 100)
    marker = json.loads((tmp_path / "out" / ".aim-fetch" / "complete.json").read_text())
    assert marker == {
        "uri": "hf://acme/tiny",
        "revision": hub.models.commit("acme/tiny", "main"),
        "files": 4,
        "totalBytes": total,
        "finishedAt": marker["finishedAt"],
        "contents": marker["contents"],
    }
    large = next(one for one in marker["contents"] if one["path"] == "model.safetensors")
    content = (tmp_path / "models" / "acme" / "tiny" / "model.safetensors").read_bytes()
    assert large == {
        "path": "model.safetensors",
        "size": len(content),
        "checksum": f"sha256:{hashlib.sha256(content).hexdigest()}",
    }
    assert [one["path"] for one in marker["contents"]] == sorted(one["path"] for one in marker["contents"])
    assert len(marker["contents"]) == 4
    # Any uid may read it, and one of the volume's group may go on with it.
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*")}
    assert modes == {path: 0o775 if path.is_dir() else 0o664 for path in modes}
    assert first.message["reason"] == "Downloaded"
    assert (first.message["totalBytes"], first.message["downloadedBytes"]) == (total, total)
    assert first.message["revision"] == marker["revision"]

    asked = len(hub.log.entries)
    second = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "second", environment=environment)
    assert second.wait() == 0, second.text
    assert progress(second.text) == [(total, total, 100)]
    assert len(hub.log.entries) == asked


def test_asked_to_stop_it_stops_at_once_and_the_next_run_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add("slow:path=/cdn/*,rate=4000000")
    environment = {"HF_ENDPOINT": hub.url}
    process = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "log", environment=environment)
    eventually(lambda: any(entry.get("sent") for entry in hub.log.entries), "bytes are sent")
    process.process.terminate()
    assert process.wait(10) == 143, process.text
    assert process.message["reason"] == "Interrupted"
    assert not (tmp_path / "out" / ".aim-fetch" / "lease").exists()
    hub.faults.clear()
    process = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "log", environment=environment)
    assert process.wait() == 0, process.text
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


def test_two_at_once_fetch_once(hub: Hub, tmp_path: Path) -> None:
    """The second waits, and finds it done."""
    hub.faults.add("slow:path=/cdn/*,rate=6000000")
    environment = {"HF_ENDPOINT": hub.url}
    pair = [
        FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / f"log-{n}", environment=environment)
        for n in (1, 2)
    ]
    assert [process.wait() for process in pair] == [0, 0]
    texts = sorted((process.text for process in pair), key=lambda text: "nothing to fetch" in text)
    assert "nothing to fetch" not in texts[0]
    assert "complete since" in texts[1]
    sent = [(entry["path"], entry["start"]) for entry in hub.log.entries if entry.get("sent")]
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize(
    ("argv", "want"),
    [
        pytest.param(["hf://owner/model/folder", "{out}"], "write hf://owner/model", id="a URI that is none"),
        pytest.param(["hf://a/b", "/proc/none"], "may write to", id="a directory that can't be made"),
    ],
)
def test_what_the_user_can_mend_is_exit_code_2(argv: list[str], want: str, tmp_path: Path) -> None:
    uri, directory, *flags = [text.format(out=tmp_path / "out") for text in argv]
    process = FetchProcess(uri, Path(directory), tmp_path / "log", *flags, environment={})
    assert (process.wait(), want in process.text) == (2, True), process.text


def test_memory_does_not_follow_the_number_of_files(hub: Hub, tmp_path: Path) -> None:
    """10,000 files that are listed and refused for their size: what is held of them is small."""
    for number in range(10_000):
        path = f"folder-{number % 100}/file-{number:05}.safetensors"
        entry = {"type": "file", "path": path, "size": 1 << 36, "oid": "0" * 40}
        hub.extra_entries.append({**entry, "lfs": {"oid": "0" * 64, "size": 1 << 36, "pointerSize": 134}})
    process = FetchProcess(
        "hf://acme/tiny", tmp_path / "out", tmp_path / "log", environment={"HF_ENDPOINT": hub.url}
    )
    peak = 0
    while process.process.poll() is None:
        # Not ru_maxrss: a child begins with that of the process that started it.
        peak = max(peak, peak_kib(process.process.pid))
        time.sleep(0.01)
    assert process.process.returncode == 12, process.text
    assert 0 < peak < 160 * 1024


def peak_kib(pid: int) -> int:
    """The most that a process had resident so far; 0 once it has ended."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) if found else 0


@pytest.mark.parametrize("to", ["a log whose disk is full", "a reader who is gone"])
@pytest.mark.parametrize("what", ["download", "list"])
def test_a_log_that_takes_nothing_is_no_obstacle(to: str, what: str, hub: Hub, tmp_path: Path) -> None:
    """As /dev/full, and `| head`: neither the volume nor a bug is to blame, and the model is there."""
    target = [str(tmp_path / "out")] if what == "download" else ["--list"]
    message = tmp_path / "message"
    read_end, write_end = os.pipe()
    os.close(read_end)
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [AIMCTL, "fetch", "hf://acme/tiny", *target, "--termination-log", str(message)],
            stdout=full if "full" in to else write_end,
            stderr=full if "full" in to else write_end,
            env={"PATH": os.environ["PATH"], "HF_ENDPOINT": hub.url},
            timeout=60,
            check=False,
        )
    os.close(write_end)
    assert ended.returncode == 0, message.read_text()
    assert json.loads(message.read_text())["reason"] == ("Downloaded" if what == "download" else "Listed")
    if what == "download":
        assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_names_that_the_logs_encoding_has_not_are_listed(encoding: str, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "models" / "acme" / "tiny" / "模型 é.txt").write_text("x")
    process = FetchProcess(
        "hf://acme/tiny",
        None,
        tmp_path / "log",
        "--list",
        environment={"HF_ENDPOINT": hub.url, "PYTHONIOENCODING": encoding},
    )
    assert process.wait() == 0, process.log.read_bytes()
    assert b"\\u6a21\\u578b" in process.log.read_bytes()


def test_a_complete_model_that_lost_a_file_and_the_record_of_it_is_fetched_again(
    hub: Hub, tmp_path: Path
) -> None:
    environment = {"HF_ENDPOINT": hub.url}
    first = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "first", environment=environment)
    assert first.wait() == 0, first.text
    (tmp_path / "out" / "config.json").unlink()
    (tmp_path / "out" / ".aim-fetch" / "done.jsonl").unlink()
    second = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "second", environment=environment)
    assert second.wait() == 0, second.text
    assert "missing or cut; they are fetched again" in second.text
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


def test_a_folder_where_a_file_belongs_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "out" / "variants" / "params.json").mkdir(parents=True)
    process = FetchProcess(
        "hf://acme/tiny", tmp_path / "out", tmp_path / "log", environment={"HF_ENDPOINT": hub.url}
    )
    assert process.wait() == 14, process.text
    assert (
        "'variants/params.json' on the volume is not what the model needs there" in process.message["message"]
    )


def as_a_uid_of_the_platforms(
    *arguments: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """As OpenShift chooses one of a namespace's range: not root, in no password file, without a home."""
    return subprocess.run(
        ["unshare", "--user", "--map-user=1000650000", "--map-group=0", AIMCTL, "fetch", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_uid_of_the_platforms_fetches_onto_a_volume_of_its_group(hub: Hub, tmp_path: Path) -> None:
    done = as_a_uid_of_the_platforms(
        "hf://acme/tiny", str(tmp_path / "out"), environment={"HF_ENDPOINT": hub.url}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


def test_a_uid_of_the_platforms_is_told_of_a_volume_that_it_may_not_write(hub: Hub, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    done = as_a_uid_of_the_platforms("hf://acme/tiny", str(out), environment={"HF_ENDPOINT": hub.url})
    assert done.returncode != 0
    assert "Permission denied" in done.stdout.splitlines()[-1], done.stdout + done.stderr
    assert list(out.iterdir()) == []
