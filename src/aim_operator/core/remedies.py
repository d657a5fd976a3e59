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
