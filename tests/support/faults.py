"""Faults that a test server plays: which requests they hit, how often, and what they do to the answer.

Written as `kind[:key=value,…]`, for a command line and a test alike:

    status:code=503,times=3,retry_after=1   answer with a status (code_name: the server's own word for it)
    drop:after=1000                         close the connection after so many bytes of the body
    short:after=1000                        end a body properly, but early, without a Content-Length
    stall:after=1000                        send so much, then nothing, with the connection open
    slow:rate=100000                        bytes a second
    no-range                                answer 200 with the whole file
    part:bytes=1000                         answer 206 with less than was asked for
    wrong-range                             a Content-Range of other bytes
    other-size                              a Content-Range whose total is one more
    gzip                                    claim Content-Encoding: gzip
    corrupt                                 change the first byte of the answer
    redirect:to=ftp://x                     send on to there

Keys of all kinds: times (for ever if left out), path (a glob on the request's path), skip (let so many
requests pass first).
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field


@dataclass
class Fault:
    kind: str
    values: dict[str, str] = field(default_factory=dict)
    path: str = "*"
    skip: int = 0
    times: int | None = None

    def number(self, name: str, default: float = 0) -> float:
        return float(self.values.get(name, default))


def parse(text: str) -> Fault:
    kind, _, rest = text.partition(":")
    values = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
    times = values.pop("times", None)
    return Fault(
        kind=kind,
        path=values.pop("path", "*"),
        skip=int(values.pop("skip", "0")),
        times=None if times is None else int(times),
        values=values,
    )


class Faults:
    """Taken one by one by the requests that they hit, the first that fits."""

    def __init__(self, *texts: str) -> None:
        self._faults = [parse(text) for text in texts]

    def add(self, *texts: str) -> None:
        self._faults.extend(parse(text) for text in texts)

    def clear(self) -> None:
        self._faults = []

    def take(self, path: str, kinds: tuple[str, ...] = ()) -> Fault | None:
        for fault in self._faults:
            if (kinds and fault.kind not in kinds) or not fnmatch.fnmatch(path, fault.path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is None:
                return fault
            if fault.times:
                fault.times -= 1
                return fault
        return None
