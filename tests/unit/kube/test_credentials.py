"""Kubeconfigs as people have them, and every way they can be wrong: one clear line each."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from aim_operator.errors import UserError
from aim_operator.kube.authorization import PLUGIN_TIMEOUT_SECONDS, ExecPlugin, TokenFile
from aim_operator.kube.credentials import in_cluster, load


def make_config(
    user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    return {
        "current-context": "dev",
        "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {"token": "secret"}}],
        **fields,
    }


def write(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


async def test_a_token(tmp_path: Path) -> None:
    """The plain case: server, namespace and header."""
    got = load(write(tmp_path / "config", make_config()))
    assert (got.server, got.namespace) == ("https://api:6443", "team")
    assert await got.authorization.header() == "Bearer secret"


async def test_a_password(tmp_path: Path) -> None:
    """Basic authentication, for proxies in front of the server."""
    got = load(write(tmp_path / "config", make_config({"username": "me", "password": "pw"})))
    assert await got.authorization.header() == "Basic bWU6cHc="


async def test_a_token_file_is_read_again_when_rejected(tmp_path: Path) -> None:
    """The kubelet rotates it under us; its path is relative to the kubeconfig."""
    (tmp_path / "token").write_text("one\n")
    got = load(write(tmp_path / "config", make_config({"tokenFile": "token"})))
    assert await got.authorization.header() == "Bearer one"
    (tmp_path / "token").write_text("two\n")
    assert await got.authorization.header() == "Bearer one"
    assert await got.authorization.header(rejected=True) == "Bearer two"


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time is ahead by as much as a test says."""

    ahead_seconds = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_seconds


def jumping(scenario: Callable[[JumpingLoop], Coroutine[Any, Any, None]]) -> None:
    loop = JumpingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scenario(loop))


def test_a_token_file_is_read_again_every_minute(tmp_path: Path) -> None:
    """The token of a service account ends after an hour, and the kubelet writes another before."""
    file = tmp_path / "token"
    file.write_text("one")

    async def scenario(loop: JumpingLoop) -> None:
        got: list[str] = []
        authorization = TokenFile(file)
        for seconds, token in ((0, "one"), (55, "two"), (62, "three"), (65, "four"), (110, "five")):
            file.write_text(token)
            loop.ahead_seconds = seconds
            got.append(await authorization.header())
        assert got == [f"Bearer {token}" for token in ("one", "one", "three", "three", "three")]

    jumping(scenario)


def test_a_plugin_that_falls_silent_is_given_up_and_ended(tmp_path: Path) -> None:
    """It may wait for a password, of nobody."""
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid()) + '.'); time.sleep(600)"
    plugin = ExecPlugin("client.authentication.k8s.io/v1", [sys.executable, "-c", code], {}, None)

    async def scenario(loop: JumpingLoop) -> None:
        waiting = asyncio.ensure_future(plugin.header())
        while not (pid.exists() and pid.read_text().endswith(".")):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)
        # More than once: the process may be there before its time limit begins.
        for _ in range(1000):
            if waiting.done():
                break
            loop.ahead_seconds += PLUGIN_TIMEOUT_SECONDS
            await asyncio.sleep(0.01)
        with pytest.raises(UserError, match="was silent for 60 s"):
            await asyncio.wait_for(waiting, 30)

    jumping(scenario)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text().rstrip(".")), 0)


async def test_a_plugin_reads_nothing_of_what_is_typed() -> None:
    """It would take the answer to a question that the command asks."""
    code = "import json, os; print(json.dumps({'status': {'token': os.readlink('/proc/self/fd/0')}}))"
    plugin = ExecPlugin("client.authentication.k8s.io/v1", [sys.executable, "-c", code], {}, None)
    kept, (typed, end) = os.dup(0), os.pipe()
    os.dup2(typed, 0)
    try:
        assert await plugin.header() == "Bearer /dev/null"
    finally:
        os.dup2(kept, 0)
        for each in (kept, typed, end):
            os.close(each)


class Certified(ssl.SSLContext):
    """Keeps what client certificates it was given."""

    loaded: tuple[str, ...] = ()

    def load_cert_chain(self, certfile: Any, *_: Any) -> None:
        self.loaded += (Path(certfile).read_text(),)


async def test_a_plugin_may_give_a_certificate_only() -> None:
    """Then there is no header, and the connection says who it is."""
    credential = {"status": {"clientCertificateData": "CERTIFICATE", "clientKeyData": "KEY"}}
    command = [sys.executable, "-c", f"print({json.dumps(credential)!r})"]
    context = Certified(ssl.PROTOCOL_TLS_CLIENT)
    plugin = ExecPlugin("client.authentication.k8s.io/v1", command, {}, context)
    assert await plugin.header() == ""
    assert context.loaded == ("CERTIFICATE\nKEY\n",)


async def test_calls_that_are_rejected_at_once_run_the_plugin_once(tmp_path: Path) -> None:
    """Thirty watches learn in the same second that the token has ended; a plugin may ask a person."""
    runs = tmp_path / "runs"
    code = (
        f"import json; runs = open({str(runs)!r}, 'a+'); runs.write('x'); runs.seek(0)\n"
        "print(json.dumps({'status': {'token': str(len(runs.read()))}}))"
    )
    plugin = ExecPlugin("client.authentication.k8s.io/v1", [sys.executable, "-c", code], {}, None)
    assert await plugin.header() == "Bearer 1"
    assert set(await asyncio.gather(*(plugin.header(rejected=True) for _ in range(30)))) == {"Bearer 2"}


async def test_a_plugin_is_run_once_and_again_when_rejected(tmp_path: Path) -> None:
    """It counts its runs in a file, and gives the count as the token."""
    runs = tmp_path / "runs"
    runs.write_text("")
    script = tmp_path / "plugin"
    # Python by its path in a `#!` line would not do: there may be a space in it.
    code = tmp_path / "plugin.py"
    script.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(code))}\n")
    code.write_text(
        "import json, os\n"
        f"runs = open({str(runs)!r}, 'a+'); runs.write('x'); runs.flush(); runs.seek(0)\n"
        "assert json.loads(os.environ['KUBERNETES_EXEC_INFO'])['kind'] == 'ExecCredential'\n"
        "print(json.dumps({'status': {'token': os.environ['PREFIX'] + str(len(runs.read()))}}))\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(script),
        "env": [{"name": "PREFIX", "value": "t"}],
    }
    got = load(write(tmp_path / "config", make_config({"exec": command}))).authorization
    assert await got.header() == "Bearer t1"
    assert await got.header() == "Bearer t1"
    assert await got.header(rejected=True) == "Bearer t2"


@pytest.mark.parametrize(
    ("command", "want"),
    [
        pytest.param(["/nonexistent/plugin"], "cannot be run", id="not there"),
        pytest.param(
            [sys.executable, "-c", "import sys; sys.exit('log in first')"], "log in first", id="fails"
        ),
        pytest.param(
            [sys.executable, "-c", "print('hello')"], "no ExecCredential", id="prints something else"
        ),
        pytest.param([sys.executable, "-c", "print('{\"status\":{}}')"], "neither", id="gives nothing"),
    ],
)
async def test_a_plugin_that_fails(command: list[str], want: str) -> None:
    """One line, with the plugin's own last one."""
    plugin = ExecPlugin("client.authentication.k8s.io/v1", command, {}, None)
    with pytest.raises(UserError, match=want) as got:
        await plugin.header()
    assert "\n" not in str(got.value)


def test_files_are_laid_over_each_other(tmp_path: Path) -> None:
    """KUBECONFIG may list several, and name some that are not there; the first to say something wins."""
    one = write(tmp_path / "one", {"current-context": "dev", "contexts": make_config()["contexts"]})
    two = write(tmp_path / "two", make_config() | {"current-context": "other"})
    got = load(environment={"KUBECONFIG": f"{one}:{tmp_path / 'none'}:{two}"})
    assert got.server == "https://api:6443"
    assert got.source.startswith("context dev of ")


async def test_a_token_file_goes_before_a_token(tmp_path: Path) -> None:
    """As in client-go: the token beside it is the one of the day when the file was written."""
    (tmp_path / "token").write_text("renewed")
    got = load(write(tmp_path / "config", make_config({"tokenFile": "token", "token": "old"})))
    assert await got.authorization.header() == "Bearer renewed"


def test_how_a_cluster_is_reached(tmp_path: Path) -> None:
    """By a proxy, under another name, or without looking who answers: as its entry says."""
    tunnel = {"tls-server-name": "kubernetes", "proxy-url": "http://p:3128", "insecure-skip-tls-verify": True}
    got = load(write(tmp_path / "config", make_config(cluster=tunnel)))
    assert (got.server_hostname, got.proxy) == ("kubernetes", "http://p:3128")
    assert got.ssl_context is not None
    assert got.ssl_context.verify_mode == ssl.CERT_NONE
    plain = load(write(tmp_path / "config", make_config()))
    assert plain.server_hostname is None
    assert plain.ssl_context is not None
    assert plain.ssl_context.verify_mode == ssl.CERT_REQUIRED


def test_a_kubeconfig_that_is_named_alone_must_be_there(tmp_path: Path) -> None:
    """Else another cluster than the one meant would be asked."""
    with pytest.raises(UserError, match=r"kubeconfig .*none does not exist"):
        load(environment={"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("host", "want"), [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
async def test_a_service_account(tmp_path: Path, host: str, want: str) -> None:
    (tmp_path / "token").write_text("mine")
    (tmp_path / "namespace").write_text("ops\n")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    got = in_cluster(tmp_path, {"KUBERNETES_SERVICE_HOST": host})
    assert (got.server, got.namespace) == (want, "ops")
    assert await got.authorization.header() == "Bearer mine"


@pytest.mark.parametrize(
    ("asked", "source"),
    [
        pytest.param({}, "the Pod's service account", id="nothing else"),
        pytest.param({"KUBECONFIG": "config"}, "context dev of config", id="KUBECONFIG"),
        pytest.param({"kubeconfig": "config"}, "context dev of config", id="--kubeconfig"),
        pytest.param({"context": "dev"}, "context dev of .kube/config", id="--context"),
    ],
)
def test_a_pod_uses_its_service_account_unless_it_is_told_otherwise(
    tmp_path: Path, asked: dict[str, str], source: str
) -> None:
    """With `--context` it is a person's shell in a Pod."""
    account = tmp_path / "account"
    for folder in (account, tmp_path / ".kube"):
        folder.mkdir()
    (account / "token").write_text("mine")
    (account / "namespace").write_text("ops")
    trustme.CA().cert_pem.write_to_path(account / "ca.crt")
    for name in ("config", ".kube/config"):
        write(tmp_path / name, make_config())
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOME": str(tmp_path)}
    if "KUBECONFIG" in asked:
        environment["KUBECONFIG"] = str(tmp_path / asked["KUBECONFIG"])
    named = str(tmp_path / asked["kubeconfig"]) if "kubeconfig" in asked else None
    got = load(named, asked.get("context"), environment=environment, service_account=account)
    assert got.source.replace(f"{tmp_path}/", "") == source


def test_outside_of_a_pod_a_service_account_is_not_used(tmp_path: Path) -> None:
    """Its files alone say no address."""
    (tmp_path / "account").mkdir()
    with pytest.raises(UserError, match="no cluster: give --kubeconfig"):
        load(environment={"HOME": str(tmp_path)}, service_account=tmp_path / "account")


def test_which_server_is_asked_by_way_of_the_proxy(tmp_path: Path) -> None:
    """As kubectl does: never one on this machine, where `kubectl port-forward` and kind have theirs."""
    proxies = {
        "https://api:6443": "http://proxy:3128",
        "https://inside.example.com": "None",
        "https://localhost:6443": "None",
        "https://127.0.0.1:6443": "None",
        "https://127.1.2.3:6443": "None",
        "https://[::1]:6443": "None",
    }
    configs = [
        write(tmp_path / str(number), make_config(cluster={"server": server}))
        for number, server in enumerate(proxies)
    ]
    code = (
        "import sys; from aim_operator.kube.credentials import load\n"
        "print(*(load(each).proxy for each in sys.argv[1:]))"
    )
    environment = {"https_proxy": "http://proxy:3128", "no_proxy": ".example.com", "PATH": os.environ["PATH"]}
    environment |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code, *configs], env=environment, capture_output=True, text=True, check=True
    )
    assert dict(zip(proxies, done.stdout.split(), strict=True)) == proxies


def test_a_service_account_without_its_certificate(tmp_path: Path) -> None:
    """A Pod whose token is not mounted: says where it was looked for."""
    with pytest.raises(UserError, match=str(tmp_path)):
        in_cluster(tmp_path, {"KUBERNETES_SERVICE_HOST": "fd00::1"})


def test_nothing_to_go_by(tmp_path: Path) -> None:
    """Says what to do."""
    with pytest.raises(UserError, match="no cluster: give --kubeconfig"):
        load(environment={"HOME": str(tmp_path)})


OLD_PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}
NO_KEY = {"client-certificate-data": "AAAA", "client-key-data": "AAAA"}
NO_FILE = {"certificate-authority": "none"}

WRONG: list[tuple[str, Any, str]] = [
    ("no YAML", "a: [", "config:1:5 is not YAML: expected the node content, but found '<stream end>'"),
    ("a tab", "a:\n\t- b", "config:2:1 is not YAML: found character '\\\\t' that cannot start any token"),
    ("empty", "", "is empty or not a mapping"),
    ("a list", "- a", "is empty or not a mapping"),
    ("nothing in it", {"kind": "Config"}, "has no current-context"),
    ("no such context", make_config() | {"current-context": "prod"}, r"no context 'prod' \(known: dev\)"),
    ("no such cluster", make_config(clusters=[]), "'c' is referenced or required"),
    ("no such user", make_config(users=[]), "'u' is referenced or required"),
    ("a nameless user", make_config(users=[{"user": {}}]), "needs a name"),
    ("a number for a server", make_config(cluster={"server": 3}), "is not a kubeconfig"),
    ("no URL", make_config(cluster={"server": "api"}), "is no http"),
    ("a token file that is not there", make_config({"tokenFile": "none"}), "cannot be read"),
    ("a CA that is not there", make_config(cluster=NO_FILE), "certificate cannot be used"),
    ("a CA that is none", make_config(cluster={"certificate-authority-data": "!!"}), "not base64 of PEM"),
    ("a key that is none", make_config(NO_KEY), "certificate"),
    ("an old plugin", make_config({"exec": OLD_PLUGIN}), "not supported"),
    ("auth-provider", make_config({"auth-provider": {"name": "gcp"}}), "credential plugin"),
    ("impersonation", make_config({"token": "x", "as": "root"}), "impersonates"),
]


@pytest.mark.parametrize(("content", "want"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_can_be_wrong_with_a_kubeconfig(tmp_path: Path, content: Any, want: str) -> None:
    """A UserError of one line that names the file or what is in it."""
    path = write(tmp_path / "config", content)
    with pytest.raises(UserError, match=want) as got:
        load(path)
    assert "\n" not in str(got.value)


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    """--context names one; the known ones are listed."""
    with pytest.raises(UserError, match=r"no context 'prod' \(known: dev\)"):
        load(write(tmp_path / "config", make_config()), "prod")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Explicitly named, so it must be."""
    with pytest.raises(UserError, match="does not exist"):
        load(str(tmp_path / "none"))


def test_a_directory(tmp_path: Path) -> None:
    """Not readable as a file."""
    with pytest.raises(UserError, match="cannot be read"):
        load(str(tmp_path))


def test_an_empty_token_file(tmp_path: Path) -> None:
    """Better said at once than as a 401."""
    (tmp_path / "token").write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        TokenFile(tmp_path / "token")
