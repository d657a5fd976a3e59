"""What is done on the volume, and when no more of it."""

import errno
import threading

import pytest

from aim_operator.errors import FetchError
from aim_operator.fetch.access import Access, Stopped
from aim_operator.fetch.stall import VOLUME_LIMITS, StallWatch

LIMIT_SECONDS = 10.0


def test_nobody_begins_anything_on_the_volume_of_a_run_that_has_ended() -> None:
    access = Access(StallWatch(LIMIT_SECONDS))
    access.end()
    with pytest.raises(Stopped), access:
        pytest.fail("something was done")


def test_a_run_that_ends_waits_for_what_is_being_done() -> None:
    access = Access(StallWatch(LIMIT_SECONDS))
    inside, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def write() -> None:
        with access:
            inside.set()
            go_on.wait(LIMIT_SECONDS)
            done.append("written")

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait(LIMIT_SECONDS)
    access.end()
    assert not access.settle(0.01)
    assert not done
    go_on.set()
    assert access.settle(LIMIT_SECONDS)
    assert done == ["written"]
    thread.join()


def test_an_error_of_the_volume_is_told_as_one() -> None:
    now = 0.0
    stall = StallWatch(LIMIT_SECONDS, clock=lambda: now)
    access = Access(stall)
    with pytest.raises(FetchError, match="the volume is full") as caught, access:
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.reason == "InsufficientSpace"
    # Nobody is inside any more, and no stall is counted.
    assert access.settle(0.0)
    now = 2 * VOLUME_LIMITS * LIMIT_SECONDS
    stall.check()


def test_a_volume_that_never_answers_ends_the_download() -> None:
    now = 0.0
    stall = StallWatch(LIMIT_SECONDS, clock=lambda: now)
    with Access(stall):
        now = VOLUME_LIMITS * LIMIT_SECONDS
        with pytest.raises(FetchError, match="the volume did not answer for 50 s"):
            stall.check()
    now *= 2
    stall.check()
