"""What is read from /proc."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.process import TICKS, cpu_of, cpu_seconds, memory_mib, peak_mib


def test_cpu_time_is_found_behind_a_name_with_brackets_and_blanks() -> None:
    numbers = " ".join(str(number) for number in range(4, 53))
    assert cpu_of(f"12 (a (strange) name) S {numbers}") == (14 + 15) / TICKS


def test_this_process_has_used_cpu_and_memory() -> None:
    assert cpu_seconds(os.getpid()) > 0
    assert memory_mib(os.getpid()) > 5


def test_the_most_memory_of_a_process_is_known_though_it_gave_it_back() -> None:
    program = "content = bytearray(50 << 20); del content; import time; time.sleep(0.3)"
    process = subprocess.Popen([sys.executable, "-c", program])
    with peak_mib(process.pid) as peak:
        process.wait()
    assert 50 < peak.mib < 80
