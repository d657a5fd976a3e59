"""hack.cluster.images: the archive that containerd imports, and that its model images run."""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from hack.cluster.images import EXAMPLE_IMAGE, IMAGES, write_archive


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


def test_a_model_image_holds_all_that_its_program_needs(archive: Path, tmp_path: Path) -> None:
    """Its Python runs with the image's own library only, and takes the bytecode as it is."""
    root = tmp_path / "root"
    root.mkdir()
    with tarfile.open(archive) as tar:
        entry = next(e for e in json.loads(_read(tar, "manifest.json")) if e["RepoTags"] == [EXAMPLE_IMAGE])
        config = json.loads(_read(tar, entry["Config"]))["config"]
        for name in entry["Layers"][1:]:
            # Not by `tarfile`, whose filters Debian's Python 3.11.2 doesn't have yet.
            subprocess.run(["tar", "--extract", "--directory", root], input=_read(tar, name), check=True)
    interpreter, *arguments = config["Entrypoint"]
    baked_in = dict(variable.split("=", 1) for variable in config["Env"])
    inside = root / interpreter[1:]
    env = baked_in | {
        "PYTHONPATH": str(root / baked_in["PYTHONPATH"][1:]),
        "PYTHONHOME": str(inside.parents[1]),
        "AIM_GPU_MODEL": "MI325X",
        "AIM_METRIC": "throughput",
    }
    got = subprocess.run(
        [inside, "-v", *arguments, "dry-run"], env=env, capture_output=True, text=True, check=True
    )
    assert json.loads(got.stdout)[0]["filename"] == "vllm-mi325x-fp16-tp1-throughput.yaml"
    loaded = [line for line in got.stderr.splitlines() if line.startswith("# code object from")]
    assert [line for line in loaded if "aim_image" in line]
    assert not [line for line in loaded if ".pyc" not in line], "nothing is compiled at a start"


def test_images_for_one_model_have_their_id_and_the_base_image_has_none() -> None:
    ids = {
        image.reference: [variable for variable in image.env if variable.startswith("AIM_ID=")]
        for image in IMAGES
        if image.is_model
    }
    assert ids[EXAMPLE_IMAGE] == ["AIM_ID=meta-llama/Llama-3.1-8B-Instruct"]
    assert [reference for reference, found in ids.items() if not found] == [
        "ghcr.io/example/before-0.8:v1",
        "ghcr.io/example/base:v1",
    ]


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None
    return member.read()
