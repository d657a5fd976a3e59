"""Who waits for a server that is slow to answer is told so, once."""

import asyncio

from aim_operator.cli.patience import Patience


async def test_a_server_that_does_not_answer_is_waited_for_in_words() -> None:
    said: list[str] = []
    patience = Patience("https://10.0.0.1:6443", said.append)
    async with patience.watching(0.0):
        # No connection is no answer.
        patience.called("list", "nodes", 0, 0.1)
        for _ in range(5):
            await asyncio.sleep(0)
    assert said == ["waiting for https://10.0.0.1:6443 …"]


async def test_one_that_has_answered_is_not_however_long_the_work_takes() -> None:
    said: list[str] = []
    patience = Patience("https://10.0.0.1:6443", said.append)
    async with patience.watching(0.0):
        # A refusal is an answer.
        patience.called("list", "nodes", 403, 0.1)
        for _ in range(5):
            await asyncio.sleep(0)
    assert said == []


async def test_what_is_quick_says_nothing() -> None:
    said: list[str] = []
    async with Patience("https://10.0.0.1:6443", said.append).watching(60):
        pass
    assert said == []
