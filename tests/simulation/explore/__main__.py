"""`make simulate SEEDS=n`: play the stories of n seeds, and shorten those that break a rule.

python -m tests.simulation.explore --seeds 1000 [--first 0] [--jobs 2]
python -m tests.simulation.explore --teller edits --seed 17        # one, with its steps
python -m tests.simulation.explore --kept "a name"         # one of kept.json
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.simulation.explore import chaos, draw, leaders
from tests.simulation.explore.kept import encoded, kept
from tests.simulation.explore.play import Failure, Probe, is_compared, play, probe_of, whole
from tests.simulation.explore.script import has_replicas, script
from tests.simulation.explore.shrink import shrink
from tests.simulation.explore.stories import Story

TELLERS = {"edits": draw.story, "chaos": chaos.story, "leaders": leaders.story}
MIX = ("edits",) * 6 + ("chaos",) * 3 + ("leaders",)
"""Who tells the next story: one with three replicas takes four times as long as one of edits."""
Place = tuple[str, int]
"""Which explorer, and a seed."""


AT_ONCE = 5
"""Stories that a process is given at once; it ends after as many times as many."""


def settle_memory() -> None:
    """Collect no garbage: a process ends after 25 stories, of 4 MB each. A quarter of the time."""
    play(draw.story(0))  # what all processes have in common: schemas, programs of rules
    gc.collect()
    gc.freeze()
    gc.disable()


@contextmanager
def unhurried_collection() -> Iterator[None]:
    """Leave to the garbage collector what stories make, not what is there before."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def tell(told: Story, probe: Probe, *, compared: bool = True) -> Failure | None:
    """Play a story with one operator, or with three replicas where something happens to one of them."""
    if has_replicas(told):
        return leaders.play(told)
    return play(told, probe, compared=compared)


def explore(place: Place) -> tuple[Place, Failure | None]:
    """Play the story of a seed."""
    teller, seed = place
    return place, tell(TELLERS[teller](seed), probe_of(seed), compared=is_compared(seed))


def replay(place: Place) -> str:
    """Return the command that plays a seed's story again."""
    return f"make simulate TELLER={place[0]} SEED={place[1]}"


def shortened(place: Place) -> tuple[Story, Failure | None]:
    """Return the shortest story that breaks the same rule as that of the seed, and how."""
    teller, seed = place
    told, probe = TELLERS[teller](seed), probe_of(seed)
    first = tell(told, probe, compared=is_compared(seed))
    if first is None:
        return told, None

    def breaks(candidate: Story) -> bool:
        failure = tell(candidate, probe, compared=first.rule == "fresh")
        return failure is not None and failure.rule == first.rule

    short = whole(shrink(told[: max(first.step, 1)], breaks))
    return short, tell(short, probe, compared=first.rule == "fresh")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.explore")
    parser.add_argument("--seeds", type=int, default=1000, help="how many stories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="processes")
    parser.add_argument("--seed", type=int, help="replay one, and shorten it if it breaks a rule")
    parser.add_argument("--teller", choices=TELLERS, help="one explorer only; else all, mixed")
    parser.add_argument("--kept", help="replay one of kept.json, by its name")
    parser.add_argument("--json", action="store_true", help="print the story as kept.json has it, too")
    parser.add_argument("--whole", action="store_true", help="don't shorten")
    parser.add_argument("--show", type=int, default=3, help="how many failures to shorten and print")
    options = parser.parse_args()
    if options.kept is not None:
        return _replay_kept(options.kept, as_json=options.json)
    if options.seed is not None:
        if options.teller is None:
            parser.error(f"--teller: which story of seed {options.seed}? One of {', '.join(TELLERS)}")
        return _replay((options.teller, options.seed), whole=options.whole, as_json=options.json)
    tellers = [options.teller] if options.teller else MIX
    numbers = range(options.first, options.first + options.seeds)
    seeds: list[Place] = [(tellers[number % len(tellers)], number) for number in numbers]
    settle_memory()
    began = time.monotonic()
    failures: dict[Place, Failure] = {}
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=AT_ONCE) as pool:
        for number, (place, failure) in enumerate(pool.imap_unordered(explore, seeds, chunksize=AT_ONCE), 1):
            if failure is not None:
                failures[place] = failure
                print(f"{place[0]} seed {place[1]}: {failure.brief}\n  {replay(place)}", flush=True)
            if number % 500 == 0 or number == len(seeds):
                seconds = time.monotonic() - began
                print(f"{number} stories: {60 * number / seconds:.0f} a minute", flush=True)
    if not failures:
        print("every rule holds")
        return 0
    print(f"{len(failures)} broke a rule: {dict(Counter(f.rule for f in failures.values()))}")
    for place in sorted(failures)[: 0 if options.whole else options.show]:
        _replay(place, whole=False)
    return 1


def _replay_kept(name: str, *, as_json: bool) -> int:
    """Play a kept story as the suite does: with each probe, until one finds a rule that is broken."""
    stories = kept()
    if name not in stories:
        print(f"no story is kept as {name!r}; there are:", *stories, sep="\n", file=sys.stderr)
        return 2
    told = stories[name]
    for probe in Probe:
        if (failure := tell(told, probe)) is not None:
            break
    return _told(name, told, failure, probe, compared=True, as_json=as_json)


def _replay(place: Place, *, whole: bool, as_json: bool = False) -> int:
    told, failure = (TELLERS[place[0]](place[1]), explore(place)[1]) if whole else shortened(place)
    shorter = failure is not None and not whole
    compared = failure.rule == "fresh" if shorter and failure is not None else is_compared(place[1])
    name = f"{place[0]} seed {place[1]}{', shortened' if shorter else ''}"
    return _told(name, told, failure, probe_of(place[1]), compared=compared, as_json=as_json)


def _told(
    name: str, told: Story, failure: Failure | None, probe: Probe, *, compared: bool, as_json: bool
) -> int:
    print(f"\n{name}:", *script(told, probe, compared=compared), failure or "every rule holds", sep="\n")
    if as_json:
        print(encoded(told))
    return 0 if failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
