"""CA certificates of one's own: which variable counts, and what a user reads of a file that can't be used."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

import pytest
import trustme

from aim_operator.errors import UserError
from aim_operator.fetch import certificates
from aim_operator.fetch.certificates import VARIABLES, Bundle


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(tmp_path: Path, authority: trustme.CA) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_of_the_three_variables_names_what_is_trusted(variable: str, ca: str) -> None:
    """In place of the system's certificates, and with the server's name checked."""
    context = certificates.trusted({variable: f" {ca}\n"})
    assert len(context.get_ca_certs()) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert certificates.bundle({variable: ca}) == Bundle(variable, ca)


def test_the_first_that_is_set_counts_and_an_empty_one_is_not_set(ca: str) -> None:
    environment = {"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": ca, "AWS_CA_BUNDLE": "/nowhere/ca.pem"}
    assert certificates.bundle(environment) == Bundle("REQUESTS_CA_BUNDLE", ca)
    assert certificates.bundle({}) is None
    assert certificates.bundle({"SSL_CERT_FILE": " "}) is None


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("kind", "want"),
    [
        pytest.param("missing", r"can't be read \(No such file or directory\); mount the file", id="missing"),
        pytest.param("folder", r"can't be read \(Is a directory\)", id="a folder"),
        pytest.param("empty", "has no certificate that can be read", id="empty"),
        pytest.param("text", "has no certificate that can be read", id="no PEM"),
        pytest.param("cut", "has no certificate that can be read", id="cut in the middle"),
        pytest.param("null", r"can't be read \(no path\)", id="no path at all"),
        pytest.param("device", "which is no file", id="a device without end"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_its_variable(
    variable: str, kind: str, want: str, ca: str, tmp_path: Path
) -> None:
    path = {"folder": str(tmp_path), "null": "a\0b", "device": "/dev/zero"}.get(kind, str(tmp_path / kind))
    contents = {"empty": "", "text": "certificate", "cut": Path(ca).read_text()[:200]}
    if kind in contents:
        Path(path).write_text(contents[kind])
    for use in (certificates.bundle, certificates.trusted):
        with pytest.raises(UserError, match=want) as caught:
            use({variable: path})
        assert f"{variable} names {path}" in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(ca: str) -> None:
    Path(ca).chmod(0)
    if os.geteuid() == 0:
        # Root reads all the same: then it is trusted.
        assert certificates.bundle({"SSL_CERT_FILE": ca}) == Bundle("SSL_CERT_FILE", ca)
    else:
        with pytest.raises(UserError, match="Permission denied"):
            certificates.bundle({"SSL_CERT_FILE": ca})


@pytest.mark.parametrize(
    ("variables", "want"),
    [
        pytest.param((), r"\(self-signed\); set SSL_CERT_FILE to a file of CA certificates", id="none set"),
        pytest.param(
            ("AWS_CA_BUNDLE",), r"AWS_CA_BUNDLE names \S+, and only the certificates in it are", id="one set"
        ),
        pytest.param(
            ("SSL_CERT_FILE", "AWS_CA_BUNDLE"),
            r"SSL_CERT_FILE names \S+, .*\(AWS_CA_BUNDLE would come after it\)",
            id="two set: the later one is not looked at",
        ),
    ],
)
def test_an_unknown_authority_is_said_with_what_decides_it(
    variables: tuple[str, ...], want: str, ca: str
) -> None:
    error = certificates.not_trusted("hub.example", "self-signed", dict.fromkeys(variables, ca))
    assert re.search(want, str(error)), error
