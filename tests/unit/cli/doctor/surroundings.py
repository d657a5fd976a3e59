"""Clusters as `aimctl doctor` sees them: parts by hand, around which all is in order."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from aim_operator.api.v1alpha1 import (
    AIMClusterRuntimeConfigSpec,
)
from aim_operator.cli.doctor import rendered
from aim_operator.cli.doctor.checks import judge
from aim_operator.cli.doctor.gather import Surroundings
from aim_operator.cli.doctor.verdicts import Check
from aim_operator.cli.versions import Versions

EMPTY = Surroundings(installed=Versions(client="0.1.0", crds="none; install them"))
T = TypeVar("T")


def convert(type_: type[T], fields: dict[str, Any], *, name: str = "it", namespace: str = "team") -> T:
    metadata = {"name": name, "namespace": namespace, "labels": fields.pop("labels", {})}
    return msgspec.json.decode(msgspec.json.encode({"metadata": metadata} | fields), type=type_)


def one(check: str, **fields: Any) -> Check:
    """What is said of a cluster with one team, whose operator stands by in another namespace."""
    around: dict[str, Any] = {
        "serving": frozenset({"team"}),
        "homes": frozenset({"home"}),
        "namespaces": (),
        "configured": frozenset(),
        "quotas": (),
        "limit_ranges": (),
        "pods": tuple(rendered.of_jobs((), ("team",), ("home",), {"": AIMClusterRuntimeConfigSpec()})),
        "priority_class": "",
        "network_policies": (),
        "endpoints": (),
    }
    found = judge(msgspec.structs.replace(EMPTY, **(around | fields)))
    return next(each for each in found.checks if each.name == check)
