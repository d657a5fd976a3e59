"""The Helm chart: what it renders, what it refuses, and that an API server takes it."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from aim_operator.api.resource import Page, Resource
from aim_operator.cli.doctor import gather
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import SystemClock
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.client import SandboxClient
from hack import plain_manifests
from hack.cluster.build import program
from hack.cluster.cluster import Cluster
from hack.cluster.components import HELM
from tests.docs.blocks import commands_for, read_page
from tests.support.cluster import CRDS, REPOSITORY

CHART = plain_manifests.CHART
VALUES = sorted((Path(__file__).parent / "chart" / "values").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "chart" / "golden"
NAMES = [path.stem for path in VALUES]

pytestmark = pytest.mark.needs_helm


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program(HELM), *arguments], capture_output=True, text=True, check=False)


def rendered(values: Path, *more: str, namespace: str = "models") -> str:
    done = helm("template", "release", str(CHART), f"--namespace={namespace}", f"--values={values}", *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_ten_value_sets() -> None:
    assert len(NAMES) == 10


@pytest.mark.parametrize("values", VALUES, ids=NAMES)
def test_it_lints_without_a_warning(values: Path) -> None:
    done = helm("lint", "--strict", "--quiet", str(CHART), f"--values={values}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("values", VALUES, ids=NAMES)
def test_it_renders_as_reviewed(values: Path, pytestconfig: pytest.Config) -> None:
    got = rendered(values, "--set=crds.install=false")
    golden = GOLDEN / values.name
    if pytestconfig.getoption("update_snapshots"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(got)
    assert got == golden.read_text(), f"not as in {golden}; if the change is meant: pytest --snapshot-update"


@pytest.mark.parametrize("values", VALUES, ids=NAMES)
def test_an_api_server_takes_every_field_of_it(control_plane: Cluster, values: Path) -> None:
    """Each set of values in a namespace of its own: they are tried at the same time, on one API server."""
    namespace = f"chart-{values.stem}"
    text = rendered(values, "--set=crds.install=false", namespace=namespace)
    served = [
        o
        for o in yaml.safe_load_all(text)
        if o and o["apiVersion"] != "monitoring.coreos.com/v1"  # of the Prometheus operator
    ]
    for name in sorted({o["metadata"]["namespace"] for o in served if "namespace" in o["metadata"]}):
        control_plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    accounts = yaml.safe_dump_all([o for o in served if o["kind"] == "ServiceAccount"])
    control_plane.kubectl("apply", "-f", "-", stdin=accounts)  # the Pod of `helm test` is refused without
    said = control_plane.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(served)
    )
    assert said.count("(server dry run)") == len(served)


def ingress(values: str) -> list[dict[str, Any]]:
    objects = [o for o in yaml.safe_load_all(rendered(VALUES[NAMES.index(values)])) if o]
    (policy,) = [o for o in objects if o["kind"] == "NetworkPolicy"]
    assert "Ingress" in policy["spec"]["policyTypes"]
    rules: list[dict[str, Any]] = policy["spec"]["ingress"]
    return rules


def test_nobody_but_whom_the_values_name_reaches_metrics_and_probes() -> None:
    """An empty or missing `from` would be everybody."""
    assert ingress("default") == []
    for values in ("monitoring", "secured"):
        rules = ingress(values)
        assert rules
        assert all(rule["from"] and len(rule["ports"]) == 1 for rule in rules)


def test_the_notes_say_how_prometheus_reaches_the_metrics(control_plane: Cluster) -> None:
    assert "networkPolicy.metricsFrom" in notes(control_plane, "--dry-run=client")
    named = "--set=networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus"
    assert "networkPolicy.metricsFrom" not in notes(control_plane, "--dry-run=client", named)


def test_only_helm_test_makes_what_the_test_needs() -> None:
    """It may ask and list; nothing of it is in an ordinary install, nor selected as a Pod of the operator."""
    with_it = [o for o in yaml.safe_load_all(rendered(VALUES[0])) if o]
    ordinary = [o for o in yaml.safe_load_all(rendered(VALUES[0], "--no-hooks")) if o]
    off = [o for o in yaml.safe_load_all(rendered(VALUES[0], "--set=tests.enabled=false")) if o]
    assert ordinary == off
    hooks = [o for o in with_it if o not in ordinary]
    assert [o["kind"] for o in hooks] == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Pod"]
    assert {o["metadata"]["annotations"]["helm.sh/hook"] for o in hooks} == {"test"}
    rules = [(rule["resources"], rule["verbs"]) for rule in hooks[1]["rules"]]
    assert [verbs for resources, verbs in rules if resources != ["subjectaccessreviews"]] == [["list"]] * 11
    (deployment,) = [o for o in ordinary if o["kind"] == "Deployment"]
    selected = deployment["spec"]["selector"]["matchLabels"].items()
    assert not selected <= hooks[3]["metadata"]["labels"].items()


class Noting:
    """A client that notes which kinds are listed."""

    def __init__(self, client: SandboxClient) -> None:
        self._client = client
        self.listed: set[tuple[str, str]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def list(self, resource: Resource[Any], **more: Any) -> Page[Any]:
        self.listed.add((resource.group, resource.plural))
        return await self._client.list(resource, **more)


async def test_the_role_of_helm_test_is_what_the_doctor_reads() -> None:
    client = Noting(Sandbox(SystemClock()).client("doctor"))
    await gather.read(cast("KubeClient", client), "models", "0.1.0")
    (role,) = [
        o for o in templated() if o["kind"] == "ClusterRole" and o["metadata"]["name"].endswith("test")
    ]
    granted = {
        (group, name) for rule in role["rules"] for group in rule["apiGroups"] for name in rule["resources"]
    }
    assert granted == client.listed | {("authorization.k8s.io", "subjectaccessreviews")}


def test_the_readme_installs_the_image_that_somebody_built() -> None:
    (command,) = commands_for("tests/cluster/test_chart.py", "README.md")
    render = command.replace("helm install", f"{program(HELM)} template").replace("--wait", "")
    done = subprocess.run(render, shell=True, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (deployment,) = [o for o in yaml.safe_load_all(done.stdout) if o and o["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"REGISTRY/aim-operator:{version('aim-operator')}"
    assert f"--downloader-image={container['image']}" in container["args"]


def templated(*settings: str) -> list[Any]:
    more = (f"--set={setting}" for setting in ("crds.install=false", *settings))
    done = helm("template", "release", str(CHART), *more)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_a_secret_that_the_parent_chart_names_too_is_used_once() -> None:
    """The API server keys them by their names, and server-side apply refuses two that are equal."""
    secrets = ("imagePullSecrets[0].name=a", "imagePullSecrets[1]=b", "global.imagePullSecrets[0]=a")
    (deployment,) = [each for each in templated(*secrets) if each["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


def test_dashboards_may_be_without_the_label_of_the_sidecar() -> None:
    """`null` is how helm takes a default away; a selector may be by another label, or by none."""
    found = templated("dashboards.enabled=true", "dashboards.labels.grafana_dashboard=null")
    dashboards = [each["metadata"] for each in found if each["kind"] == "ConfigMap"]
    assert len(dashboards) == 2
    assert not any("grafana_dashboard" in each["labels"] for each in dashboards)


def test_the_crds_are_ours_and_stay_when_the_release_goes() -> None:
    objects = [o for o in yaml.safe_load_all(rendered(VALUES[0])) if o]
    crds = {o["metadata"]["name"]: o for o in objects if o["kind"] == "CustomResourceDefinition"}
    assert sorted(crds) == sorted(path.stem for path in CRDS.glob("*.yaml"))
    for path in CRDS.glob("*.yaml"):
        got = crds[path.stem]
        assert got["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert got == yaml.safe_load(path.read_text())


REFUSED = [
    pytest.param(["namespaces=team-a"], "namespaces", id="a namespace that is no list"),
    pytest.param(["replicas=0"], "replicas", id="no replica"),
    pytest.param(["operator.workers=9999"], "workers", id="more workers than the operator takes"),
    pytest.param(["operator.logLevel=verbose"], "logLevel", id="an unknown log level"),
    pytest.param(["metrics.port=8081"], "port", id="the port of the probes"),
    pytest.param(["image.digest=latest"], "digest", id="a digest that is none"),
    pytest.param(["relicas=3"], "relicas", id="a misspelt value"),
    pytest.param(["leaderElection=false"], "leaderElection", id="two replicas that would both write"),
    pytest.param(["metrics.authorization=true"], "metrics.tls.secretName", id="tokens over plain HTTP"),
    pytest.param(["imagePullSecrets[0].nme=x"], "imagePullSecrets", id="a pull secret without a name"),
    pytest.param(["extraArgs[0]=run"], "extraArgs", id="an argument that is no flag"),
    pytest.param(["prometheusRule.disabled[0]=x y"], "disabled", id="no name of an alert"),
    pytest.param(["serviceAccount.create=false"], "serviceAccount.name", id="no account at all"),
]


@pytest.mark.parametrize(("settings", "want"), REFUSED)
def test_values_that_make_no_sense_are_refused_by_name(settings: list[str], want: str) -> None:
    done = helm("template", "release", str(CHART), *(f"--set={setting}" for setting in settings))
    assert done.returncode != 0
    assert want in done.stderr


def notes(cluster: Cluster, *more: str) -> str:
    """What an install would say at its end, without the lines' ends."""
    where = (f"--kubeconfig={cluster.kubeconfig}", "--namespace=models", "--set=crds.install=false")
    done = helm("install", "release", str(CHART), *where, *more)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.partition("NOTES:")[2].split())


def test_the_notes_lead_to_a_first_model_and_warn_of_what_is_missing(control_plane: Cluster) -> None:
    # As for a cluster that has nothing: Helm asks no API server then.
    said = notes(control_plane, "--dry-run=client")
    assert "WARNING: KServe is not installed here." in said
    assert "WARNING: The Gateway API is not installed here." in said
    for path in (
        "examples/stand-in-image/README.md",
        "examples/quickstart/",
        "docs/guides/call-your-model.md",
    ):
        assert (plain_manifests.CHART.parents[1] / path).exists()
        assert path in said


def test_the_plain_manifests_are_what_the_chart_renders() -> None:
    assert plain_manifests.PATH.read_text() == plain_manifests.render()


def test_deploy_is_a_kustomize_base_that_takes_another_image(control_plane: Cluster, tmp_path: Path) -> None:
    """As docs/operations/install.md shows it, from this checkout in the place of the repository."""
    page = read_page("docs/operations/install.md", (REPOSITORY / "docs/operations/install.md").read_text())
    (block,) = (each for each in page.blocks if "newName" in each.text)
    shown = yaml.safe_load(block.text)
    shown["resources"] = [os.path.relpath(REPOSITORY / "deploy", tmp_path)]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(shown))
    built = [o for o in yaml.safe_load_all(control_plane.kubectl("kustomize", str(tmp_path))) if o]
    (deployment,) = [o for o in built if o["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"REGISTRY/aim-operator:{version('aim-operator')}"
    names = {o["metadata"]["name"] for o in built if o["kind"] == "CustomResourceDefinition"}
    assert names == {path.stem for path in CRDS.glob("*.yaml")}


def test_its_version_is_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    reference = next(
        container["image"]
        for o in yaml.safe_load_all(rendered(VALUES[0]))
        if o and o["kind"] == "Deployment"
        for container in o["spec"]["template"]["spec"]["containers"]
    )
    assert chart["appVersion"] == chart["version"]
    assert reference == f"ghcr.io/silogen/aim-operator:{chart['version']}"


def install(cluster: Cluster, name: str, home: str, *namespaces: str) -> str:
    """Install a release, so far as its Deployment goes. Returns "" or what helm says instead."""
    setting = f"--set=namespaces={{{','.join(namespaces)}}}" if namespaces else "--set=replicas=2"
    kubeconfig = f"--kubeconfig={cluster.kubeconfig}"
    arguments = (name, str(CHART), f"--namespace={home}", setting, "--set=crds.install=false")
    done = helm("template", *arguments, "--dry-run=server", kubeconfig)
    if done.returncode:
        return done.stderr
    for one in yaml.safe_load_all(done.stdout):
        if one and one["kind"] == "Deployment":
            cluster.api.apply(one)
    return ""


BESIDE = {
    "two that serve all": ([], [], "serves all namespaces"),
    "one beside one that serves all": ([], ["x"], "serves all namespaces"),
    "one that would serve all beside another": (["x", "y"], [], "serves x, y"),
    "two with a namespace in common": (["x", "y"], ["z", "y"], "y is served by the release a in"),
    "two with none in common": (["x", "y"], ["z"], ""),
}


def test_no_two_releases_serve_one_namespace(control_plane: Cluster, subtests: pytest.Subtests) -> None:
    """One test, because a release sees those of all namespaces."""
    with control_plane.namespace("release-a") as home, control_plane.namespace("release-b") as other_home:
        for case, (first, second, want) in BESIDE.items():
            with subtests.test(case):
                assert install(control_plane, "a", home, *first) == ""
                said = install(control_plane, "b", other_home, *second)
                assert want in said
                assert bool(said) is bool(want)
                assert install(control_plane, "a", home, *first) == "", "an upgrade of itself"
            for namespace in (home, other_home):
                control_plane.kubectl("delete", "deployment", "--all", f"--namespace={namespace}")
