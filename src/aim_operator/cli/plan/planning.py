"""From objects in files to a Plan: loads them into a cluster in memory and lets the operator act.

With a snapshot that cluster is a copy of the one that is to change, at rest before the files come. Called by
command.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import structs

from aim_operator.cli.plan import consequences, difference, gpus, problems
from aim_operator.cli.plan.consequences import Plan
from aim_operator.cli.plan.documents import Document, Unreadable
from aim_operator.cli.plan.problems import OURS, Loaded, Problem
from aim_operator.cli.plan.snapshot import Snapshot
from aim_operator.cli.plan.world import World
from aim_operator.sandbox.profiles import SandboxImage


async def planned(
    found: tuple[Sequence[Document], Sequence[Unreadable]],
    images: Mapping[str, SandboxImage],
    namespace: str,
    before: Snapshot | None = None,
) -> tuple[Plan, bool]:
    """Return the plan, and whether the input has mistakes: what follows from the rest is in it all the same.

    Raises UserError.
    """
    documents, unreadable = found
    world = World(images, before)
    if before is None:
        loaded = problems.load(world.sandbox, documents, namespace)
        world.surround(loaded.documents)
        made = consequences.plan(await world.settle(), loaded.documents, namespace)
    else:
        loaded, made = await _changed(world, documents, namespace, images, before)
    mistakes = [*problems.unreadable(unreadable), *loaded.problems]
    whole = structs.replace(
        made,
        problems=(*mistakes, *made.problems),
        assumed=(*world.assumed, *made.assumed),
        skipped=loaded.skipped,
    )
    return whole, any(problem.severity == "error" for problem in mistakes)


async def _changed(
    world: World,
    documents: Sequence[Document],
    namespace: str,
    images: Mapping[str, SandboxImage],
    before: Snapshot,
) -> tuple[Loaded, Plan]:
    async with world.running():
        old = difference.keyed(stored.obj for stored in await world.rest())
        world.jobs.clear()
        loaded = problems.load(world.sandbox, documents, namespace)
        after = await world.rest()
    new = difference.keyed(stored.obj for stored in after)
    found = difference.difference(
        old,
        new,
        jobs=world.jobs,
        known=images,
        pods=(each for each in before.objects if each["kind"] == "Pod"),
        unseen=(f"{kind}: {why}" for kind, why in before.unseen.items()),
    )
    plan = consequences.plan(after, loaded.documents, namespace)
    worse = {(each.kind, each.namespace, each.name) for each in found.worse}
    return loaded, structs.replace(
        plan,
        problems=tuple(_since(problem, worse) for problem in plan.problems),
        assumed=tuple(
            f"{image} answers discovery as the image before it did: give what it prints with --profiles"
            for image in sorted({each.image for each in found.discoveries if each.answer == difference.TAKEN})
        )
        + tuple(_fewest(old, new)),
        difference=found,
    )


def _fewest(old: difference.Objects, new: difference.Objects) -> Iterator[str]:
    """Say of autoscaled services with how many Pods their GPUs are counted."""
    served = sorted(key for key in new if key[0] == "InferenceService")
    named = gpus.autoscaled((key, old.get(key), new[key]) for key in served)
    if named:
        yield f"autoscaled services take the GPUs of their fewest replicas: {', '.join(named)}"


def _since(problem: Problem, worse: set[tuple[str, str, str]]) -> Problem:
    """Return a problem as a warning, if the change does not bring it about."""
    kind, _, name = problem.subject.partition(" ")
    namespace, _, short = name.rpartition("/")
    found = {key for key in worse if key[0] == kind and key[2] == short}
    if OURS.get(kind) is not None and any(not namespace or key[1] == namespace for key in found):
        return problem
    return structs.replace(problem, severity="warning", message=f"{problem.message} (as before)")
