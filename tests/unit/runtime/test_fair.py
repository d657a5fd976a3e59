"""A limit that namespaces share: never more at once, no turn is lost, and they come in turn."""

from __future__ import annotations

import asyncio

from aim_operator.runtime.fair import FairLimit, FairQueue


class Users:
    """Users of one limit; each stays until it is let go."""

    def __init__(self, limit: int) -> None:
        self.limit = FairLimit(limit)
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Have users come, each named `namespace/what`."""
        for name in names:
            self._leave[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._use(name))
        await self.settle()

    async def _use(self, name: str) -> None:
        async with self.limit.turn(name.partition("/")[0]):
            self.inside.append(name)
            await self._leave[name].wait()
        self.inside.remove(name)

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await self.settle()

    def cancel(self, name: str) -> None:
        self._tasks[name].cancel()

    def leave_at_once(self, name: str) -> None:
        self._leave[name].set()

    @staticmethod
    async def settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def test_no_more_than_the_limit_are_in_at_once_and_namespaces_take_turns() -> None:
    users = Users(2)
    await users.come("a/1", "a/2", "a/3", "a/4", "b/1")
    assert users.inside == ["a/1", "a/2"]
    assert users.limit.contended
    await users.leave("a/1")
    assert users.inside == ["a/2", "a/3"]
    await users.leave("a/2")
    assert users.inside == ["a/3", "b/1"], "b came last, and its turn is before the fourth of a"
    for name in ("a/3", "b/1", "a/4"):
        await users.leave(name)
    assert users.inside == []
    await users.come("c/1", "c/2", "c/3")
    assert users.inside == ["c/1", "c/2"], "all that was taken was given back"
    await users.close()


async def test_who_waits_no_more_is_not_waited_for() -> None:
    """Whoever reads a log for long leaves it to those who wait: then to nobody."""
    users = Users(1)
    await users.come("a/1", "b/1")
    users.cancel("b/1")
    await users.settle()
    assert not users.limit.contended
    await users.leave("a/1")
    await users.come("c/1")
    assert users.inside == ["c/1"]
    await users.close()


async def test_a_turn_that_comes_at_the_moment_of_a_cancellation_goes_to_the_next() -> None:
    """Else one less may be in, for ever."""
    users = Users(1)
    await users.come("a/1", "b/1", "c/1")
    users.leave_at_once("a/1")
    await asyncio.sleep(0)  # a has left, b was told, and has not run yet
    users.cancel("b/1")
    await users.settle()
    assert users.inside == ["c/1"]
    await users.close()


def test_what_is_taken_out_of_a_queue_is_not_counted() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("1", "2"):
        queue.push("a", item)
    queue.discard("a", "1")
    queue.discard("a", "never there")
    queue.discard("b", "2")
    assert (len(queue), queue.length_of("a"), queue.heads()) == (1, 1, ["2"])
    queue.discard("a", "2")
    assert (len(queue), queue.pop()) == (0, None)
