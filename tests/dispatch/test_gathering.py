"""Batches form by themselves; nobody's item is lost, reordered or spoiled by another's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from perdure.errors import PayloadError, ProviderError
from perdure.providers.gathering import Gatherer

if TYPE_CHECKING:
    from collections.abc import Sequence


class Recorder:
    """Doubles numbers, one call at a time, each held until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.calls = 0

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.calls += 1
        assert self.calls == 1
        self.batches.append(list(items))
        await self.gate.wait()
        self.calls -= 1
        return [2 * item for item in items]


async def test_what_gathers_during_a_call_goes_with_the_next_one() -> None:
    send = Recorder()
    gatherer = Gatherer(send)

    futures = [gatherer.put(1)]
    await _until(lambda: send.batches == [[1]])
    futures += [gatherer.put(number) for number in (2, 3, 4)]
    send.gate.set()

    assert await asyncio.gather(*futures) == [2, 4, 6, 8]
    assert send.batches == [[1], [2, 3, 4]]


async def test_a_lone_item_is_sent_at_once() -> None:
    send = Recorder()
    send.gate.set()
    gatherer = Gatherer(send)

    assert await gatherer.submit(21) == 42
    assert await gatherer.submit(4) == 8
    assert send.batches == [[21], [4]]


async def test_lists_have_a_limit() -> None:
    send = Recorder()
    send.gate.set()
    gatherer = Gatherer(send, items_max=2)

    futures = [gatherer.put(number) for number in range(5)]

    assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8]
    assert send.batches == [[0, 1], [2, 3], [4]]


async def test_a_bad_item_fails_alone() -> None:
    async def send(items: Sequence[int]) -> Sequence[int]:
        if 13 in items:
            raise PayloadError("13 is bad")
        return items

    gatherer = Gatherer(send)
    futures = [gatherer.put(number) for number in (12, 13, 14)]
    results = await asyncio.gather(*futures, return_exceptions=True)

    assert results[0] == 12
    assert isinstance(results[1], PayloadError)
    assert results[2] == 14


async def test_storage_that_stays_away_fails_all_and_later_items_are_tried_again() -> None:
    is_away = True

    async def send(items: Sequence[int]) -> Sequence[int]:
        if is_away:
            raise ProviderError("enqueue", "away", retryable=True)
        return items

    gatherer = Gatherer(send)
    results = await asyncio.gather(
        *(gatherer.put(number) for number in (1, 2)), return_exceptions=True
    )
    assert all(isinstance(result, ProviderError) for result in results)

    is_away = False
    assert await gatherer.submit(3) == 3


async def test_a_caller_that_gives_up_does_not_disturb_the_others() -> None:
    send = Recorder()
    gatherer = Gatherer(send)
    impatient = asyncio.create_task(gatherer.submit(1))
    patient = asyncio.create_task(gatherer.submit(2))
    await _until(lambda: len(send.batches) == 1)
    impatient.cancel()
    send.gate.set()

    assert await patient == 4
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_closing_cancels_what_waits() -> None:
    send = Recorder()
    gatherer = Gatherer(send)
    under_way = gatherer.put(1)
    await _until(lambda: len(send.batches) == 1)
    waiting = gatherer.put(2)

    await gatherer.close()

    assert under_way.cancelled()
    assert waiting.cancelled()


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  lets the loop turn; nothing tells of the end
            await asyncio.sleep(0)
