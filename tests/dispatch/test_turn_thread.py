"""Turns run in a thread of their own, and one that spins can be ended."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from types import FunctionType

import pytest

from perdure.dispatch.turn_thread import TurnThread
from perdure.errors import SpinningTurnError


async def test_work_runs_elsewhere_with_no_loop_around_it() -> None:
    thread = TurnThread()

    def work() -> tuple[str, bool]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return threading.current_thread().name, False
        return threading.current_thread().name, True

    assert await thread.run(work) == ("perdure-turns", False)
    thread.close()


async def test_what_is_raised_reaches_the_caller() -> None:
    thread = TurnThread()
    empty: dict[str, str] = {}
    with pytest.raises(KeyError, match="x"):
        await thread.run(lambda: empty["x"])
    thread.close()


async def _interrupt(thread: TurnThread) -> None:
    async with asyncio.timeout(10):
        while thread.interrupt(0.01) is None:  # noqa: ASYNC110  a thread has no event to tell
            await asyncio.sleep(0.01)  # may sleep: asks again, until its time is over


def _spin() -> None:
    while True:
        pass


def _spin_and_swallow() -> str:
    for _ in range(3):
        try:
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                pass
        except BaseException:  # noqa: BLE001  what a careless body does
            return "swallowed"
    return "not interrupted"


@pytest.mark.parametrize("spin", [_spin, _spin_and_swallow])
async def test_a_turn_that_spins_is_ended_whatever_it_makes_of_that(spin: object) -> None:
    assert isinstance(spin, FunctionType)
    thread = TurnThread()
    turn = asyncio.create_task(thread.run(lambda: thread.turn(spin)))
    await _interrupt(thread)
    place = rf"It was at dispatch/test_turn_thread\.py:\d+ in {spin.__name__}"
    with pytest.raises(SpinningTurnError, match=f"was interrupted after 0 s. {place}"):
        await turn
    assert await thread.run(lambda: thread.turn(lambda: "the next one")) == "the next one"
    assert thread.give_up(0) is None
    thread.close()


async def test_a_turn_that_does_not_return_is_left_behind_with_its_thread() -> None:
    thread = TurnThread()
    entered, released, returned = threading.Event(), threading.Event(), threading.Event()

    def blocks() -> None:
        entered.set()
        released.wait()

    def work() -> None:
        try:
            thread.turn(blocks)
        except BaseException:
            assert thread.is_given_up()
            returned.set()
            raise

    stuck = asyncio.create_task(thread.run(work))
    waiting = asyncio.create_task(thread.run(lambda: thread.turn(lambda: "the next one")))
    await asyncio.to_thread(entered.wait, 10)
    await _interrupt(thread)
    async with asyncio.timeout(10):
        while (lines := thread.give_up(0.01)) is None:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)  # may sleep: asks again, until its time is over
    assert "test_turn_thread.py" in lines
    assert "in blocks" in lines
    with pytest.raises(SpinningTurnError, match=r"is in a call that does not return, at .*blocks"):
        await stuck
    assert await waiting == "the next one"
    assert (thread.given_up, thread.turn_seconds) == (1, 0)
    released.set()  # should it ever return, it ends
    await asyncio.to_thread(returned.wait, 10)
    async with asyncio.timeout(10):
        while thread.given_up:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)  # may sleep: asks again, until its time is over
    assert await thread.run(thread.is_given_up) is False
    thread.close()


async def test_short_turns_are_left_alone() -> None:
    thread = TurnThread()
    assert thread.interrupt(0) is None
    assert thread.give_up(0) is None
    for number in range(200):
        result = asyncio.create_task(thread.run(partial(thread.turn, partial(int, number))))
        thread.interrupt(5)
        assert await result == number
    thread.close()
