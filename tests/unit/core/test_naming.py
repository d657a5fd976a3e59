"""Names, hashes and label values: always valid, always the same, never the same for two things."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.v1alpha1 import GpuSelector
from aim_operator.core import naming

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

object_names = st.from_regex(SUBDOMAIN, fullmatch=True).filter(lambda name: len(name) <= 253)


@pytest.mark.parametrize(
    ("name", "suffix", "limit", "label", "want"),
    [
        pytest.param("llama", "12345678", 63, False, "llama", id="a short name is kept"),
        pytest.param("a" * 54, "12345678", 63, False, "a" * 54, id="a name that just fits is kept"),
        pytest.param("a" * 55, "12345678", 63, False, "a" * 54, id="one character too many is cut"),
        pytest.param("llama-3.1-8b", "12", 9, False, "llama", id="no dash is left before the suffix"),
        pytest.param("llama3.-1", "12", 10, False, "llama3", id="neither is a dot"),
        pytest.param("llama-3.1-8b", "12", 63, False, "llama-3.1-8b", id="a subdomain keeps its dots"),
        pytest.param("llama-3.1-8b", "12", 63, True, "llama-3-1-8b", id="a label has dashes for dots"),
    ],
)
def test_cut(name: str, suffix: str, limit: int, label: bool, want: str) -> None:  # noqa: FBT001
    assert naming.cut(name, suffix, limit, label=label) == want


@given(object_names)
def test_every_derived_name_of_a_valid_name_is_valid(name: str) -> None:
    labels = [naming.discovery_job_name(name, "0123456789abcdef"), naming.claim_name(name, "uid-1")]
    for got in labels:
        assert LABEL.fullmatch(got)
        assert len(got) <= 63
    derived = naming.derived_template_name(name, "0123456789abcdef")
    assert SUBDOMAIN.fullmatch(derived)
    assert len(derived) <= 63


@given(st.text(max_size=200), st.text(max_size=20))
def test_every_model_cache_name_is_a_dns_label(source: str, storage_class: str) -> None:
    got = naming.model_cache_name(source, storage_class)
    assert LABEL.fullmatch(got)
    assert len(got) <= 63


def test_names_say_what_they_are_for() -> None:
    assert naming.discovery_job_name("llama-3.1", "0123456789") == "discover-llama-3-1-01234567"
    assert naming.derived_template_name("llama-3.1", "0123456789") == "llama-3.1-ovr-01234567"
    got = naming.model_cache_name("hf://meta-llama/Llama-3.1-8B:main", "fast")
    assert re.fullmatch(r"meta-llama-llama-3-1-8b-main-[0-9a-f]{8}", got)
    assert re.fullmatch(r"my-cache-[0-9a-f]{8}", naming.claim_name("my.cache", "b9a1"))


def test_a_model_cache_is_told_apart_by_uri_class_origin_and_patterns() -> None:
    names = {
        naming.model_cache_name(source, storage_class, origin, patterns=patterns, others=others)
        for source in ("hf://a/b", "hf://a/B", "s3://a/b", "hf://a-b")
        for storage_class in ("", "fast")
        for origin in ("", "0a1b2c3d")
        for others in (0, 1)
        for patterns in ((), ("--include=a",), ("--exclude=a",))
    }
    assert len(names) == 96


def test_the_name_of_a_cache_from_the_public_endpoint_is_as_it_always_was() -> None:
    assert naming.model_cache_name("hf://a/b", "fast") == f"a-b-{naming.short_hash(['hf://a/b', 'fast'])}"


@given(st.text(max_size=200), st.text(max_size=20), st.text(max_size=20), st.integers(0, 3))
def test_a_model_cache_name_is_known_by_its_form(source: str, class_: str, origin: str, others: int) -> None:
    name = naming.model_cache_name(source, class_, origin, others=others)
    assert naming.is_model_cache_name(name, source)
    assert not naming.is_model_cache_name(f"x{name}", source)
    assert not naming.is_model_cache_name(name[:-1], source)


def test_a_claim_of_a_recreated_cache_has_another_name() -> None:
    assert naming.claim_name("cache", "uid-1") != naming.claim_name("cache", "uid-2")


def test_a_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert naming.short_hash({"a": 1, "b": [1, 2]}) == naming.short_hash({"b": [1, 2], "a": 1})
    assert naming.short_hash([1, 2]) != naming.short_hash([2, 1])


def test_a_hash_does_not_count_what_is_absent() -> None:
    assert naming.short_hash(GpuSelector(count=1)) == naming.short_hash({"count": 1})


def test_a_hash_is_the_same_in_every_release() -> None:
    # Names on live clusters depend on it: a new value here orphans objects.
    assert naming.short_hash({"b": 1, "a": "x"}) == "cdab067e"
    assert len(naming.short_hash("x", digits=16)) == 16


@pytest.mark.parametrize(
    "text",
    ["", "latency", "MI300X", "a", "llama-3.1_8b", "A" * 63],
)
def test_a_valid_label_value_is_unchanged(text: str) -> None:
    assert naming.label_value(text) == text


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(
            "meta-llama/Llama-3.1", r"meta-llama-Llama-3\.1-[0-9a-f]{8}", id="a slash becomes a dash"
        ),
        pytest.param(
            "ghcr.io/x@sha256:1", r"ghcr\.io-x-sha256-1-[0-9a-f]{8}", id="so does each other character"
        ),
        pytest.param("-x-", r"x-[0-9a-f]{8}", id="it starts and ends alphanumeric"),
        pytest.param("a" * 64, r"a{54}-[0-9a-f]{8}", id="a long text is cut"),
        pytest.param("x\n", r"x-[0-9a-f]{8}", id="a line break does not pass as the end"),
        pytest.param("///", r"[0-9a-f]{8}", id="with nothing left, the hash alone stands"),
        pytest.param("模型", r"[0-9a-f]{8}", id="other scripts are not allowed in labels"),
    ],
)
def test_an_invalid_label_value_is_made_valid(text: str, want: str) -> None:
    assert re.fullmatch(want, naming.label_value(text))


@given(st.text(max_size=100))
def test_every_text_becomes_a_valid_label_value_and_stays_it(text: str) -> None:
    got = naming.label_value(text)
    assert LABEL_VALUE.fullmatch(got)
    assert len(got) <= 63
    assert naming.label_value(got) == got


@given(st.lists(st.text(alphabet="ab-/:", max_size=80), unique=True, max_size=20))
def test_different_texts_never_share_a_label_value(texts: list[str]) -> None:
    assert len({naming.label_value(text) for text in texts}) == len(texts)
