"""No secret leaves the process, however it is named, written, cut or encoded, and whoever prints it."""

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
import sys
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aim_operator.fetch import secret_values
from aim_operator.fetch.logs import RedactedStream
from aim_operator.fetch.redaction import Redactor

SECRET = "c0rrect/horse+battery=staple&42"
ENVIRONMENT = {
    "TEAM_SETTING": SECRET,
    "HF_ENDPOINT": "https://hub.example:8443/api",
    "HTTPS_PROXY": "http://me:pr0xy%40pass@proxy.example:3128",
    "NO_PROXY": ".svc,10.0.0.0/8",
    "AWS_REGION": "eu-central-1",
    "SSL_CERT_FILE": "/etc/site/ca.pem",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/models",
    "HOME": "/home/models",
    "PATH": "/usr/bin",
    "SWITCH": "true",
    "NUMBER": "8080",
    "PIN": "x7q9",
    "KEY_FILE_CONTENT": '{\n  "private_key": "-----BEGIN-----abc",\n  "id": "k-17-long"\n}',
}
REDACTOR = Redactor(ENVIRONMENT)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(SECRET, id="as it is"),
        pytest.param(f"x{SECRET}y", id="within a word"),
        pytest.param(quote(SECRET), id="in a path"),
        pytest.param(quote(SECRET, safe=""), id="in a query"),
        pytest.param(quote(SECRET, safe="").lower(), id="in a query, in lower case"),
        pytest.param(quote_plus(SECRET), id="in a form"),
        pytest.param(json.dumps(SECRET), id="in JSON"),
        pytest.param(SECRET.replace("&", "&amp;"), id="in XML"),
        pytest.param(base64.b64encode(f"me:{SECRET}".encode()).decode(), id="as basic authentication"),
        pytest.param(base64.b64encode(f"user:{SECRET}".encode()).decode(), id="the same, two bytes on"),
        pytest.param(base64.b64encode(f"a:{SECRET}:b".encode()).decode(), id="the same, in the middle"),
        pytest.param(base64.urlsafe_b64encode(SECRET.encode()).decode(), id="in Base64 for addresses"),
        pytest.param(SECRET[:20], id="cut"),
        pytest.param("pr0xy@pass", id="the password of a proxy"),
        pytest.param("pr0xy%40pass", id="the same as it is in the address"),
        pytest.param("k-17-long", id="a line of a file in a variable"),
    ],
)
def test_a_value_of_the_environment_is_hidden_however_it_is_written(written: str) -> None:
    """Whatever its variable is called."""
    shown = REDACTOR.one_line(f"it was {written} there", 500)
    for part in (written[5:17], SECRET[:12], "pr0xy", "k-17-long"):
        assert part not in shown or part in "it was there"
    assert shown.startswith("it was ")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hub.example:8443 answered 503", id="who is asked"),
        pytest.param("proxy.example:3128 refused", id="the proxy"),
        pytest.param("NO_PROXY has .svc,10.0.0.0/8", id="who is asked directly"),
        pytest.param("bucket in eu-central-1", id="a region"),
        pytest.param("SSL_CERT_FILE names /etc/site/ca.pem", id="a file"),
        pytest.param("may not assume arn:aws:iam::123456789012:role/models", id="a role"),
        pytest.param("into /home/models/x", id="a folder"),
        pytest.param("it is true on 8080", id="a switch and a number"),
        pytest.param("prefix7q9 and x7q9y", id="a short value within a word"),
    ],
)
def test_what_says_where_and_how_stays_readable(text: str) -> None:
    assert REDACTOR.one_line(text, 500) == text


def test_a_short_value_is_hidden_where_it_stands_alone() -> None:
    assert REDACTOR.one_line("pin x7q9, or 'x7q9'", 500) == "pin …, or '…'"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("AWS_REGION", "T0ken-In-The-Wrong-Place", id="a token as a region"),
        pytest.param("SSL_CERT_FILE", "hunter2hunter2", id="a password as a file"),
        pytest.param("HF_ENDPOINT", "hunter2hunter2", id="a password as an endpoint"),
        pytest.param("HF_ENDPOINT", "https://hub.example/?key=hunter2hunter2", id="in the query of one"),
    ],
)
def test_a_secret_in_the_wrong_variable_is_hidden_too(name: str, value: str) -> None:
    shown = Redactor({name: value}).one_line(f"{name} is {value}, {value.rpartition('=')[2]}", 500)
    assert "hunter2" not in shown
    assert "T0ken" not in shown


def test_the_operator_reads_progress_whatever_the_environment_has() -> None:
    line = "progress downloadedBytes=123456 totalBytes=1234567 percentage=9 rate=1.0MiB/s remaining=1s"
    assert Redactor({"A": "progress", "B": "percentage", "C": "remaining"}).one_line(line, 500) == line


@given(
    secret=st.text(min_size=6, max_size=60).filter(lambda text: len(set(text.strip())) > 4),
    before=st.text(max_size=300),
    after=st.text(max_size=300),
)
@settings(max_examples=150, deadline=None)
def test_no_secret_is_in_what_is_shown(secret: str, before: str, after: str) -> None:
    value = secret.strip()
    redactor = Redactor({"ANY": secret})
    shown = redactor.one_line(f"{before}{value}{after}", 400)
    assert len(shown) <= 400
    is_hidden = value in secret_values.values_of({"ANY": secret}).anywhere
    if value.isprintable() and "  " not in value and is_hidden:
        assert value not in shown or value in redactor.one_line(before + after, 400) or value in "…\\x"


@pytest.mark.parametrize(
    "piece",
    [
        "http://",
        "http://a?",
        "https://a:b@",
        "X-Amz-",
        "Bearer ",
        "hf_a",
        "token=",
        "\u202e",
        "'",
        " ",
        "c0rrect/horse+",
    ],
)
def test_a_hostile_text_takes_no_time(piece: str) -> None:
    """Ten megabytes of what each pattern begins with: it was quadratic."""
    text = piece * (10_000_000 // len(piece))
    started = time.process_time()
    REDACTOR.one_line(text, 2000)
    assert time.process_time() - started < 1


def test_lines_of_any_stream_are_redacted_whole() -> None:
    """A secret that is written in two pieces too, and what has no end."""
    out = io.StringIO()
    stream = RedactedStream(out, REDACTOR)
    stream.write(f"first {SECRET[:9]}")
    stream.flush()
    assert out.getvalue() == ""
    stream.write(f"{SECRET[9:]}\nsecond\rthird")
    stream.finish()
    assert out.getvalue() == "first …\nsecond\nthird\n"
    stream.write("x" * 1_000_000)
    assert len(out.getvalue()) < 100_000


LIBRARY = """
import logging, sys, threading, warnings
own = logging.getLogger("library.own")
own.propagate = False
own.addHandler(logging.StreamHandler(sys.stderr))
from aim_operator.fetch.logs import finish, redact
from aim_operator.fetch.redaction import Redactor
redact(Redactor({"ANY": "s3cret-s3cret"}))
own.warning("logged with a handler of its own: s3cret-s3cret")
logging.getLogger("boto3").error("logged: %s", "s3cret-s3cret")
warnings.warn("warned: s3cret-s3cret")
print("printed: s3cret-s3cret")
def fails(): raise ValueError("in a thread: s3cret-s3cret")
thread = threading.Thread(target=fails)
thread.start()
thread.join()
class Undone:
    def __del__(self): raise ValueError("unraisable: s3cret-s3cret")
Undone()
print("no end: s3cret-s3cret", end="")
finish()
raise ValueError("uncaught: s3cret-s3cret")
"""


def test_what_libraries_log_and_print_passes_the_redactor() -> None:
    """Logs, warnings, prints, and what nobody catches: of a process of its own."""
    here = list(logging.getLogger("boto3").handlers)
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert "s3cret-s3cret" not in text
    for kind in (
        *("logged with a handler of its own", "logged", "warned", "printed", "in a thread"),
        *("unraisable", "no end", "uncaught"),
    ):
        assert f"{kind}: …" in text, text
    assert logging.getLogger("boto3").handlers == here
