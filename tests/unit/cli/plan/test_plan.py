"""`aimctl plan`: consequences and mistakes of files, as somebody meets them in a pipeline."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from aim_operator.cli import main

EXAMPLES = Path("examples")
AIMCTL = str(Path(sys.executable).with_name("aimctl"))
IMAGE = """\
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterImage
metadata: {name: llama}
spec: {image: "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0"}
"""
TEMPLATE = """\
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterServiceTemplate
metadata: {name: llama-latency}
spec:
  aimImageName: llama
  metric: latency
  precision: fp16
  gpuSelector: {model: MI300X, count: 1}
"""
SERVICE = """\
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata:
  name: chat
  namespace: team
spec:
  model: llama
"""
GENERATED = """\
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {generateName: chat-}
spec: {model: llama}
"""


def planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *texts: str, flags: tuple[str, ...] = ()
) -> tuple[int, str]:
    """The exit code, and what was printed about these files; standard error must be empty."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number}.yaml").write_text(text)
    code = main(["plan", str(folder), *flags])
    said = capsys.readouterr()
    assert said.err == ""
    return code, said.out.replace(f"{folder}/", "")


def with_profiles() -> tuple[str, ...]:
    return ("--profiles", str(EXAMPLES / "quickstart" / "profiles"))


def test_a_key_without_a_value_is_a_field_that_nobody_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unset = IMAGE.replace("spec: {", "spec: {defaultServiceTemplate: , ")
    assert planned(tmp_path, capsys, unset) == (2, "assumed: a default StorageClass\n1 object\n")


def test_a_number_that_is_none_to_the_api_server_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = planned(tmp_path, capsys, IMAGE, f"{TEMPLATE}  engineArgs: {{seed: {'9' * 400}}}\n")
    assert code == 3
    assert "1.yaml:1: error: AIMClusterServiceTemplate llama-latency: json: cannot unmarshal number" in said


def test_a_process_that_goes_on_after_a_plan_still_clears_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It did not, and the processes of our tests grew to gigabytes."""
    assert planned(tmp_path, capsys, IMAGE)[0] == 2
    assert gc.isenabled()


@pytest.mark.parametrize("form", ["tree", "markdown"])
def test_the_quickstart(form: str, capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    assert main(["plan", str(EXAMPLES / "quickstart"), "-o", form]) == 2
    assert capsys.readouterr().out == snapshot


@pytest.mark.parametrize("form", ["tree", "markdown", "github"])
def test_words_of_a_file_control_neither_a_terminal_nor_the_log_of_a_pipeline(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is none is quoted, and a model that is not there."""
    hostile = r"a\e]0;owned\a\e[2J\x9b1A\r::error::b"
    file = tmp_path / "a\x1b[2J\x9b1A.yaml"
    head = "apiVersion: aim.silogen.ai/v1alpha1\nkind: AIMService\n"
    file.write_text(
        f'{head}metadata: {{name: "{hostile}"}}\nspec: {{model: llama}}\n'
        f'---\n{head}metadata: {{name: chat}}\nspec: {{model: "{hostile}", "{hostile}": 1}}\n'
    )
    assert main(["plan", str(file), "-o", form]) == 3
    shown = capsys.readouterr().out
    assert "owned" in shown
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(shown)
    assert not any(line.startswith("::error::") for line in shown.splitlines())


@pytest.mark.parametrize(
    ("metadata", "want"),
    [
        pytest.param(
            "{name: chat, namespace: 2026}",
            "metadata.namespace is no text; write it in quotes",
            id="a namespace",
        ),
        pytest.param("{name: 12e3}", "metadata.name is no text; write it in quotes", id="a name"),
        pytest.param("{name: y}", "metadata.name is no text; write it in quotes", id="a yes"),
        pytest.param("{name: [a]}", "metadata.name is no text", id="a list"),
    ],
)
@pytest.mark.parametrize("kind", ["aim.silogen.ai/v1alpha1, kind: AIMService", "v1, kind: Secret"])
def test_a_name_that_yaml_takes_for_a_number_is_a_mistake(
    kind: str, metadata: str, want: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A namespace of digits was taken for none: the object was planned in another one."""
    file = tmp_path / "a.yaml"
    file.write_text(f"{{apiVersion: {kind}, metadata: {metadata}}}\n")
    assert main(["plan", str(file)]) == 3
    shown = capsys.readouterr().out
    assert f": {want}\n" in shown


@pytest.mark.parametrize(
    "hostile", ["<img src=http://example.com/x>", "[all is well](http://example.com)", "![](//example.com/x)"]
)
def test_names_of_fields_put_neither_pictures_nor_links_into_the_comment_on_a_merge_request(
    hostile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "service.yaml"
    head = "apiVersion: aim.silogen.ai/v1alpha1\nkind: AIMService\n"
    file.write_text(f'{head}metadata: {{name: chat}}\nspec: {{model: llama, "{hostile}": 1}}\n')
    assert main(["plan", str(file), "-o", "markdown"]) == 3
    shown = capsys.readouterr().out
    assert "example.com" in shown
    assert not any(sign in shown.replace("\\<", "").replace("\\]", "") for sign in ("<img", "]("))


def test_without_colour_on_a_screen_that_has_none() -> None:
    environment = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PATH": "/usr/bin"}
    command = [AIMCTL, "plan", str(EXAMPLES / "quickstart")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        pytest.param((), 2, id="a variable alone is for other commands"),
        pytest.param(("--context", "prod"), 3, id="a flag asks the cluster, whatever the variable says"),
    ],
)
def test_a_plan_asks_the_cluster_that_a_flag_names(flags: tuple[str, ...], code: int, tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text("apiVersion: v1\nkind: Config\n")
    environment = {"AIM_CONTEXT": "prod", "AIM_KUBECONFIG": str(config), "PATH": "/usr/bin"}
    command = [AIMCTL, "plan", str(EXAMPLES / "quickstart"), *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "prod" in done.stderr) == (code, code == 3), done.stderr


@pytest.mark.parametrize(
    "name", ["quickstart", "amd-catalog", "cached-model", "gated-model", "team-overrides", "tenant-routes"]
)
def test_every_service_of_the_examples_would_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(EXAMPLES / name), "-o", "json"]) == 2
    plan = json.loads(capsys.readouterr().out)
    assert plan["services"]
    assert {service["status"] for service in plan["services"]} == {"Running"}
    assert plan["problems"] == []


def test_what_discovery_would_find_is_not_invented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = planned(tmp_path, capsys, IMAGE, TEMPLATE, SERVICE)
    assert code == 2
    assert "AIMService team/chat  Pending: TemplateNotAvailable" in said
    assert "open      " in said
    assert "unknown until its discovery has run: no profile of its image is given" in said
    assert "InferenceService" not in said


def test_with_its_profile_it_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = planned(tmp_path, capsys, IMAGE, TEMPLATE, SERVICE, flags=with_profiles())
    assert code == 2
    assert "AIMService team/chat  would run" in said
    assert "creates   InferenceService chat" in said


def test_yaml_has_the_objects_that_would_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("-o", "yaml", *with_profiles())
    _, said = planned(tmp_path, capsys, IMAGE, TEMPLATE, SERVICE, flags=flags)
    children = {child["kind"]: child for child in yaml.safe_load(said)["children"]}
    served = children["InferenceService"]
    assert served["spec"]["predictor"]["model"]["image"] == "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0"
    assert {"uid", "resourceVersion", "managedFields"}.isdisjoint(served["metadata"])


MISTAKES = [
    pytest.param(
        SERVICE.replace("model: llama", "modell: llama"),
        "0.yaml:7: error: AIMService team/chat: has no field spec.modell; did you mean model?",
        id="a field that is not there",
    ),
    pytest.param(
        SERVICE.replace("AIMService", "AIMServce"),
        "0.yaml:2: error: AIMServce team/chat: aim.silogen.ai has no kind AIMServce; "
        "did you mean AIMService?",
        id="a kind that is not there",
    ),
    pytest.param(
        SERVICE.replace("v1alpha1", "v1beta9"),
        "0.yaml:1: error: AIMService team/chat: AIMService is not in aim.silogen.ai/v1beta9; "
        "write apiVersion: aim.silogen.ai/v1alpha1",
        id="a version that is not there",
    ),
    pytest.param(
        SERVICE + "  replicas: -1\n",
        "0.yaml:8: error: AIMService team/chat: spec.replicas: Invalid value: -1: spec.replicas in body "
        "should be greater than or equal to 0",
        id="a value out of range",
    ),
    pytest.param(
        SERVICE + "  aimImageName: other\n",
        "0.yaml:8: error: AIMService team/chat: spec.aimImageName: Invalid value: an alias of spec.model; "
        "set one of the two, or both to the same name",
        id="a rule of the CRD",
    ),
    pytest.param(
        SERVICE + "  model: other\n",
        "0.yaml:8: error: 'model' is here twice",
        id="a key that is there twice",
    ),
    pytest.param("spec: [a\n", "0.yaml:2: error: not YAML: ", id="no YAML"),
    pytest.param("- a\n- b\n", "0.yaml:1: error: not an object with apiVersion", id="no object"),
    pytest.param("kind: AIMService\n", "0.yaml:1: error: AIMService: has no apiVersion", id="no apiVersion"),
    pytest.param(GENERATED, "0.yaml:3: error: AIMService: has no metadata.name", id="no name"),
    pytest.param(
        SERVICE.replace("  model: llama", "  model: [llama]"),
        "0.yaml:7: error: AIMService team/chat: spec.model: ",
        id="a list for a word",
    ),
]


@pytest.mark.parametrize(("text", "want"), MISTAKES)
def test_a_mistake_is_found_at_its_line(
    text: str, want: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = planned(tmp_path, capsys, text)
    assert code == 3
    assert want in said


def test_a_mistake_hides_nothing_of_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = SERVICE.replace("name: chat", "name: wrong").replace("model: llama", "modell: llama")
    code, said = planned(tmp_path, capsys, IMAGE, TEMPLATE, SERVICE, wrong, flags=with_profiles())
    assert code == 3
    assert "AIMService team/chat  would run" in said
    assert "3.yaml:7: error: AIMService team/wrong: has no field spec.modell" in said


CONSEQUENCES = [
    pytest.param(
        (IMAGE, TEMPLATE, SERVICE.replace("model: llama", "model: lama")),
        "2.yaml:7: error: AIMService team/chat: would be Degraded: ImageNotFound: ",
        "did you mean llama?",
        id="a model that is not in the catalog",
    ),
    pytest.param(
        (IMAGE, TEMPLATE, SERVICE + "  templateRef: llama-latancy\n"),
        "2.yaml:8: error: AIMService team/chat: would be Degraded: TemplateNotFound: ",
        "did you mean llama-latency?",
        id="a template that is not there",
    ),
    pytest.param(
        (
            IMAGE,
            TEMPLATE,
            SERVICE + "  routing: {enabled: true, gatewayRef: {name: g}, routeTemplate: /x}\n",
            SERVICE.replace("chat", "second")
            + "  routing: {enabled: true, gatewayRef: {name: g}, routeTemplate: /x}\n",
        ),
        "would be Degraded: RouteConflict: ",
        "/x",
        id="two services on one path",
    ),
]


@pytest.mark.parametrize(("texts", "want", "hint"), CONSEQUENCES)
def test_what_would_be_degraded_is_exit_code_1_at_its_line(
    texts: tuple[str, ...], want: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = planned(tmp_path, capsys, *texts, flags=with_profiles())
    assert code == 1
    (line,) = [line for line in said.splitlines() if want in line]
    assert hint in line


def test_annotations_for_github(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SERVICE.replace("model: llama", "modell: llama")
    code, said = planned(tmp_path, capsys, text, flags=("--format", "github"))
    assert code == 3
    assert said.splitlines()[0] == (
        "::error file=0.yaml,line=7::AIMService team/chat: has no field spec.modell; did you mean model?"
    )


def test_an_object_that_is_in_two_files_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = SERVICE + "  replicas: 2\n"
    code, said = planned(tmp_path, capsys, IMAGE, TEMPLATE, SERVICE, other)
    assert code == 2
    assert "3.yaml:4: warning: AIMService team/chat: is in 2.yaml:1 too, otherwise" in said


def test_for_a_hook_changes_are_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(tmp_path, capsys, IMAGE, TEMPLATE, SERVICE, flags=("--check",))[0] == 0
    (tmp_path / "more").mkdir()
    wrong = SERVICE.replace("model: llama", "model: lama")
    assert planned(tmp_path / "more", capsys, IMAGE, wrong, flags=("--check",))[0] == 1


def test_the_hook_and_the_action_call_what_there_is() -> None:
    (hook,) = yaml.safe_load(Path(".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "aimctl plan --check"
    action = yaml.safe_load(Path(".github/actions/plan/action.yml").read_text())
    assert 'aimctl plan --check --format github "${profiles[@]}" -- ' in action["runs"]["steps"][-1]["run"]


def test_other_kinds_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {}\n"
    code, said = planned(tmp_path, capsys, deployment)
    assert code == 0
    assert "not looked at: Deployment" in said


def test_a_secret_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {token: hf_abc}\n"
    for form in ("tree", "json", "yaml", "markdown"):
        folder = tmp_path / form
        folder.mkdir()
        _, said = planned(folder, capsys, secret, flags=("-o", form))
        assert "hf_abc" not in said


def test_lists_and_standard_input(capsys: pytest.CaptureFixture[str]) -> None:
    items = [yaml.safe_load(text) for text in (IMAGE, TEMPLATE, SERVICE)]
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    done = subprocess.run(
        [AIMCTL, "plan", "-", "-o", "json"], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["objects"] == 3


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["plan", "/no/such"], id="a path that is not there"),
        pytest.param(
            ["plan", "examples/quickstart", "--profiles", "/no/such"], id="profiles that are not there"
        ),
        pytest.param(["plan", "examples/quickstart", "-o", "xml"], id="an unknown form"),
        pytest.param(["plan", "examples/quickstart", "--no-such-flag"], id="an unknown flag"),
        pytest.param(["plan"], id="no path"),
        pytest.param(["plan", "examples", "--snapshot", "/no/such"], id="a snapshot that is not there"),
        pytest.param(["plan", "examples", "--snapshot", "x", "--live"], id="two clusters"),
        pytest.param(["plan", "examples", "--kubeconfig", "/no/such"], id="a kubeconfig that is not there"),
    ],
)
def test_a_call_that_is_none_is_exit_code_3(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 3
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"a: !!python/object:os.system {}\n", b"a: &a [*a]\n", b"{" * 3000, b"a: 2024-13-45\n"],
    ids=["no UTF-8", "a tag of Python's", "a circle", "nested too deep", "a date that is none"],
)
def test_hostile_files_are_one_line_each(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hostile.yaml").write_bytes(content)
    assert main(["plan", str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "hostile.yaml" in said.out + said.err


def test_dates_stay_words_as_kubernetes_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dated = SERVICE.replace("namespace: team", "namespace: team\n  labels: {since: 2026-01-31}")
    code, said = planned(tmp_path, capsys, IMAGE, TEMPLATE, dated)
    assert code == 2, said


def test_help_says_what_the_exit_codes_mean() -> None:
    done = subprocess.run([AIMCTL, "plan", "--help"], capture_output=True, text=True, check=True)
    assert "0 nothing would be made or changed, 2 something would" in " ".join(done.stdout.split())


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_nothing_from_the_command_before_the_pipe_is_no_empty_catalog(text: str) -> None:
    """A shell without pipefail goes on when `kustomize build` fails, and nothing to say was green."""
    done = subprocess.run([AIMCTL, "plan", "-"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "error: there is nothing on standard input: did the command before the pipe fail?"
    ]
