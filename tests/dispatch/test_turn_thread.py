"""Turns run in a thread of their own, and one that spins can be ended."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial

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
        while not thread.interrupt(0.01):  # noqa: ASYNC110  a thread has no event to tell
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
    assert callable(spin)
    thread = TurnThread()
    turn = asyncio.create_task(thread.run(lambda: thread.turn(spin)))
    await _interrupt(thread)
    with pytest.raises(SpinningTurnError, match="was interrupted after"):
        await turn
    assert await thread.run(lambda: thread.turn(lambda: "the next one")) == "the next one"
    thread.close()


async def test_short_turns_are_left_alone() -> None:
    thread = TurnThread()
    assert not thread.interrupt(0)
    for number in range(200):
        result = asyncio.create_task(thread.run(partial(thread.turn, partial(int, number))))
        thread.interrupt(5)
        assert await result == number
    thread.close()
