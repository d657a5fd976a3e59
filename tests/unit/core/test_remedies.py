"""What is said about a model image that ended: its last words, and what to do where that is known."""

from __future__ import annotations

import pytest

from aim_operator.core.messages import last_words
from aim_operator.core.remedies import for_pull, of_scheduler, of_volume, with_remedy

ONE_MODEL = "; the image is made for one model: use a template without spec.model, and AIM_MODEL_ID in no env"
NAME_IT = "; the image serves any model and was given none: use a template that names one in spec.model"
TOKEN = "; the hub refuses it: set HF_TOKEN, "
MIRROR = "; the hub can't be reached: set HF_ENDPOINT "


@pytest.mark.parametrize(
    ("words", "want"),
    [
        pytest.param("error: cannot set both AIM_ID and AIM_MODEL_ID", ONE_MODEL, id="both ids"),
        pytest.param("AIM_MODEL_ID and AIM_ID are both set", ONE_MODEL, id="both ids, in other words"),
        pytest.param("error: neither AIM_ID nor AIM_MODEL_ID is set", NAME_IT, id="no id"),
        pytest.param("org/model is refused by https://hub: HTTP 401", TOKEN, id="no token"),
        pytest.param(
            "401 Client Error: Unauthorized for url: https://hub/x", TOKEN, id="as requests says it"
        ),
        pytest.param("GatedRepoError: 403 Client Error.", TOKEN, id="a licence that is not accepted"),
        pytest.param("Cannot access gated repo for url https://hub/x", TOKEN, id="as the library says it"),
        pytest.param("https://hub can't be reached for org/model: timed out", MIRROR, id="no way out"),
        pytest.param("MaxRetryError: Max retries exceeded with url: /x", MIRROR, id="as urllib3 says it"),
    ],
)
def test_what_to_do(words: str, want: str) -> None:
    said = with_remedy(words)
    assert said.startswith(words)
    assert said.removeprefix(words).startswith(want)


@pytest.mark.parametrize(
    "words",
    [
        "unknown flag --x",
        "ValueError: 401 tokens do not fit",
        "AIM_ID is set",
        "the table of 4031 rows",
        "",
    ],
)
def test_what_is_not_known_is_passed_on_without_advice(words: str) -> None:
    assert with_remedy(words) == words


def test_of_a_long_log_the_end_is_kept() -> None:
    log = (
        "".join(f"  File server.py, line {number}\n" for number in range(100)) + "OSError: 401 Client Error\n"
    )
    said = last_words(log)
    assert said.startswith("…")
    assert said.endswith("line 99 OSError: 401 Client Error")
    assert len(said) == 400
    assert TOKEN in with_remedy(log)


@pytest.mark.parametrize(("text", "want"), [(None, ""), ("\n\n", ""), (" a\n\x1b[31mb ", "a [31mb")])
def test_last_words_are_one_printable_line(text: str | None, want: str) -> None:
    assert last_words(text) == want


@pytest.mark.parametrize(
    ("words", "where", "want"),
    [
        pytest.param(
            "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
            "jobs.scheduling",
            "1 node(s) had untolerated taint(s); tolerate the taint with jobs.scheduling.tolerations",
            id="a taint",
        ),
        pytest.param(
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            "scheduling",
            "no node has the GPU's labels and those of scheduling; compare with kubectl get nodes",
            id="labels",
        ),
        pytest.param(
            "0/2 nodes are available: 1 Insufficient amd.com/gpu, 1 node(s) didn't match PersistentVolume's "
            "node affinity.",
            "scheduling",
            "; the volume is bound to another node or zone; delete the AIMModelCache",
            id="a volume elsewhere",
        ),
    ],
)
def test_a_pod_that_finds_no_node_says_what_to_do(words: str, where: str, want: str) -> None:
    assert want in of_scheduler(words, where)


def test_what_the_scheduler_says_otherwise_is_passed_on() -> None:
    words = "0/1 nodes are available: 1 Insufficient amd.com/gpu."
    assert of_scheduler(words, "scheduling") == words


@pytest.mark.parametrize(
    "words",
    [
        "/model-cache: Permission denied; give a directory that uid 65532 may write to",
        "1 of 4 files are not as they should be: config.json can't be read by uid 65532",
    ],
)
def test_a_volume_that_the_uid_may_not_use_says_what_to_set(words: str) -> None:
    assert of_volume(words).startswith(words)
    assert "jobs.securityContext in the runtime configuration" in of_volume(words)
    assert of_volume("the source changed") == "the source changed"


@pytest.mark.parametrize(
    ("words", "want"),
    [
        pytest.param("write /var/lib/x: no space left on device", "disk", id="a full disk"),
        pytest.param("no match for platform in manifest: not found", "architecture", id="another machine's"),
        pytest.param("429 Too Many Requests", "a mirror", id="a registry's limit"),
        pytest.param(
            "toomanyrequests: You have reached your unauthenticated pull rate limit",
            "a mirror",
            id="Docker Hub's",
        ),
        pytest.param(
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "trust",
            id="TLS",
        ),
        pytest.param("http: server gave HTTP response to HTTPS client", "plain HTTP", id="no TLS"),
        pytest.param("dial tcp 10.0.0.1:443: connect: connection refused", "its DNS, proxy", id="refused"),
        pytest.param("dial tcp 10.0.0.1:443: i/o timeout", "its DNS, proxy", id="a firewall"),
        pytest.param("ghcr.io/example/x:v1: not found", "", id="no such image"),
    ],
)
def test_an_image_that_is_not_pulled_says_what_to_do(words: str, want: str) -> None:
    assert want in for_pull(words) if want else for_pull(words) == ""
