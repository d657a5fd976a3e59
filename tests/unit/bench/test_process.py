"""What is read from /proc."""

from __future__ import annotations

import os

from bench.process import TICKS, cpu_of, cpu_seconds, memory_mib


def test_cpu_time_is_found_behind_a_name_with_brackets_and_blanks() -> None:
    numbers = " ".join(str(number) for number in range(4, 53))
    assert cpu_of(f"12 (a (strange) name) S {numbers}") == (14 + 15) / TICKS


def test_this_process_has_used_cpu_and_memory() -> None:
    assert cpu_seconds(os.getpid()) > 0
    assert memory_mib(os.getpid()) > 5
