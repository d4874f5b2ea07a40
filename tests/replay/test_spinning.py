"""In scope: a turn whose tasks wake one another is ended, and told in which lines it went round."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
import re

import pytest

from perdure import OrchestrationContext, Registry, orchestration
from perdure.errors import SpinningTurnError
from perdure.replay.turn import Limits
from perdure.testing.scripted import ScriptedHistory


async def polls(flag: list[bool]) -> None:
    while not flag:  # noqa: ASYNC110  that is the fault
        await asyncio.sleep(0)


async def waits_for(flag: list[bool]) -> None:
    await polls(flag)


def test_the_stack_of_the_task_that_goes_round_is_in_the_message() -> None:
    @orchestration
    async def order(ctx: OrchestrationContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits_for([]))

    history = ScriptedHistory(Registry(order), order, limits=Limits(callbacks_per_turn=1000))
    with pytest.raises(SpinningTurnError) as caught:
        history.turn()
    first, second = polls.__code__.co_firstlineno + 2, waits_for.__code__.co_firstlineno + 1
    here = r"replay/test_spinning\.py"
    assert re.search(
        rf"does not come to rest \(now at {here}:{first} in polls, "
        rf"called by {here}:{second} in waits_for\): its tasks wake one another",
        str(caught.value),
    )
