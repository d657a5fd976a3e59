"""Stand-in for the Job controller and the kubelet: Jobs get a Pod, run where placement.py says, and end.

What an image does is chosen by its reference; an image that nothing is said about prints a dry run. Logs are
served through the client. Built by sandbox.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from aim_operator.api.meta import Manifest
from aim_operator.errors import ApiError
from aim_operator.sandbox import downloads, placement
from aim_operator.sandbox.agenda import Agenda
from aim_operator.sandbox.clock import age_seconds
from aim_operator.sandbox.kinds import KindId
from aim_operator.sandbox.profiles import SandboxImage, image, plain_env
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.stand_in import StandIn, owner_reference
from aim_operator.sandbox.storage import Change, Key, Stored

JOB = KindId("batch", "Job")
POD = KindId("", "Pod")
_EVENT = KindId("", "Event")
_DEADLINE = "Job was active longer than specified deadline"
_MOST_BACKOFF_SECONDS = 60.0
_BACKOFF = "Job has reached the specified backoff limit"

Outcome = Literal["succeeds", "fails", "pull error", "unschedulable", "quota", "hangs"]


class ImageBehaviour(Struct, frozen=True, kw_only=True):
    """What happens to a Job with this image; `message` is what the registry, scheduler or quota says."""

    outcome: Outcome = "succeeds"
    log: bytes | None = None
    """What the container prints; a dry run if None."""
    exit_code: int = 1
    message: str = ""
    reason: str = "ErrImagePull"
    """Why a container waits whose image can't be pulled."""
    run_seconds: float | None = None
    pull_seconds: float = 0.0
    """How long the kubelet pulls the image before the container starts."""
    sidecar: bool = False
    """A mesh injects an init container and a sidecar, which runs on when the container has ended."""


class JobController(StandIn):
    """`behaviours` are by image reference, those of downloads by source URI; `profiles` by image reference.

    They may be changed at any time.
    """

    manager = "kube-controller-manager"

    def __init__(
        self,
        server: SandboxServer,
        agenda: Agenda,
        *,
        profiles: Mapping[str, SandboxImage],
        start_seconds: float = 0.0,
        run_seconds: float = 0.0,
    ) -> None:
        super().__init__(server, agenda)
        self.behaviours: dict[str, ImageBehaviour] = {}
        self.made_up = True
        """Whether listings, and images without a profile, get an answer; else their Jobs never end."""
        self.answers: dict[str, bytes] = {}
        """What an image without a profile prints in the discovery of the template with this uid."""
        self._unplaced: dict[str, Callable[[], None]] = {}  # by uid of the Pod
        self._backoff_seconds: dict[str, float] = {}  # by uid of a Job whose Pod was refused
        self.profiles = dict(profiles)
        self.start_seconds, self.run_seconds = start_seconds, run_seconds
        server.storage.listen(self._changed)

    def _changed(self, change: Change) -> None:
        stored = change.new
        if stored.key.id in (placement.NODE, placement.CLAIM):
            for uid, again in self._unplaced.items():
                self.agenda.put(("schedule", uid), again)
        elif stored.key.id == JOB and change.type != "DELETED":
            self._job_changed(stored, change.old)
        elif stored.key.id == POD and change.type == "DELETED":
            for owner in stored.obj["metadata"].get("ownerReferences") or ():
                job = self.server.storage.by_uid(owner["uid"])
                if job is not None and job.key.id == JOB and _wants_pod(job):
                    self._later(job, "pod gone", partial(self._end, job.key, job.uid, _BACKOFF), 0.0)
            for each in [key for key in self.server.logs if key[:2] == stored.key[1:]]:
                del self.server.logs[each]

    def _job_changed(self, job: Stored, old: Stored | None) -> None:
        spec = job.obj["spec"]
        if old is None or old.obj["spec"].get("suspend") != spec.get("suspend"):
            self._later(job, "start", partial(self._start, job.key, job.uid), self.start_seconds)
            if "activeDeadlineSeconds" in spec:
                self._deadline_in(job, spec["activeDeadlineSeconds"])
        ended = _ended_at(job)
        if ended and "ttlSecondsAfterFinished" in spec:
            left = spec["ttlSecondsAfterFinished"] - age_seconds(self.server.clock, ended)
            self._later(job, "ttl", partial(self._expire, job.key, job.uid), max(0.0, left))

    def _later(self, job: Stored, step: str, work: Any, seconds: float) -> None:
        self.agenda.put(("job", job.uid, step), work, after_seconds=seconds)

    def _behaviour(self, job: Stored) -> ImageBehaviour:
        container = _container(job)
        source = downloads.source(container)
        said = self.behaviours.get(source or container["image"])
        if said is not None:
            return said
        known = not downloads.is_listing(container) if source else container["image"] in self.profiles
        owners = job.obj["metadata"].get("ownerReferences") or ()
        answer = next((self.answers[each["uid"]] for each in owners if each["uid"] in self.answers), None)
        if answer is not None and not known:
            return ImageBehaviour(log=answer)
        return ImageBehaviour(outcome="succeeds" if known or self.made_up else "hangs")

    def _start(self, key: Key, uid: str) -> None:
        job = self.live(key, uid)
        if job is None or finished(job) or job.obj["metadata"].get("deletionTimestamp"):
            return
        if job.obj["spec"].get("suspend"):
            suspended = self.condition(job, "Suspended", "True", "JobSuspended", "Job suspended")
            self.set_status(job, {"active": None, "ready": 0, "conditions": [suspended]})
            for pod in self.server.storage.dependents(uid):
                self.server.delete(self.server.kinds.of(POD), pod.key.name, namespace=pod.key.namespace)
            return
        behaviour = self._behaviour(job)
        if behaviour.outcome == "quota":
            self._refuse(job, behaviour.message or f'pods "{key.name}-" is forbidden: exceeded quota')
            return
        try:
            pod = self._create_pod(job)
        except ApiError as error:
            # Again and again, as by Kubernetes' own (1.35, job_controller.go: MaxJobApiBackOff).
            self._refuse(job, str(error))
            seconds = self._backoff_seconds.get(uid, 1.0)
            self._backoff_seconds[uid] = min(2 * seconds, _MOST_BACKOFF_SECONDS)
            self._later(job, "start", partial(self._start, key, uid), seconds)
            return
        self.set_status(job, {"active": 1, "ready": 0, "startTime": self.now()})
        self._schedule(key, uid, pod.key, pod.uid)

    def _schedule(self, key: Key, uid: str, pod_key: Key, pod_uid: str) -> None:
        """Finds a node for the Pod, and starts it there; else it is looked at again when a node changes."""
        job, pod = self.live(key, uid), self.live(pod_key, pod_uid)
        self._unplaced.pop(pod_uid, None)
        if job is None or pod is None or finished(job):
            return
        behaviour = self._behaviour(job)
        node, message = placement.node_for(self.server, pod)
        again = partial(self._schedule, key, uid, pod_key, pod_uid)
        if behaviour.outcome == "unschedulable":
            message = behaviour.message or "0/1 nodes are available: 1 Insufficient amd.com/gpu."
        elif message:
            self._unplaced[pod_uid] = again
        elif placement.waits_for_volumes(self.server, pod, node):
            self._unplaced[pod_uid] = again
            return
        if message:
            condition = self.condition(pod, "PodScheduled", "False", "Unschedulable", message)
            self.set_status(pod, {"phase": "Pending", "conditions": [condition]})
            return
        if node:
            pod = placement.bind(self.server, pod, node)
        scheduled = [self.condition(pod, "PodScheduled", "True")]
        if behaviour.outcome == "pull error":
            waiting = {"reason": behaviour.reason, "message": behaviour.message or "image not found"}
            self._set_pod(pod, "Pending", {"waiting": waiting}, scheduled)
            return
        if behaviour.pull_seconds:
            ready = ("PodReadyToStartContainers", "Initialized")
            scheduled += [self.condition(pod, type_, "True") for type_ in ready]
            self._set_pod(pod, "Pending", {"waiting": {"reason": "ContainerCreating"}}, scheduled)
            run = partial(self._run, key, uid, pod.key, pod.uid)
            self._later(job, "pulled", run, behaviour.pull_seconds)
        else:
            self._run(key, uid, pod.key, pod.uid)

    def _run(self, key: Key, uid: str, pod_key: Key, pod_uid: str) -> None:
        """Starts the container: its image is there."""
        job, pod = self.live(key, uid), self.live(pod_key, pod_uid)
        if job is None or pod is None or finished(job):
            return
        behaviour = self._behaviour(job)
        scheduled = pod.obj["status"].get("conditions") or [self.condition(pod, "PodScheduled", "True")]
        self._set_pod(pod, "Running", {"running": {"startedAt": self.now()}}, scheduled)
        self.set_status(job, {"ready": 1})
        if behaviour.outcome == "hangs":
            return
        seconds = self.run_seconds if behaviour.run_seconds is None else behaviour.run_seconds
        container = _container(job)
        if downloads.source(container) and not downloads.is_listing(container):
            self._download(pod, downloads.STEPS, seconds / downloads.STEPS)
        self._later(job, "finish", partial(self._finish, key, uid, pod.key, pod.uid), seconds)

    def _download(self, pod: Stored, left: int, step_seconds: float) -> None:
        """Writes a line of progress into the log, and comes back for the next."""
        if self.live(pod.key, pod.uid) is None:
            return
        container = pod.obj["spec"]["containers"][0]
        place = (pod.key.namespace, pod.key.name, container["name"])
        line = downloads.progress_line(container, downloads.STEPS - left)
        self.server.logs[place] = self.server.log(place) + line
        if left > 1:
            again = partial(self._download, pod, left - 1, step_seconds)
            self.agenda.put(("download", pod.uid), again, after_seconds=step_seconds)

    def _create_pod(self, job: Stored) -> Stored:
        template = job.obj["spec"]["template"]
        manifest = {
            "metadata": {
                "generateName": f"{job.key.name}-",
                "labels": template.get("metadata", {}).get("labels", {}),
                "annotations": template.get("metadata", {}).get("annotations", {}),
                "ownerReferences": [owner_reference(job)],
            },
            "spec": template["spec"],
        }
        kind = self.server.kinds.of(POD)
        return self.server.create(kind, manifest, namespace=job.key.namespace, manager=self.manager)

    def _set_pod(self, pod: Stored, phase: str, state: Manifest, conditions: list[Manifest]) -> None:
        container = pod.obj["spec"]["containers"][0]
        status = {
            "name": container["name"],
            "image": container["image"],
            "ready": phase == "Running",
            "restartCount": 0,
            "state": state,
        }
        started = pod.obj.get("status", {}).get("startTime") or self.now()
        pod_status: Manifest = {
            "phase": phase,
            "startTime": started,
            "conditions": conditions,
            "containerStatuses": [status],
        }
        if self.behaviours.get(downloads.source(container) or container["image"], ImageBehaviour()).sidecar:
            proxy = {**status, "name": "istio-proxy", "state": {"running": {"startedAt": self.now()}}}
            init = {**status, "name": "istio-init", "state": {"terminated": {"exitCode": 0}}}
            pod_status |= {"containerStatuses": [proxy, status], "initContainerStatuses": [init]}
        self.set_status(pod, pod_status)

    def _finish(self, key: Key, uid: str, pod_key: Key, pod_uid: str) -> None:
        job, pod = self.live(key, uid), self.live(pod_key, pod_uid)
        if job is None or pod is None or finished(job):
            return
        behaviour = self._behaviour(job)
        container = _container(job)
        downloading = downloads.source(container)
        code, log = self._ran(container, behaviour)
        failed = code != 0
        if not downloading:
            self.server.logs[pod_key.namespace, pod_key.name, container["name"]] = log
        ended: Manifest = {
            "exitCode": code,
            "reason": "Error" if failed else "Completed",
            "finishedAt": self.now(),
        }
        if downloading:
            ended["message"] = downloads.last_word(container, behaviour.message if failed else "")
        elif failed and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            # The kubelet keeps the last 2048 bytes or 80 lines of the log.
            ended["message"] = log[-2048:].decode(errors="replace")
        conditions = pod.obj["status"].get("conditions", [])
        if behaviour.sidecar:
            self._set_pod(pod, "Running", {"terminated": ended}, conditions)
            return
        self._set_pod(pod, "Failed" if failed else "Succeeded", {"terminated": ended}, conditions)
        if failed:
            self._end(key, uid, _BACKOFF)
            return
        conditions = [
            self.condition(
                job, type_, "True", "CompletionsReached", "Reached expected number of succeeded pods"
            )
            for type_ in ("SuccessCriteriaMet", "Complete")
        ]
        counts = {"active": None, "ready": 0, "succeeded": 1}
        self.set_status(job, {**counts, "completionTime": self.now(), "conditions": conditions})

    def _ran(self, container: Manifest, behaviour: ImageBehaviour) -> tuple[int, bytes]:
        """The exit code and the log of a container that has come to its end."""
        if behaviour.outcome == "fails":
            return behaviour.exit_code, behaviour.log or b""
        if behaviour.log is not None or downloads.source(container):
            return 0, behaviour.log or b""
        env = plain_env(container)
        run = image(container["image"], env, self.profiles).dry_run(env)
        return run.exit_code, run.log

    def _end(self, key: Key, uid: str, message: str) -> None:
        """Marks the Job as failed, and takes down what still runs."""
        job = self.live(key, uid)
        if job is None or finished(job):
            return
        reason = "DeadlineExceeded" if message == _DEADLINE else "BackoffLimitExceeded"
        conditions = [
            self.condition(job, type_, "True", reason, message) for type_ in ("FailureTarget", "Failed")
        ]
        self.set_status(job, {"active": None, "ready": 0, "failed": 1, "conditions": conditions})
        for pod in self.server.storage.dependents(uid):
            if pod.obj["status"]["phase"] not in ("Succeeded", "Failed"):
                self.server.delete(self.server.kinds.of(POD), pod.key.name, namespace=pod.key.namespace)

    def _deadline_in(self, job: Stored, seconds: float) -> None:
        self._later(job, "deadline", partial(self._deadline, job.key, job.uid), seconds)

    def _deadline(self, key: Key, uid: str) -> None:
        job = self.live(key, uid)
        # Resumed, it gets all its time again.
        if job is None or job.obj["spec"].get("suspend") or "activeDeadlineSeconds" not in job.obj["spec"]:
            return
        since = job.obj["status"].get("startTime") or job.obj["metadata"]["creationTimestamp"]
        left = job.obj["spec"]["activeDeadlineSeconds"] - age_seconds(self.server.clock, since)
        if left > 0:
            self._deadline_in(job, left)
        else:
            self._end(key, uid, _DEADLINE)

    def _expire(self, key: Key, uid: str) -> None:
        job = self.live(key, uid)
        if job is not None and "ttlSecondsAfterFinished" in job.obj["spec"] and finished(job):
            self.server.delete(self.server.kinds.of(JOB), key.name, namespace=key.namespace, uid=uid)

    def _refuse(self, job: Stored, message: str) -> None:
        """No Pod can be made: only an event on the Job tells."""
        event = {
            "metadata": {"generateName": f"{job.key.name}."},
            "involvedObject": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "namespace": job.key.namespace,
                "name": job.key.name,
                "uid": job.uid,
            },
            "type": "Warning",
            "reason": "FailedCreate",
            "message": f"Error creating: {message}",
            "source": {"component": "job-controller"},
            "firstTimestamp": self.now(),
            "lastTimestamp": self.now(),
            "count": 1,
        }
        kind = self.server.kinds.of(_EVENT)
        self.server.create(kind, event, namespace=job.key.namespace, manager=self.manager)
        if "startTime" not in job.obj.get("status", {}):
            self.set_status(job, {"startTime": self.now()})


def finished(job: Stored) -> bool:
    return _ended_at(job) != ""


def _wants_pod(job: Stored) -> bool:
    return not finished(job) and not job.obj["spec"].get("suspend")


def _ended_at(job: Stored) -> str:
    for condition in job.obj.get("status", {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return str(condition["lastTransitionTime"])
    return ""


def _container(job: Stored) -> Manifest:
    container: Manifest = job.obj["spec"]["template"]["spec"]["containers"][0]
    return container
