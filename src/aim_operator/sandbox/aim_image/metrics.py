"""What the server counts, under vLLM's names, as a scraper of vLLM reads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

BUCKETS = (0.001, 0.01, 0.1, 1.0, 10.0)
_GAUGES = (
    ("vllm:num_requests_running", "Number of requests in model execution batches."),
    ("vllm:num_requests_waiting", "Number of requests waiting to be processed."),
    ("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage."),
)
_COUNTERS = (
    ("vllm:prompt_tokens", "Number of prefill tokens processed."),
    ("vllm:generation_tokens", "Number of generation tokens processed."),
)
_SUCCESS = ("vllm:request_success", "Count of successfully processed requests.")
_HISTOGRAMS = (
    ("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds."),
    ("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds."),
)


@dataclass(slots=True)
class Numbers:
    """Tokens of one request, and why its answer ended."""

    prompt: int = 0
    generated: int = 0
    finish: str = "stop"


class Metrics:
    """Used by all threads of a server."""

    def __init__(self, model: str) -> None:
        self._labels = f'engine="0",model_name="{model}"'
        self._lock = threading.Lock()
        self._running = self._prompt = self._generated = 0
        self._finished = dict.fromkeys(("stop", "length", "abort"), 0)
        self._seconds = 0.0
        self._buckets = [0] * len(BUCKETS)

    @contextmanager
    def request(self) -> Iterator[Numbers]:
        """Counts a request: as running until the end, and as finished if nothing is raised."""
        numbers, began = Numbers(), time.monotonic()
        with self._lock:
            self._running += 1
        try:
            yield numbers
            self._count(numbers, time.monotonic() - began)
        finally:
            with self._lock:
                self._running -= 1

    def _count(self, numbers: Numbers, seconds: float) -> None:
        with self._lock:
            self._finished[numbers.finish] += 1
            self._prompt += numbers.prompt
            self._generated += numbers.generated
            self._seconds += seconds
            for index, limit in enumerate(BUCKETS):
                self._buckets[index] += seconds <= limit

    def render(self) -> str:
        """The text format of Prometheus."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        labels = self._labels
        for (name, text), value in zip(_GAUGES, (self._running, 0, 0), strict=True):
            yield from _head(name, text, "gauge")
            yield f"{name}{{{labels}}} {float(value)}"
        for (name, text), value in zip(_COUNTERS, (self._prompt, self._generated), strict=True):
            yield from _head(f"{name}_total", text, "counter")
            yield f"{name}_total{{{labels}}} {float(value)}"
        name, text = _SUCCESS
        yield from _head(f"{name}_total", text, "counter")
        for reason, value in self._finished.items():
            yield f'{name}_total{{{labels},finished_reason="{reason}"}} {float(value)}'
        total = float(sum(self._finished.values()))
        for name, text in _HISTOGRAMS:
            yield from _head(name, text, "histogram")
            for limit, count in zip(BUCKETS, self._buckets, strict=True):
                yield f'{name}_bucket{{{labels},le="{limit}"}} {float(count)}'
            yield f'{name}_bucket{{{labels},le="+Inf"}} {total}'
            yield f"{name}_count{{{labels}}} {total}"
            yield f"{name}_sum{{{labels}}} {self._seconds}"


def _head(name: str, text: str, type_: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {type_}"
