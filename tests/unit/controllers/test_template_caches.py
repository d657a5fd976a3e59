"""Which model caches a template cache finds, and whether it is the one that keeps their references."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1 import TEMPLATE_CACHES
from aim_operator.controllers.template_caches import TemplateCaches
from aim_operator.core.catalog import scope_of
from aim_operator.core.naming import model_cache_name
from aim_operator.core.template_cache.observed import SourceObserved, TemplateCacheObserved
from tests.support.cache_builders import OURS
from tests.support.filled_stores import FilledStores
from tests.support.template_builders import NOW

SOURCE = "hf://example/llama"
OWN = model_cache_name(SOURCE, "", "")
GOING = {"deletionTimestamp": "2026-01-31T12:00:00Z"}
LISTED = {"modelCaches": [{"sourceUri": SOURCE, "name": OWN}]}


class Team(FilledStores):
    def __init__(self) -> None:
        super().__init__()
        self.new("images", "team/llama", spec={"image": "x/llama:1"})
        sources = {"status": "Available", "modelSources": [{"name": "example/llama", "sourceUri": SOURCE}]}
        self.new("templates", "team/fast", spec={"aimImageName": "llama"}, status=sources)

    def template_cache(self, name: str, created: str) -> None:
        spec = {"templateRef": "fast", "shared": True}
        metadata = {"creationTimestamp": created}
        self.new("template_caches", f"team/{name}", metadata=metadata, spec=spec, status=LISTED)

    async def observed(self, name: str) -> TemplateCacheObserved:
        cache = self.watched.template_caches.store.get("team", name)
        assert cache is not None
        caches = TemplateCaches(watched=self.watched, catalog=self.catalog)
        return await caches.gather(TEMPLATE_CACHES.ref(cache), cache, NOW)

    async def source(self, name: str) -> SourceObserved:
        (source,) = (await self.observed(name)).sources
        return source


@pytest.fixture
def team() -> Team:
    return Team()


async def test_of_two_that_share_a_model_cache_the_older_one_keeps_its_references(team: Team) -> None:
    """Two would write their tokens into it in turn, for ever."""
    team.new("model_caches", f"team/{OWN}", metadata=OURS, spec={"sourceUri": SOURCE})
    team.template_cache("senior", "2026-01-01T00:00:00Z")
    team.template_cache("junior", "2026-01-02T00:00:00Z")
    senior, junior = await team.source("senior"), await team.source("junior")
    assert (senior.senior, junior.senior) == (True, False)


@pytest.mark.parametrize(("metadata", "taken"), [({}, True), (GOING, False)], ids=["stays", "is going"])
async def test_a_name_is_taken_while_another_source_has_it(team: Team, metadata: Any, *, taken: bool) -> None:
    """One that is going is waited for: nobody has to do anything about it."""
    team.new("model_caches", f"team/{OWN}", metadata=metadata, spec={"sourceUri": "hf://example/another"})
    team.template_cache("senior", "2026-01-01T00:00:00Z")
    assert (await team.source("senior")).taken is taken


@pytest.mark.parametrize(
    ("scope", "namesake", "found"),
    [
        pytest.param("Cluster", "Namespace", None, id="the cluster's: not the namespace's"),
        pytest.param("Namespace", "Cluster", None, id="the namespace's: not the cluster's"),
        pytest.param(None, "Cluster", "Cluster", id="any: the cluster's"),
        pytest.param(None, "Namespace", "Namespace", id="any: the namespace's"),
    ],
)
async def test_a_template_cache_is_about_the_template_of_its_scope(
    team: Team, scope: str | None, namesake: str, found: str | None
) -> None:
    """The sources of a namesake are other files."""
    if namesake == "Cluster":
        team.delete("templates", "team/fast")
        team.new("cluster_templates", "/fast", spec={"aimImageName": "llama"})
    team.new("template_caches", "team/mine", spec={"templateRef": "fast", "templateScope": scope})
    template = (await team.observed("mine")).template
    assert (None if template is None else scope_of(template)) == found


ASKS = {"model": "llama", "templateRef": "fast", "cacheModel": True}
TOKEN = {"env": [{"name": "HF_TOKEN", "value": "x"}]}


@pytest.mark.parametrize(
    ("elder", "metadata", "ours", "want"),
    [
        pytest.param({**ASKS, **TOKEN}, {}, OURS, "elder", id="the oldest of those that have any"),
        pytest.param(ASKS, {}, OURS, "younger", id="of none that has no environment for downloads"),
        pytest.param({**ASKS, **TOKEN}, GOING, OURS, "younger", id="of none that is going"),
        pytest.param(
            {**ASKS, **TOKEN, "cacheModel": False}, {}, OURS, "younger", id="of none without caching"
        ),
        pytest.param(
            {**ASKS, **TOKEN, "templateRef": "other"}, {}, OURS, "younger", id="of none on another template"
        ),
        pytest.param({**ASKS, **TOKEN}, {}, {}, None, id="nobody's, for a cache that a user made"),
    ],
)
async def test_a_cache_is_filled_with_the_credentials_of(
    team: Team, elder: dict[str, Any], metadata: dict[str, Any], ours: dict[str, Any], want: str | None
) -> None:
    """A download has one token: of a service that asked for it, and always of the same one."""
    team.new("templates", "team/other", spec={"aimImageName": "llama"})
    # The younger one is read first.
    for name, created, spec, more in (
        ("younger", "2026-01-02T00:00:00Z", {**ASKS, **TOKEN}, {}),
        ("elder", "2026-01-01T00:00:00Z", elder, metadata),
    ):
        team.new("services", f"team/{name}", metadata={"creationTimestamp": created, **more}, spec=spec)
    team.new("template_caches", "team/fast", metadata=ours, spec={"templateRef": "fast"})
    service = (await team.observed("fast")).service
    assert (None if service is None else service.metadata.name) == want


ELSEWHERE = {"sourceUri": SOURCE, "env": [{"name": "HF_ENDPOINT", "value": "https://mirror.example.com"}]}


@pytest.mark.parametrize(
    ("shared", "unshared"),
    [
        pytest.param(False, "mine", id="to share it, where its maker does not"),
        pytest.param(True, "", id="none, where it is shared: that would change nothing"),
    ],
)
async def test_of_a_cache_of_the_source_the_advice_is(team: Team, unshared: str, *, shared: bool) -> None:
    team.new("model_caches", "team/mine", spec={**ELSEWHERE, "shared": shared})
    team.template_cache("senior", "2026-01-01T00:00:00Z")
    source = await team.source("senior")
    assert (source.cache, source.unshared) == (None, unshared)


@pytest.mark.parametrize(
    ("metadata", "name", "found"),
    [
        pytest.param(OURS, "senior", True, id="the oldest template cache that uses it: it is filled anew"),
        pytest.param(OURS, "junior", False, id="a younger one, which may not write its references"),
        pytest.param({}, "senior", False, id="nobody, if a user made it: nobody else writes it"),
    ],
)
async def test_a_cache_that_is_being_filled_from_elsewhere_goes_along_to_a_new_endpoint_with(
    team: Team, metadata: dict[str, Any], name: str, *, found: bool
) -> None:
    """Else files of the former endpoint would be served as those of the new one."""
    team.new("model_caches", f"team/{OWN}", metadata=metadata, spec={**ELSEWHERE, "shared": True})
    team.template_cache("senior", "2026-01-01T00:00:00Z")
    team.template_cache("junior", "2026-01-02T00:00:00Z")
    assert ((await team.source(name)).cache is not None) is found
