"""The table of what is built from Go modules: versions, sources, how long it takes.

Changing anything here, or a file under go/, gives the component a new cache directory by itself.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "1.35.4"
SOURCES = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True)
class Component:
    """Something that is built once and then kept in the cache directory."""

    name: str
    version: str
    title: str
    expected: str  # alone on two idle cores, with empty Go caches


@dataclass(frozen=True, slots=True)
class LocalProgram(Component):
    """A Go program whose sources are in this repository."""

    sources: Path
    ldflags: str


@dataclass(frozen=True, slots=True)
class ModuleProgram(Component):
    """A Go program built as its module's own main module, so that its replace directives apply."""

    module: str
    package: str
    variables: tuple[str, ...] = ()  # that the linker sets

    @property
    def ldflags(self) -> str:
        return " ".join(["-s -w", *(f"-X {variable}" for variable in self.variables)])


@dataclass(frozen=True, slots=True)
class ModuleManifests(Component):
    """YAML files of a Go module, kept as JSON: {kept name: globs inside the module}."""

    module: str
    files: tuple[tuple[str, tuple[str, ...]], ...]


CONTROL_PLANE = LocalProgram(
    name="controlplane",
    version=KUBERNETES_VERSION,
    title=f"Kubernetes {KUBERNETES_VERSION}",
    expected="8 to 10 minutes",
    sources=SOURCES / "controlplane",
    ldflags=(
        "-s -w"
        f" -X k8s.io/component-base/version.gitVersion=v{KUBERNETES_VERSION}"
        " -X k8s.io/component-base/version.gitMajor=1"
        " -X k8s.io/component-base/version.gitMinor=35"
        f" -X k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES_VERSION}"
    ),
)
KSERVE = ModuleProgram(
    name="kserve",
    version="0.20.0",
    title="KServe 0.20.0",
    expected="3 to 5 minutes",
    module="github.com/kserve/kserve@v0.20.0",
    package="./cmd/manager",
)
# The oldest that the operator works with. Its name is its own: both may be built at once.
OLDEST_KSERVE = ModuleProgram(
    name="kserve-oldest",
    version="0.16.0",
    title="KServe 0.16.0",
    expected="3 to 5 minutes, one after KServe 0.20.0",
    module="github.com/kserve/kserve@v0.16.0",
    package="./cmd/manager",
)
TRAEFIK = ModuleProgram(
    name="traefik",
    version="3.6.0",
    title="Traefik 3.6.0",
    expected="8 to 12 minutes",
    module="github.com/traefik/traefik/v3@v3.6.0",
    package="./cmd/traefik",
)
HELM = ModuleProgram(
    name="helm",
    version="3.19.0",
    title="Helm 3.19.0",
    expected="2 to 3 minutes",
    module="helm.sh/helm/v3@v3.19.0",
    package="./cmd/helm",
    # As its Makefile does: without, charts that want a Kubernetes newer than 1.20 are refused.
    variables=(
        "helm.sh/helm/v3/internal/version.version=v3.19.0",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34",
    ),
)
KREW = ModuleProgram(
    name="krew",
    version="0.4.3",
    title="Krew 0.4.3",
    expected="half a minute",
    module="sigs.k8s.io/krew@v0.4.3",
    package="./cmd/krew",
)
# With the Kubernetes libraries of the control plane, which are compiled for it anyway.
STATE_METRICS = LocalProgram(
    name="kube-state-metrics",
    version="2.18.0",
    title="kube-state-metrics 2.18.0",
    expected="1 to 2 minutes, after Kubernetes",
    sources=SOURCES / "statemetrics",
    ldflags="-s -w",
)
_KSERVE_FILES = (
    ("crds", ("charts/kserve-crd/templates/*.yaml", "charts/kserve-crd/files/*.yaml")),
    ("webhooks", ("config/webhook/manifests.yaml",)),
    ("configuration", ("config/configmap/inferenceservice.yaml",)),
)
KSERVE_MANIFESTS = ModuleManifests(
    name="kserve-manifests",
    version="0.20.0",
    title="KServe's CRDs",
    expected="a few seconds",
    module=KSERVE.module,
    files=_KSERVE_FILES,
)
OLDEST_KSERVE_MANIFESTS = ModuleManifests(
    name="kserve-oldest-manifests",
    version="0.16.0",
    title="the CRDs of KServe 0.16.0",
    expected="a few seconds",
    module=OLDEST_KSERVE.module,
    files=_KSERVE_FILES,
)
GATEWAY_MANIFESTS = ModuleManifests(
    name="gateway-api-manifests",
    version="1.4.1",
    title="the Gateway API's CRDs",
    expected="a few seconds",
    module="sigs.k8s.io/gateway-api@v1.4.1",
    files=(("crds", ("config/crd/standard/*.yaml",)),),
)

# What takes longest to build is first.
BY_LENGTH: tuple[Component, ...] = (
    CONTROL_PLANE,
    TRAEFIK,
    KSERVE,
    OLDEST_KSERVE,
    HELM,
    STATE_METRICS,
    KREW,
)
# Instead of "kserve", which upgrades it where it runs.
OLDEST_KSERVE_PART = "oldest-kserve"
# Tools, unlike parts of a cluster, are there whichever cluster is used.
HELM_TOOL = "helm"
# Installs what hack/krew makes.
KREW_TOOL = "krew"
STATE_METRICS_TOOL = "kube-state-metrics"
TOOLS = (HELM_TOOL, KREW_TOOL, STATE_METRICS_TOOL)
BY_PART: dict[str, tuple[Component, ...]] = {
    "control-plane": (CONTROL_PLANE,),
    "node": (),
    "second-node": (),
    OLDEST_KSERVE_PART: (OLDEST_KSERVE_MANIFESTS, OLDEST_KSERVE),
    "kserve": (KSERVE_MANIFESTS, KSERVE),
    "gateway": (GATEWAY_MANIFESTS, TRAEFIK),
    HELM_TOOL: (HELM,),
    KREW_TOOL: (KREW,),
    STATE_METRICS_TOOL: (STATE_METRICS,),
    "operator-image": (),  # not of Go modules: operator_image.py
}


def inputs_hash(component: Component) -> str:
    """Changes with anything that goes into the build but the Go version: any new enough Go will do."""
    digest = hashlib.sha256(platform.machine().encode())
    match component:
        case LocalProgram():
            digest.update(component.ldflags.encode())
            for path in sorted(component.sources.iterdir()):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
        case ModuleProgram():
            digest.update(" ".join([component.module, component.package, *component.variables]).encode())
        case ModuleManifests():
            digest.update(f"{component.module} {component.files}".encode())
    return digest.hexdigest()[:12]
