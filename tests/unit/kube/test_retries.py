"""What is sent again, how often, and after which pauses: on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from aim_operator import errors
from aim_operator.kube.retries import ATTEMPTS, Retries
from tests.support.virtual_clock import VirtualClock

SECONDS = 30.0
_KEY = ConnectionKey(
    host="api", port=6443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)


class Sent:
    """A request that fails with these errors, one by one, and is answered then."""

    def __init__(self, *failures: errors.ApiError, takes_seconds: float = 0.0) -> None:
        self._failures: Iterator[errors.ApiError] = iter(failures)
        self._takes = takes_seconds
        self.clock = VirtualClock()
        self.at: list[float] = []
        self.left: list[float] = []
        """How long each attempt may take."""

    async def send(self, *, idempotent: bool = True) -> str:
        retries = Retries(self.clock.monotonic, self.clock.sleep, SECONDS)
        return await self.clock.run(retries.send(self._once, idempotent=idempotent))

    async def _once(self, seconds: float) -> str:
        self.at.append(self.clock.monotonic())
        self.left.append(seconds)
        if self._takes:
            await self.clock.sleep(self._takes)
        for failure in self._failures:
            raise failure
        return "answer"

    @property
    def pauses(self) -> list[float]:
        return [after - before for before, after in pairwise(self.at)]


def unavailable(code: int = 503) -> errors.Unavailable:
    return errors.Unavailable("down", code=code)


def not_connected() -> errors.Unavailable:
    error = errors.Unavailable("cannot connect")
    error.__cause__ = aiohttp.ClientConnectorError(_KEY, OSError(111, "Connection refused"))
    return error


def busy(seconds: float) -> errors.TooManyRequests:
    return errors.TooManyRequests("slow down", retry_after_seconds=seconds)


async def test_pauses_double_and_are_of_random_length() -> None:
    """Those whom one outage hit do not come back at the same moment."""
    firsts = set[float]()
    for _ in range(50):
        sent = Sent(*[unavailable() for _ in range(4)])
        assert await sent.send() == "answer"
        for pause, most in zip(sent.pauses, (0.2, 0.4, 0.8, 1.6), strict=True):
            assert most / 2 <= pause <= most
        firsts.add(sent.pauses[0])
    assert max(firsts) - min(firsts) > 0.02


async def test_what_the_server_asks_for_is_kept_and_a_little_is_added() -> None:
    """Never less, and not the same for all who were told so."""
    pauses = set[float]()
    for _ in range(50):
        sent = Sent(busy(4))
        await sent.send()
        pauses |= set(sent.pauses)
    assert all(4 <= pause <= 5 for pause in pauses)
    assert max(pauses) - min(pauses) > 0.1


async def test_attempts_end() -> None:
    sent = Sent(*[unavailable() for _ in range(100)])
    with pytest.raises(errors.Unavailable):
        await sent.send()
    assert len(sent.at) == ATTEMPTS


async def test_each_attempt_has_what_is_left_of_the_time() -> None:
    """The caller waits for so long in all, not for each."""
    sent = Sent(*[unavailable() for _ in range(100)], takes_seconds=12)
    with pytest.raises(errors.Unavailable):
        await sent.send()
    assert sent.left == [SECONDS - at for at in sent.at]
    assert len(sent.at) == 3
    assert sent.clock.monotonic() <= 3 * 12 + 1


@pytest.mark.parametrize(("asked", "attempts"), [(29, 1), (31, 1), (9, 3)])
async def test_no_pause_goes_beyond_the_deadline(asked: float, attempts: int) -> None:
    """Whoever asked knows better what to do meanwhile."""
    sent = Sent(*[busy(asked) for _ in range(100)], takes_seconds=2)
    with pytest.raises(errors.TooManyRequests):
        await sent.send()
    assert len(sent.at) <= attempts
    assert sent.clock.monotonic() < SECONDS


@pytest.mark.parametrize(
    ("failure", "idempotent", "again"),
    [
        pytest.param(unavailable(), True, True, id="what may be done twice"),
        pytest.param(unavailable(), False, False, id="not what may have been done"),
        pytest.param(busy(1), False, True, id="what was refused for now, whatever it is"),
        pytest.param(not_connected(), False, True, id="what did not arrive, whatever it is"),
        pytest.param(unavailable(408), True, True, id="what took the server too long"),
        pytest.param(unavailable(400), True, False, id="not what the server will not do"),
        pytest.param(unavailable(404), True, False, id="nor what a proxy does not know"),
        pytest.param(errors.Conflict("", code=409), True, False, id="nor what met another write"),
        pytest.param(errors.Expired("", code=410), True, False, id="nor what is too old"),
    ],
)
async def test_what_is_sent_again(failure: errors.ApiError, *, idempotent: bool, again: bool) -> None:
    sent = Sent(failure)
    if again:
        assert await sent.send(idempotent=idempotent) == "answer"
    else:
        with pytest.raises(type(failure)):
            await sent.send(idempotent=idempotent)
    assert len(sent.at) == 1 + again
