"""What a person can do about a model image that ends, recognised by its last words.

The published images and the libraries in them say what is wrong in their own terms; these are ours. Whatever
is not recognized is passed on without advice.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from aim_operator.core.messages import last_words, one_line


class _Remedy(NamedTuple):
    words: re.Pattern[str]
    what_to_do: str


_IDS = r"\bAIM_ID\b.*\bAIM_MODEL_ID\b|\bAIM_MODEL_ID\b.*\bAIM_ID\b"
_REMEDIES = (
    _Remedy(
        re.compile(rf"\bboth\b.*(?:{_IDS})|(?:{_IDS}).*\bboth\b", re.IGNORECASE),
        "the image is made for one model: use a template without spec.model, and AIM_MODEL_ID in no env",
    ),
    _Remedy(
        re.compile(rf"(?:{_IDS})", re.IGNORECASE),
        "the image serves any model and was given none: use a template that names one in spec.model",
    ),
    _Remedy(
        re.compile(
            r"\b(?:HTTP|Error|status)\b.{0,12}\b40[13]\b|\b40[13] Client Error\b|\bgated repo|GatedRepoError",
            re.IGNORECASE,
        ),
        "the hub refuses it: set HF_TOKEN, of an account that may read the model, in env of the service, its "
        "template or its runtime configuration",
    ),
    _Remedy(
        re.compile(
            r"can't be reached|connection refused|connection error|max retries|name or service not known|"
            r"failed to resolve|name resolution|network is unreachable|LocalEntryNotFoundError",
            re.IGNORECASE,
        ),
        "the hub can't be reached: set HF_ENDPOINT to a mirror, or HTTPS_PROXY, in env of the runtime "
        "configuration",
    ),
)


_PLACES = (
    _Remedy(
        re.compile("PersistentVolume's node affinity|volume node affinity conflict"),
        "the volume is bound to another node or zone; delete the AIMModelCache to have it downloaded again "
        "where the model is served",
    ),
    _Remedy(re.compile(r"untolerated taint"), "tolerate the taint with {where}.tolerations"),
    _Remedy(
        re.compile(r"didn't match Pod's node affinity/selector"),
        "no node has the GPU's labels and those of {where}; compare with kubectl get nodes --show-labels",
    ),
    _Remedy(
        re.compile(r'persistentvolumeclaim "[^"]*" (?:not found|is being deleted)'),
        "have the claim made again: delete the AIMModelCache that it is of, or create it where it is yours",
    ),
    _Remedy(
        re.compile(r"unbound immediate PersistentVolumeClaims"),
        "see with kubectl describe pvc why its claim is not bound",
    ),
)
"""The words of the scheduler's plugins: VolumeBinding, TaintToleration, NodeAffinity."""


_PULLS = (
    _Remedy(re.compile(r"no space left on device"), "make room for images on the disk of the Pod's node"),
    _Remedy(
        re.compile(r"no match for platform in manifest|no matching manifest for"),
        "use an image that is built for the architecture of the node, or a node of the image's",
    ),
    _Remedy(
        re.compile(r"\b429\b|toomanyrequests|rate limit", re.IGNORECASE),
        "wait, the kubelet tries again; to pull more often give it an account in imagePullSecrets, or name a "
        "mirror in spec.image",
    ),
    _Remedy(
        re.compile(r"x509:|failed to verify certificate"),
        "have the container runtime of the nodes trust the registry's certificate",
    ),
    _Remedy(
        re.compile(r"server gave HTTP response to HTTPS client"),
        "give the registry TLS, or have the container runtime of the nodes speak plain HTTP to it",
    ),
    _Remedy(
        re.compile(
            r"no such host|server misbehaving|connection refused|connection reset|i/o timeout|proxyconnect|"
            r"TLS handshake timeout|network is unreachable|no route to host|deadline exceeded"
        ),
        "see that the Pod's node reaches the registry (its DNS, proxy and firewall), or name a mirror in "
        "spec.image",
    ),
)
"""The words of containerd and of Go's net packages in the kubelet's; the first that fits counts."""


def for_pull(words: str) -> str:
    """Return what to do about a pull that fails; "" where the image or the credentials are at fault."""
    return next((each.what_to_do for each in _PULLS if each.words.search(words)), "")


_STARTS = (
    _Remedy(
        re.compile(r"runAsNonRoot and (?:image will run as root|image has non-numeric user)"),
        "set {context}.runAsUser: the image names no user that is not root",
    ),
    _Remedy(re.compile(r"memory limit too low\?|OOM-killed"), "raise {resources}"),
    _Remedy(
        re.compile(r"executable file not found|exec: \".*no such file or directory"),
        "use an image that has the program which the message names",
    ),
)
"""The words of the kubelet (kuberuntime/security_context.go) and of runc (libcontainer/process_linux.go)."""


def for_start(words: str, *, of_job: bool) -> str:
    """Return what to do about a container that can't be started; "" where something it names is missing."""
    found = next((each for each in _STARTS if each.words.search(words)), None)
    if found is None:
        return ""
    context, resources = (
        ("jobs.securityContext", "limits.memory of jobs.discovery.resources, or of jobs.download.resources")
        if of_job
        else ("securityContext", "resources.limits.memory of the service or its template")
    )
    return found.what_to_do.format(context=context, resources=resources)


_REFUSALS = (
    _Remedy(
        re.compile(r"violates PodSecurity"),
        "set what the message names in securityContext of the service or its runtime configuration, for Jobs "
        "in jobs.securityContext, or have the namespace's Pod Security allow what the message names",
    ),
    _Remedy(
        re.compile(r"exceeded quota|failed quota"),
        "have the namespace's ResourceQuota allow what the message names, or ask for less of it",
    ),
    _Remedy(
        re.compile(r"usage per (?:Container|Pod) is|limit to request ratio per"),
        "ask for resources within the namespace's LimitRange, or have it allow what the message names",
    ),
)
"""The words of the API server's admission: PodSecurity, ResourceQuota, LimitRanger."""


def for_refused_pod(words: str) -> str:
    """Return what to do about an admission that takes no Pod; "" where that is not known."""
    return next((each.what_to_do for each in _REFUSALS if each.words.search(words)), "")


def of_scheduler(message: str | None, where: str) -> str:
    """Return why the scheduler finds no node, with what to do; `where` is the field that places such Pods."""
    words = one_line(message)
    remedy = for_place(words, where)
    return f"{words.rstrip('.')}; {remedy}" if remedy else words


def for_place(words: str, where: str) -> str:
    """Return what to do about the scheduler's words; "" for those that need no more than room."""
    found = next((each for each in _PLACES if each.words.search(words)), None)
    return found.what_to_do.format(where=where) if found is not None else ""


def for_log(words: str) -> str:
    """Return what to do about the last words of a model image; "" where that is not known."""
    return next((each.what_to_do for each in _REMEDIES if each.words.search(words)), "")


_NOT_ALLOWED = re.compile(r"that uid \d+ may write to|can't be read by uid \d+")


def of_volume(message: str) -> str:
    """Return why a download failed; where its uid may not use the volume, with what to do."""
    if not _NOT_ALLOWED.search(message):
        return message
    return (
        f"{message}; a volume that takes no fsGroup, such as an NFS export of root:root, needs another owner "
        "or mode, or jobs.securityContext in the runtime configuration"
    )


def with_remedy(words: str | None) -> str:
    """Return the last words of a model image's log, with what to do where that is known."""
    message = last_words(words)
    remedy = for_log(message)
    return f"{message}; {remedy}" if remedy else message
