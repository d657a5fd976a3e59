"""Beside what changes Pods, Jobs and our children at admission, on a real node: meshes, a queue, policies.

They are MutatingAdmissionPolicies, which do what the webhooks of Istio, Kueue and Kyverno do. Kueue's part is
played from its source: its webhook suspends a Job that names a queue, and its controller starts it with the
node selector of a flavor (pkg/controller/jobs/job).
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from hack.cluster.images import PAUSE_IMAGE
from hack.cluster.node import NODE
from tests.e2e.test_rollouts import at_rest
from tests.support.admission import admission, policy
from tests.support.catalog_yaml import catalog, service
from tests.support.model_hub import MODEL
from tests.support.operator_process import (
    apply_yaml,
    eventually,
    grant_roles,
    reasons,
    running_operator,
    status_of,
    writes,
)
from tests.support.served_models import models

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_gateway]

QUEUE, TEAM = "kueue.x-k8s.io/queue-name", "team.example.com/name"
SECONDS = 150
PODS, JOBS = [("", "pods")], [("batch", "jobs")]
CHILDREN = [
    ("serving.kserve.io", "inferenceservices"),
    ("serving.kserve.io", "servingruntimes"),
    ("gateway.networking.k8s.io", "httproutes"),
    ("batch", "jobs"),
]
OPTED_OUT = "object.metadata.labels[?'sidecar.istio.io/inject'].orValue('') == 'false'"
PROXY = f"""Object{{
  metadata: Object.metadata{{annotations: {{"sidecar.istio.io/status": "injected"}}}},
  spec: Object.spec{{containers: [Object.spec.containers{{name: "istio-proxy", image: "{PAUSE_IMAGE}"}}]}}
}}"""
NATIVE = f"""Object{{spec: Object.spec{{initContainers: [Object.spec.initContainers{{
  name: "native", image: "{PAUSE_IMAGE}", restartPolicy: "Always"}}]}}}}"""
AGENT = f"""Object{{spec: Object.spec{{containers: [Object.spec.containers{{
  name: "agent", image: "{PAUSE_IMAGE}"}}]}}}}"""
NEVER = NATIVE.replace(
    'restartPolicy: "Always"',
    'restartPolicy: "Always", startupProbe: Object.spec.initContainers.startupProbe{'
    "failureThreshold: 600, tcpSocket: Object.spec.initContainers.startupProbe.tcpSocket{port: 1}}",
)
# With each write another mark: were it taken for drift, each write would be the cause of the next.
MARK = """(has(object.metadata.annotations) ? [] :
  [JSONPatch{op: "add", path: "/metadata/annotations", value: {}}]) +
  [JSONPatch{op: "add", path: "/metadata/annotations/policy.example.com~1seen",
    value: oldObject == null ? "new" : oldObject.metadata.resourceVersion}]"""


class Namespace:
    """What is in one namespace."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def template(self, name: str) -> tuple[str, str]:
        """Its status, and why it is not ready."""
        status = status_of(self.cluster, "aimst", name, self.name)
        found = [each["message"] for each in status.get("conditions", ()) if each["type"] == "Ready"]
        return status.get("status", ""), str(found[0]) if found else ""

    def says(self, name: str, state: str, words: str) -> Callable[[], bool]:
        def holds() -> bool:
            got, message = self.template(name)
            return got == state and words in message

        return holds

    def items(self, resource: str, selector: str) -> list[Manifest]:
        found = self.cluster.kubectl(
            "get", resource, f"--namespace={self.name}", f"--selector={selector}", "-o", "json"
        )
        items: list[Manifest] = json.loads(found)["items"]
        return items

    def jobs(self, template: str) -> list[Manifest]:
        return self.items("jobs", f"aim.silogen.ai/template={template}")

    def pods(self, template: str) -> list[Manifest]:
        """Those of its discoveries."""
        return self.items("pods", f"aim.silogen.ai/template={template},batch.kubernetes.io/job-name")

    def written(self) -> int:
        """How often the operator wrote the InferenceService so far."""
        return sum(
            resource == "inferenceservices" for _, resource, _, _ in writes(self.cluster, namespace=self.name)
        )


@pytest.fixture
def cluster(full_cluster: Cluster) -> Cluster:
    grant_roles(full_cluster)
    return full_cluster


def container_names(pod: Manifest) -> set[str]:
    return {each["name"] for each in pod["spec"]["containers"]}


def labelled(text: str, kind: str, labels: dict[str, str]) -> str:
    """The manifests, with labels on those of that kind."""
    before, mark, after = text.partition(f"kind: {kind}\nmetadata: {{")
    assert mark
    return f"{before}{mark}labels: {json.dumps(labels)}, {after}"


def test_a_queue_admits_a_job_a_mesh_leaves_it_alone_and_what_marks_each_write_starts_no_loop(
    cluster: Cluster,
) -> None:
    with cluster.namespace() as name, running_operator(cluster, f"--namespaces={name}"):
        here = Namespace(cluster, name)
        shown = catalog(name).replace("  routing:", f"  propagate: {{labels: [{QUEUE}, {TEAM}]}}\n  routing:")
        shown = labelled(shown, "AIMServiceTemplate", {QUEUE: "batch"})
        with admission(
            cluster,
            name,
            policy("mesh", name, PROXY, resources=PODS, where=f"!({OPTED_OUT})"),
            policy(
                "queue",
                name,
                "Object{spec: Object.spec{suspend: true}}",
                resources=JOBS,
                where=f"has(object.metadata.labels) && '{QUEUE}' in object.metadata.labels",
            ),
            policy("mark", name, MARK, resources=CHILDREN, operations=("CREATE", "UPDATE")),
        ):
            apply_yaml(cluster, shown + labelled(service(name, "chat"), "AIMService", {TEAM: "search"}))
            eventually(
                here.says("fast", "Pending", "is suspended until queue 'batch' admits it"),
                "it waits for its queue, and says so",
            )
            (job,) = here.jobs("fast")
            assert job["spec"]["suspend"] is True
            assert not here.pods("fast")
            template = {"spec": {"nodeSelector": {"kubernetes.io/hostname": NODE}}}
            admitted = json.dumps({"spec": {"suspend": False, "template": template}})
            cluster.kubectl("patch", "job", job["metadata"]["name"], f"--namespace={name}", "-p", admitted)
            eventually(lambda: at_rest(cluster, name), "the service runs", timeout_seconds=SECONDS)

            (job,) = here.jobs("fast")
            assert job["status"]["succeeded"] == 1, "no proxy keeps it"
            (pod,) = here.pods("fast")
            assert container_names(pod) == {"discovery"}
            assert pod["metadata"]["labels"][QUEUE] == "batch"
            assert pod["spec"]["nodeSelector"]["kubernetes.io/hostname"] == NODE
            (server,) = here.items("pods", "serving.kserve.io/inferenceservice=chat")
            assert container_names(server) == {"kserve-container", "istio-proxy"}
            assert server["metadata"]["labels"][TEAM] == "search"
            path = status_of(cluster, "aimsvc", "chat", name)["routing"]["path"]
            assert models(cluster, path) == [MODEL]

            before = here.written()
            assert before <= 4
            for number in range(5):
                cluster.kubectl(
                    "annotate", "isvc", "chat", f"--namespace={name}", "--overwrite", f"theirs={number}"
                )
            cluster.kubectl("scale", "aimsvc", "chat", "--replicas=2", f"--namespace={name}")
            eventually(
                lambda: status_of(cluster, "aimsvc", "chat", name).get("readyReplicas") == 2,
                "it has two copies",
                timeout_seconds=SECONDS,
            )
            assert here.written() - before <= 2, "its own write, and no answer to theirs"


def test_jobs_end_beside_sidecars_that_nobody_could_keep_away_and_what_holds_one_up_is_named(
    cluster: Cluster,
) -> None:
    with cluster.namespace() as name, running_operator(cluster, f"--namespaces={name}"):
        here = Namespace(cluster, name)
        of = "object.metadata.labels[?'aim.silogen.ai/template'].orValue('')"
        with admission(
            cluster,
            name,
            policy("native", name, NATIVE, resources=PODS, where=f"{of} == 'fast'"),
            policy("agent", name, AGENT, resources=PODS, where=f"{of} in ['agent', 'broken']"),
            policy("never", name, NEVER, resources=PODS, where=f"{of} == 'held'"),
        ):
            apply_yaml(cluster, catalog(name) + service(name, "chat") + more_templates(name))
            eventually(here.says("agent", "Available", "discovered"), "its result is taken beside the agent")
            eventually(
                here.says("broken", "Failed", "the image's dry run exited with code 3"), "its failure is said"
            )
            eventually(
                here.says("held", "Progressing", "waits for its container 'native', which has to start"),
                "the container that holds it up is named",
            )
            eventually(lambda: at_rest(cluster, name), "the service runs", timeout_seconds=SECONDS)
            (job,) = here.jobs("fast")
            assert job["status"]["succeeded"] == 1, "a native sidecar ends by itself"
            eventually(lambda: not here.jobs("agent"), "the Job is gone a minute later", timeout_seconds=90)
            assert here.template("agent")[0] == "Available"
            assert reasons(status_of(cluster, "aimst", "held", name))["Ready"] == "False/WaitingForSidecar"


def more_templates(namespace: str) -> str:
    """Templates by whose names the policies know their Pods; the image of `broken` ends with code 3."""
    text = ""
    for template in ("agent", "held"):
        text += _template(namespace, template, "model")
    return f"""{text}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMImage
metadata: {{name: broken, namespace: {namespace}}}
spec: {{image: "ghcr.io/example/broken:v1"}}
{_template(namespace, "broken", "broken")}"""


def _template(namespace: str, name: str, image: str) -> str:
    return f"""
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMServiceTemplate
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{aimImageName: {image}, metric: latency, precision: fp16, gpuSelector: {{count: 1, model: MI300X}}}}
"""
