"""hack.mutants: its table is about the code as it is, and says what it must."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.mutants import page
from hack.mutants.mutant import PACKAGE, ROOT, SOURCE, Mutant
from hack.mutants.rows import CONTROLLERS, wake_rows
from hack.mutants.runner import BrokenMutantError, Depth, Workshop
from hack.mutants.table import MUTANTS

ONE = Mutant("Group", "a fault", "backoff.py", "2.0", "1.0", ("tests/unit/core",))


def test_each_fault_is_in_its_module_exactly_once() -> None:
    """Whoever changes such a line changes its row in hack/mutants/faults/ as well."""
    texts = {path: (SOURCE / path).read_text() for path in {mutant.path for mutant in MUTANTS}}
    stale = [f"{m.module}: {m.fault}" for m in MUTANTS if texts[m.path].count(m.old) != 1]
    assert stale == []


def test_each_fault_changes_something_and_has_a_name_of_its_own() -> None:
    assert [m.fault for m in MUTANTS if m.old == m.new] == []
    assert [fault for fault, times in Counter(m.fault for m in MUTANTS).items() if times > 1] == []


def test_the_likeliest_tests_are_there() -> None:
    paths = {path for mutant in MUTANTS for path in mutant.tests}
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_each_row_of_the_wake_tables_is_a_mutant() -> None:
    controllers = (SOURCE / PACKAGE / "controllers").glob("*.py")
    tables = {
        path.stem for path in controllers if re.search(r"^def \w+_wakes\(", path.read_text(), re.MULTILINE)
    }
    assert tables == set(CONTROLLERS)
    rows = sum(
        (SOURCE / PACKAGE / "controllers" / f"{each}.py").read_text().count(" Trigger(watched.")
        for each in CONTROLLERS
    )
    assert len(list(wake_rows())) == rows


def test_a_mutant_whose_line_is_gone_is_not_put_in(tmp_path: Path) -> None:
    module = tmp_path / PACKAGE / ONE.module
    module.parent.mkdir()
    module.write_text("return first * 2.0 ** failures")
    ONE.apply(tmp_path)
    assert module.read_text() == "return first * 1.0 ** failures"
    with pytest.raises(ValueError, match=r"0 places in backoff\.py"):
        ONE.apply(tmp_path)


def test_the_page_names_what_caught_each_and_what_nothing_did() -> None:
    other = ONE._replace(fault="a | b", harmless="it is only slower")
    lone = ONE._replace(fault="another", group="Others")
    caught = {ONE.fault: "tests/unit/test_x.py::test_y[1-2]"}
    got = page.text([ONE, other, lone], caught, "2026-11-26: 2 mutants, 1 survived.")
    assert "2026-11-26: 2 mutants" in got
    assert "| a fault | `backoff.py` | `unit/test_x.py::test_y` |" in got
    assert "| a \\| b | `backoff.py` | it is only slower |" in got
    assert "| another | `backoff.py` | **nothing yet** |" in got


@pytest.mark.parametrize(
    ("run", "survived", "seconds", "cpu_seconds", "want"),
    [
        pytest.param(
            *(1, 0, 41.4, 1.2),
            "1 mutant in 41 seconds, in which tests worked for 1 second of a core; none survived",
            id="one",
        ),
        pytest.param(
            *(12, 1, 121.0, 119.4),
            "12 mutants in 2 minutes, in which tests worked for 119 seconds of a core; 1 survived",
            id="some",
        ),
        pytest.param(
            *(569, 2, 1740.0, 900.0),
            "569 mutants in 29 minutes, in which tests worked for 15 minutes of a core; 2 survived",
            id="all",
        ),
        pytest.param(
            *(0, 0, 0.3, 0.0),
            "0 mutants in 0 seconds, in which tests worked for 0 seconds of a core; none survived",
            id="none that has such a name",
        ),
    ],
)
def test_the_summary_counts_mutants_seconds_and_minutes(
    run: int, survived: int, seconds: float, cpu_seconds: float, want: str
) -> None:
    assert page.summary(run, survived, seconds=seconds, cpu_seconds=cpu_seconds) == want


ALWAYS_FAILS = "def test_it(): assert False\n"
FAILS_ONCE = """\
from pathlib import Path

def test_it():
    before = Path(__file__).with_name("was-here")
    was_here = before.exists()
    before.touch()
    assert was_here
"""
PASSES_ON_TRUE_CODE = """\
from aim_operator.cli.why.remedies import remedy
from aim_operator.backoff import exponential

def test_it():
    assert remedy("NameConflict")  # from a page beside src/
    assert exponential(1.0, 60.0, 2) == 4.0
"""


@pytest.fixture
def in_checkout() -> Iterator[Path]:
    """A folder there, since pytest names tests by their paths from the checkout on."""
    cache = ROOT / ".pytest_cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="mutated-") as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        pytest.param(PASSES_ON_TRUE_CODE, None, id="one that passes on the code as it is"),
        pytest.param(
            ALWAYS_FAILS, "test_mutated.py::test_it fails without any mutant", id="one that never passes"
        ),
        pytest.param(
            FAILS_ONCE, "test_it failed once, and passed when it was", id="one that fails by chance"
        ),
    ],
)
def test_only_a_test_that_fails_with_the_mutant_and_passes_without_has_caught_it(
    in_checkout: Path, tmp_path: Path, text: str, refused: str | None
) -> None:
    test = in_checkout / "test_mutated.py"
    test.write_text(text)
    mutant = ONE._replace(tests=(str(test),))
    workshop = Workshop(tmp_path / "workshop")
    if refused is None:
        assert workshop.hunt(mutant, "", depth=Depth.LIKELY).test.endswith("test_mutated.py::test_it")
    else:
        with pytest.raises(BrokenMutantError, match=refused):
            workshop.hunt(mutant, "", depth=Depth.LIKELY)
