"""In scope: which keys come out of the queue, and when. Time is moved by hand."""

from __future__ import annotations

import asyncio

import pytest

from perdure_operator.queue import TokenBucket, WorkQueue, backoff_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock=clock, jitter=lambda: 0.0)


async def soon(queue: WorkQueue[str]) -> str | None:
    """Take what can be taken now."""
    task = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


async def test_a_key_that_waits_is_there_once(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert await soon(queue) == "a"
    assert await soon(queue) == "b"
    assert await soon(queue) is None


async def test_a_key_is_worked_on_once_at_a_time_and_comes_again(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await soon(queue) == "a"
    queue.add("a")
    assert await soon(queue) is None
    queue.done("a")
    assert await soon(queue) == "a"


async def test_the_earliest_of_several_times_wins(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", 10)
    queue.add("a", 5)
    queue.add("a", 20)
    clock.now += 5
    assert await soon(queue) == "a"
    queue.done("a")
    clock.now += 60
    assert await soon(queue) is None


async def test_now_overtakes_later(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", 10)
    queue.add("a")
    assert await soon(queue) == "a"
    queue.done("a")
    clock.now += 60
    assert await soon(queue) is None


async def test_a_time_that_comes_while_a_key_is_worked_on_is_not_lost(
    queue: WorkQueue[str], clock: Clock
) -> None:
    queue.add("a")
    assert await soon(queue) == "a"
    queue.add("a", 5)
    clock.now += 6
    assert await soon(queue) is None
    queue.done("a")
    assert await soon(queue) == "a"


async def test_a_key_that_fails_waits_longer_each_time(queue: WorkQueue[str], clock: Clock) -> None:
    waits = [queue.failed("a") for _ in range(20)]
    assert waits[:3] == [0.005, 0.01, 0.02]
    assert waits[-1] == 300.0
    queue.succeeded("a")
    assert queue.failed("a") == 0.005
    clock.now += 0.005
    assert await soon(queue) == "a"


def test_jitter_only_shortens_a_wait() -> None:
    assert backoff_seconds(5, 1.0) == backoff_seconds(5, 0.0) / 2


async def test_all_keys_together_are_bounded(clock: Clock) -> None:
    queue: WorkQueue[int] = WorkQueue(rate=10, burst=2, clock=clock)
    for key in range(4):
        queue.add(key)
    taken = [await asyncio.wait_for(queue.take(), 1) for _ in range(2)]
    assert taken == [0, 1]
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.now += 0.2
    assert await asyncio.wait_for(waiting, 5) == 2


async def test_work_goes_on_side_by_side_and_ends_when_told(queue: WorkQueue[str]) -> None:
    seen: list[str] = []
    both = asyncio.Event()

    async def work(key: str) -> None:
        seen.append(key)
        if len(seen) == 2:
            both.set()
        await both.wait()

    task = asyncio.create_task(queue.serve(2, work))
    queue.add("a")
    queue.add("b")
    await asyncio.wait_for(both.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(seen) == ["a", "b"]


def test_a_bucket_fills_to_its_brim_and_keeps_a_reserve() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.wait_for(0.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.wait_for(0.0) == pytest.approx(0.1)
    assert bucket.wait_for(100.0, reserve=2) == 0
    assert bucket.wait_for(100.0, reserve=2) == pytest.approx(0.1)
    assert bucket.wait_for(100.0) == 0
