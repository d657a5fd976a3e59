"""Texts of flags and environment variables: what is taken, and how the rest is refused."""

import tomllib
from pathlib import Path

import pytest

from aim_operator.cli import flags
from aim_operator.errors import UserError
from aim_operator.settings import Settings


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(None, (), id="no flag means all namespaces"),
        pytest.param("", (), id="an empty variable means all namespaces"),
        pytest.param("team-a", ("team-a",), id="one namespace"),
        pytest.param("b, a,b", ("b", "a"), id="several keep their order, each once"),
    ],
)
def test_namespaces(text: str | None, want: tuple[str, ...]) -> None:
    assert flags.namespaces(text) == want


@pytest.mark.parametrize("text", ["Team", "a,,b", "-a", "a_b", "a" * 64, "ä"])
def test_what_is_no_namespace_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--namespaces \(or AIM_NAMESPACES\) is '.*': write the name"):
        flags.namespaces(text)


@pytest.mark.parametrize(
    ("text", "file", "want"),
    [
        pytest.param("mine", "pod", "mine", id="as given"),
        pytest.param(None, "pod\n", "pod", id="else the Pod's own"),
        pytest.param("", None, "kaiwo-system", id="else kaiwo-system"),
        pytest.param(None, "", "kaiwo-system", id="an empty file says nothing"),
    ],
)
def test_the_operators_namespace(tmp_path: Path, text: str | None, file: str | None, want: str) -> None:
    path = tmp_path / "namespace"
    if file is not None:
        path.write_text(file)
    assert flags.operator_namespace(text, path) == want


@pytest.mark.parametrize(
    ("address", "certificate", "key", "authorization", "want"),
    [
        pytest.param(":8080", "c", None, False, "--metrics-tls-cert needs --metrics-tls-key", id="no key"),
        pytest.param(
            ":8080", None, "k", False, "--metrics-tls-key needs --metrics-tls-cert", id="only a key"
        ),
        pytest.param(":8080", None, None, True, "--metrics-authorization needs", id="tokens in the clear"),
        pytest.param("", "c", "k", False, "needs --metrics-address", id="nothing to serve"),
    ],
)
def test_half_of_what_secures_metrics_is_refused(
    address: str,
    certificate: str | None,
    key: str | None,
    authorization: bool,  # noqa: FBT001 - a table
    want: str,
) -> None:
    with pytest.raises(UserError, match=want):
        flags.metrics_security(address, certificate, key, authorization=authorization)


def test_what_secures_metrics_is_taken_whole_or_not_at_all() -> None:
    flags.metrics_security("", None, None, authorization=False)
    flags.metrics_security(":8080", "c", "k", authorization=True)


@pytest.mark.parametrize(("text", "want"), [("1", 1), ("512", 512), ("007", 7)])
def test_counts(text: str, want: int) -> None:
    assert flags.count("--workers", text, 512) == want


@pytest.mark.parametrize("text", ["0", "-3", "513", "1.5", "many", "", "\uff11", "9" * 5000])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(
        UserError, match=r"^--workers \(or AIM_WORKERS\) is '.*': write a whole number from 1"
    ):
        flags.count("--workers", text, 512)


@pytest.mark.parametrize(
    "text", [":8080", "127.0.0.1:8080", "localhost:0", "[::1]:9", "a.example:65535", "[::]:80"]
)
def test_addresses(text: str) -> None:
    assert flags.address("--probe-address", text) == text


@pytest.mark.parametrize(
    "text",
    ["8080", "localhost", ":", ":http", ":65536", "::1:8080", "[::g]:1", "http://a:80", "a b:80", ":-1"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--probe-address \(or AIM_PROBE_ADDRESS\) is .*: write HOST:PORT"):
        flags.address("--probe-address", text)


def test_a_choice_names_what_may_be_chosen() -> None:
    assert flags.choice("--log-format", "json", flags.LOG_FORMATS) == "json"
    with pytest.raises(UserError) as refused:
        flags.choice("--log-format", "xml", flags.LOG_FORMATS)
    assert str(refused.value) == "--log-format (or AIM_LOG_FORMAT) is 'xml': write json or console"


@pytest.mark.parametrize("text", ["100m", "1", "0.5", "256Mi", "2G", "1e3"])
def test_quantities(text: str) -> None:
    assert flags.quantity("--download-cpu-request", text) == text


@pytest.mark.parametrize("text", ["", "0", "0Mi", "-1", "1 Gi", "much", "1e19", "9" * 50])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--download-cpu-request .*: write a quantity above 0"):
        flags.quantity("--download-cpu-request", text)


@pytest.mark.parametrize("text", ["", "UPPER", "a b", "-x", "a" * 600])
def test_what_is_no_image_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--downloader-image \(or AIM_DOWNLOADER_IMAGE\) is .*: write an"):
        flags.image("--downloader-image", text)


def test_the_downloader_is_this_very_version() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert Settings().downloader_image.endswith(f"/{project['name']}:{project['version']}")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(None, "", id="no flag"),
        pytest.param("", "", id="an empty variable"),
        pytest.param("http://otel:4318", "http://otel:4318/v1/traces", id="the collector"),
        pytest.param("http://otel:4318/", "http://otel:4318/v1/traces", id="with a slash"),
        pytest.param("https://otel.example/api/otlp", "https://otel.example/api/otlp", id="a whole URL"),
        pytest.param("http://[::1]:4318", "http://[::1]:4318/v1/traces", id="an IPv6 address"),
    ],
)
def test_where_traces_go(text: str | None, want: str) -> None:
    assert flags.otlp_endpoint("--tracing-endpoint", text) == want


@pytest.mark.parametrize(
    "text",
    [
        "otel:4318",
        "grpc://otel:4317",
        "http://",
        "http://:4318",
        "http://otel:99999",
        "http://otel:0",
        "http://otel:x",
        "http://otel:4318?key=1",
        "http://otel:4318#x",
        "http://o tel:4318",
        "http://otel:4318/a\nb",
        "http://[::1",
        "http://ötel",
    ],
)
def test_what_no_trace_can_be_sent_to_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--tracing-endpoint \(or AIM_TRACING_ENDPOINT\) is .*: write a URL"):
        flags.otlp_endpoint("--tracing-endpoint", text)


def test_a_password_in_the_url_of_traces_is_refused_and_not_shown() -> None:
    with pytest.raises(UserError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        flags.otlp_endpoint("--tracing-endpoint", "https://me:hunter2@otel.example")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "want"), [("1", 1.0), ("0", 0.0), ("0.25", 0.25), ("1.0", 1.0), ("1e-06", 0.000001)]
)
def test_ratios(text: str, want: float) -> None:
    assert flags.ratio("--tracing-sample-ratio", text) == want


@pytest.mark.parametrize("text", ["", "2", "-1", "1.5", "nan", "1e1", "1e-999", "10%", ".5"])
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--tracing-sample-ratio .* write a number from 0 to 1"):
        flags.ratio("--tracing-sample-ratio", text)
