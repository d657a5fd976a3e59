"""hack.cluster.images: the archive that containerd imports, and what the stand-in model says."""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from hack.cluster.images import IMAGES, STAND_IN, write_archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"not really")
    path = tmp_path / "images.tar"
    write_archive(path, busybox=busybox)
    return path


def test_every_image_is_in_the_archive_with_layers_that_exist(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        manifest = json.loads(_read(tar, "manifest.json"))
        members = set(tar.getnames())
    assert [entry["RepoTags"] for entry in manifest] == [[image.reference] for image in IMAGES]
    assert all(layer in members for entry in manifest for layer in entry["Layers"])


def test_the_config_names_the_digests_of_the_uncompressed_layers(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        entry = json.loads(_read(tar, "manifest.json"))[0]
        config = json.loads(_read(tar, entry["Config"]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{layer.split('/')[0]}" for layer in entry["Layers"]]


def test_layers_hold_each_directory_before_what_is_in_it(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        entry = json.loads(_read(tar, "manifest.json"))[0]
        with tarfile.open(fileobj=io.BytesIO(_read(tar, entry["Layers"][0]))) as layer:
            names = layer.getnames()
    assert names.index("bin") < names.index("bin/sh")


def test_no_image_has_the_tag_latest_that_would_always_be_pulled() -> None:
    assert not [image.reference for image in IMAGES if image.reference.endswith(":latest")]


def test_the_same_inputs_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    write_archive(again, busybox=tmp_path / "busybox")
    assert again.read_bytes() == archive.read_bytes()


def test_a_dry_run_describes_the_model_for_the_asked_gpu() -> None:
    env = {
        "PATH": "/usr/bin:/bin",
        "AIM_GPU_MODEL": "MI325X",
        "AIM_GPU_COUNT": "2",
        "AIM_METRIC": "throughput",
    }
    got = subprocess.run(
        ["sh", STAND_IN, "dry-run", "--format=json"], env=env, capture_output=True, text=True, check=True
    )
    described = json.loads(got.stdout[got.stdout.index("\n[") :])
    metadata = described[0]["profile"]["metadata"]
    assert metadata == {
        "engine": "vllm",
        "gpu": "MI325X",
        "precision": "fp16",
        "gpu_count": 2,
        "metric": "throughput",
        "type": "optimized",
    }
    assert described[0]["models"][0]["size_gb"] == 8.47


def test_the_broken_image_fails_with_its_reason_on_stderr() -> None:
    env = {"PATH": "/usr/bin:/bin", "AIM_STAND_IN": "broken"}
    got = subprocess.run(["sh", STAND_IN, "dry-run"], env=env, capture_output=True, text=True, check=False)
    assert (got.returncode, got.stdout) == (3, "")
    assert got.stderr.startswith("error:")


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None
    return member.read()
