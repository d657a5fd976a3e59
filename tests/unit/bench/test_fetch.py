"""The ratio of two ways of downloading, with and without what each takes to start."""

from __future__ import annotations

import pytest

from bench.fetch import CURL, OURS, Case, Result, Run, rates

MIB = 1024 * 1024


def result(name: str, seconds: dict[str, list[float]], *, start: bool = False, secure: bool = True) -> Result:
    case = Case(
        name=name,
        model="bench/tiny" if start else "bench/large",
        ways=(OURS, CURL),
        against=() if start else (CURL,),
        most_seconds=0.3 if start else None,
        secure=secure,
    )
    runs = {
        way: [Run(seconds=each, cpu_seconds=each, peak_mib=1) for each in every]
        for way, every in seconds.items()
    }
    return Result(case=case, files=1, bytes=MIB, runs=runs)


LARGE = result("tls", {OURS: [2.5, 3.5, 2.5], CURL: [1.9, 1.9, 2.9]})
START = result("start-up-tls", {OURS: [0.5, 0.4, 0.5], CURL: [0.1, 0.1, 0.1]}, start=True)


def test_the_rate_is_told_without_what_each_takes_to_start() -> None:
    assert LARGE.ratios() == pytest.approx([0.76, 0.543, 1.16], abs=0.001)
    assert rates([LARGE, START]) == ["tls: 0.90 without start-up (0.50 s of aimctl fetch)"]


@pytest.mark.parametrize(
    "start",
    [
        result("start-up", {OURS: [0.5], CURL: [0.1]}, start=True, secure=False),
        result("start-up-tls", {OURS: [0.5]}, start=True),
        result("start-up-tls", {OURS: [0.5], CURL: [2.0]}, start=True),
    ],
    ids=["of HTTP only", "of one way only", "as long as all"],
)
def test_no_rate_is_told_where_the_start_was_not_measured(start: Result) -> None:
    assert rates([LARGE, start]) == []
