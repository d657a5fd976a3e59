"""What leaves the process: bounded, on one line, without a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.fetch import outcome as outcomes
from aim_operator.fetch.outcome import DONE, MOST_BYTES, FetchReason, LeftOut, Outcome
from aim_operator.fetch.redaction import Redactor

SECRETS = {
    "HF_TOKEN": "hf_abcdefghijklmnop",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEBYaD",
    "HTTPS_PROXY_PASSWORD": "hunter2hunter2",
}
REDACTOR = Redactor({**SECRETS, "awsAnonymousCredential": "true", "PATH": "/usr/bin"})


@given(
    text=st.text(max_size=6000),
    secret=st.sampled_from(sorted(SECRETS.values())),
    revision=st.text(max_size=500),
)
def test_a_termination_message_fits_and_keeps_secrets(text: str, secret: str, revision: str) -> None:
    outcome = Outcome(
        reason=FetchReason.DOWNLOAD_FAILED,
        message=f"{text}{secret}{text}",
        total_bytes=2**60,
        downloaded_bytes=7,
        revision=revision,
    )
    encoded = outcomes.encode(outcome, REDACTOR)
    decoded = json.loads(encoded)
    assert len(encoded) <= MOST_BYTES
    assert secret not in decoded["message"]
    assert decoded["message"].isprintable()
    assert (decoded["reason"], decoded["totalBytes"], decoded["downloadedBytes"]) == (
        "DownloadFailed",
        2**60,
        7,
    )


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(
            "Cannot connect to https://cdn.example/x?X-Amz-Signature=abc&Expires=1 now",
            "Cannot connect to https://cdn.example/x?… now",
            id="the query of an address",
        ),
        pytest.param(
            "url='/b/k?X-Amz-Signature=abc'", "url='/b/k?X-Amz-Signature=…'", id="a query on its own"
        ),
        pytest.param(
            "https://me:pw@proxy:8080/ refused", "https://…@proxy:8080/ refused", id="a user in an address"
        ),
        pytest.param("Authorization: Bearer abc.def", "Authorization: Bearer …", id="a header"),
        pytest.param("token hf_0123456789 is bad", "token hf_… is bad", id="a token of somebody else's"),
        pytest.param("key wJalrXUtnFEMI/K7MDENG+bPxRfiCY!", "key …!", id="the value of a secret variable"),
        pytest.param("it is true", "it is true", id="a word that is a variable's value too"),
        pytest.param("a\nb\x1b[31m", r"a b\x1b[31m", id="lines and terminal escapes"),
    ],
)
def test_redaction(text: str, want: str) -> None:
    assert REDACTOR.one_line(text, 200) == want


def test_a_message_that_can_not_be_written_is_no_second_error(tmp_path: Path) -> None:
    outcomes.write(tmp_path / "no" / "such" / "folder", Outcome(reason="Downloaded", message=""), REDACTOR)
    assert list(tmp_path.iterdir()) == []


def test_every_reason_has_its_exit_code() -> None:
    reasons = {value for name, value in vars(FetchReason).items() if name.isupper()}
    assert set(outcomes.EXIT_CODES) == reasons
    assert outcomes.EXIT_CODES["Downloaded"] == 0
    failures = [code for reason, code in outcomes.EXIT_CODES.items() if reason not in DONE]
    assert len(set(failures) - {0}) == len(reasons) - len(DONE)


def test_what_is_left_out_fits_whatever_the_patterns() -> None:
    left_out = tuple(LeftOut(pattern="*" * 250 + str(n), files=n, total_bytes=2**60) for n in range(1, 33))
    outcome = Outcome(reason="Listed", message="é" * 3000, revision="r" * 300, files=9, left_out=left_out)
    encoded = outcomes.encode(outcome, REDACTOR)
    assert len(encoded) <= MOST_BYTES
    told = json.loads(encoded)["leftOut"]
    assert len(told) == 8
    assert told[-1]["pattern"] == "others"
    assert sum(one["files"] for one in told) == sum(range(1, 33))
