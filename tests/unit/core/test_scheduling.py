"""Where Pods run: which level decides, and how affinities are joined."""

from __future__ import annotations

import msgspec
import pytest

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import PodSettings, Scheduling
from aim_operator.core import hardware, scheduling
from aim_operator.core.scheduling import REQUIRED

SAME = {"serving.kserve.io/inferenceservice": "chat"}
PLATFORM = {"key": "amd.com/gpu", "operator": "Exists"}
TEAM = {"key": "team", "value": "a"}


def settings(**fields: object) -> Scheduling:
    return msgspec.convert(fields, Scheduling)


def nodes(*terms: Manifest) -> Manifest:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}


def having(*keys: str) -> Manifest:
    return {"matchExpressions": [{"key": key, "operator": "Exists"} for key in keys]}


def test_the_nearest_level_decides_maps_are_merged_and_tolerations_are_added_up() -> None:
    service = settings(nodeSelector={"pool": "mine"}, tolerations=[TEAM], priorityClassName="high")
    template = settings(runtimeClassName="kata", priorityClassName="low", schedulerName="volcano")
    config = settings(nodeSelector={"pool": "all", "zone": "a"}, tolerations=[PLATFORM, TEAM])
    want = settings(
        nodeSelector={"pool": "mine", "zone": "a"},
        tolerations=[TEAM, PLATFORM],
        priorityClassName="high",
        runtimeClassName="kata",
        schedulerName="volcano",
    )
    assert scheduling.layered(service, template, None, config) == want


def test_levels_that_say_nothing_are_none() -> None:
    assert scheduling.layered(None, Scheduling()) is None
    assert scheduling.layered_pods(None, PodSettings()) is None


def test_labels_and_annotations_of_pods_are_merged_by_key() -> None:
    near = PodSettings(labels={"team": "a"}, enable_service_links=False)
    far = PodSettings(labels={"team": "b", "cost": "1"}, annotations={"x": "y"}, enable_service_links=True)
    merged = PodSettings(
        labels={"team": "a", "cost": "1"}, annotations={"x": "y"}, enable_service_links=False
    )
    assert scheduling.layered_pods(near, far) == merged


@pytest.mark.parametrize(
    ("own", "required", "want"),
    [
        pytest.param({}, nodes(having("gpu")), nodes(having("gpu")), id="only the operator's"),
        pytest.param(
            nodes(having("pool"), having("zone")),
            nodes(having("gpu"), having("old-gpu")),
            nodes(
                having("pool", "gpu"),
                having("pool", "old-gpu"),
                having("zone", "gpu"),
                having("zone", "old-gpu"),
            ),
            id="each term of the one with each of the other",
        ),
        pytest.param(
            nodes({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}),
            nodes(having("gpu")),
            nodes(
                {
                    "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}],
                    **having("gpu"),
                }
            ),
            id="fields of a node stay beside labels",
        ),
        pytest.param(
            {"podAntiAffinity": {REQUIRED: []}},
            nodes(having("gpu")),
            {"podAntiAffinity": {REQUIRED: []}, **nodes(having("gpu"))},
            id="what is said about Pods stays",
        ),
    ],
)
def test_a_node_must_fit_the_users_affinity_and_the_operators(
    own: Manifest, required: Manifest, want: Manifest
) -> None:
    assert scheduling.with_nodes(own, required) == want


def test_preferences_of_the_user_stay_beside_the_gpu() -> None:
    prefers = [{"weight": 1, "preference": having("fast")}]
    own = settings(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": prefers}})
    gpu = hardware.node_affinity("MI300X")
    got = scheduling.pod_fields(own, gpu, same=SAME)["affinity"]["nodeAffinity"]
    assert got["preferredDuringSchedulingIgnoredDuringExecution"] == prefers
    assert gpu is not None
    assert got[REQUIRED] == gpu["nodeAffinity"][REQUIRED]


def test_the_shared_affinity_of_a_gpu_is_not_changed_by_what_it_is_joined_with() -> None:
    before = msgspec.json.encode(hardware.node_affinity("MI300X"))
    own = settings(affinity=nodes(having("pool")))
    scheduling.pod_fields(own, hardware.node_affinity("MI300X"), same=SAME)
    assert msgspec.json.encode(hardware.node_affinity("MI300X")) == before


def test_terms_about_pods_that_name_none_are_about_those_of_the_same_service() -> None:
    other = {"matchLabels": {"app": "cache"}}
    got = scheduling.pod_fields(
        settings(
            affinity={
                "podAntiAffinity": {
                    REQUIRED: [{"topologyKey": "host"}, {"topologyKey": "zone", "labelSelector": other}],
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}
                    ],
                },
                "podAffinity": {REQUIRED: [{"topologyKey": "rack"}]},
            },
            topologySpreadConstraints=[
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
                {
                    "maxSkew": 1,
                    "topologyKey": "zz",
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": other,
                },
            ],
        ),
        same=SAME,
    )
    apart = got["affinity"]["podAntiAffinity"]
    assert {term["topologyKey"]: term["labelSelector"] for term in apart[REQUIRED]} == {
        "host": {"matchLabels": SAME},
        "zone": other,
    }
    [preferred] = apart["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["labelSelector"] == {"matchLabels": SAME}
    [near] = got["affinity"]["podAffinity"][REQUIRED]
    assert near["labelSelector"] == {"matchLabels": SAME}
    spread = {each["topologyKey"]: each["labelSelector"] for each in got["topologySpreadConstraints"]}
    assert spread == {"zone": {"matchLabels": SAME}, "zz": other}


def test_what_is_recorded_is_read_again_also_where_levels_together_have_more_than_one_may() -> None:
    many = [
        settings(nodeSelector={f"{level}-{n}": "" for n in range(16)}) for level in ("config", "template")
    ]
    merged = scheduling.layered(*many)
    assert merged is not None
    assert len(merged.node_selector or {}) == 32
    assert scheduling.read(scheduling.recorded(merged), Scheduling) == merged
    assert scheduling.read({"tolerations": "all"}, Scheduling) is None
