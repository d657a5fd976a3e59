"""Docs and examples name real images as they are published, and say of every placeholder that it is one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from aim_operator.cli.quickstart import PLACEHOLDERS
from tests.docs.blocks import ROOT

PUBLISHED = frozenset(
    {
        "amdenterpriseai/aim-base:0.9",
        "amdenterpriseai/aim-meta-llama-llama-3-1-8b-instruct:0.8.5",
        "amdenterpriseai/aim-meta-llama-llama-3-3-70b-instruct:0.8.5-preview",
        "amdenterpriseai/aim-mistralai-mistral-small-3-2-24b-instruct-2506:0.8.5",
        "amdenterpriseai/aim-openai-gpt-oss-20b:0.9.0",
        "amdenterpriseai/aim-qwen-qwen3-32b:0.8.5",
    }
)
"""From AMD's list of December 2025."""
OTHERS = frozenset(
    {
        "docker.io/library/python",
        "ghcr.io/silogen/aim-operator",
        # What a refusal of the API server shows as the form of a name.
        "ghcr.io/org/model",
    }
)
WORD = "placeholder"
_IMAGE = re.compile(r"\b(?:(?:ghcr|docker|quay)\.io|registry\.k8s\.io|nvcr\.io)/[a-z0-9._/-]*[a-z0-9]")
_AMD = re.compile(r"\bamdenterpriseai/aim-[a-z0-9-]+(?::[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_FIELD = re.compile(r"^\s*(?:- )?image: *(\S+)(.*)$", re.MULTILINE)


def _named_in(*patterns: str) -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    return subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


FILES = _named_in("README.md", "docs/**", "examples/**")
# JSON has no comments: these describe what stands in for the images.
READ = [
    name for name in FILES if Path(name).suffix in (".md", ".yaml", ".yml", "") and (ROOT / name).exists()
]


def unsaid(text: str) -> list[str]:
    """Images without a registry that has them, and nothing tells a reader of `text`."""
    found = [each for each in _IMAGE.findall(text) if each not in OTHERS]
    fields = [
        name
        for name, comment in _FIELD.findall(text)
        if name.startswith(PLACEHOLDERS) and WORD not in comment
    ]
    return fields or (found if WORD not in text.lower() else [])


@pytest.mark.parametrize("name", READ)
def test_a_page_says_of_every_placeholder_that_it_is_one(name: str) -> None:
    assert not unsaid((ROOT / name).read_text()), f"write '# a {WORD}' behind it, or say so on the page"


@pytest.mark.parametrize("name", [name for name in FILES if Path(name).suffix != ".svg"])
def test_images_of_the_catalog_are_named_as_published(name: str) -> None:
    assert set(_AMD.findall((ROOT / name).read_text())) <= PUBLISHED


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(
            "  image: ghcr.io/example/a:v1", ["ghcr.io/example/a:v1"], id="a field without a comment"
        ),
        pytest.param("  image: ghcr.io/example/a:v1 # a placeholder", [], id="a field with one"),
        pytest.param(
            "one placeholder\n  image: ghcr.io/ml-team/a:v1", ["ghcr.io/ml-team/a:v1"], id="said too far away"
        ),
        pytest.param("pull ghcr.io/somebody/model:v1", ["ghcr.io/somebody/model"], id="in a sentence"),
        pytest.param(
            "ghcr.io/example/… are placeholders, such as ghcr.io/example/a", [], id="said on the page"
        ),
        pytest.param("ghcr.io/silogen/aim-operator:0.1.0", [], id="our own"),
    ],
)
def test_what_counts_as_said(text: str, want: list[str]) -> None:
    assert unsaid(text) == want
