"""docs/reliability-mutants.md: which test caught which mutant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hack.mutants.mutant import ROOT, Mutant

_MOST_WORDS = 90
PAGE = ROOT / "docs" / "reliability-mutants.md"

_ABOUT = (
    "Each row is one fault that the operator could have: one place of its code changed, as the tables in "
    "`hack/mutants/` say. With it, some test must fail; beside it is the first that did. "
    "[Reliability](reliability.md#mutants) says how to run them and how to add one. "
    "This page is written by `make mutants`."
)


def text(mutants: Sequence[Mutant], caught: Mapping[str, str], last_run: str) -> str:
    """Return the page: a table for each group, and the mutants that are harmless, with why.

    `caught` names the test that caught each, by its fault.
    """
    parts = [
        "# Mutants",
        _ABOUT,
        *([last_run] if last_run else []),
    ]
    for group in dict.fromkeys(mutant.group for mutant in mutants):
        of_group = [mutant for mutant in mutants if mutant.group == group]
        run = [mutant for mutant in of_group if not mutant.harmless]
        parts.append(f"## {group}")
        parts.append(_table(("fault", "where", "caught by"), (_row(m, caught.get(m.fault, "")) for m in run)))
        harmless = [mutant for mutant in of_group if mutant.harmless]
        if harmless:
            rows = ((_cell(m.fault), f"`{m.module}`", m.harmless) for m in harmless)
            parts += [
                "Harmless, and so not run:",
                _table(("change", "where", "why nobody would notice"), rows),
            ]
    return "\n\n".join(parts) + "\n"


def summary(run: int, survived: int, *, seconds: float, cpu_seconds: float) -> str:
    """Return what is told of a run: of how many mutants, how long it took, and how many survived."""
    worked = f"in which tests worked for {_duration(cpu_seconds)} of a core"
    return f"{_number(run, 'mutant')} in {_duration(seconds)}, {worked}; {survived or 'none'} survived"


def _duration(seconds: float) -> str:
    short = round(seconds) < 120
    return _number(round(seconds), "second") if short else _number(round(seconds / 60), "minute")


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _row(mutant: Mutant, test: str) -> tuple[str, str, str]:
    caught_by = f"`{_cell(_short(test))}`" if test else "**nothing yet**"
    return _cell(mutant.fault), f"`{mutant.module}`", caught_by


def _short(test: str) -> str:
    """Return the name of a test without the folder of all; of its parameters only those that are words."""
    name, _, parameters = test.removeprefix("tests/").partition("[")
    return f"{name}[{parameters}" if len(parameters) <= _MOST_WORDS and " " in parameters else name


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ").replace("`", "'")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
